//! Numbers that were read with the wrong type or byte order, told by how far apart their sizes are.

use super::Rule;
use crate::golden::dump::array::f16_to_f64;
use crate::golden::site::{Dtype, Values};
use crate::tap::TapPoint;

/// The standard deviation of log2 |x| that activations have.
///
/// That of a normal distribution is π / (2 √2 ln 2) = 1.60, whatever its scale; products of two have 2.27. bf16 read as f16
/// has an eighth of it, as three bits of the exponent become bits of the fraction; f16 read as bf16 has eight times as much,
/// and exponents made of the low bits of fractions are spread evenly: 9 for f16, 37 for bf16 and f32 at the least.
const PLAUSIBLE: std::ops::Range<f64> = 0.4..6.0;

/// The fewest elements from which a spread is measured.
const FEWEST: usize = 64;

/// The rule that tells how numbers were read wrongly, if they make no sense as they are and do in another way.
pub(super) fn misread(point: TapPoint, values: &Values) -> Option<Rule> {
    // Probabilities range over all sizes, as do activations, of which a gate far below 0 leaves next to nothing; ids over
    // few.
    if matches!(
        point,
        TapPoint::Probabilities
            | TapPoint::ExpertIds
            | TapPoint::ExpertWeights
            | TapPoint::Scores
            | TapPoint::Activation
    ) {
        return None;
    }
    let spread_of = |read: &dyn Fn(f64) -> f64| spread(values.data.iter().map(|&value| read(value)));
    if PLAUSIBLE.contains(&spread_of(&|value| value)?) {
        return None;
    }
    let fits = |read: &dyn Fn(f64) -> f64| spread_of(read).is_some_and(|spread| PLAUSIBLE.contains(&spread));
    match values.dtype {
        Dtype::F16 if fits(&|value| bf16(f16_bits(value))) => Some(Rule::Bf16AsF16),
        Dtype::Bf16 if fits(&|value| f16_to_f64(bf16_bits(value))) => Some(Rule::F16AsBf16),
        Dtype::F16 if fits(&|value| f16_to_f64(f16_bits(value).swap_bytes())) => Some(Rule::ByteSwapped),
        Dtype::Bf16 if fits(&|value| bf16(bf16_bits(value).swap_bytes())) => Some(Rule::ByteSwapped),
        Dtype::F32 if fits(&|value| f64::from(f32::from_bits((value as f32).to_bits().swap_bytes()))) => {
            Some(Rule::ByteSwapped)
        }
        Dtype::F64 if fits(&|value| f64::from_bits(value.to_bits().swap_bytes())) => Some(Rule::ByteSwapped),
        _ => None,
    }
}

/// The standard deviation of log2 |x| over what is neither zero nor infinite nor a NaN.
fn spread(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (mut count, mut sum, mut squares) = (0_usize, 0.0, 0.0);
    for log in values.filter(|value| value.is_finite() && *value != 0.0).map(|value| value.abs().log2()) {
        count += 1;
        sum += log;
        squares += log * log;
    }
    let mean = sum / count as f64;
    (count >= FEWEST).then(|| (squares / count as f64 - mean * mean).max(0.0).sqrt())
}

fn bf16(bits: u16) -> f64 {
    f64::from(f32::from_bits(u32::from(bits) << 16))
}

/// The bits of a bf16 whose value this is.
fn bf16_bits(value: f64) -> u16 {
    ((value as f32).to_bits() >> 16) as u16
}

/// The bits of a half whose value this is.
pub(in crate::golden) fn f16_bits(value: f64) -> u16 {
    let sign = if value.is_sign_negative() { 0x8000 } else { 0 };
    let size = value.abs();
    let bits = if value.is_nan() {
        0x7e00
    } else if size.is_infinite() {
        0x7c00
    } else if size < 2f64.powi(-14) {
        (size * 2f64.powi(24)) as u16
    } else {
        let exponent = (size.to_bits() >> 52) as i32 - 1023;
        let fraction = (size / 2f64.powi(exponent) - 1.0) * 1024.0;
        ((exponent + 15) as u16) << 10 | fraction as u16
    };
    sign | bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_has_its_bits() {
        for bits in 0..=u16::MAX {
            let value = f16_to_f64(bits);
            match value.is_nan() {
                true => assert!(f16_to_f64(f16_bits(value)).is_nan()),
                false => assert_eq!(f16_bits(value), bits),
            }
        }
    }
}
