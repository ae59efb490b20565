//! Many rows of activations: a tile of rows of weights is unpacked once and used for all of them.

use std::ops::Range;

use super::Scratch;
use super::packed::{PackedRows, first_step, row_steps, steps};
use super::unpack::{Place, unpack_row};
use crate::numerics::Order;
use crate::simd::{Kernel, Simd, Tile};
use crate::weights::Matrix;

/// Bytes of activations that a tile of weights is used for: they stay in the L2 cache of one core.
const PANEL: usize = 512 << 10;

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
    /// Goes through the matrix `R` rows at a time, with at most `most` rows of activations; as often as the activations do
    /// not fit the cache at once.
    #[inline(always)]
    fn by<const R: usize>(mut self, simd: S, most: usize) {
        let bytes = size_of::<S::Packed>() * row_steps(self.x.order(), self.matrix.cols);
        let panel = (PANEL / bytes / most * most).max(most);
        let panels = self.selected.len().div_ceil(panel);
        // Of one size, and of whole tiles.
        let panel = self.selected.len().div_ceil(panels.max(1)).next_multiple_of(most);
        let total = self.rows.len();
        for (index, selected) in self.selected.chunks(panel).enumerate() {
            self.panel::<R>(simd, most, selected, index * panel * total);
        }
    }

    /// Products of the rows of activations `selected`, to `out` from `start` on.
    #[inline(always)]
    fn panel<const R: usize>(&mut self, simd: S, most: usize, selected: &[usize], start: usize) {
        let (order, cols) = (self.x.order(), self.matrix.cols);
        let Scratch { weights, row, wide } = &mut *self.scratch;
        weights.resize(R * row_steps(order, cols), S::Packed::default());
        let total = self.rows.len();
        let tiles = selected.len().div_ceil(most).max(1);
        let width = selected.len().div_ceil(tiles).max(1);
        for first in (0..total).step_by(R) {
            let height = R.min(total - first);
            for r in 0..height {
                let index = self.rows.start + first + r;
                let mut place = Place::new(weights, R, r);
                unpack_row(simd, self.matrix, order, index, row, wide, &mut place);
            }
            let (weights, _) = weights.as_chunks::<R>();
            for (tile, columns) in selected.chunks(width).enumerate() {
                let out = &mut self.out[start + tile * width * total..];
                let part =
                    Part::<S, R> { weights, order, cols, x: self.x, columns, first, height, total, out };
                // Calls of their own, so that the sums of one tile have all registers.
                match columns.len() {
                    1 => simd.vectorize(Columns::<S, R, 1>(part)),
                    2 => simd.vectorize(Columns::<S, R, 2>(part)),
                    3 => simd.vectorize(Columns::<S, R, 3>(part)),
                    4 => simd.vectorize(Columns::<S, R, 4>(part)),
                    5 => simd.vectorize(Columns::<S, R, 5>(part)),
                    _ => simd.vectorize(Columns::<S, R, 6>(part)),
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
    /// `[columns, total]`.
    out: &'a mut [S::Real],
}

/// A tile of `C` rows of activations.
struct Columns<'a, S: Simd, const R: usize, const C: usize>(Part<'a, S, R>);

impl<S: Simd, const R: usize, const C: usize> Kernel<S> for Columns<'_, S, R, C> {
    type Output = ();

    #[inline(always)]
    fn run(self, simd: S) {
        self.0.products::<C>(simd);
    }
}

impl<S: Simd, const R: usize> Part<'_, S, R> {
    #[inline(always)]
    fn products<const C: usize>(self, simd: S) {
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
            self.out[start..start + self.height].copy_from_slice(&folded[..self.height]);
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
