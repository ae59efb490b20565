//! What can be worked out by hand: orders, signs of zero, ties, NaN.

use proptest::prelude::*;

use crate::numerics::*;

const MINUS_ZERO: u32 = 0x8000_0000;
/// 2^24, to which 1 cannot be added, but 2 can.
const GREAT: f32 = 16_777_216.0;

/// The example of the page.
#[test]
fn the_dot_product_of_the_page() {
    let power = |exponent: usize| f32::from_bits((127 - exponent as u32) << 23);
    let a: Vec<f32> = (0..160).map(|k| (181 * k % 256) as f32 - 127.0).collect();
    let b: Vec<f32> = (0..160).map(|k| (k * k % 251) as f32 - 125.0).collect();
    let a: Vec<f32> = a.into_iter().enumerate().map(|(k, a)| a * power(k % 13)).collect();
    let b: Vec<f32> = b.into_iter().enumerate().map(|(k, b)| b * power(k % 9)).collect();
    assert_eq!(dot(Order::E, &a, &b).to_bits(), 0x45e6_70d8);
    assert_eq!(dot(Order::D, &a, &b).to_bits(), 0x45e6_70da);
}

#[test]
fn the_odd_element_comes_first() {
    // Elements 1, 0, 129, 128 of D share a sum, in this order. The factor of -1 takes back what 129 adds.
    let (mut a, mut b) = ([0.0_f32; 160], [1.0_f32; 160]);
    (a[0], a[1], a[129]) = (1.0, GREAT, GREAT);
    b[129] = -1.0;
    // (GREAT + 1) - GREAT.
    assert_eq!(dot(Order::D, &a, &b), 0.0);
    // (GREAT - GREAT) + 1; with 128 before 129 the 1 would be lost.
    (a[0], a[1], a[128], a[129]) = (0.0, GREAT, 1.0, GREAT);
    assert_eq!(dot(Order::D, &a, &b), 1.0);
    // Under E it is elements 4, 0, 132, 128.
    let (mut a, mut b) = ([0.0_f32; 256], [1.0_f32; 256]);
    (a[4], a[128], a[132]) = (GREAT, 1.0, GREAT);
    b[132] = -1.0;
    assert_eq!(dot(Order::E, &a, &b), 1.0);
}

#[test]
fn sums_fold_by_pairs_and_lanes_by_halves() {
    let mut sums = [[0.0_f32; LANES]; ACCUMULATORS];
    // (a0 + a1) + (a2 + a3), not (a0 + a2) + (a1 + a3) and not one after the other.
    (sums[0][3], sums[1][3], sums[2][3]) = (1.0, 1.0, GREAT);
    assert_eq!(fold(sums), GREAT + 2.0);
    (sums[0][3], sums[1][3], sums[2][3], sums[3][3]) = (GREAT, 0.0, 1.0, 1.0);
    assert_eq!(fold(sums), GREAT + 2.0);

    // Each pair of lanes that meets first keeps its 1 + 1; any that meets GREAT alone loses it.
    for (half, lane) in [(8, 1), (4, 1), (2, 1)] {
        let mut lanes = [0.0_f32; LANES];
        lanes[0] = GREAT;
        (lanes[lane], lanes[lane + half]) = (1.0, 1.0);
        assert_eq!(fold_lanes(lanes), GREAT + 2.0, "{half}");
        let mut lanes = [0.0_f32; LANES];
        (lanes[0], lanes[half], lanes[half / 2]) = (GREAT, 1.0, 1.0);
        assert_eq!(fold_lanes(lanes), GREAT, "{half}");
    }
}

#[test]
fn padding_takes_its_steps_in_the_sums_that_own_it() {
    // Each product underflows to -0.
    let below = |n: usize| (vec![-f32::from_bits(1); n], vec![f32::from_bits(1); n]);
    let result = |order, n| {
        let (a, b) = below(n);
        dot(order, &a, &b).to_bits()
    };
    // Without padding all sums are -0.
    assert_eq!(result(Order::D, 128), MINUS_ZERO);
    assert_eq!(result(Order::E, 128), MINUS_ZERO);
    // A sum without an element is +0.
    assert_eq!(result(Order::D, 96), 0);
    // 160 is whole groups of 32, but not of 128.
    assert_eq!(result(Order::D, 160), MINUS_ZERO);
    assert_eq!(result(Order::E, 160), 0);
    // The last lane takes +0 for 158, which is there, and 159, which is not and comes first; so the last step leaves -0.
    assert_eq!(result(Order::D, 159), MINUS_ZERO);
    assert_eq!(result(Order::D, 158), 0);
    assert_eq!(result(Order::E, 256), MINUS_ZERO);
}

#[test]
fn b_rounds_and_then_flushes() {
    for (value, expected) in [
        (0x3f80_8000, 0x3f80_0000),
        (0x3f80_8001, 0x3f81_0000),
        (0x3f81_8000, 0x3f82_0000),
        // 2^-50 and its neighbours below: the first rounds up to it, the second down.
        (0x2680_0000, 0x2680_0000),
        (0x267f_8000, 0x2680_0000),
        (0x267f_7fff, 0),
        (0xa67f_ffff, 0xa680_0000),
        (0xa67f_7fff, 0),
        (MINUS_ZERO, 0),
        (0x0000_0001, 0),
        // The greatest that stays finite, and the first that does not.
        (0x7f7f_7fff, 0x7f7f_0000),
        (0x7f7f_8000, 0x7f80_0000),
        (0xff7f_ffff, 0xff80_0000),
        (0x7f80_0000, 0x7f80_0000),
    ] {
        assert_eq!(round_bf16(f32::from_bits(value)).to_bits(), expected, "{value:08x}");
        assert_eq!(F32::b(f32::from_bits(value)).to_bits(), value);
    }
    assert!(round_bf16(f32::NAN).is_nan());
    assert!(flush(f32::NAN).is_nan());
    assert_eq!(flush(-0.0).to_bits(), 0);
    assert_eq!(flush(f32::from_bits(0x267f_ffff)).to_bits(), 0);
}

#[test]
fn a_window_holds_as_many_keys_as_it_says() {
    for window in [1, 2, 128] {
        for query in [0, 1, 127, 128, 1000] {
            let seen: Vec<usize> = (0..2000).filter(|&key| visible(query, key, Some(window))).collect();
            assert_eq!(seen.len(), window.min(query + 1));
            assert_eq!(seen.last(), Some(&query));
        }
    }
    assert_eq!((0..2000).filter(|&key| visible(1000, key, None)).count(), 1001);
}

#[test]
fn a_weighted_sum_starts_at_plus_zero() {
    // The product is -0, so is its block; the total is not.
    let least = f32::from_bits(1);
    assert_eq!(weighted_sum::<F32>([(0, -least, least)].into_iter()).to_bits(), 0);
    assert_eq!(weighted_sum::<F32>(std::iter::empty()).to_bits(), 0);
    // Blocks are added as sums: 1 + 1 survives beside GREAT only where it has a block of its own.
    let terms = |positions: [usize; 3]| positions.into_iter().zip([GREAT, 1.0, 1.0]);
    let sum = |positions| weighted_sum::<F32>(terms(positions).map(|(j, value)| (j, 1.0, value)));
    assert_eq!(sum([253, 254, 255]), GREAT);
    assert_eq!(sum([254, 255, 256]), GREAT);
    assert_eq!(sum([255, 256, 257]), GREAT + 2.0);
    assert_eq!(sum([0, 600, 601]), GREAT + 2.0);
}

#[test]
fn a_sink_takes_its_share_last() {
    // One key with the sink's own score: one half each.
    let mut scores = [2.0_f32];
    softmax_with_sink::<F32>(&mut scores, 7, 2.0);
    assert_eq!(scores, [0.5]);
    // A sink far above everything leaves nothing, one far below changes nothing.
    let mut scores = [0.0_f32, 0.0];
    softmax_with_sink::<F32>(&mut scores, 0, 100.0);
    assert_eq!(scores.map(f32::to_bits), [0, 0]);
    let mut scores = [0.0_f32, 0.0];
    softmax_with_sink::<F32>(&mut scores, 0, -100.0);
    assert_eq!(scores, [0.5, 0.5]);
    // A NaN reaches every probability.
    let mut scores = [0.0_f32, f32::NAN];
    softmax_with_sink::<F32>(&mut scores, 0, 0.0);
    assert!(scores.iter().all(|score| score.is_nan()));
}

#[test]
fn swiglu_clamps_and_keeps_a_nan() {
    let infinity = f32::INFINITY;
    assert_eq!(swiglu::<F32>(infinity, 1.0, 7.0), swiglu::<F32>(7.0, 1.0, 7.0));
    assert_eq!(swiglu::<F32>(2.0, infinity, 7.0), swiglu::<F32>(2.0, 7.0, 7.0));
    assert_eq!(swiglu::<F32>(2.0, -infinity, 7.0), swiglu::<F32>(2.0, -7.0, 7.0));
    // The gate has no lower clamp: the sigmoid is +0 there, the product -0, and -0 × 2 is -0; b makes it +0.
    assert_eq!(swiglu::<F32>(-60.0, 1.0, 7.0).to_bits(), MINUS_ZERO);
    assert_eq!(swiglu::<Bf16>(-60.0, 1.0, 7.0).to_bits(), 0);
    assert!(swiglu::<F32>(f32::NAN, 1.0, 7.0).is_nan());
    assert!(swiglu::<Bf16>(1.0, f32::NAN, 7.0).is_nan());
    assert_eq!(<f32 as Real>::ALPHA.to_bits(), 0x3fd9_db23);
}

#[test]
fn an_eps_of_the_configuration_is_rounded_once() {
    let zeros = [0.0_f32; 5];
    let root = root_mean_square(&zeros, 1e-5);
    // √0x3727c5ac, which is the f32 nearest to 1e-5.
    assert_eq!(root.to_bits(), f32::from_bits(0x3727_c5ac).sqrt().to_bits());
    assert_eq!(root_mean_square(&[3.0_f32, 4.0, 0.0, 0.0], 0.0), 2.5);
}

/// A stable sort, NaN above all.
fn by_sorting(logits: &[f32], k: usize) -> Vec<usize> {
    let key = |value: f32| if value.is_nan() { f32::INFINITY } else { value };
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| key(logits[b]).partial_cmp(&key(logits[a])).unwrap());
    order.truncate(k);
    order
}

proptest! {
    #[test]
    fn top_k_is_the_head_of_a_stable_sort(
        logits in prop::collection::vec(prop::sample::select(vec![f32::NAN, 2.0, 1.0, 0.0, -0.0, -1.0]), 1..40),
        k in 0_usize..8,
    ) {
        let k = k.min(logits.len());
        prop_assert_eq!(top_k(&logits, k), by_sorting(&logits, k));
    }
}
