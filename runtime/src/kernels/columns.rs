//! Weights that are stored column by column: sixteen rows of a column are one vector, so that rows need no unpacking.

use super::packed::{accumulators, first_step};
use crate::numerics::{ACCUMULATORS, LANES, Order};
use crate::simd::{Kernel, Simd};

/// Vectors of rows that are summed at a time.
const WIDTH: usize = 4;
/// Rows that are summed at a time.
const ROWS: usize = WIDTH * LANES;

/// Rows of a matrix of bf16 in columns times one row of activations.
pub(super) struct Bf16Columns<'a, S: Simd, const FLUSH: bool> {
    /// Element (row, col) is number `col * rows + row`.
    pub(super) data: &'a [u8],
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) order: Order,
    /// The row of the first output.
    pub(super) first: usize,
    pub(super) x: &'a [S::Packed],
    pub(super) out: &'a mut [S::Real],
}

/// For each accumulator and lane the sums of some rows: here a vector holds one lane of sixteen rows.
type Sums<S> = [[[<S as Simd>::Vector; WIDTH]; LANES]; ACCUMULATORS];

impl<S: Simd, const FLUSH: bool> Kernel<S> for Bf16Columns<'_, S, FLUSH> {
    type Output = ();

    #[inline(always)]
    fn run(mut self, simd: S) {
        let all = std::mem::take(&mut self.out);
        for (block, out) in all.chunks_mut(ROWS).enumerate() {
            let mut sums: Sums<S> = [[[simd.zero(); WIDTH]; LANES]; ACCUMULATORS];
            let first = self.first + block * ROWS;
            for group in 0..self.cols.div_ceil(self.order.group()) {
                let (accumulators, step) = accumulators(self.order, group);
                for accumulator in accumulators {
                    let place = first_step(self.order, self.cols, accumulator) + step;
                    let (even, odd) = simd.unpack(&self.x[place]);
                    for lane in 0..LANES {
                        let sums = &mut sums[accumulator][lane];
                        for (x, step) in [(odd[lane], 0), (even[lane], 1)] {
                            let within = self.order.element(lane, accumulator, step);
                            let col = group * self.order.group() + within;
                            self.add(simd, col, first, out.len(), x, sums);
                        }
                    }
                }
            }
            let [a, b, c, d] = sums;
            for vector in 0..WIDTH.min(out.len().div_ceil(LANES)) {
                let mut lanes = [simd.zero(); LANES];
                for (lane, sum) in lanes.iter_mut().enumerate() {
                    let left = simd.add(a[lane][vector], b[lane][vector]);
                    *sum = simd.add(left, simd.add(c[lane][vector], d[lane][vector]));
                }
                let mut half = LANES / 2;
                while half > 0 {
                    for lane in 0..half {
                        lanes[lane] = simd.add(lanes[lane], lanes[lane + half]);
                    }
                    half /= 2;
                }
                let out = out[vector * LANES..].iter_mut();
                out.zip(simd.store(lanes[0])).for_each(|(out, sum)| *out = sum);
            }
        }
    }
}

impl<S: Simd, const FLUSH: bool> Bf16Columns<'_, S, FLUSH> {
    /// Adds one column times `x`; a column that the matrix lacks is +0.
    #[inline(always)]
    fn add(
        &self,
        simd: S,
        col: usize,
        first: usize,
        count: usize,
        x: S::Real,
        sums: &mut [S::Vector; WIDTH],
    ) {
        let x = simd.splat(x);
        if col >= self.cols {
            for sum in sums {
                *sum = simd.fma(simd.zero(), x, *sum);
            }
            return;
        }
        let column = &self.data[2 * (col * self.rows + first)..];
        if count == ROWS
            && let Some(numbers) = column.first_chunk::<{ 2 * ROWS }>()
        {
            // The same rows one group on.
            simd.prefetch(column.as_ptr().wrapping_add(2 * self.order.group() * self.rows));
            let (vectors, _) = numbers.as_chunks::<{ 2 * LANES }>();
            for (sum, numbers) in sums.iter_mut().zip(vectors) {
                *sum = simd.fma(simd.bf16_vector::<FLUSH>(numbers), x, *sum);
            }
        } else {
            let mut numbers = [0; 2 * ROWS];
            numbers[..2 * count].copy_from_slice(&column[..2 * count]);
            let (vectors, _) = numbers.as_chunks::<{ 2 * LANES }>();
            for (sum, numbers) in sums.iter_mut().zip(vectors) {
                *sum = simd.fma(simd.bf16_vector::<FLUSH>(numbers), x, *sum);
            }
        }
    }
}
