"""gpt-oss in numpy, as an engine for an accelerator is written: float32 arrays, whole matrices, a cache of keys and values.

    python tests/python/numpy_gpt_oss.py fixtures/probe --ids 11,108,44 --precision bf16 -o dump.safetensors

It is written from the description of the model and from docs/numerics.md alone, and shares no code with the Rust program.
With --precision bf16 it rounds where OpenAI's PyTorch code does, with f32 not at all; products are summed by the matrix
product of numpy, in f32 and in an order of its own. --decode N computes the last N tokens one by one.
What it computed goes to a safetensors or .npz file with the module paths of Hugging Face, for `gptoss golden check`.
--bug NAME puts a well-known bug in.

Needs numpy.
"""

import argparse
import json
import math
import pathlib

import numpy as np

BUGS = {
    "interleaved-rope": "rotates neighbours instead of halves",
    "yarn-truncated": "rounds the bounds of the YaRN ramp",
    "no-sinks": "leaves the sinks out of the softmax",
    "window-129": "lets sliding layers see one key more",
    "cache-not-written": "does not write the keys and values of decoded tokens to the cache",
    "router-no-bias": "leaves the bias of the router out",
    "swapped-gate-up": "takes gate for up and up for gate",
    "silu": "uses SiLU for the gate, without the factor 1.702",
}


def bf16(x):
    """The nearest bf16, ties to even, as a float32."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return (rounded & np.uint32(0xFFFF0000)).view(np.float32)


# --- files


def read_safetensors(path):
    """The arrays of a file by name; bf16 as float32, MXFP4 as bytes."""
    raw = np.memmap(path, np.uint8, "r")
    length = int(raw[:8].view("<u8")[0])
    header = json.loads(raw[8 : 8 + length].tobytes())
    arrays = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        start, end = (8 + length + offset for offset in entry["data_offsets"])
        data = np.frombuffer(raw[start:end].tobytes(), {"BF16": "<u2", "U8": "u1"}[entry["dtype"]])
        if entry["dtype"] == "BF16":
            data = (data.astype(np.uint32) << np.uint32(16)).view(np.float32)
        arrays[name] = data.reshape(entry["shape"])
    return arrays


def write_safetensors(path, arrays, metadata):
    header, blobs, offset = {"__metadata__": metadata}, [], 0
    for name, (dtype, array) in arrays.items():
        if dtype == "BF16":
            blob = (np.ascontiguousarray(array, np.float32).view(np.uint32) >> np.uint32(16)).astype("<u2").tobytes()
        else:
            blob = array.astype({"F32": "<f4", "I64": "<i8"}[dtype]).tobytes()
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [offset, offset + len(blob)]}
        offset += len(blob)
        blobs.append(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.writelines(blobs)


def unpack_mxfp4(blocks, scales):
    """[experts, rows, groups, 16] bytes and [experts, rows, groups] scales to [experts, rows, 32 * groups]."""
    magnitudes = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)
    table = np.concatenate([magnitudes, -magnitudes])
    codes = np.stack([blocks & 15, blocks >> 4], axis=-1)
    values = table[codes.reshape(*blocks.shape[:-1], 32)]
    values = np.ldexp(values, scales[..., None].astype(np.int32) - 127)
    return values.reshape(*blocks.shape[:-2], -1).astype(np.float32)


# --- the engine


class Engine:
    def __init__(self, folder, precision, bug=None):
        folder = pathlib.Path(folder)
        self.config = config = json.loads((folder / "config.json").read_text())
        self.weights = {}
        for path in sorted(folder.glob("model*.safetensors")):
            self.weights.update(read_safetensors(path))
        self.round = bf16 if precision == "bf16" else lambda x: np.asarray(x, np.float32)
        self.precision, self.bug = precision, bug
        self.heads, self.kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
        self.dim = config["head_dim"]
        self.window = config["sliding_window"] + (bug == "window-129")
        self.inverse, self.concentration = self.yarn()
        self.cache = [None] * config["num_hidden_layers"]
        self.experts = {}
        self.dumped = {}

    def yarn(self):
        rope, base, dim = self.config["rope_scaling"], self.config["rope_theta"], self.dim
        frequencies = base ** (-np.arange(0, dim, 2, dtype=np.float64) / dim)
        if rope["factor"] <= 1:
            return frequencies.astype(np.float32), np.float32(1)

        def pair(turns):
            return dim / 2 * math.log(rope["original_max_position_embeddings"] / (turns * 2 * math.pi)) / math.log(base)

        low, high = pair(rope["beta_fast"]), pair(rope["beta_slow"])
        if rope.get("truncate", True) or self.bug == "yarn-truncated":
            low, high = math.floor(low), math.ceil(high)
        ramp = np.clip((np.arange(dim // 2) - low) / (high - low), 0, 1)
        mixed = frequencies / rope["factor"] * ramp + frequencies * (1 - ramp)
        return mixed.astype(np.float32), np.float32(0.1 * math.log(rope["factor"]) + 1)

    def keep(self, name, array):
        self.dumped.setdefault(name, []).append(array)

    def linear(self, x, name):
        """Bias inside the accumulator, one rounding."""
        bias = self.weights.get(name + ".bias", np.float32(0))
        if self.bug == "router-no-bias" and name.endswith("router"):
            bias = np.float32(0)
        return self.round(x @ self.weights[name + ".weight"].T + bias)

    def norm(self, x, name):
        scale = np.reciprocal(np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + np.float32(self.config["rms_norm_eps"])))
        return self.round(x * scale * self.weights[name + ".weight"])

    def rotate(self, x, start):
        """[n, heads, dim]"""
        angles = np.arange(start, start + len(x), dtype=np.float32)[:, None] * self.inverse
        cos = self.round(np.cos(angles) * self.concentration)[:, None]
        sin = self.round(np.sin(angles) * self.concentration)[:, None]
        b, half = self.round, self.dim // 2
        if self.bug == "interleaved-rope":
            one, other = x[..., 0::2], x[..., 1::2]
            pairs = [b(b(one * cos) - b(other * sin)), b(b(other * cos) + b(one * sin))]
            return np.stack(pairs, axis=-1).reshape(x.shape)
        one, other = x[..., :half], x[..., half:]
        return np.concatenate([b(b(one * cos) - b(other * sin)), b(b(other * cos) + b(one * sin))], axis=-1)

    def attention(self, x, layer, start, decoding):
        path, b, n = f"model.layers.{layer}.self_attn", self.round, len(x)
        q, k, v = (self.linear(x, f"{path}.{name}_proj") for name in "qkv")
        for name, array in (("q_proj", q), ("k_proj", k), ("v_proj", v)):
            self.keep(f"{path}.{name}", array)
        q = self.rotate(q.reshape(n, self.heads, self.dim), start)
        k = self.rotate(k.reshape(n, self.kv_heads, self.dim), start)
        self.keep(f"{path}.q_rope", q)
        self.keep(f"{path}.k_rope", k)
        v = v.reshape(n, self.kv_heads, self.dim)
        if decoding and self.bug == "cache-not-written":
            k, v = np.zeros_like(k), np.zeros_like(v)
        if self.cache[layer] is not None:
            k, v = (np.concatenate(both) for both in zip(self.cache[layer], (k, v)))
        self.cache[layer] = k, v
        group = self.heads // self.kv_heads
        # [heads, n, dim] × [heads, dim, keys]
        scores = b(q.transpose(1, 0, 2) @ np.repeat(k, group, axis=1).transpose(1, 2, 0))
        scores = b(scores * np.float32(1 / math.sqrt(self.dim)))
        distance = np.arange(start, start + n)[:, None] - np.arange(len(k))
        visible = distance >= 0
        if self.config["layer_types"][layer] == "sliding_attention":
            visible &= distance < self.window
        scores = np.where(visible, scores, np.float32(-np.inf))
        self.keep(f"{path}.scores", scores)
        sinks = np.broadcast_to(self.weights[path + ".sinks"][:, None, None], (self.heads, n, 1))
        if self.bug == "no-sinks":
            sinks = np.full_like(sinks, -np.inf)
        logits = np.concatenate([scores, sinks], axis=-1)
        exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
        weights = b(exponentials / exponentials.sum(axis=-1, keepdims=True))[..., :-1]
        self.keep(f"{path}.attn_weights", weights)
        out = b(weights @ np.repeat(v, group, axis=1).transpose(1, 0, 2)).transpose(1, 0, 2).reshape(n, -1)
        self.keep(f"{path}.context", out)
        out = self.linear(out, path + ".o_proj")
        self.keep(f"{path}.o_proj", out)
        return out

    def expert_weights(self, layer):
        if layer not in self.experts:
            path = f"model.layers.{layer}.mlp.experts."
            self.experts[layer] = [
                part
                for name in ("gate_up_proj", "down_proj")
                for part in (
                    unpack_mxfp4(self.weights[path + name + "_blocks"], self.weights[path + name + "_scales"]),
                    self.weights[path + name + "_bias"],
                )
            ]
        return self.experts[layer]

    def swiglu(self, x):
        b, limit = self.round, np.float32(self.config["swiglu_limit"])
        gate, up = x[..., 0::2], x[..., 1::2]
        if self.bug == "swapped-gate-up":
            gate, up = up, gate
        gate, up = np.minimum(gate, limit), np.clip(up, -limit, limit)
        alpha = np.float32(1 if self.bug == "silu" else 1.702)
        sigmoid = b(1 / (1 + np.exp(-b(alpha * gate))))
        return b(b(gate * sigmoid) * b(up + np.float32(1)))

    def mlp(self, x, layer):
        path, b, n = f"model.layers.{layer}.mlp", self.round, len(x)
        k = self.config["num_experts_per_tok"]
        logits = self.linear(x, path + ".router")
        ids = np.argsort(-logits, axis=-1, kind="stable")[:, :k]
        chosen = np.take_along_axis(logits, ids, axis=-1)
        exponentials = np.exp(chosen - chosen[:, :1])
        weights = b(exponentials / exponentials.sum(axis=-1, keepdims=True))
        for name, array in (("router.logits", logits), ("router.indices", ids), ("router.weights", weights)):
            self.keep(f"{path}.{name}", array)
        w1, b1, w2, b2 = self.expert_weights(layer)
        gate_up = np.empty((n, k, w1.shape[1]), np.float32)
        act = np.empty((n, k, w1.shape[1] // 2), np.float32)
        down = np.empty((n, k, w2.shape[1]), np.float32)
        # The rows of one expert together, as a grouped product does it.
        for expert in np.unique(ids):
            row, rank = np.nonzero(ids == expert)
            hidden = b(b(x[row] @ w1[expert].T) + b1[expert])
            gate_up[row, rank] = hidden
            hidden = self.swiglu(hidden)
            act[row, rank] = hidden
            down[row, rank] = b(b(hidden @ w2[expert].T) + b2[expert])
        for name, array in (("gate_up", gate_up), ("act", act), ("down", down)):
            self.keep(f"{path}.experts.{name}", array)
        out = b((weights[..., None] * down).sum(axis=1))
        self.keep(path, out)
        return out

    def forward(self, tokens, start, decoding=False):
        """Logits of tokens that stand from position `start` on."""
        x = self.weights["model.embed_tokens.weight"][tokens]
        self.keep("model.embed_tokens", x)
        for layer in range(self.config["num_hidden_layers"]):
            path = f"model.layers.{layer}"
            t = self.norm(x, path + ".input_layernorm")
            self.keep(path + ".input_layernorm", t)
            x = self.round(x + self.attention(t, layer, start, decoding))
            self.keep(path + ".post_attention_layernorm.input", x)
            t = self.norm(x, path + ".post_attention_layernorm")
            self.keep(path + ".post_attention_layernorm", t)
            x = self.round(x + self.mlp(t, layer))
            self.keep(path, x)
        x = self.norm(x, "model.norm")
        self.keep("model.norm", x)
        logits = self.linear(x, "lm_head")
        self.keep("lm_head", logits)
        return logits

    def run(self, tokens, decode=0):
        """All tokens: a prompt, and `decode` of them one by one."""
        prompt = len(tokens) - decode
        self.forward(np.array(tokens[:prompt]), 0)
        for at in range(prompt, len(tokens)):
            self.forward(np.array(tokens[at : at + 1]), at, decoding=True)

    def arrays(self, keys):
        """What was computed, all passes together: name to type and array."""
        floats = {"bf16": "BF16", "f32": "F32"}[self.precision]
        joined = {}
        for name, parts in self.dumped.items():
            if name.endswith((".scores", ".attn_weights")):
                # [heads, n, keys]: a later pass has more keys, which earlier positions do not see.
                unseen = -np.inf if name.endswith(".scores") else 0
                parts = [
                    np.pad(part, ((0, 0), (0, 0), (0, keys - part.shape[2])), constant_values=unseen) for part in parts
                ]
                joined[name] = floats, np.concatenate(parts, axis=1)
            else:
                whole = np.issubdtype(parts[0].dtype, np.integer)
                joined[name] = "I64" if whole else floats, np.concatenate(parts)
        return joined


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path, help="a folder with config.json and model*.safetensors")
    parser.add_argument("--ids", required=True, help="1,2,3, or @FILE with {\"ids\": [...]}")
    parser.add_argument("--precision", choices=("bf16", "f32"), default="bf16")
    parser.add_argument("--decode", type=int, default=0, metavar="N")
    parser.add_argument("--bug", choices=BUGS)
    parser.add_argument("-o", "--output", type=pathlib.Path, required=True, help="a .safetensors or .npz file")
    args = parser.parse_args()
    if args.ids.startswith("@"):
        tokens = json.loads(pathlib.Path(args.ids[1:]).read_text())["ids"]
    else:
        tokens = [int(word) for word in args.ids.split(",")]
    engine = Engine(args.model, args.precision, args.bug)
    # A bug may give what is no number; that is what a check is for.
    with np.errstate(all="ignore"):
        engine.run(tokens, args.decode)
    arrays = engine.arrays(len(tokens))
    if args.output.suffix == ".npz":
        np.savez(args.output, tokens=np.array(tokens, np.int64), **{name: array for name, (_, array) in arrays.items()})
    else:
        metadata = {"tokens": json.dumps(tokens), "profile": args.precision, "accumulate": "f32"}
        write_safetensors(args.output, arrays, metadata)


if __name__ == "__main__":
    main()
