//! Dot products of bounded numbers, which is where the time goes.

use std::ops::Range;

use super::super::formats::{exp2, exponent, lowest_bit};
use super::{Bounded, Bounds};

/// A row of bounded numbers.
#[derive(Clone, Debug)]
pub(in super::super) struct BoundedRow {
    /// The middles of the intervals.
    middle: Vec<f64>,
    /// Half of their lengths; empty if all are points, and then `middle` is the exact and the rounded value as well.
    radius: Vec<f64>,
    exact: Vec<f64>,
    rounded: Vec<f64>,
    /// All values are multiples of 2 to this power; none if all are zero.
    grid: Option<i32>,
    /// The most bits that a value needs.
    bits: i32,
}

impl BoundedRow {
    pub(super) fn new(numbers: &[Bounded]) -> Self {
        // A point whose lanes differ (a rounded value with one honest outcome) needs them all.
        let plain = |x: &Bounded| x.is_point() && x.exact == x.low && x.rounded == x.low;
        if numbers.iter().all(plain) {
            return Self::of_points(numbers.iter().map(|x| x.low).collect());
        }
        let middle: Vec<f64> = numbers.iter().map(|x| x.low / 2.0 + x.high / 2.0).collect();
        // Outward by what the middle may have been rounded.
        let radius = numbers
            .iter()
            .zip(&middle)
            .map(|(x, middle)| match x.is_point() {
                true => 0.0,
                false => (x.high - middle).max(middle - x.low) * (1.0 + f64::EPSILON),
            })
            .collect();
        Self {
            exact: numbers.iter().map(|x| x.exact).collect(),
            rounded: numbers.iter().map(|x| x.rounded).collect(),
            radius,
            ..Self::of_points(middle)
        }
    }

    pub(super) fn of_points(middle: Vec<f64>) -> Self {
        let mut grid: Option<i32> = None;
        let mut bits = 0;
        for &value in &middle {
            if let Some(lowest) = lowest_bit(value) {
                grid = Some(grid.map_or(lowest, |grid| grid.min(lowest)));
                bits = bits.max(exponent(value) - lowest + 1);
            }
        }
        Self { middle, radius: Vec::new(), exact: Vec::new(), rounded: Vec::new(), grid, bits }
    }

    fn exact(&self) -> &[f64] {
        if self.radius.is_empty() { &self.middle } else { &self.exact }
    }

    fn rounded(&self) -> &[f64] {
        if self.radius.is_empty() { &self.middle } else { &self.rounded }
    }

    fn points(&self) -> bool {
        self.radius.iter().all(|&radius| radius == 0.0)
    }
}

impl Bounds {
    pub(super) fn bounded_dot(
        &self,
        a: &BoundedRow,
        b: &BoundedRow,
        range: Range<usize>,
        addend: Option<Bounded>,
    ) -> Bounded {
        let cut = |row: &[f64]| -> usize { row.len().min(range.end) };
        debug_assert!(cut(&a.middle) == range.end && cut(&b.middle) == range.end, "a range within both rows");
        let terms = range.len() + usize::from(addend.is_some());
        let (sum, mut absolute) = products(&a.middle[range.clone()], &b.middle[range.clone()]);
        let mut radius = 0.0;
        let lanes = a.radius.is_empty() && b.radius.is_empty();
        let (mut exact, mut rounded) = (sum, sum);
        if !lanes {
            exact = products(&a.exact()[range.clone()], &b.exact()[range.clone()]).0;
            rounded = products(&a.rounded()[range.clone()], &b.rounded()[range.clone()]).0;
            radius = spread(a, b, range.clone());
        }
        let (mut low, mut high) = (sum - radius, sum + radius);
        absolute += radius;
        let mut grid = a.grid.zip(b.grid).map(|(a, b)| a + b);
        let mut points = a.points() && b.points();
        if let Some(addend) = addend {
            exact += addend.exact;
            rounded += addend.rounded;
            low += addend.low;
            high += addend.high;
            absolute += addend.low.abs().max(addend.high.abs());
            points &= addend.is_point();
            grid = match (grid, lowest_bit(addend.low)) {
                (Some(grid), Some(addend)) => Some(grid.min(addend)),
                (grid, addend) => grid.or(addend),
            };
        }
        if !(points && self.is_exact(a, b, absolute, grid)) {
            let error = self.dot_error(a, b, range, terms, absolute);
            low -= error;
            high += error;
        }
        Bounded { exact, rounded, low, high }
    }

    /// Whether every partial sum is a number of the accumulator, whatever the order, and no operand is rounded.
    fn is_exact(&self, a: &BoundedRow, b: &BoundedRow, absolute: f64, grid: Option<i32>) -> bool {
        let Some(grid) = grid else { return true };
        let format = self.accumulator;
        let fits = a.bits.max(b.bits) <= self.operand.precision;
        let range = grid >= format.least - (format.precision - 1) && absolute <= format.max();
        fits && range && absolute <= exp2(grid + format.precision)
    }

    /// n units of the sum of magnitudes, for n products added in any order (Rump 2012, Jeannerod and Rump 2013), and what
    /// rounding the operands costs.
    fn dot_error(
        &self,
        a: &BoundedRow,
        b: &BoundedRow,
        range: Range<usize>,
        terms: usize,
        absolute: f64,
    ) -> f64 {
        if absolute > self.accumulator.max() {
            return f64::INFINITY;
        }
        let mut error = self.unit * terms as f64 * absolute;
        for row in [a, b] {
            if row.bits > self.operand.precision || !row.points() {
                error += 2.0 * self.operand.epsilon() * absolute;
            }
        }
        // Below the least normal number, operands and products lose up to the least number, or are flushed.
        let tiny = exp2(self.accumulator.least.max(self.operand.least));
        let small = exp2(self.operand.least);
        let norm = |row: &BoundedRow| row.middle[range.clone()].iter().map(|x| x.abs()).sum::<f64>();
        if small > 1e-30 {
            error += small * (norm(a) + norm(b));
        }
        error + tiny * terms as f64
    }
}

/// The sum of products and that of their magnitudes.
fn products(a: &[f64], b: &[f64]) -> (f64, f64) {
    const LANES: usize = 8;
    let (mut sums, mut absolutes) = ([0.0; LANES], [0.0; LANES]);
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            let product = a[lane] * b[lane];
            sums[lane] += product;
            absolutes[lane] += product.abs();
        }
    }
    for (lane, (a, b)) in a_rest.iter().zip(b_rest).enumerate() {
        sums[lane] += a * b;
        absolutes[lane] += (a * b).abs();
    }
    (sums.iter().sum(), absolutes.iter().sum())
}

/// By how much intervals of operands can move their sum of products.
fn spread(a: &BoundedRow, b: &BoundedRow, range: Range<usize>) -> f64 {
    let radius = |row: &BoundedRow, index: usize| row.radius.get(index).copied().unwrap_or(0.0);
    let mut sum = 0.0;
    for index in range {
        let (a_radius, b_radius) = (radius(a, index), radius(b, index));
        if a_radius != 0.0 || b_radius != 0.0 {
            sum += a.middle[index].abs() * b_radius + a_radius * b.middle[index].abs() + a_radius * b_radius;
        }
    }
    sum
}
