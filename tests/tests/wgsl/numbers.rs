//! The functions of `numbers.wgsl` against those of the numerics contract, bit for bit.

use gptoss_runtime::numerics::{Bf16, F32, Rope, exp, round_bf16, sigmoid};
use gptoss_runtime::synth;
use gptoss_tests::wgsl::Kernels;

use super::DEVICE;

/// What the device gives for each pair of arguments.
fn compute(function: u32, x: &[u32], y: &[u32]) -> Vec<u32> {
    let kernels = Kernels::new(&DEVICE, &[]).with("functions", include_str!("functions.wgsl"));
    let mut commands = DEVICE.commands();
    let out = DEVICE.new_buffer(x.len());
    let buffers = [&DEVICE.upload_words(x), &DEVICE.upload_words(y), &out];
    let groups = [x.len().div_ceil(64), 1, 1];
    kernels.dispatch(&mut commands, "functions", &[x.len() as u32, function], &buffers, groups);
    DEVICE.finish(commands, &[&out]).remove(0)
}

/// NaNs have no bits that are promised.
fn same(found: u32, expected: f32) -> bool {
    found == expected.to_bits() || f32::from_bits(found).is_nan() && expected.is_nan()
}

fn assert_same(found: &[u32], x: &[u32], expected: impl Fn(usize) -> f32) {
    let differ: Vec<usize> = (0..x.len()).filter(|&index| !same(found[index], expected(index))).collect();
    if let Some(&index) = differ.first() {
        let expected = expected(index).to_bits();
        let (count, x, found) = (differ.len(), x[index], found[index]);
        panic!("{count} differ, first of {x:#x}: {found:#x} and not {expected:#x}");
    }
}

/// A mixture of arguments: each bf16 number, and bit patterns that are spread over all f32.
fn arguments() -> Vec<u32> {
    let bf16 = (0..=u16::MAX).map(|bits| u32::from(bits) << 16);
    bf16.chain((0..200_000_u32).map(|index| index.wrapping_mul(0x9e37_79b1))).collect()
}

#[test]
fn rounding_to_bf16_is_that_of_the_contract() {
    let x = arguments();
    assert_same(&compute(0, &x, &x), &x, |index| round_bf16(f32::from_bits(x[index])));
}

#[test]
fn exp_is_the_nearest_number() {
    let near_limits = [0xc2ae_0000, 0xc2ae_0001, 0x42b1_7217, 0x42b1_7218, 0x3f80_0000, 0xbf80_0000_u32];
    // Half of the patterns are beyond the limits; these are not.
    let inside = (0..400_000_u32).map(|index| (index.wrapping_mul(0x9e37_79b1) >> 5) + 0x3900_0000);
    let inside = inside.flat_map(|bits| [bits, bits | 0x8000_0000]);
    let x: Vec<u32> = arguments().into_iter().chain(near_limits).chain(inside).collect();
    assert_same(&compute(1, &x, &x), &x, |index| exp(f32::from_bits(x[index])));
}

#[test]
fn quotients_and_roots_are_the_nearest_numbers() {
    let x = arguments();
    let y: Vec<u32> = x.iter().rev().map(|bits| bits.rotate_left(7)).collect();
    // What is below 2^-126 becomes 0 before or after, and b makes it 0 anyway.
    let normal = |value: f32| if value.is_subnormal() { 0.0 * value } else { value };
    let (numbers, divisors) = (x.clone(), y.clone());
    assert_same(&compute(2, &x, &y), &x, move |index| {
        let [x, y] = [numbers[index], divisors[index]].map(|bits| normal(f32::from_bits(bits)));
        normal(x / y)
    });
    let x: Vec<u32> = x.into_iter().filter(|bits| bits >> 31 == 0).collect();
    assert_same(&compute(3, &x, &x), &x, |index| normal(f32::from_bits(x[index])).sqrt());
}

#[test]
fn sigmoids_are_those_of_the_contract_after_rounding() {
    let x = arguments();
    let found = compute(6, &x, &x).into_iter().map(|bits| round_bf16(f32::from_bits(bits)).to_bits());
    assert_same(&found.collect::<Vec<_>>(), &x, |index| round_bf16(sigmoid(f32::from_bits(x[index]))));
}

#[test]
fn cosine_and_sine_of_4096_positions_are_the_nearest_numbers() {
    let config = synth::gpt_oss_20b();
    let rope = Rope::<F32>::new(&config.rope, config.head_dim);
    let pairs = rope.inverse_frequencies().len();
    let x: Vec<u32> = (0..4096 * pairs).map(|index| ((index / pairs) as f32).to_bits()).collect();
    let y: Vec<u32> = rope.inverse_frequencies().iter().map(|number| number.to_bits()).collect();
    let y = y.repeat(4096);
    let concentration = rope.concentration();
    let turn = |index: usize| rope.cos_sin(index / pairs, index % pairs);
    // Those of the rotation are times the concentration.
    let scaled = |found: Vec<u32>| -> Vec<u32> {
        found.into_iter().map(|bits| (f32::from_bits(bits) * concentration).to_bits()).collect()
    };
    assert_same(&scaled(compute(4, &x, &y)), &x, |index| turn(index).0);
    assert_same(&scaled(compute(5, &x, &y)), &x, |index| turn(index).1);
    assert_eq!(Rope::<Bf16>::new(&config.rope, 64).inverse_frequencies(), rope.inverse_frequencies());
}
