import json, subprocess, sys

gptoss = subprocess.Popen(
    [sys.argv[1] if len(sys.argv) > 1 else "gptoss", "rpc"],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8",
)  # fmt: skip


def call(method, **params):
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    print(json.dumps(request), file=gptoss.stdin, flush=True)
    answer = json.loads(gptoss.stdout.readline())
    if "error" in answer:
        raise RuntimeError(answer["error"]["message"])
    return answer["result"]


RECORDED = (
    "<|channel|>analysis<|message|>I need the weather.<|end|>"
    "<|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>"
    '{"city": "Paris"}<|call|>'
)


def calls(said):
    """The calls in what a model said: name and arguments."""
    recovered = call("recover", text=said, role="assistant")
    assert recovered["diagnostics"] == [], recovered["diagnostics"]
    messages = [message for message in recovered["messages"] if message["role"] == "assistant"]
    return [(m["recipient"].removeprefix("functions."), json.loads(m["content"])) for m in messages if "recipient" in m]


def my_parser(said):
    """The parser under test: the text of the last message."""
    return said.rpartition("<|message|>")[2].removesuffix("<|return|>").removesuffix("<|call|>")


def test_the_model_asks_for_the_weather():
    assert calls(RECORDED) == [("get_weather", {"city": "Paris"})]


def test_snapshot_of_a_prompt():
    conversation = {"messages": [{"role": "user", "content": "What is 2 + 2?"}]}
    tokens = call("render_conversation_for_completion", conversation=conversation, next_turn_role="assistant")["tokens"]
    text = call("decode_utf8", tokens=tokens)["text"]
    assert text == "<|start|>user<|message|>What is 2 + 2?<|end|><|start|>assistant"


def test_any_text_comes_back():
    # With Hypothesis: @given(st.text()) instead of the loop.
    for text in ["", " ", "4\n", "don't", "世界", "👋🏾", "<|end|>", "<|start|>assistant<|message|>"]:
        said = [{"role": "user", "content": text}]
        tokens = call("render_conversation", conversation={"messages": said})["tokens"]
        assert call("recover", tokens=tokens)["messages"] == said


def test_my_parser_reads_what_recover_reads():
    for said in [RECORDED, "<|channel|>final<|message|>4<|return|>", "<|channel|>final<|message|>cut o"]:
        recovered = call("recover", text=said, role="assistant")
        assert my_parser(said) == recovered["messages"][-1]["content"]


if __name__ == "__main__":
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print(name, "ok")
    gptoss.stdin.close()
    sys.exit(gptoss.wait())
