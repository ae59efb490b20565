use sha2::{Digest, Sha256};

use super::*;

mod by_hand;
mod tables;
mod vectors;

/// SHA-256 over little-endian numbers, as the Python scripts make it.
fn digest<R: Real>(values: impl IntoIterator<Item = R>) -> String {
    let mut bytes = Vec::new();
    values.into_iter().for_each(|value| value.append_to(&mut bytes));
    Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn each_element_has_one_slot_and_steps_agree_with_slots() {
    for order in [Order::E, Order::D] {
        for k in 0..512 {
            let (lane, accumulator) = order.slot(k);
            let within = k % order.group();
            let found = (0..2).filter(|&step| order.element(lane, accumulator, step) == within);
            assert_eq!(found.count(), 1, "{order:?} {k}");
        }
    }
}

#[test]
fn exp_of_what_lies_outside() {
    assert_eq!(exp(f32::NEG_INFINITY).to_bits(), 0);
    assert_eq!(exp(-87.000_01_f32).to_bits(), 0);
    assert!(exp(-87.0_f32) > 0.0);
    assert_eq!(exp(f32::from_bits(0x42b1_7217)), f32::from_bits(0x7f7f_ff84));
    assert_eq!(exp(f32::from_bits(0x42b1_7218)), f32::INFINITY);
    assert!(exp(f32::NAN).is_nan());
    assert!(exp(f64::NAN).is_nan());
    assert_eq!(exp(0.0_f32), 1.0);
}

#[test]
fn fma_without_the_instruction_is_fma() {
    // A generator of bits (xorshift) that reaches every exponent.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        f32::from_bits((state >> 16) as u32)
    };
    for _ in 0..200_000 {
        let (a, b, c) = (next(), next(), next());
        // Sums that cancel, and sums that lie half-way between two numbers, are what goes wrong.
        for c in [c, -(a * b), -(a * b) * 0.5, c * f32::EPSILON, (a * b) * 16_777_216.0] {
            let (ours, theirs) = (real::fma_by_f64(a, b, c), a.mul_add(b, c));
            assert!(
                ours.to_bits() == theirs.to_bits() || ours.is_nan() && theirs.is_nan(),
                "{a:e} {b:e} {c:e}"
            );
        }
    }
}

#[test]
fn top_k_takes_the_lower_index_of_equals_and_a_nan_first() {
    assert_eq!(top_k(&[1.0_f32, 3.0, 3.0, 2.0, 3.0], 3), [1, 2, 4]);
    assert_eq!(top_k(&[1.0_f32, f32::NAN, 3.0], 2), [1, 2]);
    assert_eq!(top_k(&[0.0_f32, -0.0], 2), [0, 1]);
    assert_eq!(top_k(&[1.0_f32, 2.0], 2), [1, 0]);
}

#[test]
fn the_released_frequencies_are_within_one_unit_of_the_formula() {
    let released = crate::RopeConfig {
        theta: 150_000.0,
        factor: 32.0,
        beta_fast: 32.0,
        beta_slow: 1.0,
        original_context: 4096,
        truncate: false,
    };
    let table = Rope::<Bf16>::new(&released, 64);
    let exact = Rope::<F64>::new(&released, 64);
    assert_eq!(table.concentration().to_bits(), 0x3fac_5c86);
    let mut off = Vec::new();
    for (pair, (&table, &exact)) in
        table.inverse_frequencies().iter().zip(exact.inverse_frequencies()).enumerate()
    {
        let apart = table.to_bits().abs_diff((exact as f32).to_bits());
        assert!(apart <= 1);
        if apart == 1 {
            off.push(pair);
        }
    }
    assert_eq!(off, [8, 10, 13, 14, 15, 27, 30]);
}
