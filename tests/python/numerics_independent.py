"""The numerics contract (docs/numerics.md) a second time, in Python: digests of the golden models.

Usage, with numpy installed:

    python3 tests/python/numerics_independent.py fixtures/golden

FOLDER has a file digests.txt with lines "SHA-256  MODEL/PROMPT PROFILE", and for each MODEL a folder with a checkpoint in the
Hugging Face layout, the same weights in original/, and golden.safetensors with the tokens of each prompt as PROMPT.ids.
Every digest is computed again; the exit status is 1 if one differs or if the two layouts hold different weights.

Nothing is shared with the Rust code, and other means are used where the page allows it: exp is numpy's in f64, decided by
decimal arithmetic wherever its error could matter; cosine, sine, logarithm and frequencies are decimal; fma goes through f64
with rounding to odd.
"""

import hashlib
import json
import struct
import sys
import time
from decimal import Decimal, getcontext
from fractions import Fraction
from pathlib import Path

import numpy as np

f32, f64, u32, u64 = np.float32, np.float64, np.uint32, np.uint64
getcontext().prec = 60


# Clauses 1 to 3: arithmetic, MXFP4, flush and b.


def fma(a, b, c):
    """a * b + c in f32 with one rounding: the sum in f64 is rounded to odd, so that the second rounding is the only one."""
    product = a.astype(f64) * b.astype(f64)
    c = c.astype(f64)
    total = product + c
    back = total - product
    error = (product - (total - back)) + (c - back)
    bits = total.view(u64)
    away = (error > 0) == (total > 0)
    odd = np.where(away, bits | u64(1), bits - u64(1)).view(f64)
    return np.where((error != 0) & (bits & u64(1) == 0), odd, total).astype(f32)


def nearest_f32(value):
    """The f32 nearest to a Fraction or Decimal of ordinary size, ties to even."""
    value = Fraction(value)
    if value == 0:
        return f32(0)
    exponent = 0
    while abs(value) >= Fraction(2) ** (exponent + 1):
        exponent += 1
    while abs(value) < Fraction(2) ** exponent:
        exponent -= 1
    unit = Fraction(2) ** (exponent - 23)
    return f32(float(round(value / unit) * unit))


def flush(values):
    return np.where(np.abs(values) < f32(2.0**-50), f32(0), values)


def b_bf16(values):
    bits = values.astype(f32).view(u32)
    rounded = ((bits + u32(0x7FFF) + (bits >> u32(16) & u32(1))) >> u32(16)) << u32(16)
    return flush(rounded.view(f32))


def b_f32(values):
    return values


PROFILES = {"bf16": b_bf16, "f32": b_f32}
CODES = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], f64)


def unpack_mxfp4(blocks, scales):
    """[..., row, group, 16] bytes and [..., row, group] scales to [..., row, 32 * group]."""
    assert scales.max() <= 252
    codes = np.stack([blocks & 15, blocks >> 4], axis=-1).reshape(*blocks.shape[:-1], 32)
    values = np.ldexp(CODES[codes], scales.astype(np.int64)[..., None] - 127)
    return flush(values.reshape(*blocks.shape[:-2], -1).astype(f32))


# Clause 4: dot products.


def slots(order, n):
    """steps[s] is (elements k, accumulators, lanes) of the elements that take step s; k may lie in the padding."""
    group = {"E": 128, "D": 32}[order]
    steps = {}
    for k in range(-(-n // group) * group):
        if order == "E":
            lane, accumulator, step = k % 128 // 8, k % 4, 2 * (k // 128) + 1 - k // 4 % 2
        else:
            lane, accumulator, step = k % 32 // 2, k // 32 % 4, 2 * (k // 128) + 1 - k % 2
        steps.setdefault(step, []).append((k, 16 * accumulator + lane))
    return [np.array(steps[step]).T for step in sorted(steps)]


def fold_lanes(lanes):
    for half in (8, 4, 2, 1):
        lanes = lanes[..., :half] + lanes[..., half : 2 * half]
    return lanes[..., 0]


def dot(order, a, b):
    """Over the last axis; the others broadcast."""
    n = a.shape[-1]
    assert b.shape[-1] == n
    padding = [(0, 0)] * (max(a.ndim, b.ndim) - 1) + [(0, -n % 128)]
    a = np.pad(a, padding[-a.ndim :])
    b = np.pad(b, padding[-b.ndim :])
    shape = np.broadcast_shapes(a.shape[:-1], b.shape[:-1])
    sums = np.zeros((*shape, 64), f32)
    for elements, places in slots(order, n):
        sums[..., places] = fma(a[..., elements], b[..., elements], sums[..., places])
    sums = sums.reshape(*shape, 4, 16)
    return fold_lanes((sums[..., 0, :] + sums[..., 1, :]) + (sums[..., 2, :] + sums[..., 3, :]))


# Clause 11: exp and sigmoid.


def exp(x):
    x = np.asarray(x, f32)
    result = np.empty(x.shape, f32)
    low, high = x < f32(-87), x >= np.array(0x42B17218, u32).view(f32)
    inside = ~(low | high | np.isnan(x))
    result[low], result[high], result[np.isnan(x)] = 0, np.inf, np.nan
    arguments = x[inside]
    wide = np.exp(arguments.astype(f64))
    # numpy's error is a few units of 2^-53; where 2^-48 could change the result, decimal arithmetic decides.
    values = wide.astype(f32)
    unsure = (wide * (1 - 2.0**-48)).astype(f32) != (wide * (1 + 2.0**-48)).astype(f32)
    for index in np.flatnonzero(unsure):
        values[index] = nearest_f32(Decimal(float(arguments[index])).exp())
    result[inside] = values
    return result


def sigmoid(x):
    return f32(1) / (f32(1) + exp(-x))


# Clause 6.


def norm(b, x, scale, eps):
    s = np.sqrt(dot("D", x, x) / f32(x.shape[-1]) + f32(eps))
    return b((x / s[..., None]) * scale)


# Clause 7: rotation.

RELEASED = """
3f800000 3f306535 3ef316a2 3ea77faa 3e66d3fa 3e1f0cfd 3ddb2f9f 3d970764
3d502194 3d01ddd5 3c9e646f 3c3dec94 3bdea840 3b7cfe14 3b093803 3a89f778
39ef543c 390799b9 3820adc6 37dd6dfc 37989328 375242fa 3710e12c 36c7a82b
3689928c 363d9647 3602a245 35b40668 35781728 352af200 34eb93eb 34a252d3
"""


def arctan_inverse(n):
    """arctan(1 / n)."""
    total, power, k = Decimal(0), Decimal(1) / n, 1
    while power > Decimal(10) ** -70:
        total += power / k if k % 4 == 1 else -power / k
        power, k = power / (n * n), k + 2
    return total


PI = 4 * (4 * arctan_inverse(5) - arctan_inverse(239))


def cos_sin(angle):
    """Of a Decimal, by their series around the nearest multiple of a quarter turn."""
    quarters = (angle / (PI / 2)).to_integral_value()
    rest = angle - quarters * (PI / 2)
    parts, term = [Decimal(0), Decimal(0)], Decimal(1)
    for k in range(50):
        parts[k % 2] += term if k % 4 < 2 else -term
        term = term * rest / (k + 1)
    c, s = parts
    return [(c, s), (-s, c), (-c, -s), (s, -c)][int(quarters) % 4]


def inverse_frequencies(rope, d):
    number = lambda name: Decimal(float(rope[name]))
    theta, factor, context = number("theta"), number("factor"), number("context")
    released = (64, 150000, 32, 32, 1, 4096, False)
    if (d, theta, factor, number("beta_fast"), number("beta_slow"), context, rope["truncate"]) == released:
        return np.array([int(word, 16) for word in RELEASED.split()], u32).view(f32)
    plain = [(-Decimal(2 * i) / d * theta.ln()).exp() for i in range(d // 2)]
    if factor <= 1:
        return np.array([nearest_f32(f) for f in plain])
    bound = lambda turns: Decimal(d) / 2 * (context / (2 * PI * turns)).ln() / theta.ln()
    low, high = bound(number("beta_fast")), bound(number("beta_slow"))
    if rope["truncate"]:
        low, high = low.to_integral_value("ROUND_FLOOR"), high.to_integral_value("ROUND_CEILING")
    result = []
    for i, f in enumerate(plain):
        ramp = min(max((i - low) / (high - low), Decimal(0)), Decimal(1))
        result.append(nearest_f32(ramp * f / factor + (1 - ramp) * f))
    return np.array(result)


def rotation(b, rope, d, positions):
    """cos and sin, [position, pair]."""
    factor = Decimal(float(rope["factor"]))
    m = nearest_f32(factor.ln() / 10 + 1) if factor > 1 else f32(1)
    angles = np.arange(positions).astype(f32)[:, None] * inverse_frequencies(rope, d)
    table = [[nearest_f32(v) for v in cos_sin(Decimal(float(angle)))] for angle in angles.ravel()]
    table = np.array(table, f32).reshape(*angles.shape, 2)
    return b(m * table[..., 0]), b(m * table[..., 1])


def rotate(b, heads, cos, sin):
    """[position, head, d]."""
    half = heads.shape[-1] // 2
    p, r = heads[..., :half], heads[..., half:]
    cos, sin = cos[:, None], sin[:, None]
    return np.concatenate([b(b(p * cos) - b(r * sin)), b(b(r * cos) + b(p * sin))], axis=-1)


# Clause 8: attention.


def softmax(b, scores, positions, sink):
    """Scores of the visible keys, at these ascending positions, to probabilities."""
    greatest = max(sink, scores.max())
    e = exp(scores - greatest)
    lanes = np.zeros(16, f32)
    for j, value in zip(positions, e):
        lanes[j % 16] += value
    return b(e / (fold_lanes(lanes) + exp(sink - greatest)))


def weighted_sum(b, positions, weights, values):
    """The sum of [key] weights times [key, d] values."""
    total = np.zeros(values.shape[1], f32)
    for block in sorted({j // 256 for j in positions}):
        chain = np.zeros(values.shape[1], f32)
        for j, weight, value in zip(positions, weights, values):
            if j // 256 == block:
                chain = fma(weight, value, chain)
        total = total + chain
    return b(total)

def attention(b, q, k, v, sinks, window):
    """[position, head, d] each; the result is [position, heads * d]."""
    positions, heads, d = q.shape
    group = heads // k.shape[1]
    scale = nearest_f32(1 / Decimal(d).sqrt())
    out = np.zeros(q.shape, f32)
    for h in range(heads):
        keys, values = k[:, h // group], v[:, h // group]
        scores = b(b(dot("D", q[:, h, None], keys[None])) * scale)
        for i in range(positions):
            seen = [j for j in range(i + 1) if window is None or i - j < window]
            weights = softmax(b, scores[i, seen], seen, sinks[h])
            out[i, h] = weighted_sum(b, seen, weights, values[seen])
    return out.reshape(positions, -1)


# Clauses 9 and 10: experts.


def swiglu(b, gate, up, alpha, limit):
    gate = np.where(gate > limit, limit, gate)
    up = np.where(up > limit, limit, np.where(up < -limit, -limit, up))
    return b(b(gate * b(sigmoid(b(alpha * gate)))) * b(up + f32(1)))


def expert_weights(b, g):
    """By rank, from the logits by rank."""
    e = exp(g - g[0])
    total = e[0]
    for value in e[1:]:
        total = total + value
    return b(e / total)


def experts(b, t, g, layer, count, limit):
    """One position: t [hidden], router logits g."""
    # Sorting is stable, so equal logits keep the order of their indices.
    chosen = sorted(range(len(g)), key=lambda index: -g[index])[:count]
    out = np.zeros(t.shape, f32)
    for index, weight in zip(chosen, expert_weights(b, g[chosen])):
        u = b(b(dot("E", layer["w1"][index], t)) + layer["b1"][index])
        y = swiglu(b, u[0::2], u[1::2], f32(1.702), f32(limit))
        z = b(b(dot("E", layer["w2"][index], y)) + layer["b2"][index])
        out = fma(weight, z, out)
    return b(out)


# The forward pass.


def linear(b, x, weight, bias):
    result = dot("D", weight, x[:, None])
    return b(result if bias is None else result + bias)


def forward(profile, config, weights, tokens):
    b = PROFILES[profile]
    d, eps = config["head_dim"], config["rms_norm_eps"]
    x = b(weights["embedding"][tokens])
    cos, sin = rotation(b, config["rope"], d, len(tokens))
    for index, layer in enumerate(weights["layers"]):
        t = norm(b, x, layer["attention_norm"], eps)
        q, k, v = (
            linear(b, t, layer[name], layer[name + "_bias"]).reshape(len(tokens), -1, d) for name in ("q", "k", "v")
        )
        q, k = rotate(b, q, cos, sin), rotate(b, k, cos, sin)
        window = config["window"] if config["layer_types"][index] == "sliding_attention" else None
        o = attention(b, q, k, v, layer["sinks"], window)
        x = b(x + linear(b, o, layer["o"], layer["o_bias"]))
        t = norm(b, x, layer["mlp_norm"], eps)
        g = linear(b, t, layer["router"], layer["router_bias"])
        mixed = [experts(b, t[i], g[i], layer, config["top_k"], config["limit"]) for i in range(len(tokens))]
        x = b(x + np.array(mixed))
        assert np.isfinite(x).all()
    return linear(b, norm(b, x, weights["norm"], eps), weights["unembedding"], None)


# Files.


def read_safetensors(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        raw = data[8 + length + begin : 8 + length + end]
        if entry["dtype"] == "BF16":
            values = flush((np.frombuffer(raw, "<u2").astype(u32) << u32(16)).view(f32))
        else:
            values = np.frombuffer(raw, {"U8": "u1", "I32": "<i4"}.get(entry["dtype"], "u1"))
        if entry["dtype"] in ("BF16", "U8", "I32"):
            tensors[name] = values.reshape(entry["shape"])
    return tensors


def read_config(folder):
    raw = json.loads((folder / "config.json").read_text())
    scaling = raw["rope_scaling"]
    return {
        "head_dim": raw["head_dim"],
        "heads": raw["num_attention_heads"],
        "kv_heads": raw["num_key_value_heads"],
        "rms_norm_eps": raw["rms_norm_eps"],
        "window": raw["sliding_window"],
        "layer_types": raw["layer_types"],
        "top_k": raw["num_experts_per_tok"],
        "limit": raw["swiglu_limit"],
        "rope": {
            "theta": raw["rope_theta"],
            "factor": scaling["factor"],
            "beta_fast": scaling["beta_fast"],
            "beta_slow": scaling["beta_slow"],
            "context": scaling["original_max_position_embeddings"],
            "truncate": scaling["truncate"],
        },
    }


def hugging_face_weights(folder, config):
    t = {}
    for path in sorted(folder.glob("model-*.safetensors")):
        t.update(read_safetensors(path))
    layers = []
    for index in range(len(config["layer_types"])):
        at = f"model.layers.{index}."
        layer = {
            "attention_norm": t[at + "input_layernorm.weight"],
            "mlp_norm": t[at + "post_attention_layernorm.weight"],
            "sinks": t[at + "self_attn.sinks"],
            "router": t[at + "mlp.router.weight"],
            "router_bias": t[at + "mlp.router.bias"],
            "b1": t[at + "mlp.experts.gate_up_proj_bias"],
            "b2": t[at + "mlp.experts.down_proj_bias"],
        }
        for name in "qkvo":
            layer[name] = t[f"{at}self_attn.{name}_proj.weight"]
            layer[name + "_bias"] = t[f"{at}self_attn.{name}_proj.bias"]
        for name, tensor in (("w1", "gate_up_proj"), ("w2", "down_proj")):
            at_expert = at + "mlp.experts." + tensor
            layer[name] = unpack_mxfp4(t[at_expert + "_blocks"], t[at_expert + "_scales"])
        layers.append(layer)
    return {
        "embedding": t["model.embed_tokens.weight"],
        "norm": t["model.norm.weight"],
        "unembedding": t["lm_head.weight"],
        "layers": layers,
    }


def original_weights(folder, config):
    t = read_safetensors(folder / "original" / "model.safetensors")
    d, heads, kv_heads = config["head_dim"], config["heads"], config["kv_heads"]
    ends = [heads * d, (heads + kv_heads) * d]
    layers = []
    for index in range(len(config["layer_types"])):
        at = f"block.{index}."
        layer = {
            "attention_norm": t[at + "attn.norm.scale"],
            "mlp_norm": t[at + "mlp.norm.scale"],
            "sinks": t[at + "attn.sinks"],
            "router": t[at + "mlp.gate.weight"],
            "router_bias": t[at + "mlp.gate.bias"],
            "o": t[at + "attn.out.weight"],
            "o_bias": t[at + "attn.out.bias"],
            "b1": t[at + "mlp.mlp1_bias"],
            "b2": t[at + "mlp.mlp2_bias"],
        }
        for suffix, tensor in (("", "weight"), ("_bias", "bias")):
            for name, part in zip("qkv", np.split(t[at + "attn.qkv." + tensor], ends)):
                layer[name + suffix] = part
        for name, tensor in (("w1", "mlp1"), ("w2", "mlp2")):
            at_expert = f"{at}mlp.{tensor}_weight."
            layer[name] = unpack_mxfp4(t[at_expert + "blocks"], t[at_expert + "scales"])
        layers.append(layer)
    return {
        "embedding": t["embedding.weight"],
        "norm": t["norm.scale"],
        "unembedding": t["unembedding.weight"],
        "layers": layers,
    }


def same_weights(one, other):
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same_weights(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(same_weights(*pair) for pair in zip(one, other))
    return np.array_equal(one.view(u32), other.view(u32))


def check_yourself():
    """The examples at the end of the page."""
    of_bits = lambda *bits: np.array(bits, u32).view(f32)
    bits_of = lambda values: [hex(word) for word in np.atleast_1d(np.asarray(values, f32)).view(u32)]
    k = np.arange(160)
    a = ((181 * k % 256 - 127) / 2.0 ** (k % 13)).astype(f32)
    c = ((k * k % 251 - 125) / 2.0 ** (k % 9)).astype(f32)
    b_of = b_bf16(of_bits(0x3F808000, 0x3F818000, 0x267FFFFF, 0x267F7FFF, 0x80000000))
    exp_of = exp(of_bits(0x3F800000, 0xBF800000, 0xC2AE0000, 0xC2AE0001, 0x42B17217))
    found = bits_of(dot("E", a, c)) + bits_of(dot("D", a, c)) + bits_of(b_of) + bits_of(exp_of)
    expected = [0x45E670D8, 0x45E670DA, 0x3F800000, 0x3F820000, 0x26800000, 0, 0]
    expected += [0x402DF854, 0x3EBC5AB2, 0xB33687, 0, 0x7F7FFF84]
    assert found == [hex(word) for word in expected], found


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: numerics_independent.py FOLDER")
    root = Path(sys.argv[1])
    check_yourself()
    wrong = 0
    models = {}
    lines = (root / "digests.txt").read_text().splitlines()
    for line in lines:
        digest, name, profile = line.split()
        model, prompt = name.split("/")
        folder = root / model
        if model not in models:
            config = read_config(folder)
            weights = hugging_face_weights(folder, config)
            if not same_weights(weights, original_weights(folder, config)):
                sys.exit(f"{model}: the two layouts hold different weights")
            models[model] = config, weights, read_safetensors(folder / "golden.safetensors")
        config, weights, golden = models[model]
        start = time.monotonic()
        with np.errstate(all="ignore"):
            logits = forward(profile, config, weights, golden[prompt + ".ids"])
        found = hashlib.sha256(np.ascontiguousarray(logits, "<f4").tobytes()).hexdigest()
        same = found == digest
        wrong += not same
        print(f"{found}  {name} {profile}: {'same' if same else 'DIFFERS'} ({time.monotonic() - start:.1f} s)", flush=True)
    if wrong or not lines:
        sys.exit(f"{wrong} of {len(lines)} digests differ")
    print(f"all {len(lines)} digests are the recorded ones")


if __name__ == "__main__":
    main()
