#!/usr/bin/env python3
"""Compares `gptoss rpc` with the official Python package, request by request.

    pip install openai-harmony==0.0.8
    TIKTOKEN_ENCODINGS_BASE=DIR python tests/python/rpc_differential.py --gptoss target/debug/gptoss

DIR holds `o200k_base.tiktoken`; the crate `tiktoken-rs` ships it under `assets/`.
Random requests go to both sides. Tokens, messages, states, deltas, kinds and wording of errors must be equal;
only the column of an error in JSON may differ, which the official library often gives for the end of a whole item.
Where a document has two faults, one of them a duplicate field, either may be named.
Left out: numbers out of range under an unknown key, which the official library refuses in a message.
The exit code is 1 if anything differs; the first differences are printed with the request that shows them.
"""

import argparse
import base64
import collections
import json
import random
import re
import subprocess
import sys

from openai_harmony import openai_harmony as official

START, END, MESSAGE, CHANNEL = 200006, 200007, 200008, 200005
CONSTRAIN, RETURN, CALL = 200003, 200002, 200012
MARKERS = [START, END, MESSAGE, CHANNEL, CONSTRAIN, RETURN, CALL]
ROLES = ["user", "assistant", "system", "developer", "tool"]
WORDS = [
    "a", "hello", " world", "héllo", "世界", "👋🏾", "\n", "  ", "don't", "x_1", "3.14", "12345678", "json", " code",
    "<|start|>", "<|end|>", "<|channel|>", "<|constrain|>json", "to=functions.f", "analysis", "final", "\t", "é",
    "\u200d", "\u0301", "ſ", "'s", "'ſ", "\r\n", "{\"a\": 1}", "<", "|>", "assistant", "functions.get_weather", "\x00",
]  # fmt: skip


def without_place(message):
    """The message of an error without the place in the JSON text."""
    return re.sub(r" at line \d+ column \d+$", "", message)


class Ours:
    """A running `gptoss rpc`."""

    def __init__(self, program):
        self.process = subprocess.Popen(
            [program, "rpc"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        self.last = 0

    def call(self, method, **params):
        """Calls with parameters that are JSON texts already; the answer is a result or a pair of kind and message."""
        self.last += 1
        fields = ",".join(f'"{name}":{text}' for name, text in params.items())
        line = f'{{"jsonrpc":"2.0","id":{self.last},"method":"{method}","params":{{{fields}}}}}'
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert answer["id"] == self.last, (line, answer)
        if "error" in answer:
            error = answer["error"]
            return ("error", error.get("data", {}).get("kind"), without_place(error["message"]))
        return answer["result"]


def official_call(function, *arguments):
    """The result of the official function, or its exception as our answers put it."""
    try:
        return function(*arguments)
    except official.HarmonyError as error:
        return ("error", "HarmonyError", str(error))
    except RuntimeError as error:
        return ("error", "RuntimeError", str(error))
    except ValueError as error:
        return ("error", "ValueError", without_place(str(error)))


class Generator:
    """Random values; wrong ones now and then."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def chance(self, probability):
        return self.random.random() < probability

    def text(self, most=6):
        return "".join(self.random.choice(WORDS) for _ in range(self.random.randint(0, most)))

    def word(self):
        return self.random.choice(["a", "functions.f", "browser.search", "python", "x y", "", "all", "é", "<|end|>", "b:c"])

    def maybe(self, value, probability=0.5):
        return value() if self.chance(probability) else None

    def schema(self, depth=0):
        r = self.random
        if depth > 3 or self.chance(0.05):
            return r.choice([True, "x", [], {}, None, 5])
        schema = {}
        for _ in range(r.randint(0, 4)):
            key, value = r.choice(
                [
                    ("type", lambda: r.choice(["string", "number", "integer", "boolean", "array", "object", "null", "odd"])),
                    ("type", lambda: r.choice([["string", "null"], ["integer"], [], [1]])),
                    ("type", lambda: "object"),
                    ("description", lambda: self.text(3)),
                    ("title", lambda: self.text(2)),
                    ("default", lambda: r.choice([None, 1, 1.0, "raw", True, [1], {"a": 1e20}, 1e-7, -0.0, 2**63, 2**64])),
                    ("enum", lambda: r.choice([["a", "b"], [], [1, 2], ["a", 1, None]])),
                    ("items", lambda: self.schema(depth + 1)),
                    ("oneOf", lambda: [self.schema(depth + 1) for _ in range(r.randint(0, 3))]),
                    ("anyOf", lambda: [self.schema(depth + 1)]),
                    ("nullable", lambda: r.choice([True, False, "true"])),
                    ("examples", lambda: r.choice([["x", 1, "y\nz"], [], "e"])),
                    ("required", lambda: r.choice([["p"], ["p", "q"], "p", [1]])),
                    ("properties", lambda: {r.choice(["p", "q", "a b", "", "é"]): self.schema(depth + 1) for _ in range(r.randint(0, 3))}),
                ]
            )  # fmt: skip
            schema[key] = value()
        if "properties" in schema and self.chance(0.9):
            schema["type"] = "object"
        return schema

    def tools(self):
        def tool():
            tool = {"name": self.random.choice(["f", "get_weather", "é"]), "description": self.text(3)}
            if self.chance(0.8):
                tool["parameters"] = self.schema()
            return tool

        def namespace():
            namespace = {"name": self.random.choice(["functions", "browser", "x"]), "tools": [tool() for _ in range(self.random.randint(0, 2))]}
            if self.chance(0.5):
                namespace["description"] = self.maybe(lambda: self.text(3))
            return namespace

        return {self.random.choice(["functions", "browser", "b", "a"]): namespace() for _ in range(self.random.randint(0, 2))}

    def item(self):
        kind = self.random.choice(["text", "text", "system_content", "developer_content"])
        if kind == "text":
            item = {"type": "text", "text": self.text()}
        elif kind == "system_content":
            item = {"type": kind}
            fields = {
                "model_identity": lambda: self.text(3),
                "reasoning_effort": lambda: self.random.choice(["Low", "Medium", "High", "Low", "High", "high"]),
                "tools": self.tools,
                "conversation_start_date": lambda: "2025-06-28",
                "knowledge_cutoff": lambda: self.text(1),
                "channel_config": lambda: {"valid_channels": self.random.choice([["analysis", "final"], []]), "channel_required": self.chance(0.5)},
            }
            for name, value in fields.items():
                if self.chance(0.4):
                    item[name] = self.maybe(value, 0.9)
        else:
            item = {"type": kind}
            if self.chance(0.6):
                item["instructions"] = self.maybe(self.text, 0.9)
            if self.chance(0.6):
                item["tools"] = self.maybe(self.tools, 0.9)
        if self.chance(0.1):
            item = dict(self.random.sample(list(item.items()), len(item)))
        return item

    def message(self):
        role = self.random.choice(ROLES)
        message = {"role": role, "content": self.text()}
        if self.chance(0.5):
            if self.chance(0.7):
                kind = {"system": "system_content", "developer": "developer_content"}.get(role, "text")
                item = self.item()
                while item["type"] != kind:
                    item = self.item()
                message["content"] = [item]
            else:
                message["content"] = [self.item() for _ in range(self.random.randint(0, 3))]
        if self.chance(0.95 if role == "tool" else 0.1):
            message["name"] = self.maybe(self.word, 0.9)
        if self.chance(0.3):
            message["recipient"] = self.maybe(self.word, 0.9)
        if self.chance(0.6):
            message["channel"] = self.maybe(lambda: self.random.choice(["analysis", "commentary", "final", "final", "", "x y"]), 0.9)
        if self.chance(0.3):
            message["content_type"] = self.maybe(lambda: self.random.choice(["<|constrain|>json", "code", "<|constrain|>", " <|constrain|>x", "a b", ""]), 0.9)
        if self.chance(0.1):
            message["unknown"] = {"x": [True, None]}
        if self.chance(0.2):
            message = dict(self.random.sample(list(message.items()), len(message)))
        return message

    def json(self, value):
        """A JSON text of the value, now and then a spoilt one that is still JSON."""
        text = json.dumps(value, ensure_ascii=self.chance(0.5), separators=self.random.choice([(",", ":"), (", ", ": ")]))
        if not self.chance(0.2):
            return text
        spoil = self.random.choice(
            [
                ('"user"', '"User"'), ('"role"', '"rôle"'), ('"content"', '"Content"'), ('"text"', '"image"'),
                ('"content":', '"content": null, "content":'), ('"role":', '"role": "user", "role":'),
                ("1", "1e999"), ("1", "1E5"), ("1", "-0"), ("true", '"true"'), ("[]", "{}"), ("{}", "[]"), (": 1", ": 18446744073709551616"),
                ('"name":', '"name": 5, "x":'), ('"type":', '"type": "text", "type":'), ('"messages"', '"message"'),
                ('"tools":', '"tools": [], "y":'), ('"description":', '"z":'), ('"channel":', '"channel": ["final"], "w":'),
                ('"Low"', '"low"'), ('"a', '"\\u0061'), ("null", '""'), ('"channel_required":', '"v":'), ("[", "[null,"),
            ]
        )  # fmt: skip
        spoilt = text.replace(*spoil, self.random.choice([1, -1]))
        try:
            json.loads(spoilt)
        except ValueError:
            return text
        return spoilt

    def conversation(self):
        messages = [self.message() for _ in range(self.random.randint(0, 5))]
        return {"messages": messages}

    def completion(self, encode):
        """Tokens of a model's output: right, broken, or neither."""
        tokens = []
        for _ in range(self.random.randint(0, 3)):
            header = []
            if self.chance(0.7):
                header += [START]
            if self.chance(0.7):
                header += encode(self.random.choice(ROLES + ["assistant"] * 5 + ["functions.f", "User"]))
            if self.chance(0.3):
                header += encode(self.random.choice([" to=functions.f", " to=", "to=x", " to=a b", " to=all"]))
            if self.chance(0.8):
                header += [CHANNEL] + encode(self.random.choice(["analysis", "final", "commentary", "", " final", "a b", "commentary to=functions.f", "final<x"]))
            if self.chance(0.2):
                header += self.random.choice([[CONSTRAIN], encode(" ") + [CONSTRAIN]]) + encode(self.random.choice(["json", " json", ""]))
            if self.chance(0.1):
                header += encode(self.random.choice([" code", " json", "\u2003x", "\x0b", " a  b"]))
            tokens += header
            if self.chance(0.9):
                tokens += [MESSAGE]
            content = encode(self.text())
            if self.chance(0.3):
                content += self.random.choice([[9468], [9468, 239], [233], [61138], [255, 254], [200013], [201088], [201089], [4000000000]])
            if self.chance(0.3):
                content += encode(self.text())
            tokens += content
            if self.chance(0.9):
                tokens += [self.random.choice([END, RETURN, CALL, END])]
        for _ in range(self.random.choice([0, 0, 0, 1, 2])):
            at = self.random.randint(0, len(tokens))
            action = self.random.randint(0, 2)
            if action == 0:
                tokens.insert(at, self.random.choice(MARKERS + [220, 17]))
            elif action == 1:
                del tokens[at : at + 1]
            else:
                tokens[at : at + 1] = [self.random.choice(MARKERS + [220, 17, 300000])]
        return tokens


class Comparison:
    def __init__(self, program, seed):
        self.ours = Ours(program)
        self.generate = Generator(seed)
        self.encoding = official.PyHarmonyEncoding("HarmonyGptOss")
        self.counts = collections.Counter()
        self.errors = collections.Counter()
        self.differences = []

    def check(self, what, request, ours, theirs):
        self.counts[what] += 1
        if isinstance(theirs, tuple) and theirs[:1] == ("error",):
            self.errors[what] += 1
        two_faults = {ours[1], theirs[1]} == {"ValueError"} and "duplicate field" in ours[2] + theirs[2] if isinstance(ours, tuple) and isinstance(theirs, tuple) else False
        if ours != theirs and not two_faults:
            self.differences.append((what, request, ours, theirs))

    def check_call(self, method, request, function, *arguments, result=lambda value: value):
        ours = self.ours.call(method, **request)
        theirs = official_call(function, *arguments)
        if not (isinstance(theirs, tuple) and theirs[:1] == ("error",)):
            theirs = result(theirs)
        self.check(method, request, ours, theirs)
        return theirs

    def encode(self, text):
        return self.encoding.encode(text, [])

    def render(self):
        g = self.generate
        config = g.random.choice([None, {}, {"auto_drop_analysis": True}, {"auto_drop_analysis": False}])
        text = g.json(g.conversation())
        request = {"conversation": text}
        if config is not None or g.chance(0.5):
            request["config"] = json.dumps(config)
        as_tokens = lambda tokens: {"tokens": tokens}  # noqa: E731
        role = g.random.choice(ROLES + ["User", ""])
        self.check_call("render_conversation_for_completion", request | {"next_turn_role": json.dumps(role)},
                        self.encoding.render_conversation_for_completion, text, role, config, result=as_tokens)  # fmt: skip
        self.check_call("render_conversation", request, self.encoding.render_conversation, text, config, result=as_tokens)
        self.check_call("render_conversation_for_training", request,
                        self.encoding.render_conversation_for_training, text, config, result=as_tokens)  # fmt: skip
        text = g.json(g.message())
        options = g.random.choice([None, {}, {"conversation_has_function_tools": True}])
        self.check_call("render", {"message": text, "render_options": json.dumps(options)}, self.encoding.render, text, options, result=as_tokens)

    def parse(self):
        g = self.generate
        tokens = g.completion(self.encode)
        role = g.random.choice([None, "assistant", "assistant", "tool", "User"])
        strict = g.random.choice([None, True, False])
        self.check_call("parse_messages_from_completion_tokens",
                        {"tokens": json.dumps(tokens), "role": json.dumps(role), "strict": json.dumps(strict)},
                        self.encoding.parse_messages_from_completion_tokens, tokens, role, strict,
                        result=lambda text: {"messages": json.loads(text)})  # fmt: skip

    def stream(self):
        g = self.generate
        tokens = g.completion(self.encode)
        role = g.random.choice([None, "assistant", "assistant", "user"])
        strict = g.chance(0.5)
        parser = official.PyStreamableParser(self.encoding, role, strict)
        number = self.ours.call("stream_new", role=json.dumps(role), strict=json.dumps(strict))["stream"]

        def snapshot():
            return {
                "state": json.loads(parser.state),
                "current_content": parser.current_content,
                "current_role": parser.current_role,
                "current_channel": parser.current_channel,
                "current_recipient": parser.current_recipient,
                "current_content_type": parser.current_content_type,
                "last_content_delta": parser.last_content_delta,
                "messages": json.loads(parser.messages),
                "tokens": parser.tokens,
            }

        def step(read, method, **params):
            result = official_call(read)
            theirs = result if result is not None else official_call(snapshot)
            ours = self.ours.call(method, stream=str(number), **params)
            self.check(method, {"tokens": tokens, "role": role, "strict": strict, "at": params}, ours, theirs)
            if result is not None:
                ours = self.ours.call("stream_process", stream=str(number), tokens="[]")
                self.check("stream after an error", {"tokens": tokens, "role": role, "strict": strict, "at": params}, ours, official_call(snapshot))

        step(lambda: None, "stream_process", tokens="[]")
        for token in tokens:
            step(lambda: parser.process(token), "stream_process", token=str(token))
            if g.chance(0.02):
                step(parser.process_eos, "stream_process_eos")
        step(parser.process_eos, "stream_process_eos")
        assert self.ours.call("stream_free", stream=str(number)) is None

    def text(self):
        g = self.generate
        text = g.text(12)
        allowed = g.random.choice([None, [], ["<|end|>"], ["<|start|>", "<|constrain|>", "<|nothing|>"], "all"])
        theirs = self.encoding.special_tokens() if allowed == "all" else allowed
        self.check_call("encode", {"text": json.dumps(text), "allowed_special": json.dumps(allowed)},
                        self.encoding.encode, text, theirs, result=lambda tokens: {"tokens": tokens})  # fmt: skip
        tokens = self.encode(g.text(4))
        for _ in range(g.random.randint(0, 2)):
            tokens.insert(g.random.randint(0, len(tokens)), g.random.choice([g.random.randint(0, 201100), 233, 255, 200018, 2**32 - 1]))
        if g.chance(0.5):
            del tokens[g.random.randint(0, len(tokens)) :]
        request = {"tokens": json.dumps(tokens)}
        self.check_call("decode_utf8", request, self.encoding.decode_utf8, tokens, result=lambda text: {"text": text})
        self.check_call("decode_bytes", request, self.encoding.decode_bytes, tokens,
                        result=lambda data: {"base64": base64.b64encode(bytes(data)).decode()})  # fmt: skip
        token = g.random.choice([g.random.randint(199990, 201095), g.random.randint(0, 2**32 - 1)])
        self.check_call("is_special_token", {"token": str(token)}, self.encoding.is_special_token, token)

    def constants(self):
        for name in ["HarmonyGptOss", "x", ""]:
            self.check_call("load_harmony_encoding", {"name": json.dumps(name)}, official.load_harmony_encoding, name,
                            result=lambda encoding: {"name": encoding.name})  # fmt: skip
        for name in ["browser", "python", "x", ""]:
            self.check_call("get_tool_namespace_config", {"name": json.dumps(name)}, official.get_tool_namespace_config, name,
                            result=lambda namespace: namespace)  # fmt: skip
        for method in ["stop_tokens", "stop_tokens_for_assistant_actions"]:
            ours = self.ours.call(method)["tokens"]
            self.check(method, {}, sorted(ours), sorted(getattr(self.encoding, method)()))
        self.check("special_tokens", {}, sorted(self.ours.call("special_tokens")["special_tokens"]), sorted(self.encoding.special_tokens()))

    def run(self, cases):
        self.constants()
        for _ in range(cases):
            self.render()
            self.parse()
            self.stream()
            self.text()
        self.ours.process.stdin.close()
        assert self.ours.process.wait() == 0


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--gptoss", default="target/debug/gptoss", help="the program to test")
    arguments.add_argument("--cases", type=int, default=500, help="rounds; a round is some 30 requests")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--show", type=int, default=3, help="how many differences of each method to print")
    options = arguments.parse_args()
    comparison = Comparison(options.gptoss, options.seed)
    comparison.run(options.cases)
    differing = collections.Counter(what for what, *_ in comparison.differences)
    for method, count in sorted(comparison.counts.items()):
        print(f"{count:7} {method} ({comparison.errors[method]} of them errors, {differing[method]} differ)")
    total = sum(comparison.counts.values())
    print(f"{total} requests compared, {len(comparison.differences)} differ (seed {options.seed})")
    shown = collections.Counter()
    for what, request, ours, theirs in comparison.differences:
        shown[what] += 1
        if shown[what] > options.show:
            continue
        print(f"\n{what} {json.dumps(request)}\n    ours:     {ours}\n    official: {theirs}")
    return 1 if comparison.differences else 0


if __name__ == "__main__":
    sys.exit(main())
