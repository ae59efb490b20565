//! Rows of weights in the order in which dot products take them, from any storage.

use super::packed::{first_step, pack_row};
use super::packed_bf16::unpack_packed_bf16;
use crate::numerics::{ACCUMULATORS, Order, Real};
use crate::simd::{LINE, Simd};
use crate::weights::{Matrix, Storage};

/// Elements of an MXFP4 line.
pub(super) const CODES: usize = 2 * LINE;

/// Where the steps of one row go: every `stride`-th place of a tile.
pub(super) struct Place<'a, P> {
    tile: &'a mut [P],
    stride: usize,
    row: usize,
}

impl<'a, P> Place<'a, P> {
    #[inline(always)]
    pub(super) fn new(tile: &'a mut [P], stride: usize, row: usize) -> Self {
        Self { tile, stride, row }
    }

    #[inline(always)]
    pub(super) fn set(&mut self, step: usize, value: P) {
        self.tile[step * self.stride + self.row] = value;
    }
}

/// Unpacks one row; `row` and `wide` hold `cols` numbers for storages that need them one by one.
#[inline(always)]
pub(super) fn unpack_row<S: Simd>(
    simd: S,
    matrix: &Matrix,
    order: Order,
    index: usize,
    row: &mut Vec<f32>,
    wide: &mut Vec<S::Real>,
    out: &mut Place<'_, S::Packed>,
) {
    match (&matrix.storage, order) {
        (Storage::Mxfp4 { blocks, scales, scale_range }, Order::E) => {
            let blocks = &blocks[index * matrix.cols / 2..][..matrix.cols / 2];
            let scales = &scales[index * matrix.cols / 32..][..matrix.cols / 32];
            if is_folded(*scale_range) {
                unpack_mxfp4::<S, false>(simd, blocks, scales, out);
            } else {
                unpack_mxfp4::<S, true>(simd, blocks, scales, out);
            }
        }
        (Storage::Bf16 { data, tiny }, Order::D) => {
            let data = &data[2 * index * matrix.cols..][..2 * matrix.cols];
            if *tiny {
                unpack_bf16::<S, true>(simd, data, out);
            } else {
                unpack_bf16::<S, false>(simd, data, out);
            }
        }
        (Storage::PackedBf16(packed), Order::D) => unpack_packed_bf16(simd, packed, index, out),
        _ => {
            row.resize(matrix.cols, 0.0);
            matrix.row(index, row);
            wide.clear();
            wide.extend(row.iter().map(|&weight| S::Real::from_f32(weight)));
            let mut step = 0;
            pack_row(simd, order, wide, |packed| {
                out.set(step, packed);
                step += 1;
            });
        }
    }
}

/// Whether a scale can be folded into the exponent without a test a value.
#[inline(always)]
pub(super) fn is_folded(scale_range: (u8, u8)) -> bool {
    scale_range.0 >= 78 && scale_range.1 <= 127
}

#[inline(always)]
fn unpack_mxfp4<S: Simd, const ANY_SCALE: bool>(
    simd: S,
    blocks: &[u8],
    scales: &[u8],
    out: &mut Place<'_, S::Packed>,
) {
    let groups = blocks.len().div_ceil(LINE);
    let (lines, rest) = blocks.as_chunks::<LINE>();
    let (fours, rest_scales) = scales.as_chunks::<4>();
    for (group, (line, &scales)) in lines.iter().zip(fours).enumerate() {
        let pairs = simd.mxfp4_line::<ANY_SCALE>(line, scales);
        for (accumulator, pair) in pairs.into_iter().enumerate() {
            out.set(accumulator * groups + group, simd.store_pair(pair));
        }
    }
    if !rest.is_empty() {
        let (line, scales) = mxfp4_line(simd, rest, rest_scales);
        let pairs = simd.mxfp4_line::<ANY_SCALE>(&line, scales);
        for (accumulator, pair) in pairs.into_iter().enumerate() {
            out.set(accumulator * groups + groups - 1, simd.store_pair(pair));
        }
    }
}

#[inline(always)]
fn unpack_bf16<S: Simd, const FLUSH: bool>(simd: S, data: &[u8], out: &mut Place<'_, S::Packed>) {
    let mut first = [0; ACCUMULATORS];
    for (accumulator, first) in first.iter_mut().enumerate() {
        *first = first_step(Order::D, data.len() / 2, accumulator);
    }
    for group in 0..data.len().div_ceil(LINE) {
        let line = bf16_line(simd, &data[group * LINE..]);
        let step = first[group % ACCUMULATORS] + group / ACCUMULATORS;
        out.set(step, simd.store_pair(simd.bf16_line::<FLUSH>(&line)));
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
