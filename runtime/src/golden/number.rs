//! Numbers in which the formulas of the oracle are evaluated.
//!
//! A formula is written once, over a [`Machine`]. [`Bounded`](super::bounds::Bounds) numbers give what is exact, what the
//! profile's rounding makes of it, and between which two numbers an honest backend stays; [`Plain`](super::backend) numbers
//! give what one such backend computes.

use std::fmt::Debug;
use std::ops::Range;

use super::Dtype;

/// An arithmetic.
pub(super) trait Machine: Sync {
    /// Its numbers.
    type Number: Copy + Debug + Send + Sync;
    /// A row of them, made ready for dot products.
    type Row: Send + Sync;

    /// A number that is known exactly: a weight, a constant.
    fn number(&self, value: f64) -> Self::Number;

    /// A value that a dump has.
    fn given(&self, value: f64, dtype: Dtype) -> Self::Number;

    /// A number of which nothing is known but a guess; every result that it reaches is one, too.
    fn unknown(&self, x: Self::Number) -> Self::Number;

    /// Whether a is certain to be below b, so that no tie is left to chance.
    fn below(&self, a: Self::Number, b: Self::Number) -> bool;

    /// The one number that stands for it, as the profile rounds.
    fn value(&self, x: Self::Number) -> f64;

    /// A row of numbers.
    fn row(&self, numbers: &[Self::Number]) -> Self::Row;

    /// A row of weights.
    fn weights(&self, weights: &[f32]) -> Self::Row;

    /// The sum of products over `range` and of `addend`, in the declared accumulator and any order.
    fn dot(
        &self,
        a: &Self::Row,
        b: &Self::Row,
        range: Range<usize>,
        addend: Option<Self::Number>,
    ) -> Self::Number;

    /// The mean of the squares, in the precision of single operations and any order.
    fn mean_square(&self, x: &[Self::Number]) -> Self::Number;

    /// The sum, in the precision of single operations and any order.
    fn sum(&self, x: &[Self::Number]) -> Self::Number;

    /// a + b.
    fn add(&self, a: Self::Number, b: Self::Number) -> Self::Number;

    /// a - b.
    fn sub(&self, a: Self::Number, b: Self::Number) -> Self::Number;

    /// a × b.
    fn mul(&self, a: Self::Number, b: Self::Number) -> Self::Number;

    /// a / b, b positive.
    fn div(&self, a: Self::Number, b: Self::Number) -> Self::Number;

    /// The square root of what is not negative.
    fn sqrt(&self, a: Self::Number) -> Self::Number;

    /// e to the power of a.
    fn exp(&self, a: Self::Number) -> Self::Number;

    /// -a.
    fn neg(&self, a: Self::Number) -> Self::Number;

    /// A function that never falls and is computed without error: a clamp, a conversion.
    fn map(&self, a: Self::Number, function: &dyn Fn(f64) -> f64) -> Self::Number;

    /// A rounding point of the profile.
    fn round(&self, a: Self::Number) -> Self::Number;

    /// A number close to the greatest of them; softmax is the same whichever it is.
    fn greatest(&self, x: &[Self::Number]) -> Self::Number;

    /// Cosine and sine of position × frequency, each times `factor`; before the profile rounds them.
    fn cos_sin(&self, position: u32, frequency: f64, factor: f64) -> (Self::Number, Self::Number);
}
