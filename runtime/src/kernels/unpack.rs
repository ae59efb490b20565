//! Rows of weights in the order in which dot products take them, from any storage.

use std::ops::Range;

use super::packed::{pack_row, steps};
use super::packed_bf16::{Lines, each_line};
use super::transpose::Line;
use crate::numerics::{ACCUMULATORS, Order, Real};
use crate::simd::{LINE, Simd, Tile};
use crate::weights::{Matrix, Storage};

/// Elements of an MXFP4 line.
pub(super) const CODES: usize = 2 * LINE;

/// Accumulators that are unpacked together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// One.
    Quarter(usize),
    /// The first two, or the other two.
    Half(usize),
    /// All.
    Whole,
}

impl Part {
    /// Whether the activations of a tile are so large that a quarter of them stays in the L1 cache, but no half.
    #[inline(always)]
    const fn quarters<S: Simd>() -> bool {
        matches!(S::TILE, Tile::Large) && size_of::<S::Packed>() > LINE
    }

    /// All accumulators in parts of the size that suits an instruction set.
    #[inline(always)]
    pub(super) const fn all<S: Simd>() -> &'static [Self] {
        if Self::quarters::<S>() {
            &[Self::Quarter(0), Self::Quarter(1), Self::Quarter(2), Self::Quarter(3)]
        } else {
            &[Self::Half(0), Self::Half(1)]
        }
    }

    #[inline(always)]
    pub(super) fn accumulators(self) -> Range<usize> {
        match self {
            Self::Quarter(part) => part..part + 1,
            Self::Half(part) => 2 * part..2 * part + 2,
            Self::Whole => 0..ACCUMULATORS,
        }
    }
}

/// Whether an accumulator is in a set: bit `i` for accumulator `i`.
#[inline(always)]
const fn has<const SET: u8>(accumulator: usize) -> bool {
    SET >> accumulator & 1 == 1
}

/// Where the steps of one row of weights go: for each accumulator and step one of `R` places side by side.
pub(super) struct Place<'a, P, const R: usize> {
    part: Part,
    /// Nothing for an accumulator that is not unpacked.
    steps: [&'a mut [[P; R]]; ACCUMULATORS],
    row: usize,
}

impl<'a, P, const R: usize> Place<'a, P, R> {
    /// The place of row `row` of `R`, where the accumulators of `part` lie one after the other in `all`.
    #[inline(always)]
    pub(super) fn new(part: Part, order: Order, cols: usize, mut all: &'a mut [[P; R]], row: usize) -> Self {
        let places = std::array::from_fn(|accumulator| {
            let is_in = part.accumulators().contains(&accumulator);
            let count = if is_in { steps(order, cols, accumulator) } else { 0 };
            all.split_off_mut(..count).expect("a place for each step")
        });
        Self { part, steps: places, row: row % R }
    }

    /// Limits the accumulators of `SET` to `steps` steps, so that each is tested once.
    #[inline(always)]
    fn first<const SET: u8>(&mut self, steps: usize) -> Place<'_, P, R> {
        let mut accumulator = 0;
        let places = self.steps.each_mut().map(|places| {
            let count = if has::<SET>(accumulator) { steps } else { 0 };
            accumulator += 1;
            &mut places[..count]
        });
        Place { part: self.part, steps: places, row: self.row }
    }

    #[inline(always)]
    pub(super) fn set(&mut self, accumulator: usize, step: usize, value: P) {
        self.steps[accumulator][step][self.row] = value;
    }
}

/// Whether some accumulators of a row can be unpacked without the others.
pub(super) fn has_parts(matrix: &Matrix, order: Order) -> bool {
    matches!(
        (&matrix.storage, order),
        (Storage::Mxfp4 { .. }, Order::E)
            | (Storage::Bf16 { .. } | Storage::PackedBf16(_), Order::D)
            | (Storage::Bf16Transposed { .. }, _)
    )
}

/// A row of weights.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) matrix: &'a Matrix,
    pub(super) order: Order,
    pub(super) index: usize,
    /// Its lines, if the matrix is stored by columns.
    pub(super) lines: &'a [Line],
}

/// Unpacks one row; `row` and `wide` hold its numbers where a storage needs them one by one.
#[inline(always)]
pub(super) fn unpack_row<S: Simd, const R: usize>(
    simd: S,
    weights: Row<'_>,
    row: &mut Vec<f32>,
    wide: &mut Vec<S::Real>,
    mut out: Place<'_, S::Packed, R>,
) {
    let Row { matrix, order, index, .. } = weights;
    if has_parts(matrix, order) {
        // Constants, so that nothing is computed for the others, and nothing is compiled that is not asked for.
        return match out.part {
            Part::Quarter(0) if Part::quarters::<S>() => unpack::<S, 0b0001, R>(simd, weights, out),
            Part::Quarter(1) if Part::quarters::<S>() => unpack::<S, 0b0010, R>(simd, weights, out),
            Part::Quarter(2) if Part::quarters::<S>() => unpack::<S, 0b0100, R>(simd, weights, out),
            Part::Quarter(_) if Part::quarters::<S>() => unpack::<S, 0b1000, R>(simd, weights, out),
            Part::Half(0) if !Part::quarters::<S>() => unpack::<S, 0b0011, R>(simd, weights, out),
            Part::Half(_) if !Part::quarters::<S>() => unpack::<S, 0b1100, R>(simd, weights, out),
            _ => unpack::<S, 0b1111, R>(simd, weights, out),
        };
    }
    row.resize(matrix.cols, 0.0);
    matrix.row(index, row);
    wide.clear();
    wide.extend(row.iter().map(|&weight| S::Real::from_f32(weight)));
    pack_row(simd, order, wide, |accumulator, step, packed| {
        if out.part.accumulators().contains(&accumulator) {
            out.set(accumulator, step, packed);
        }
    });
}

#[inline(always)]
fn unpack<S: Simd, const SET: u8, const R: usize>(
    simd: S,
    weights: Row<'_>,
    mut out: Place<'_, S::Packed, R>,
) {
    let Row { matrix, order, index, lines } = weights;
    let cols = matrix.cols;
    match &matrix.storage {
        Storage::Mxfp4 { blocks, scales, scale_range } => {
            let blocks = &blocks[index * cols / 2..][..cols / 2];
            let scales = &scales[index * cols / 32..][..cols / 32];
            if is_folded(*scale_range) {
                unpack_mxfp4::<S, false, SET, R>(simd, blocks, scales, &mut out);
            } else {
                unpack_mxfp4::<S, true, SET, R>(simd, blocks, scales, &mut out);
            }
        }
        Storage::Bf16 { data, tiny } => {
            let data = &data[2 * index * cols..][..2 * cols];
            if *tiny {
                unpack_bf16::<S, true, SET, R>(simd, data, &mut out);
            } else {
                unpack_bf16::<S, false, SET, R>(simd, data, &mut out);
            }
        }
        Storage::PackedBf16(packed) => {
            let mut places = Places::<S, SET, R>(out);
            each_line(simd, &packed.row(index), cols, &mut places);
        }
        Storage::Bf16Transposed { tiny: true, .. } => {
            unpack_lines::<S, true, SET, R>(simd, lines, order, cols, &mut out);
        }
        Storage::Bf16Transposed { tiny: false, .. } => {
            unpack_lines::<S, false, SET, R>(simd, lines, order, cols, &mut out);
        }
    }
}

/// Whether a scale can be folded into the exponent without a test a value.
#[inline(always)]
pub(super) fn is_folded(scale_range: (u8, u8)) -> bool {
    scale_range.0 >= 78 && scale_range.1 <= 127
}

/// The places of a row's lines.
struct Places<'a, S: Simd, const SET: u8, const R: usize>(Place<'a, S::Packed, R>);

impl<S: Simd, const SET: u8, const R: usize> Lines<S> for Places<'_, S, SET, R> {
    #[inline(always)]
    fn take(&mut self, simd: S, accumulator: usize, step: usize, weights: S::Pair) {
        if has::<SET>(accumulator) {
            self.0.set(accumulator, step, simd.store_pair(weights));
        }
    }
}

#[inline(always)]
fn unpack_mxfp4<S: Simd, const ANY_SCALE: bool, const SET: u8, const R: usize>(
    simd: S,
    blocks: &[u8],
    scales: &[u8],
    out: &mut Place<'_, S::Packed, R>,
) {
    let (lines, rest) = blocks.as_chunks::<LINE>();
    let (fours, rest_scales) = scales.as_chunks::<4>();
    let mut first = out.first::<SET>(lines.len());
    for (step, (line, scales)) in lines.iter().zip(fours).enumerate() {
        if has::<SET>(0) {
            // The line of the row after the next one.
            simd.prefetch(line.as_ptr().wrapping_add(2 * blocks.len()));
        }
        unpack_line::<S, ANY_SCALE, SET, R>(simd, line, *scales, step, &mut first);
    }
    if !rest.is_empty() {
        let (line, scales) = mxfp4_line(simd, rest, rest_scales);
        unpack_line::<S, ANY_SCALE, SET, R>(simd, &line, scales, lines.len(), out);
    }
}

#[inline(always)]
fn unpack_line<S: Simd, const ANY_SCALE: bool, const SET: u8, const R: usize>(
    simd: S,
    line: &[u8; LINE],
    scales: [u8; 4],
    step: usize,
    out: &mut Place<'_, S::Packed, R>,
) {
    let pairs = simd.mxfp4_line::<ANY_SCALE>(line, scales);
    for (accumulator, pair) in pairs.into_iter().enumerate() {
        if has::<SET>(accumulator) {
            out.set(accumulator, step, simd.store_pair(pair));
        }
    }
}

#[inline(always)]
fn unpack_bf16<S: Simd, const FLUSH: bool, const SET: u8, const R: usize>(
    simd: S,
    data: &[u8],
    out: &mut Place<'_, S::Packed, R>,
) {
    let (quads, rest) = data.as_chunks::<{ ACCUMULATORS * LINE }>();
    let mut first = out.first::<SET>(quads.len());
    for (step, quad) in quads.iter().enumerate() {
        let (lines, _) = quad.as_chunks::<LINE>();
        for (accumulator, line) in lines.iter().enumerate() {
            if has::<SET>(0) {
                // The same line of the next row, whichever accumulator's it is.
                simd.prefetch(line.as_ptr().wrapping_add(data.len()));
            }
            if has::<SET>(accumulator) {
                let pair = simd.bf16_line::<FLUSH>(line);
                first.set(accumulator, step, simd.store_pair(pair));
            }
        }
    }
    for (accumulator, line) in rest.chunks(LINE).enumerate() {
        if has::<SET>(accumulator) {
            let pair = simd.bf16_line::<FLUSH>(&bf16_line(simd, line));
            out.set(accumulator, quads.len(), simd.store_pair(pair));
        }
    }
}

/// The lines of a row that is stored by columns.
#[inline(always)]
fn unpack_lines<S: Simd, const FLUSH: bool, const SET: u8, const R: usize>(
    simd: S,
    mut lines: &[Line],
    order: Order,
    cols: usize,
    out: &mut Place<'_, S::Packed, R>,
) {
    for accumulator in 0..ACCUMULATORS {
        let steps = lines.split_off(..steps(order, cols, accumulator)).expect("a line for each step");
        if has::<SET>(accumulator) {
            for (step, line) in steps.iter().enumerate() {
                out.set(accumulator, step, simd.store_pair(simd.bf16_line::<FLUSH>(&line.0)));
            }
        }
    }
}

/// The first 32 bf16 numbers of `data`, padded with +0.
#[inline(always)]
pub(super) fn bf16_line<S: Simd>(simd: S, data: &[u8]) -> [u8; LINE] {
    match data.first_chunk() {
        Some(line) => *line,
        None => simd.padded(data),
    }
}

/// The last, short line of an MXFP4 row, padded with codes of +0; any scale does for those.
#[inline(always)]
pub(super) fn mxfp4_line<S: Simd>(simd: S, blocks: &[u8], scales: &[u8]) -> ([u8; LINE], [u8; 4]) {
    let at = |index: usize| scales.get(index).copied().unwrap_or(127);
    let scales = [at(0), at(1), at(2), at(3)];
    (simd.padded(blocks), scales)
}
