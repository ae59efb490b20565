//! Rounding of f64 to narrower formats, and what the bits of a number tell.

use super::{Accumulator, Dtype};

/// A binary floating-point format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Format {
    /// Bits of the significand, the leading one included.
    pub(super) precision: i32,
    /// The exponent of the least normal number.
    pub(super) least: i32,
    /// The exponent of the greatest number.
    pub(super) greatest: i32,
    /// Of the numbers with the greatest exponent, how many last places are missing at the upper end.
    missing: i32,
}

/// bfloat16.
pub(super) const BF16: Format = Format { precision: 8, least: -126, greatest: 127, missing: 0 };
/// IEEE binary16.
pub(super) const F16: Format = Format { precision: 11, least: -14, greatest: 15, missing: 0 };
/// The operands of TF32: the exponents of f32 with the precision of binary16.
pub(super) const TF32: Format = Format { precision: 11, least: -126, greatest: 127, missing: 0 };
/// IEEE binary32.
pub(super) const F32: Format = Format { precision: 24, least: -126, greatest: 127, missing: 0 };
/// IEEE binary64.
pub(super) const F64: Format = Format { precision: 53, least: -1022, greatest: 1023, missing: 0 };
/// OCP FP8 E4M3, whose greatest number is 448.
pub(super) const E4M3: Format = Format { precision: 4, least: -6, greatest: 8, missing: 1 };

impl Accumulator {
    /// The format of sums, and the one that operands are rounded to.
    pub(super) const fn formats(self) -> (Format, Format) {
        match self {
            Self::Bf16 => (BF16, BF16),
            Self::F16 => (F16, F16),
            Self::Tf32 => (F32, TF32),
            Self::F32 => (F32, F32),
            Self::F64 => (F64, F64),
        }
    }
}

impl Format {
    /// The format in which a dump stores values.
    pub(super) const fn of(dtype: Dtype) -> Self {
        match dtype {
            Dtype::Bf16 => BF16,
            Dtype::F16 => F16,
            Dtype::F32 => F32,
            Dtype::F64 | Dtype::Int => F64,
        }
    }

    /// The greatest number.
    pub(super) fn max(self) -> f64 {
        (2.0 - exp2(1 - self.precision) * f64::from(1 + self.missing)) * exp2(self.greatest)
    }

    /// The distance of 1 and the next number: twice what rounding to nearest may be off by, and all that truncation
    /// may.
    pub(super) fn epsilon(self) -> f64 {
        exp2(1 - self.precision)
    }

    /// The nearest number of the format, ties to even; what is beyond the greatest becomes the greatest.
    pub(super) fn round(self, value: f64) -> f64 {
        if !value.is_finite() || self.precision == 53 {
            return value;
        }
        if self == F32 {
            return f64::from((value as f32).clamp(f32::MIN, f32::MAX));
        }
        let rounded = if value.abs() < exp2(self.least) {
            let quantum = exp2(self.least - (self.precision - 1));
            (value / quantum).round_ties_even() * quantum
        } else {
            let drop = 53 - self.precision;
            let bits = value.to_bits();
            let odd = bits >> drop & 1;
            f64::from_bits((bits + ((1 << (drop - 1)) - 1) + odd) >> drop << drop)
        };
        rounded.clamp(-self.max(), self.max())
    }

    /// Whether the value is a number of the format.
    pub(super) fn holds(self, value: f64) -> bool {
        self.round(value) == value
    }

    /// Half the distance to the next number away from zero: what rounding may have taken from `value`.
    pub(super) fn half_ulp(self, value: f64) -> f64 {
        let exponent = exponent(value).max(self.least);
        exp2(exponent - self.precision)
    }
}

/// 2 to the power of a whole number; 0 and infinity outside of f64's exponents.
pub(super) fn exp2(exponent: i32) -> f64 {
    match exponent {
        ..=-1075 => 0.0,
        -1074..=-1023 => f64::from_bits(1 << (exponent + 1074)),
        -1022..=1023 => f64::from_bits(((exponent + 1023) as u64) << 52),
        _ => f64::INFINITY,
    }
}

/// The exponent of the leading bit; that of the least normal number for what is below.
pub(super) fn exponent(value: f64) -> i32 {
    let field = (value.to_bits() >> 52 & 0x7ff) as i32;
    if field == 0 { -1022 } else { field - 1023 }
}

/// The exponent of the lowest bit that is set; none for zero and what is not finite.
pub(super) fn lowest_bit(value: f64) -> Option<i32> {
    if value == 0.0 || !value.is_finite() {
        return None;
    }
    let bits = value.to_bits();
    let field = (bits >> 52 & 0x7ff) as i32;
    let fraction = bits & ((1 << 52) - 1);
    let significand = if field == 0 { fraction } else { fraction | 1 << 52 };
    Some(field.max(1) - 1075 + significand.trailing_zeros() as i32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::bf16;

    #[test]
    fn rounding_to_bf16_is_that_of_f32() {
        for bits in (0..u32::MAX).step_by(65_521) {
            let value = f32::from_bits(bits);
            let expected = bf16::to_f32(bf16::from_f32(value));
            if expected.is_finite() {
                assert_eq!(BF16.round(f64::from(value)), f64::from(expected), "{value:e}");
            }
        }
    }

    #[test]
    fn rounding_to_f32_is_that_of_the_language() {
        for bits in (0..u64::MAX >> 1).step_by(1_234_567_890_123) {
            let value = f64::from_bits(bits);
            let expected = f64::from(value as f32);
            if expected.is_finite() && !value.is_nan() {
                assert_eq!(F32.round(value), expected, "{value:e}");
            }
        }
    }

    #[test]
    fn the_greatest_numbers_are_those_of_the_formats() {
        assert_eq!(F16.max(), 65_504.0);
        assert_eq!(E4M3.max(), 448.0);
        assert_eq!(F32.max(), f64::from(f32::MAX));
        assert_eq!(F16.round(1e9), 65_504.0);
        assert_eq!(F16.round(2.0_f64.powi(-25) * 1.5), 2.0_f64.powi(-24));
    }

    #[test]
    fn the_lowest_bit_is_the_grid_of_a_number() {
        assert_eq!(lowest_bit(1.0), Some(0));
        assert_eq!(lowest_bit(1.5), Some(-1));
        assert_eq!(lowest_bit(-96.0), Some(5));
        assert_eq!(lowest_bit(0.0), None);
        assert_eq!(lowest_bit(f64::from_bits(1)), Some(-1074));
    }
}
