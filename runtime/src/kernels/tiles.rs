//! Many rows of activations: a tile of rows of weights is unpacked once and used for all of them.

use std::ops::Range;

use super::Scratch;
use super::packed::{PackedRows, first_step, row_steps, steps};
use super::unpack::{Place, unpack_row};
use crate::numerics::Order;
use crate::simd::{Kernel, Simd, Tile};
use crate::weights::Matrix;

/// Any storage in any order times any rows of activations.
pub(super) struct Tiles<'a, S: Simd> {
    pub(super) matrix: &'a Matrix,
    pub(super) rows: Range<usize>,
    pub(super) x: &'a PackedRows<S>,
    pub(super) selected: &'a [usize],
    pub(super) scratch: &'a mut Scratch<S>,
    /// `[selected, rows]`.
    pub(super) out: &'a mut [S::Real],
}

impl<S: Simd> Kernel<S> for Tiles<'_, S> {
    type Output = ();

    #[inline(always)]
    fn run(self, simd: S) {
        match S::TILE {
            Tile::Large => self.by::<4>(simd, 6),
            Tile::Small => self.by::<2>(simd, 3),
        }
    }
}

impl<S: Simd> Tiles<'_, S> {
    /// Goes through the matrix `R` rows at a time, with at most `most` rows of activations.
    #[inline(always)]
    fn by<const R: usize>(self, simd: S, most: usize) {
        let (order, cols) = (self.x.order(), self.matrix.cols);
        let Scratch { weights, row, wide } = self.scratch;
        weights.resize(R * row_steps(order, cols), S::Packed::default());
        let total = self.rows.len();
        let tiles = self.selected.len().div_ceil(most).max(1);
        let width = self.selected.len().div_ceil(tiles).max(1);
        for first in (0..total).step_by(R) {
            let height = R.min(total - first);
            for r in 0..height {
                let index = self.rows.start + first + r;
                let mut place = Place::new(weights, R, r);
                unpack_row(simd, self.matrix, order, index, row, wide, &mut place);
            }
            let (weights, _) = weights.as_chunks::<R>();
            for (tile, columns) in self.selected.chunks(width).enumerate() {
                let out = &mut self.out[tile * width * total..];
                let part = Part::<S, R> { weights, order, cols, x: self.x, columns, first, height, total };
                match columns.len() {
                    1 => part.run::<1>(simd, out),
                    2 => part.run::<2>(simd, out),
                    3 => part.run::<3>(simd, out),
                    4 => part.run::<4>(simd, out),
                    5 => part.run::<5>(simd, out),
                    _ => part.run::<6>(simd, out),
                }
            }
        }
    }
}

/// A tile of `R` unpacked rows of weights and some rows of activations.
struct Part<'a, S: Simd, const R: usize> {
    /// The steps of all accumulators, `R` rows side by side.
    weights: &'a [[S::Packed; R]],
    order: Order,
    cols: usize,
    x: &'a PackedRows<S>,
    columns: &'a [usize],
    /// Where the rows of the tile begin among `total`, and how many there are.
    first: usize,
    height: usize,
    total: usize,
}

impl<S: Simd, const R: usize> Part<'_, S, R> {
    /// Writes the products to `out`, `[C, total]`.
    #[inline(always)]
    fn run<const C: usize>(&self, simd: S, out: &mut [S::Real]) {
        let mut x = [self.x.row(self.columns[0]); C];
        for (x, &column) in x.iter_mut().zip(self.columns) {
            *x = self.x.row(column);
        }
        let mut sums = self.sums(simd, &x, 0);
        add(simd, &mut sums, &self.sums(simd, &x, 1));
        let mut others = self.sums(simd, &x, 2);
        add(simd, &mut others, &self.sums(simd, &x, 3));
        add(simd, &mut sums, &others);
        for (c, sums) in sums.into_iter().enumerate() {
            let folded = simd.fold_each(sums);
            let start = c * self.total + self.first;
            out[start..start + self.height].copy_from_slice(&folded[..self.height]);
        }
    }

    /// The sums of one accumulator: one after the other, so that each output keeps one register.
    #[inline(always)]
    fn sums<const C: usize>(
        &self,
        simd: S,
        x: &[&[S::Packed]; C],
        accumulator: usize,
    ) -> [[S::Vector; R]; C] {
        let first = first_step(self.order, self.cols, accumulator);
        let count = steps(self.order, self.cols, accumulator);
        let weights = &self.weights[first..][..count];
        let mut rows = [x[0]; C];
        for (rows, x) in rows.iter_mut().zip(x) {
            *rows = &x[first..][..count];
        }
        let mut sums = [[simd.zero(); R]; C];
        for (step, weights) in weights.iter().enumerate() {
            let mut pairs = [simd.load_pair(&weights[0]); R];
            for r in 1..R {
                pairs[r] = simd.load_pair(&weights[r]);
            }
            for c in 0..C {
                let x = simd.load_pair(&rows[c][step]);
                for r in 0..R {
                    sums[c][r] = simd.dot2(sums[c][r], pairs[r], x);
                }
            }
        }
        sums
    }
}

#[inline(always)]
fn add<S: Simd, const R: usize, const C: usize>(
    simd: S,
    sums: &mut [[S::Vector; R]; C],
    others: &[[S::Vector; R]; C],
) {
    for c in 0..C {
        for r in 0..R {
            sums[c][r] = simd.add(sums[c][r], others[c][r]);
        }
    }
}
