"""Values of single clauses, from the second implementation: makes fixtures/numerics/vectors.json.

Usage, with numpy installed:

    python3 tests/python/numerics_vectors.py > fixtures/numerics/vectors.json

Each value is the SHA-256 over f32 in little-endian order. The inputs are made from `number`, as runtime/src/numerics/tests/vectors.rs
makes them; they are spread over many exponents, so that any other order of a sum shows.
"""

import hashlib
import json

import numpy as np

from numerics_independent import (
    PROFILES,
    dot,
    expert_weights,
    f32,
    fma,
    norm,
    rotate,
    softmax,
    swiglu,
    weighted_sum,
)


def number(seed, index, spread):
    """Seven bits and a sign, times 2^-(0 to spread - 1): exact in bf16."""
    mixed = ((index + 1000 * seed) * 2654435761 & 0xFFFFFFFF) >> 9
    return (mixed % 255 - 127) / 2.0 ** (mixed // 256 % spread)


def row(seed, length, spread):
    return np.array([number(seed, index, spread) for index in range(length)], f32)


def digest(values):
    return hashlib.sha256(np.asarray(values, "<f4").tobytes()).hexdigest()


def main():
    lengths = list(range(1, 400))
    vectors = {
        f"dot_{order}": digest([dot(order, row(1, n, 12), row(2, n, 12)) for n in lengths]) for order in "ED"
    }
    for profile, b in PROFILES.items():
        x, scale = b(row(3, 200, 10)), row(4, 200, 4)
        vectors[f"rms_norm_{profile}"] = digest(norm(b, x[None], scale, 1e-5)[0])

        # From one key to three times sixteen and more. (The start rotates the lanes, which must change nothing.)
        vectors[f"softmax_with_sink_{profile}"] = digest(
            np.concatenate(
                [
                    softmax(b, b(row(5, n, 8) / f32(16)), range(first, first + n), f32(1.5))
                    for first in (0, 5, 21, 1000)
                    for n in range(1, 56)
                ]
            )
        )
        # Blocks of 256 positions that begin and end anywhere.
        vectors[f"weighted_sum_{profile}"] = digest(
            [
                weighted_sum(b, range(first, first + n), row(6, n, 12), row(7, n, 12)[:, None])[0]
                for first in (0, 1, 200, 255, 256, 511)
                for n in (1, 2, 56, 57, 255, 256, 257, 600)
            ]
        )
        vectors[f"expert_weights_{profile}"] = digest(
            np.concatenate([expert_weights(b, np.sort(row(seed, n, 8) / f32(16))[::-1]) for seed in range(20) for n in range(1, 9)])
        )
        gates, ups = row(8, 300, 10), row(9, 300, 10)
        vectors[f"swiglu_{profile}"] = digest(swiglu(b, gates, ups, f32(1.702), f32(7)))
        heads, cos, sin = row(10, 64, 10), row(11, 32, 8), row(12, 32, 8)
        vectors[f"rotate_{profile}"] = digest(rotate(b, heads[None, None], cos[None], sin[None])[0, 0])
    triples = zip(row(13, 5000, 120), row(14, 5000, 120), row(15, 5000, 240))
    # Thirteen more bits than bf16 has, so that sums round.
    vectors["fma"] = digest([fma(a + a * f32(2.0**-14), b, c + c * f32(2.0**-15)) for a, b, c in triples])
    print(json.dumps(vectors, indent=1))


if __name__ == "__main__":
    with np.errstate(all="ignore"):
        main()
