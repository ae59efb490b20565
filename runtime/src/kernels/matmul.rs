//! Matrix products: a few rows of activations straight from the weights' bytes, many by tiles that are unpacked once.

use std::ops::Range;

use super::cache::l2_bytes;
use super::columns::Bf16Columns;
use super::packed::PackedRows;
use super::packed_bf16::PackedBf16Rows;
use super::rows::{Bf16Rows, Mxfp4Rows};
use super::tiles::Tiles;
use super::transpose::{Line, Transpose};
use super::unpack::is_folded;
use crate::numerics::Order;
use crate::simd::{Simd, Tile};
use crate::weights::{Matrix, Storage};

/// Memory for unpacked rows and their sums, kept from call to call.
#[derive(Clone, Debug)]
pub struct Scratch<S: Simd> {
    pub(super) weights: Vec<S::Packed>,
    pub(super) sums: Vec<S::Vector>,
    pub(super) row: Vec<f32>,
    pub(super) wide: Vec<S::Real>,
    /// Rows of what is stored by columns.
    pub(super) lines: Vec<Line>,
    /// Bytes of the L2 cache.
    pub(super) l2: usize,
}

impl<S: Simd> Default for Scratch<S> {
    fn default() -> Self {
        Self {
            weights: Vec::new(),
            sums: Vec::new(),
            row: Vec::new(),
            wide: Vec::new(),
            lines: Vec::new(),
            l2: l2_bytes(),
        }
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
    if rows.is_empty() {
        return;
    }
    let done = match selected.len() {
        0 => true,
        1 => few::<S, 1>(simd, matrix, rows.start, x, selected, out),
        count if count > most_direct::<S>(matrix) => false,
        2 => few::<S, 2>(simd, matrix, rows.start, x, selected, out),
        3 => few::<S, 3>(simd, matrix, rows.start, x, selected, out),
        4 => few::<S, 4>(simd, matrix, rows.start, x, selected, out),
        _ => few::<S, 5>(simd, matrix, rows.start, x, selected, out),
    };
    if !done {
        if let Storage::Bf16Transposed { data, .. } = &matrix.storage {
            let (order, range, out) = (x.order(), rows.clone(), &mut scratch.lines);
            simd.vectorize(Transpose { data, rows: matrix.rows, cols: matrix.cols, order, range, out });
        }
        simd.vectorize(Tiles { matrix, rows, x, selected, scratch, out });
    }
}

/// The most rows of activations that are multiplied straight from the weights' bytes; more of them by unpacked tiles.
pub(crate) fn most_direct<S: Simd>(matrix: &Matrix) -> usize {
    match (&matrix.storage, S::TILE) {
        // As many as need less time than to turn columns into rows.
        (Storage::Bf16Transposed { .. }, _) => 2,
        // As long as the sums of all of them fit the registers.
        (_, Tile::Large) => 5,
        (_, Tile::Small) => 2,
    }
}

/// Products of `X` rows of activations; false if the storage has its elements in another order than the sums.
fn few<S: Simd, const X: usize>(
    simd: S,
    matrix: &Matrix,
    first: usize,
    x: &PackedRows<S>,
    selected: &[usize],
    out: &mut [S::Real],
) -> bool {
    let order = x.order();
    let x: [&[S::Packed]; X] = std::array::from_fn(|index| x.row(selected[index]));
    let cols = matrix.cols;
    match (&matrix.storage, order) {
        (Storage::Mxfp4 { blocks, scales, scale_range }, Order::E) => {
            if is_folded(*scale_range) {
                simd.vectorize(Mxfp4Rows::<S, false, X> { blocks, scales, cols, first, x, out });
            } else {
                simd.vectorize(Mxfp4Rows::<S, true, X> { blocks, scales, cols, first, x, out });
            }
            true
        }
        (Storage::Bf16 { data, tiny }, Order::D) => {
            if *tiny {
                simd.vectorize(Bf16Rows::<S, true, X> { data, cols, first, x, out });
            } else {
                simd.vectorize(Bf16Rows::<S, false, X> { data, cols, first, x, out });
            }
            true
        }
        (Storage::PackedBf16(matrix), Order::D) => {
            simd.vectorize(PackedBf16Rows::<S, X> { matrix, first, x, out });
            true
        }
        (Storage::Bf16Transposed { data, tiny }, _) => {
            let (rows, count) = (matrix.rows, out.len() / X);
            for (x, out) in x.into_iter().zip(out.chunks_exact_mut(count)) {
                if *tiny {
                    simd.vectorize(Bf16Columns::<S, true> { data, rows, cols, order, first, x, out });
                } else {
                    simd.vectorize(Bf16Columns::<S, false> { data, rows, cols, order, first, x, out });
                }
            }
            true
        }
        _ => false,
    }
}
