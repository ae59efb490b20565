//! Clause 11: exp and sigmoid.

use super::real::Real;

/// Clause 11: e to the power of x; for f32 the nearest f32.
#[inline(always)]
#[must_use]
pub fn exp<R: Real>(x: R) -> R {
    x.exp()
}

/// Clause 11: 1 / (1 + exp(-x)), each step rounded.
#[inline(always)]
#[must_use]
pub fn sigmoid<R: Real>(x: R) -> R {
    R::ONE / (R::ONE + exp(-x))
}

/// 1/12!, 1/11!, … 1/2!, 1, 1.
const COEFFICIENTS: [f64; 13] = [
    1.0 / 479_001_600.0,
    1.0 / 39_916_800.0,
    1.0 / 3_628_800.0,
    1.0 / 362_880.0,
    1.0 / 40_320.0,
    1.0 / 5_040.0,
    1.0 / 720.0,
    1.0 / 120.0,
    1.0 / 24.0,
    1.0 / 6.0,
    1.0 / 2.0,
    1.0,
    1.0,
];

/// 1.5 * 2^52: added and taken away it rounds to a whole number.
const ROUND: f64 = 6_755_399_441_055_744.0;
/// 0x1.71547652b82fep+0, 1 / ln 2.
const INV_LN2: f64 = f64::from_bits(0x3ff7_1547_652b_82fe);
/// 0x1.62e42feep-1, the upper part of ln 2.
const LN2_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fee0_0000);
/// 0x1.a39ef35793c76p-33, the rest of ln 2.
const LN2_LOW: f64 = f64::from_bits(0x3dea_39ef_3579_3c76);

/// The polynomial form of exp in f64: +0 below -708, +inf above 709.
#[inline(always)]
pub(super) fn exp_f64(x: f64) -> f64 {
    // Outside of this the exponent below would wrap; the results there are replaced.
    let inside = x.clamp(-708.0, 709.0);
    let shifted = inside * INV_LN2 + ROUND;
    let n = shifted - ROUND;
    let r = (inside - n * LN2_HIGH) - n * LN2_LOW;
    let mut sum = COEFFICIENTS[0];
    for coefficient in &COEFFICIENTS[1..] {
        sum = sum * r + coefficient;
    }
    // The low bits of `shifted` are n in two's complement.
    let scale = f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52);
    let value = sum * scale;
    if x < -708.0 {
        0.0
    } else if x > 709.0 {
        f64::INFINITY
    } else {
        value
    }
}

/// exp in f32: the nearest; +0 below -87, +inf from 0x42b17218 on.
#[inline(always)]
pub(super) fn exp_f32(x: f32) -> f32 {
    const OVERFLOW: f32 = f32::from_bits(0x42b1_7218);
    let value = exp_f64(f64::from(x)) as f32;
    if x < -87.0 {
        0.0
    } else if x >= OVERFLOW {
        f32::INFINITY
    } else {
        value
    }
}
