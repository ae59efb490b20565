//! Matrix products: a few rows of activations straight from the weights' bytes, many by tiles that are unpacked once.

use std::ops::Range;

use super::packed::{PackedRows, first_step, row_steps, steps};
use super::unpack::{CODES, MxfpLines, bf16_line, is_folded, unpack_row};
use crate::numerics::{ACCUMULATORS, LANES, Order};
use crate::simd::{Kernel, LINE, Simd};
use crate::weights::{Matrix, Storage};

/// Rows of weights of a tile.
const TILE_ROWS: usize = 4;
/// Rows of activations of a tile.
const TILE_COLS: usize = 6;
/// Up to how many rows of activations the weights are read once for each.
const FEW: usize = 2;

/// Memory for unpacked rows, kept from call to call.
#[derive(Clone, Debug)]
pub struct Scratch<S: Simd> {
    weights: Vec<S::Packed>,
    row: Vec<f32>,
    wide: Vec<S::Real>,
}

impl<S: Simd> Default for Scratch<S> {
    fn default() -> Self {
        Self { weights: Vec::new(), row: Vec::new(), wide: Vec::new() }
    }
}

/// Clause 4: `out[i * rows.len() + r]` is the dot product of row `rows.start + r` of `matrix` and row `selected[i]` of
/// `x`, unrounded, in the order for which `x` was packed.
///
/// # Panics
///
/// If the sizes do not fit.
pub fn matmul<S: Simd>(
    simd: S,
    matrix: &Matrix,
    rows: Range<usize>,
    x: &PackedRows<S>,
    selected: &[usize],
    scratch: &mut Scratch<S>,
    out: &mut [S::Real],
) {
    assert!(rows.end <= matrix.rows && matrix.cols == x.cols(), "a product of fitting sizes");
    assert_eq!(out.len(), rows.len() * selected.len(), "one output a pair of rows");
    match (&matrix.storage, x.order()) {
        (Storage::Mxfp4 { blocks, scales, scale_range }, Order::E) if selected.len() <= FEW => {
            for (&row, out) in selected.iter().zip(out.chunks_exact_mut(rows.len().max(1))) {
                let first = rows.start;
                let x = x.row(row);
                if is_folded(*scale_range) {
                    simd.vectorize(Mxfp4Rows::<S, false> {
                        blocks,
                        scales,
                        cols: matrix.cols,
                        first,
                        x,
                        out,
                    });
                } else {
                    simd.vectorize(Mxfp4Rows::<S, true> { blocks, scales, cols: matrix.cols, first, x, out });
                }
            }
        }
        (Storage::Bf16 { data, tiny }, Order::D) if selected.len() <= FEW => {
            for (&row, out) in selected.iter().zip(out.chunks_exact_mut(rows.len().max(1))) {
                let first = rows.start;
                let x = x.row(row);
                if *tiny {
                    simd.vectorize(Bf16Rows::<S, true> { data, cols: matrix.cols, first, x, out });
                } else {
                    simd.vectorize(Bf16Rows::<S, false> { data, cols: matrix.cols, first, x, out });
                }
            }
        }
        _ => simd.vectorize(Tiles { matrix, rows, x, selected, scratch, out }),
    }
}

/// (a + b) + (c + d), then the lanes.
#[inline(always)]
fn fold<S: Simd>(simd: S, sums: [S::Vector; ACCUMULATORS]) -> S::Real {
    let [a, b, c, d] = sums;
    simd.fold(simd.add(simd.add(a, b), simd.add(c, d)))
}

/// One row of activations times rows of MXFP4, in order E: one stream through the weights.
struct Mxfp4Rows<'a, S: Simd, const ANY_SCALE: bool> {
    blocks: &'a [u8],
    scales: &'a [u8],
    cols: usize,
    first: usize,
    x: &'a [S::Packed],
    out: &'a mut [S::Real],
}

impl<S: Simd, const ANY_SCALE: bool> Kernel<S> for Mxfp4Rows<'_, S, ANY_SCALE> {
    type Output = ();

    #[inline(always)]
    fn run(self, simd: S) {
        let groups = self.cols.div_ceil(CODES);
        let whole = self.cols / CODES;
        let (x0, rest) = self.x.split_at(groups);
        let (x1, rest) = rest.split_at(groups);
        let (x2, x3) = rest.split_at(groups);
        let (block_bytes, scale_bytes) = (self.cols / 2, self.cols / 32);
        for (row, out) in (self.first..).zip(self.out.iter_mut()) {
            let blocks = &self.blocks[row * block_bytes..][..block_bytes];
            let scales = &self.scales[row * scale_bytes..][..scale_bytes];
            let mut sums = [simd.zero(); ACCUMULATORS];
            let step = |sums: &mut [S::Vector; ACCUMULATORS], line: &[u8; LINE], scales, group: usize| {
                let [a, b, c, d] = simd.mxfp4_line::<ANY_SCALE>(line, scales);
                sums[0] = simd.dot2(sums[0], a, simd.load_pair(&x0[group]));
                sums[1] = simd.dot2(sums[1], b, simd.load_pair(&x1[group]));
                sums[2] = simd.dot2(sums[2], c, simd.load_pair(&x2[group]));
                sums[3] = simd.dot2(sums[3], d, simd.load_pair(&x3[group]));
            };
            let (lines, _) = blocks.as_chunks::<LINE>();
            let (fours, _) = scales.as_chunks::<4>();
            for (group, (line, &scales)) in lines.iter().zip(fours).enumerate() {
                step(&mut sums, line, scales, group);
            }
            if whole < groups {
                let (line, scales) = MxfpLines::new(blocks, scales).get(whole);
                step(&mut sums, &line, scales, whole);
            }
            *out = fold(simd, sums);
        }
    }
}

/// One row of activations times rows of bf16, in order D: one stream through the weights.
struct Bf16Rows<'a, S: Simd, const FLUSH: bool> {
    data: &'a [u8],
    cols: usize,
    first: usize,
    x: &'a [S::Packed],
    out: &'a mut [S::Real],
}

impl<S: Simd, const FLUSH: bool> Kernel<S> for Bf16Rows<'_, S, FLUSH> {
    type Output = ();

    #[inline(always)]
    fn run(self, simd: S) {
        let at = |accumulator: usize| first_step(Order::D, self.cols, accumulator);
        let [x0, x1, x2, x3] = [&self.x[at(0)..], &self.x[at(1)..], &self.x[at(2)..], &self.x[at(3)..]];
        for (row, out) in (self.first..).zip(self.out.iter_mut()) {
            let data = &self.data[2 * row * self.cols..][..2 * self.cols];
            let mut sums = [simd.zero(); ACCUMULATORS];
            let (quads, rest) = data.as_chunks::<{ 4 * LINE }>();
            for (step, quad) in quads.iter().enumerate() {
                let (lines, _) = quad.as_chunks::<LINE>();
                let xs = [&x0[step], &x1[step], &x2[step], &x3[step]];
                for accumulator in 0..ACCUMULATORS {
                    let weights = simd.bf16_line::<FLUSH>(&lines[accumulator]);
                    sums[accumulator] =
                        simd.dot2(sums[accumulator], weights, simd.load_pair(xs[accumulator]));
                }
            }
            let step = quads.len();
            for accumulator in 0..rest.len().div_ceil(LINE) {
                let weights = simd.bf16_line::<FLUSH>(&bf16_line(rest, accumulator * LINE / 2));
                let x = [x0, x1, x2, x3][accumulator];
                sums[accumulator] = simd.dot2(sums[accumulator], weights, simd.load_pair(&x[step]));
            }
            *out = fold(simd, sums);
        }
    }
}

/// Any storage in any order: a tile of rows is unpacked once and used for all rows of activations.
struct Tiles<'a, S: Simd> {
    matrix: &'a Matrix,
    rows: Range<usize>,
    x: &'a PackedRows<S>,
    selected: &'a [usize],
    scratch: &'a mut Scratch<S>,
    out: &'a mut [S::Real],
}

impl<S: Simd> Kernel<S> for Tiles<'_, S> {
    type Output = ();

    #[inline(always)]
    fn run(self, simd: S) {
        let (order, cols) = (self.x.order(), self.matrix.cols);
        let row_steps = row_steps(order, cols);
        let bounds: [Range<usize>; ACCUMULATORS] = std::array::from_fn(|accumulator| {
            let first = first_step(order, cols, accumulator);
            first..first + steps(order, cols, accumulator)
        });
        let Scratch { weights, row, wide } = self.scratch;
        weights.resize(TILE_ROWS * row_steps, S::Packed::default());
        let total = self.rows.len();
        for tile in (0..total).step_by(TILE_ROWS) {
            let height = TILE_ROWS.min(total - tile);
            for (index, place) in weights.chunks_exact_mut(row_steps).take(height).enumerate() {
                unpack_row(simd, self.matrix, order, self.rows.start + tile + index, row, wide, place);
            }
            for (block, columns) in self.selected.chunks(TILE_COLS).enumerate() {
                let out = |r: usize, c: usize| (block * TILE_COLS + c) * total + tile + r;
                if height == TILE_ROWS && columns.len() == TILE_COLS {
                    let x: [&[S::Packed]; TILE_COLS] = std::array::from_fn(|c| self.x.row(columns[c]));
                    let sums = whole_tile(simd, weights, row_steps, &bounds, &x);
                    for (r, sums) in sums.into_iter().enumerate() {
                        for (c, sum) in sums.into_iter().enumerate() {
                            self.out[out(r, c)] = simd.fold(sum);
                        }
                    }
                } else {
                    for r in 0..height {
                        let weights = &weights[r * row_steps..][..row_steps];
                        for (c, &column) in columns.iter().enumerate() {
                            self.out[out(r, c)] = one(simd, weights, self.x.row(column), &bounds);
                        }
                    }
                }
            }
        }
    }
}

/// One output of a tile.
#[inline(always)]
fn one<S: Simd>(
    simd: S,
    weights: &[S::Packed],
    x: &[S::Packed],
    bounds: &[Range<usize>; ACCUMULATORS],
) -> S::Real {
    let mut sums = [simd.zero(); ACCUMULATORS];
    for (sum, bounds) in sums.iter_mut().zip(bounds) {
        for (weights, x) in weights[bounds.clone()].iter().zip(&x[bounds.clone()]) {
            *sum = simd.dot2(*sum, simd.load_pair(weights), simd.load_pair(x));
        }
    }
    fold(simd, sums)
}

/// A whole tile: one accumulator after the other, so that each output keeps one live register.
#[inline(always)]
fn whole_tile<S: Simd>(
    simd: S,
    weights: &[S::Packed],
    row_steps: usize,
    bounds: &[Range<usize>; ACCUMULATORS],
    x: &[&[S::Packed]; TILE_COLS],
) -> [[S::Vector; TILE_COLS]; TILE_ROWS] {
    let class = |accumulator: usize| {
        let bounds = bounds[accumulator].clone();
        let count = bounds.len();
        let w: [&[S::Packed]; TILE_ROWS] =
            std::array::from_fn(|r| &weights[r * row_steps + bounds.start..][..count]);
        let x: [&[S::Packed]; TILE_COLS] = std::array::from_fn(|c| &x[c][bounds.start..][..count]);
        let mut sums = [[simd.zero(); TILE_COLS]; TILE_ROWS];
        for step in 0..count {
            let mut pairs = [simd.load_pair(&w[0][step]); TILE_ROWS];
            for r in 1..TILE_ROWS {
                pairs[r] = simd.load_pair(&w[r][step]);
            }
            for c in 0..TILE_COLS {
                let x = simd.load_pair(&x[c][step]);
                for r in 0..TILE_ROWS {
                    sums[r][c] = simd.dot2(sums[r][c], pairs[r], x);
                }
            }
        }
        sums
    };
    let add = |mut a: [[S::Vector; TILE_COLS]; TILE_ROWS], b: [[S::Vector; TILE_COLS]; TILE_ROWS]| {
        for r in 0..TILE_ROWS {
            for c in 0..TILE_COLS {
                a[r][c] = simd.add(a[r][c], b[r][c]);
            }
        }
        a
    };
    let first = class(0);
    let first = add(first, class(1));
    let second = class(2);
    let second = add(second, class(3));
    add(first, second)
}

const _: () = assert!(LANES * 8 == CODES);
