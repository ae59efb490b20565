//! Many rows of activations: a block of rows of weights is unpacked once and used for all of them.
//!
//! Where they are many, the accumulators of clause 4 come one or two at a time: what these take of a tile of activations
//! stays in the L1 cache while the block of weights comes by, and what they summed waits in memory for the others.

use std::ops::Range;

use super::Scratch;
use super::packed::{PackedRows, first_step, row_steps, steps};
use super::unpack::{Part, Place, Row, has_parts, unpack_row};
use crate::numerics::ACCUMULATORS;
use crate::simd::{Kernel, LINE, Simd, Tile};
use crate::weights::{Matrix, Storage};

/// Bytes of a block of unpacked weights that a few rows of activations share, in the L1 cache.
const SMALL_BLOCK: usize = 24 << 10;
/// Rows of activations from which on they are many.
const MANY: usize = 16;

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
        let many = self.selected.len() >= MANY;
        let in_parts = many && has_parts(self.matrix, self.x.order());
        let parts = if in_parts { Part::all::<S>() } else { &[Part::Whole] };
        // Of one part at a time: the activations that a block of weights is used for, and a block that many of them share,
        // are in the L2 cache together. Measured on Zen 5; smaller elements gain nothing from a larger part of it.
        let l2 = self.scratch.l2;
        let (panel_bytes, large_block) =
            if size_of::<S::Packed>() > LINE { (l2 * 3 / 8, l2 * 3 / 16) } else { (l2 / 4, l2 * 3 / 32) };
        let panel = (panel_bytes * parts.len() / bytes / most * most).max(most);
        let panels = self.selected.len().div_ceil(panel);
        // Of one size, and of whole tiles.
        let panel = self.selected.len().div_ceil(panels.max(1)).next_multiple_of(most);
        let block = if many { large_block } else { SMALL_BLOCK } * parts.len() / bytes;
        let block = (block / R * R).max(R);
        let total = self.rows.len();
        for (index, selected) in self.selected.chunks(panel).enumerate() {
            for first in (0..total).step_by(block) {
                let rows = first..total.min(first + block);
                self.block::<R>(simd, most, parts, rows, selected, index * panel * total);
            }
        }
    }

    /// Products of the rows of weights `rows`, counted from the first, with the rows of activations `selected`, to `out`
    /// from `start` on.
    #[inline(always)]
    fn block<const R: usize>(
        &mut self,
        simd: S,
        most: usize,
        parts: &[Part],
        rows: Range<usize>,
        selected: &[usize],
        start: usize,
    ) {
        let (order, cols) = (self.x.order(), self.matrix.cols);
        let total = self.rows.len();
        let Scratch { weights, sums, row, wide, lines, .. } = &mut *self.scratch;
        let line_stride = match self.matrix.storage {
            Storage::Bf16Transposed { .. } => row_steps(order, cols),
            _ => 0,
        };
        let groups = rows.len().div_ceil(R);
        let tiles = selected.len().div_ceil(most).max(1);
        // The sums of one accumulator wait for those of the next: for the same group's, or in the next part for all groups'.
        let waiting = if parts.len() == ACCUMULATORS { groups } else { 1 };
        sums.resize((waiting + groups) * R * selected.len(), simd.zero());
        for &part in parts {
            let stride = part.accumulators().map(|accumulator| steps(order, cols, accumulator)).sum();
            weights.resize(groups * R * stride, S::Packed::default());
            let (weights, _) = weights.as_chunks_mut::<R>();
            for (place, index) in rows.clone().enumerate() {
                let steps = &mut weights[place / R * stride..][..stride];
                let place = Place::new(part, order, cols, steps, place % R);
                let lines = &lines[index * line_stride..][..line_stride];
                let weights = Row { matrix: self.matrix, order, index: self.rows.start + index, lines };
                unpack_row(simd, weights, row, wide, place);
            }
            for tile in 0..tiles {
                // Of like widths, as a tile of one or two columns takes as long as one of three.
                let [from, to] = [tile, tile + 1].map(|tile| tile * selected.len() / tiles);
                let columns = &selected[from..to];
                let sums = &mut sums[(waiting + groups) * R * from..(waiting + groups) * R * to];
                let sums = sums.split_at_mut(waiting * R * columns.len());
                let out = &mut self.out[start + from * total..start + to * total];
                let (x, rows) = (self.x, rows.clone());
                let part = Products::<S, R> { weights, stride, part, x, columns, rows, total, sums, out };
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

/// Some accumulators of a block of unpacked rows of weights and some rows of activations.
struct Products<'a, S: Simd, const R: usize> {
    /// `[groups, stride]`, `R` rows side by side.
    weights: &'a [[S::Packed; R]],
    /// Steps from one group to the next.
    stride: usize,
    part: Part,
    x: &'a PackedRows<S>,
    columns: &'a [usize],
    /// Which of the `total` rows they are.
    rows: Range<usize>,
    total: usize,
    /// Of one group or of all the sums of the first or third accumulator, and of all those of the first two together:
    /// `[groups, columns, R]`.
    sums: (&'a mut [S::Vector], &'a mut [S::Vector]),
    /// `[columns, total]`.
    out: &'a mut [S::Real],
}

/// A part with `C` rows of activations.
struct Columns<'a, S: Simd, const R: usize, const C: usize>(Products<'a, S, R>);

impl<S: Simd, const R: usize, const C: usize> Kernel<S> for Columns<'_, S, R, C> {
    type Output = ();

    #[inline(always)]
    fn run(self, simd: S) {
        self.0.products::<C>(simd);
    }
}

impl<S: Simd, const R: usize> Products<'_, S, R> {
    #[inline(always)]
    fn products<const C: usize>(self, simd: S) {
        let (order, cols) = (self.x.order(), self.x.cols());
        let accumulators = self.part.accumulators();
        let first = first_step(order, cols, accumulators.start);
        let mut x = [self.x.row(self.columns[0]); C];
        for (x, &column) in x.iter_mut().zip(self.columns) {
            *x = self.x.row(column);
        }
        let x = x.map(|x| &x[first..][..self.stride]);
        let waiting = self.sums.0.as_chunks_mut::<R>().0.as_chunks_mut::<C>().0;
        let sums = self.sums.1.as_chunks_mut::<R>().0.as_chunks_mut::<C>().0;
        let last = waiting.len().saturating_sub(1);
        for (index, early) in sums.iter_mut().enumerate() {
            let weights = &self.weights[index * self.stride..][..self.stride];
            let before = &mut waiting[index.min(last)];
            let mut step = 0;
            // One loop over all, as the sums of two are more than the registers hold.
            for accumulator in accumulators.clone() {
                let part = step..step + steps(order, cols, accumulator);
                step = part.end;
                let sums = products(simd, &weights[part.clone()], &x.map(|x| &x[part.clone()]));
                match accumulator {
                    0 | 2 => *before = sums,
                    1 => {
                        for ((early, before), sums) in early.iter_mut().zip(&*before).zip(&sums) {
                            *early = add(simd, before, sums);
                        }
                    }
                    _ => {
                        let first = self.rows.start + index * R;
                        let height = R.min(self.rows.end - first);
                        for (c, ((early, before), sums)) in early.iter().zip(&*before).zip(&sums).enumerate()
                        {
                            let folded = simd.fold_each(add(simd, early, &add(simd, before, sums)));
                            let out = &mut self.out[c * self.total + first..][..height];
                            // Most often a store in place of a call.
                            match out.first_chunk_mut::<R>() {
                                Some(out) => *out = folded,
                                None => out.copy_from_slice(&folded[..height]),
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The sums of one accumulator, so that each output keeps one register.
#[inline(always)]
fn products<S: Simd, const R: usize, const C: usize>(
    simd: S,
    weights: &[[S::Packed; R]],
    x: &[&[S::Packed]; C],
) -> [[S::Vector; R]; C] {
    let rows = x.map(|x| &x[..weights.len()]);
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

#[inline(always)]
fn add<S: Simd, const R: usize>(simd: S, sums: &[S::Vector; R], others: &[S::Vector; R]) -> [S::Vector; R] {
    let mut out = *sums;
    for (out, other) in out.iter_mut().zip(others) {
        *out = simd.add(*out, *other);
    }
    out
}
