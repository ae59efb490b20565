//! Sums and activations against the second implementation (`tests/python/numerics_vectors.py`).

use serde_json::Value;

use super::digest;
use crate::numerics::{
    Arithmetic, Bf16, F32, Order, Rope, dot, expert_weights, fma, real, rms_norm, softmax_with_sink, swiglu,
    weighted_sum,
};

fn expect(name: &str, values: impl IntoIterator<Item = f32>) {
    let vectors: Value =
        serde_json::from_str(include_str!("../../../../fixtures/numerics/vectors.json")).unwrap();
    assert_eq!(digest(values), vectors[name], "{name}");
}

/// Seven bits and a sign, times 2^-(0 to spread - 1).
fn number(seed: u32, index: usize, spread: u32) -> f32 {
    let mixed = (index as u32 + 1000 * seed).wrapping_mul(2_654_435_761) >> 9;
    let scale = f64::from_bits((1023 - u64::from(mixed / 256 % spread)) << 52);
    ((f64::from(mixed % 255) - 127.0) * scale) as f32
}

fn row(seed: u32, length: usize, spread: u32) -> Vec<f32> {
    (0..length).map(|index| number(seed, index, spread)).collect()
}

fn through_b<A: Arithmetic<Real = f32>>(values: Vec<f32>) -> Vec<f32> {
    values.into_iter().map(A::b).collect()
}

#[test]
fn dot_products_of_every_length() {
    for (name, order) in [("dot_E", Order::E), ("dot_D", Order::D)] {
        expect(name, (1..400).map(|n| dot(order, &row(1, n, 12), &row(2, n, 12))));
    }
}

#[test]
fn fused_multiply_add() {
    let triple = |index| {
        let (a, b, c) = (number(13, index, 120), number(14, index, 120), number(15, index, 240));
        (a + a / 16_384.0, b, c + c / 32_768.0)
    };
    expect("fma", (0..5000).map(triple).map(|(a, b, c)| fma(a, b, c)));
    expect("fma", (0..5000).map(triple).map(|(a, b, c)| real::fma_by_f64(a, b, c)));
}

fn norms<A: Arithmetic<Real = f32>>() -> Vec<f32> {
    let mut out = vec![0.0; 200];
    rms_norm::<A>(&through_b::<A>(row(3, 200, 10)), &row(4, 200, 4), 1e-5, &mut out);
    out
}

#[test]
fn norm() {
    expect("rms_norm_bf16", norms::<Bf16>());
    expect("rms_norm_f32", norms::<F32>());
}

fn probabilities<A: Arithmetic<Real = f32>>() -> Vec<f32> {
    let mut all = Vec::new();
    for first in [0, 5, 21, 1000] {
        for n in 1..56 {
            let mut scores: Vec<f32> = row(5, n, 8).into_iter().map(|score| A::b(score / 16.0)).collect();
            softmax_with_sink::<A>(&mut scores, first, 1.5);
            all.extend(scores);
        }
    }
    all
}

#[test]
fn probabilities_sum_in_sixteen_lanes() {
    expect("softmax_with_sink_bf16", probabilities::<Bf16>());
    expect("softmax_with_sink_f32", probabilities::<F32>());
}

fn sums<A: Arithmetic<Real = f32>>() -> Vec<f32> {
    let mut all = Vec::new();
    for first in [0, 1, 200, 255, 256, 511] {
        for n in [1, 2, 56, 57, 255, 256, 257, 600] {
            let terms = row(6, n, 12).into_iter().zip(row(7, n, 12)).enumerate();
            all.push(weighted_sum::<A>(terms.map(|(index, (p, v))| (first + index, p, v))));
        }
    }
    all
}

#[test]
fn blocks_of_a_weighted_sum_begin_at_multiples_of_256() {
    expect("weighted_sum_bf16", sums::<Bf16>());
    expect("weighted_sum_f32", sums::<F32>());
}

fn mixtures<A: Arithmetic<Real = f32>>() -> Vec<f32> {
    let mut all = Vec::new();
    for seed in 0..20 {
        for n in 1..9 {
            let mut logits: Vec<f32> = row(seed, n, 8).into_iter().map(|logit| logit / 16.0).collect();
            logits.sort_by(|a, b| b.total_cmp(a));
            all.extend(expert_weights::<A>(&logits));
        }
    }
    all
}

#[test]
fn weights_of_experts() {
    expect("expert_weights_bf16", mixtures::<Bf16>());
    expect("expert_weights_f32", mixtures::<F32>());
}

#[test]
fn activations() {
    let pairs = || row(8, 300, 10).into_iter().zip(row(9, 300, 10));
    expect("swiglu_bf16", pairs().map(|(gate, up)| swiglu::<Bf16>(gate, up, 7.0)));
    expect("swiglu_f32", pairs().map(|(gate, up)| swiglu::<F32>(gate, up, 7.0)));
}

fn rotated<A: Arithmetic<Real = f32>>() -> Vec<f32> {
    let mut head = row(10, 64, 10);
    let cos_sin: Vec<_> = row(11, 32, 8).into_iter().zip(row(12, 32, 8)).collect();
    Rope::<A>::rotate(&mut head, &cos_sin);
    head
}

#[test]
fn rotation() {
    expect("rotate_bf16", rotated::<Bf16>());
    expect("rotate_f32", rotated::<F32>());
}
