//! Bounds of honest arithmetic: every number carries what is exact and what a backend may have instead.
//!
//! A number is an interval that holds whatever the declared arithmetic can give, in any order of summation, beside the
//! exact value and the value with the profile's rounding points alone. Intervals are rounded outward by the error of
//! each operation, and rounded *as numbers* where the profile rounds: rounding is monotone, so the interval of rounded
//! values ends at the rounded ends. A sum that is exact in any order (all products on one grid, and small enough)
//! widens nothing; then one bit pattern is right.
//!
//! The derivations and sources are in `docs/golden-bounds.md`.

mod dot;

use std::ops::Range;

use super::formats::{BF16, F32, F64, Format};
use super::number::Machine;
use super::{Declared, Dtype};
use crate::numerics;
use crate::profile::Profile;

pub(super) use dot::BoundedRow;

/// What frequencies may be off by, relative to the exact ones: four last places of f32. The table that both public PyTorch
/// programs compute is within one.
const FREQUENCY_ERROR: f64 = 4.0 / 8_388_608.0;

/// Last places of a quotient, a root or a reciprocal root. The Vulkan specification (precision of operations) asks for
/// 2.5 and 2, CUDA's programming guide for no more.
const DIVISION_ULPS: f64 = 3.0;

/// A number with its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bounded {
    /// Without any rounding.
    pub(super) exact: f64,
    /// With the profile's rounding points and no other rounding.
    pub(super) rounded: f64,
    /// No honest value is below.
    pub(super) low: f64,
    /// No honest value is above.
    pub(super) high: f64,
}

impl Bounded {
    const fn point(value: f64) -> Self {
        Self { exact: value, rounded: value, low: value, high: value }
    }

    /// Whether there is one honest value.
    pub(super) fn is_point(self) -> bool {
        self.low == self.high
    }

    /// Whether a NaN came in, so that nothing can be said.
    pub(super) fn is_nan(self) -> bool {
        self.low.is_nan() || self.high.is_nan()
    }

    /// The value in a dump of this type: one more rounding, which does not turn large numbers into infinity.
    pub(super) fn stored(self, dtype: Dtype) -> Self {
        let format = Format::of(dtype);
        Self {
            exact: self.exact,
            rounded: format.round(self.rounded),
            low: format.round(self.low),
            high: format.round(self.high),
        }
    }
}

/// The arithmetic of [`Bounded`] numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    declared: Declared,
    /// Rounding points of the profile may be left out or stand elsewhere within an operation.
    fused: bool,
    /// What a sum in the declared accumulator is made in.
    accumulator: Format,
    /// Operands are rounded to this before they are multiplied.
    operand: Format,
    /// What one addition in the accumulator may be off by, relative to its result.
    unit: f64,
    /// The format of single operations.
    single: Format,
    /// What a single operation may be off by, relative to its result.
    single_unit: f64,
    /// Below this, numbers may be flushed to zero.
    tiny: f64,
}

impl Bounds {
    /// The bounds of a backend that declares this.
    pub(super) fn new(declared: Declared, fused: bool) -> Self {
        let (accumulator, operand) = declared.accumulate.formats();
        let (single, tiny) = match declared.profile {
            Profile::F64 => (F64, f64::MIN_POSITIVE),
            Profile::Bf16 | Profile::F32 => (F32, f64::from(f32::MIN_POSITIVE)),
        };
        // A whole last place: adders of matrix units truncate. In f64 the oracle itself rounds, so twice that.
        let unit = |format: Format| format.epsilon() + 2.0 * F64.epsilon();
        Self {
            declared,
            fused,
            accumulator,
            operand,
            unit: unit(accumulator),
            single,
            single_unit: unit(single),
            tiny,
        }
    }

    /// The format of the profile's rounding points.
    fn point_format(&self) -> Format {
        match self.declared.profile {
            Profile::Bf16 => BF16,
            Profile::F32 => F32,
            Profile::F64 => F64,
        }
    }

    /// Widens by `ulps` last places of the results, unless the operation is certain to be exact.
    fn widen(&self, ulps: f64, number: Bounded) -> Bounded {
        let by = |end: f64| ulps * self.single_unit * end.abs() + self.tiny;
        Bounded { low: number.low - by(number.low), high: number.high + by(number.high), ..number }
    }

    /// The result of an operation whose error is one last place, or none where `exact` says so and the result is a number
    /// of the format.
    fn settle(&self, number: Bounded, exact: bool) -> Bounded {
        match exact && number.is_point() && self.single.holds(number.low) {
            true => number,
            false => self.widen(1.0, number),
        }
    }
}

/// Applies `f` to the exact and the rounded value, with an interval of its own.
fn lanes(a: Bounded, b: Bounded, f: impl Fn(f64, f64) -> f64, low: f64, high: f64) -> Bounded {
    Bounded { exact: f(a.exact, b.exact), rounded: f(a.rounded, b.rounded), low, high }
}

impl Machine for Bounds {
    type Number = Bounded;
    type Row = BoundedRow;

    fn number(&self, value: f64) -> Bounded {
        Bounded::point(value)
    }

    fn given(&self, value: f64, dtype: Dtype) -> Bounded {
        let stored = Format::of(dtype);
        // Stored in less than the backend has: the value it went on with may differ by half a last place.
        let coarser = dtype != Dtype::Int
            && (stored.precision < self.point_format().precision
                || (stored.precision < self.single.precision && self.fused));
        if coarser && value.is_finite() {
            let half = stored.half_ulp(value);
            return Bounded { low: value - half, high: value + half, ..Bounded::point(value) };
        }
        Bounded::point(value)
    }

    fn unknown(&self, x: Bounded) -> Bounded {
        Bounded { low: f64::NAN, high: f64::NAN, ..x }
    }

    fn below(&self, a: Bounded, b: Bounded) -> bool {
        a.high < b.low
    }

    fn value(&self, x: Bounded) -> f64 {
        x.rounded
    }

    fn row(&self, numbers: &[Bounded]) -> BoundedRow {
        BoundedRow::new(numbers)
    }

    fn weights(&self, weights: &[f32]) -> BoundedRow {
        BoundedRow::of_points(weights.iter().map(|&weight| f64::from(weight)).collect())
    }

    fn dot(&self, a: &BoundedRow, b: &BoundedRow, range: Range<usize>, addend: Option<Bounded>) -> Bounded {
        self.bounded_dot(a, b, range, addend)
    }

    fn mean_square(&self, x: &[Bounded]) -> Bounded {
        let mut sum = Bounded::point(0.0);
        for x in x {
            let (one, other) = (x.low * x.low, x.high * x.high);
            sum.exact += x.exact * x.exact;
            sum.rounded += x.rounded * x.rounded;
            sum.low += if x.low <= 0.0 && x.high >= 0.0 { 0.0 } else { least([one, one, other, other]) };
            sum.high += greatest([one, one, other, other]);
        }
        // n products, n - 1 additions in any order: n units (Jeannerod and Rump 2013), and the division.
        let count = x.len() as f64;
        let sum = self.widen(count, sum);
        let divide = |value: f64| value / count;
        self.widen(DIVISION_ULPS, sum.each(divide))
    }

    fn sum(&self, x: &[Bounded]) -> Bounded {
        let mut sum = Bounded::point(0.0);
        for x in x {
            sum.exact += x.exact;
            sum.rounded += x.rounded;
            sum.low += x.low;
            sum.high += x.high;
        }
        // Softmax by blocks multiplies what it has by exp(old - new) once a block of at least sixteen: three last places
        // for the function, one for the product.
        let blocks = x.len().div_ceil(16) as f64;
        self.widen(x.len() as f64 + 4.0 * blocks, sum)
    }

    fn add(&self, a: Bounded, b: Bounded) -> Bounded {
        let number = lanes(a, b, |a, b| a + b, a.low + b.low, a.high + b.high);
        let part = number.low - a.low;
        let error = (a.low - (number.low - part)) + (b.low - part);
        self.settle(number, a.is_point() && b.is_point() && error == 0.0)
    }

    fn sub(&self, a: Bounded, b: Bounded) -> Bounded {
        self.add(a, self.neg(b))
    }

    fn mul(&self, a: Bounded, b: Bounded) -> Bounded {
        let ends = [a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high];
        let number = lanes(a, b, |a, b| a * b, least(ends), greatest(ends));
        let exact = a.is_point() && b.is_point() && a.low.mul_add(b.low, -number.low) == 0.0;
        self.settle(number, exact)
    }

    fn div(&self, a: Bounded, b: Bounded) -> Bounded {
        let ends = [a.low / b.low, a.low / b.high, a.high / b.low, a.high / b.high];
        self.widen(DIVISION_ULPS, lanes(a, b, |a, b| a / b, least(ends), greatest(ends)))
    }

    fn sqrt(&self, a: Bounded) -> Bounded {
        let root = |value: f64| if value < 0.0 { 0.0 } else { value.sqrt() };
        self.widen(DIVISION_ULPS, a.each(root))
    }

    fn exp(&self, a: Bounded) -> Bounded {
        let number = a.each(numerics::exp::<f64>);
        // 3 + 2|x| last places: the Vulkan specification; CUDA and Metal promise less error.
        let by = |at: f64, value: f64| (3.0 + 2.0 * at.abs()) * self.single_unit * value + self.tiny;
        let low = number.low - by(a.low, number.low);
        Bounded {
            low: if low < 0.0 { 0.0 } else { low },
            high: number.high + by(a.high, number.high),
            ..number
        }
    }

    fn neg(&self, a: Bounded) -> Bounded {
        Bounded { exact: -a.exact, rounded: -a.rounded, low: -a.high, high: -a.low }
    }

    fn map(&self, a: Bounded, function: &dyn Fn(f64) -> f64) -> Bounded {
        a.each(function)
    }

    fn round(&self, a: Bounded) -> Bounded {
        let format = self.point_format();
        let rounded = format.round(a.rounded);
        if self.declared.profile != Profile::Bf16 {
            return Bounded { rounded, ..a };
        }
        let rounded = if rounded.abs() < FLUSH { 0.0 } else { rounded };
        if self.fused {
            // Rounded here, elsewhere within the operation, or not at all.
            let by = |end: f64| end.abs() * format.epsilon() / 2.0 + FLUSH;
            return Bounded { rounded, low: a.low - by(a.low), high: a.high + by(a.high), ..a };
        }
        // The contract flushes what is below 2^-50; others need not.
        let low = format.round(a.low);
        let high = format.round(a.high);
        Bounded {
            rounded,
            low: if low > 0.0 && low < FLUSH { 0.0 } else { low },
            high: if high < 0.0 && high > -FLUSH { 0.0 } else { high },
            ..a
        }
    }

    fn greatest(&self, x: &[Bounded]) -> Bounded {
        Bounded::point(x.iter().fold(f64::NEG_INFINITY, |greatest, x| greatest.max(x.exact)))
    }

    fn cos_sin(&self, position: u32, frequency: f64, factor: f64) -> (Bounded, Bounded) {
        let angle = f64::from(position) * frequency;
        let off = match self.single == F64 {
            true => angle * 16.0 * F64.epsilon(),
            false => angle * (FREQUENCY_ERROR + self.single_unit),
        };
        // Neither function changes faster than its angle.
        let near = |value: f64| {
            let exact = value * factor;
            let number = Bounded {
                exact,
                rounded: exact,
                low: (value - off).max(-1.0) * factor,
                high: (value + off).min(1.0) * factor,
            };
            self.widen(4.0, number)
        };
        if position == 0 {
            return (self.settle(Bounded::point(factor), true), Bounded::point(0.0));
        }
        (near(angle.cos()), near(angle.sin()))
    }
}

/// Clause 3 of the contract: b turns what is below 2^-50 to zero.
const FLUSH: f64 = 1.0 / 1_125_899_906_842_624.0;

impl Bounded {
    /// A function that never falls, applied to all four.
    fn each(self, function: impl Fn(f64) -> f64) -> Self {
        Self {
            exact: function(self.exact),
            rounded: function(self.rounded),
            low: function(self.low),
            high: function(self.high),
        }
    }
}

/// The least of them, NaN if one is a NaN.
fn least(ends: [f64; 4]) -> f64 {
    ends.into_iter().fold(f64::INFINITY, |least, end| if end < least || end.is_nan() { end } else { least })
}

/// The greatest of them, NaN if one is a NaN.
fn greatest(ends: [f64; 4]) -> f64 {
    ends.into_iter().fold(f64::NEG_INFINITY, |most, end| if end > most || end.is_nan() { end } else { most })
}

#[cfg(test)]
mod tests;
