"""What exp, cosine, sine, frequencies and 1/sqrt must be, from mpmath: makes fixtures/numerics/elementary.json.

Usage, with mpmath installed (minutes):

    python3 tests/python/elementary_tables.py > fixtures/numerics/elementary.json

All numbers are computed with 200 bits, rounded once, and written as hexadecimal bits. Digests are SHA-256 over the numbers in
little-endian order. See docs/numerics.md, clauses 7, 8 and 11.
"""

import hashlib
import json
import random
import struct

from mpmath import libmp, mp, mpf

mp.prec = 200

# Where e^x comes closest to the middle of two f32, as runtime/examples/exhaustive.rs lists them.
HARD = """
c16912cd bbf0edf1 377eff81 bae0e25c b3000000 39c6be5b 38e69cc1 383a3ef1
3d1a274e 40315b33 4001b249 39e5bb1d
""".split()

RELEASED = """
3f800000 3f306535 3ef316a2 3ea77faa 3e66d3fa 3e1f0cfd 3ddb2f9f 3d970764
3d502194 3d01ddd5 3c9e646f 3c3dec94 3bdea840 3b7cfe14 3b093803 3a89f778
39ef543c 390799b9 3820adc6 37dd6dfc 37989328 375242fa 3710e12c 36c7a82b
3689928c 363d9647 3602a245 35b40668 35781728 352af200 34eb93eb 34a252d3
""".split()


def of_bits(bits):
    return struct.unpack("<f", struct.pack("<I", bits))[0]


def f32(value):
    """The f32 nearest to a number within its normal range, ties to even, as a Python float."""
    return libmp.to_float(libmp.mpf_pos(mpf(value)._mpf_, 24, "n"))


def f64(value):
    return libmp.to_float(libmp.mpf_pos(mpf(value)._mpf_, 53, "n"))


def hex32(value):
    return f"{struct.unpack('<I', struct.pack('<f', value))[0]:08x}"


def hex64(value):
    return f"{struct.unpack('<Q', struct.pack('<d', value))[0]:016x}"


def exp_f32(bits):
    x = of_bits(bits)
    if x != x:
        return x
    if x < -87:
        return 0.0
    if x >= of_bits(0x42B17218):
        return float("inf")
    return f32(mp.exp(mpf(x)))


def exp_digest(stride):
    digest = hashlib.sha256()
    for bits in range(0, 1 << 32, stride):
        y = exp_f32(bits)
        if y == y:
            digest.update(struct.pack("<f", y))
    return digest.hexdigest()


def released_digests(positions, stride):
    """Of cosine and sine times the concentration, pair after pair, position after position."""
    every, some = hashlib.sha256(), hashlib.sha256()
    m = f32(mp.log(32) / 10 + 1)
    frequencies = [of_bits(int(word, 16)) for word in RELEASED]
    for position in range(positions):
        row = []
        for frequency in frequencies:
            angle = f32(mpf(position) * mpf(frequency))
            for value in libmp.mpf_cos_sin(mpf(angle)._mpf_, 200, "n"):
                nearest = libmp.to_float(libmp.mpf_pos(value, 24, "n"))
                # The product of two f32 is exact in f64; packing rounds it to nearest even.
                row.append(nearest * m)
        packed = struct.pack(f"<{len(row)}f", *row)
        every.update(packed)
        if position % stride == 0:
            some.update(packed)
    return {"positions": positions, "sha256": every.hexdigest(), "stride": stride, "stride_sha256": some.hexdigest()}


def frequencies(case):
    theta, factor, d = mpf(case["theta"]), mpf(case["factor"]), case["head_dim"]
    plain = [mp.power(theta, -mpf(2 * i) / d) for i in range(d // 2)]
    if factor <= 1:
        return plain
    bound = lambda turns: mpf(d) / 2 * mp.log(case["original_context"] / (2 * mp.pi * mpf(turns))) / mp.log(theta)
    low, high = bound(case["beta_fast"]), bound(case["beta_slow"])
    if case["truncate"]:
        low, high = mp.floor(low), mp.ceil(high)
    ramps = [min(max((i - low) / (high - low), mpf(0)), mpf(1)) for i in range(d // 2)]
    return [ramp * f / factor + (1 - ramp) * f for ramp, f in zip(ramps, plain)]


def rope_case(case, random_position):
    exact = frequencies(case)
    factor = mpf(case["factor"])
    concentration = mp.log(factor) / 10 + 1 if factor > 1 else mpf(1)
    result = dict(case, f32=[hex32(f32(f)) for f in exact], f64=[hex64(f64(f)) for f in exact])
    result["concentration"] = [hex32(f32(concentration)), hex64(f64(concentration))]
    result["cos_sin"] = []
    for _ in range(8):
        pair, position = random_position()
        pair %= len(exact)
        angle32 = f32(mpf(position) * mpf(f32(exact[pair])))
        angle64 = f64(mpf(position) * mpf(f64(exact[pair])))
        values = [hex32(f32(mpf(f32(g(angle32))) * mpf(f32(concentration)))) for g in (mp.cos, mp.sin)]
        values += [hex64(f64(mpf(f64(g(angle64))) * mpf(f64(concentration)))) for g in (mp.cos, mp.sin)]
        result["cos_sin"].append({"pair": pair, "position": position, "values": values})
    return result


def rope_cases():
    source = random.Random(20250805)
    released = dict(theta=150000.0, factor=32.0, beta_fast=32.0, beta_slow=1.0, original_context=4096)
    # Each is one parameter away from the released ones, so that the table does not apply.
    cases = [
        dict(released, truncate=True, head_dim=64),
        dict(released, truncate=False, head_dim=32),
        dict(released, truncate=False, head_dim=128),
        dict(released, truncate=False, head_dim=64, factor=1.0),
        dict(released, truncate=False, head_dim=64, factor=0.5),
        dict(released, truncate=False, head_dim=64, theta=10000.0),
        dict(released, truncate=False, head_dim=64, original_context=8192),
        dict(released, truncate=False, head_dim=64, beta_fast=16.0),
        dict(released, truncate=False, head_dim=64, beta_slow=2.0),
    ]
    for index in range(24):
        cases.append(
            dict(
                theta=round(10 ** source.uniform(2, 7), 3),
                factor=round(10 ** source.uniform(-0.2, 2), 3),
                beta_fast=round(source.uniform(8, 64), 3),
                beta_slow=round(source.uniform(0.5, 4), 3),
                original_context=source.randrange(512, 200000),
                truncate=index % 2 == 0,
                head_dim=2 * source.randrange(1, 129),
            )
        )
    position = lambda: (source.randrange(1 << 20), source.randrange(131072))
    return [rope_case(case, position) for case in cases]


def main():
    roots = range(1, 1025)
    narrow = b"".join(struct.pack("<f", f32(1 / mp.sqrt(n))) for n in roots)
    wide = b"".join(struct.pack("<d", f64(1 / mp.sqrt(n))) for n in roots)
    tables = {
        "exp": {
            "stride": 4096,
            "sha256": exp_digest(4096),
            "hard": [[word, hex32(exp_f32(int(word, 16)))] for word in HARD],
        },
        "inverse_sqrt_1_to_1024": {
            "f32": hashlib.sha256(narrow).hexdigest(),
            "f64": hashlib.sha256(wide).hexdigest(),
        },
        "released_rope": released_digests(131072, 61),
        "rope": rope_cases(),
    }
    # One case a line.
    print("{")
    for name, value in tables.items():
        comma = "" if name == "rope" else ","
        if isinstance(value, list):
            print(f' "{name}": [\n' + ",\n".join("  " + json.dumps(case) for case in value) + f"\n ]{comma}")
        else:
            print(f' "{name}": {json.dumps(value)}{comma}')
    print("}")


if __name__ == "__main__":
    main()
