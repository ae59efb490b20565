//! Rows of weights in the order in which dot products take them, from any storage.

use super::packed::{pack_row, start, steps};
use crate::numerics::{ACCUMULATORS, Order, Real};
use crate::simd::{LINE, Simd};
use crate::weights::{Matrix, Storage};

/// Elements of an MXFP4 line.
pub(super) const CODES: usize = 2 * LINE;

/// Unpacks one row; `out` has as many places as the row has steps, `row` holds `cols` numbers for storages that need
/// them one by one.
#[inline(always)]
pub(super) fn unpack_row<S: Simd>(
    simd: S,
    matrix: &Matrix,
    order: Order,
    index: usize,
    row: &mut Vec<f32>,
    wide: &mut Vec<S::Real>,
    out: &mut [S::Packed],
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
        _ => {
            row.resize(matrix.cols, 0.0);
            matrix.row(index, row);
            wide.clear();
            wide.extend(row.iter().map(|&weight| S::Real::from_f32(weight)));
            pack_row(simd, order, wide, out);
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
    out: &mut [S::Packed],
) {
    let groups = blocks.len().div_ceil(LINE);
    let mut lines = MxfpLines::new(blocks, scales);
    for group in 0..groups {
        let (line, scales) = lines.get(group);
        let pairs = simd.mxfp4_line::<ANY_SCALE>(&line, scales);
        for (accumulator, pair) in pairs.into_iter().enumerate() {
            out[accumulator * groups + group] = simd.store_pair(pair);
        }
    }
}

#[inline(always)]
fn unpack_bf16<S: Simd, const FLUSH: bool>(simd: S, data: &[u8], out: &mut [S::Packed]) {
    let cols = data.len() / 2;
    let mut places = out.iter_mut();
    for accumulator in 0..ACCUMULATORS {
        for step in 0..steps(Order::D, cols, accumulator) {
            let line = bf16_line(data, start(Order::D, accumulator, step));
            if let Some(place) = places.next() {
                *place = simd.store_pair(simd.bf16_line::<FLUSH>(&line));
            }
        }
    }
}

/// 32 bf16 numbers from element `start` on, padded with +0.
#[inline(always)]
pub(super) fn bf16_line(data: &[u8], start: usize) -> [u8; LINE] {
    let data = &data[2 * start..];
    if let Some(line) = data.first_chunk() {
        return *line;
    }
    let mut line = [0; LINE];
    line[..data.len()].copy_from_slice(data);
    line
}

/// The lines of one MXFP4 row, the last one padded with codes of +0.
pub(super) struct MxfpLines<'a> {
    blocks: &'a [u8],
    scales: &'a [u8],
}

impl<'a> MxfpLines<'a> {
    #[inline(always)]
    pub(super) fn new(blocks: &'a [u8], scales: &'a [u8]) -> Self {
        Self { blocks, scales }
    }

    #[inline(always)]
    pub(super) fn get(&mut self, group: usize) -> ([u8; LINE], [u8; 4]) {
        let blocks = &self.blocks[group * LINE..];
        let scales = &self.scales[group * 4..];
        if let (Some(line), Some(scales)) = (blocks.first_chunk(), scales.first_chunk()) {
            return (*line, *scales);
        }
        // Any scale does for what is not there: its codes are zero.
        let (mut line, mut padded) = ([0; LINE], [127; 4]);
        line[..blocks.len()].copy_from_slice(blocks);
        padded[..scales.len()].copy_from_slice(scales);
        (line, padded)
    }
}
