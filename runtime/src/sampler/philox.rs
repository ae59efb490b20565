//! Philox4x32-10: random numbers that are a function of a counter and a key.

const MULTIPLIERS: [u64; 2] = [0xd251_1f53, 0xcd9e_8d57];
/// The golden ratio and the square root of 3, less 1, in 32 bits.
const WEYL: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];
const ROUNDS: usize = 10;

/// Philox4x32 with ten rounds (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
///
/// ```
/// use gptoss_runtime::sampler::philox4x32_10;
///
/// assert_eq!(philox4x32_10([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
/// ```
#[must_use]
pub fn philox4x32_10(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut a, mut b, mut c, mut d] = counter;
    let [mut k, mut l] = key;
    for _ in 0..ROUNDS {
        let first = MULTIPLIERS[0] * u64::from(a);
        let second = MULTIPLIERS[1] * u64::from(c);
        (a, b, c, d) =
            ((second >> 32) as u32 ^ b ^ k, second as u32, (first >> 32) as u32 ^ d ^ l, first as u32);
        k = k.wrapping_add(WEYL[0]);
        l = l.wrapping_add(WEYL[1]);
    }
    [a, b, c, d]
}

/// Clause 15: the number u of a step, a multiple of 2^-53 from 0 to below 1.
pub(super) fn uniform(seed: u64, step: u64) -> f64 {
    /// 2^-53.
    const UNIT: f64 = f64::from_bits((1023 - 53) << 52);
    let halves = |value: u64| [value as u32, (value >> 32) as u32];
    let [low, high] = halves(step);
    let [x0, x1, ..] = philox4x32_10([low, high, 0, 0], halves(seed));
    let bits = u64::from(x1) << 32 | u64::from(x0);
    (bits >> 11) as f64 * UNIT
}
