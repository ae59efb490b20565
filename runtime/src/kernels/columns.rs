//! Weights that are stored column by column: sixteen rows of a column are one vector, so that rows need no unpacking.

use std::ops::Range;

use super::packed::{first_step, start, steps};
use crate::numerics::{ACCUMULATORS, LANES, Order, Real};
use crate::simd::{Kernel, LINE, Simd, Tile};

/// Columns that are asked for before their turn.
const AHEAD: usize = 24;

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

/// A column and what it is multiplied by.
#[derive(Clone, Copy)]
struct Term<R> {
    col: usize,
    x: R,
}

impl<S: Simd, const FLUSH: bool> Kernel<S> for Bf16Columns<'_, S, FLUSH> {
    type Output = ();

    #[inline(always)]
    fn run(self, simd: S) {
        match S::TILE {
            Tile::Large => self.by::<16, 1>(simd),
            Tile::Small => self.by::<4, 4>(simd),
        }
    }
}

impl<S: Simd, const FLUSH: bool> Bf16Columns<'_, S, FLUSH> {
    /// Goes through the rows `B` times `W` vectors at a time: the sums of `W` vectors, of one lane of an accumulator, stay
    /// in registers while the columns come by, and these in the L1 cache for the next `W`.
    #[inline(always)]
    fn by<const W: usize, const B: usize>(mut self, simd: S) {
        let terms = self.terms(simd);
        let out = std::mem::take(&mut self.out);
        for (block, out) in out.chunks_mut(B * W * LANES).enumerate() {
            let rows = self.first + block * B * W * LANES..self.first + block * B * W * LANES + out.len();
            let mut lanes = [[[simd.zero(); W]; B]; LANES];
            let mut begin = 0;
            for lane in &mut lanes {
                let mut parts = [[[simd.zero(); W]; B]; ACCUMULATORS];
                for (accumulator, part) in parts.iter_mut().enumerate() {
                    let end = begin + 2 * steps(self.order, self.cols, accumulator);
                    for (sums, first) in part.iter_mut().zip(rows.clone().step_by(W * LANES)) {
                        let ahead = if first == rows.start { rows.len() } else { 0 };
                        let rows = first..rows.end.min(first + W * LANES);
                        *sums = self.sums::<W>(simd, &terms, begin..end, rows, ahead);
                    }
                    begin = end;
                }
                let [a, b, c, d] = parts.each_ref().map(|part| part.as_flattened());
                for (w, sum) in lane.as_flattened_mut().iter_mut().enumerate() {
                    *sum = simd.add(simd.add(a[w], b[w]), simd.add(c[w], d[w]));
                }
            }
            let mut half = LANES / 2;
            while half > 0 {
                let (low, high) = lanes.split_at_mut(half);
                let high = high.as_flattened().as_flattened();
                for (low, high) in low.as_flattened_mut().as_flattened_mut().iter_mut().zip(high) {
                    *low = simd.add(*low, *high);
                }
                half /= 2;
            }
            for (out, sum) in out.chunks_mut(LANES).zip(lanes[0].as_flattened()) {
                out.copy_from_slice(&simd.store(*sum)[..out.len()]);
            }
        }
    }

    /// All columns in the order in which they are summed: lane by lane, of each the accumulators.
    #[inline(always)]
    fn terms(&self, simd: S) -> Vec<Term<S::Real>> {
        let (order, cols) = (self.order, self.cols);
        let mut terms = vec![Term { col: 0, x: S::Real::ZERO }; 2 * LANES * self.x.len()];
        for accumulator in 0..ACCUMULATORS {
            let before = first_step(order, cols, accumulator);
            for step in 0..steps(order, cols, accumulator) {
                let (even, odd) = simd.unpack(&self.x[before + step]);
                for lane in 0..LANES {
                    let place = 2 * (lane * self.x.len() + before + step);
                    let col = |step_within| {
                        start(order, accumulator, step) + order.element(lane, accumulator, step_within)
                    };
                    terms[place] = Term { col: col(0), x: odd[lane] };
                    terms[place + 1] = Term { col: col(1), x: even[lane] };
                }
            }
        }
        terms
    }

    /// The sums of some terms for at most `W` vectors of rows; a column that the matrix lacks is +0. Of the columns
    /// that come later `ahead` rows are asked for.
    #[inline(always)]
    fn sums<const W: usize>(
        &self,
        simd: S,
        terms: &[Term<S::Real>],
        range: Range<usize>,
        rows: Range<usize>,
        ahead: usize,
    ) -> [S::Vector; W] {
        let (first, count) = (rows.start, rows.len());
        let mut sums = [simd.zero(); W];
        for (index, term) in range.clone().zip(&terms[range]) {
            let x = simd.splat(term.x);
            if term.col >= self.cols {
                for sum in &mut sums {
                    *sum = simd.fma(simd.zero(), x, *sum);
                }
                continue;
            }
            if ahead > 0 {
                let next = terms[(index + AHEAD).min(terms.len() - 1)].col;
                let at = self.data.as_ptr().wrapping_add(2 * (next * self.rows + first));
                for line in 0..(2 * ahead).div_ceil(LINE) {
                    simd.prefetch(at.wrapping_add(line * LINE));
                }
            }
            let column = &self.data[2 * (term.col * self.rows + first)..][..2 * count];
            let (vectors, rest) = column.as_chunks::<{ 2 * LANES }>();
            if let Some(vectors) = vectors.first_chunk::<W>() {
                for (sum, numbers) in sums.iter_mut().zip(vectors) {
                    *sum = simd.fma(simd.bf16_vector::<FLUSH>(numbers), x, *sum);
                }
                continue;
            }
            let mut last = [0; 2 * LANES];
            last[..rest.len()].copy_from_slice(rest);
            for (sum, numbers) in sums.iter_mut().zip(vectors.iter().chain([&last])) {
                *sum = simd.fma(simd.bf16_vector::<FLUSH>(numbers), x, *sum);
            }
        }
        sums
    }
}
