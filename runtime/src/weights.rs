//! Typed weights: each shape, dtype and value was checked when they were loaded.

pub(crate) mod load;
pub mod packed_bf16;
mod scan;

use std::ops::{Deref, Range};
use std::sync::Arc;

use crate::dtype::{bf16, mxfp4};
use crate::numerics::flush;
use packed_bf16::PackedBf16;

/// Bytes that live as long as they are used: a part of a mapped file, or owned.
#[derive(Clone)]
pub struct Bytes {
    owner: Arc<dyn AsRef<[u8]> + Send + Sync>,
    range: Range<usize>,
}

impl Bytes {
    /// The bytes `range` of `owner`.
    ///
    /// # Panics
    ///
    /// If `range` is not within the owner's bytes.
    #[must_use]
    pub fn new(owner: Arc<dyn AsRef<[u8]> + Send + Sync>, range: Range<usize>) -> Self {
        assert!(
            range.start <= range.end && range.end <= (*owner).as_ref().len(),
            "bytes outside their owner"
        );
        Self { owner, range }
    }

    /// A part of these bytes; `range` counts from their start.
    ///
    /// # Panics
    ///
    /// If `range` is not within these bytes.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        assert!(range.end <= self.range.len(), "slice outside its bytes");
        Self {
            owner: self.owner.clone(),
            range: self.range.start + range.start..self.range.start + range.end,
        }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &(*self.owner).as_ref()[self.range.clone()]
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        let range = 0..bytes.len();
        Self { owner: Arc::new(bytes), range }
    }
}

impl From<&'static [u8]> for Bytes {
    /// Bytes of the program itself; nothing is copied.
    fn from(bytes: &'static [u8]) -> Self {
        Self { owner: Arc::new(bytes), range: 0..bytes.len() }
    }
}

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bytes({})", self.range.len())
    }
}

/// How the elements of a [`Matrix`] are stored. All numbers are little-endian; bytes need no alignment.
#[derive(Clone, Debug)]
pub enum Storage {
    /// bf16, row by row: `rows * cols * 2` bytes.
    Bf16 {
        /// The elements.
        data: Bytes,
        /// Whether some element is not zero and below 2^-50, so that it must be flushed when read.
        tiny: bool,
    },
    /// bf16 in twelve bits, already flushed.
    PackedBf16(PackedBf16),
    /// bf16, column by column: element (row, col) is the number `col * rows + row`. Experts of fine-tunes come so.
    Bf16Transposed {
        /// The elements.
        data: Bytes,
        /// As in `Bf16`.
        tiny: bool,
    },
    /// MXFP4 blocks of 32 elements of a row; `cols` is a multiple of 32.
    Mxfp4 {
        /// `rows * cols / 2` bytes.
        blocks: Bytes,
        /// `rows * cols / 32` bytes, each at most 252.
        scales: Bytes,
        /// The least and the greatest scale byte; (127, 127) for a matrix without elements.
        scale_range: (u8, u8),
    },
}

/// A matrix of weights, `[rows, cols]` = `[out, in]`.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// Output elements.
    pub rows: usize,
    /// Input elements.
    pub cols: usize,
    /// Where the elements are.
    pub storage: Storage,
}

impl Matrix {
    /// Writes row `row` to `out` (of `cols` elements) in the order of its elements, flushed (clause 3).
    ///
    /// # Panics
    ///
    /// If `row` is out of range or `out` has another length.
    pub fn row(&self, row: usize, out: &mut [f32]) {
        assert!(row < self.rows && out.len() == self.cols, "a row that the matrix does not have");
        let bf16_at = |data: &Bytes, index: usize| {
            flush(bf16::to_f32(u16::from_le_bytes([data[2 * index], data[2 * index + 1]])))
        };
        match &self.storage {
            Storage::Bf16 { data, .. } => {
                let data = &data[2 * row * self.cols..][..2 * self.cols];
                for (out, bytes) in out.iter_mut().zip(data.chunks_exact(2)) {
                    *out = flush(bf16::to_f32(u16::from_le_bytes([bytes[0], bytes[1]])));
                }
            }
            Storage::PackedBf16(packed) => {
                let mut bits = vec![0; self.cols];
                packed.unpack(row, &mut bits);
                out.iter_mut().zip(bits).for_each(|(out, bits)| *out = bf16::to_f32(bits));
            }
            Storage::Bf16Transposed { data, .. } => {
                for (col, out) in out.iter_mut().enumerate() {
                    *out = bf16_at(data, col * self.rows + row);
                }
            }
            Storage::Mxfp4 { blocks, scales, .. } => {
                let per_row = self.cols / mxfp4::BLOCK_LEN;
                let blocks = &blocks[row * per_row * mxfp4::BLOCK_BYTES..][..per_row * mxfp4::BLOCK_BYTES];
                let scales = &scales[row * per_row..][..per_row];
                let (blocks, _) = blocks.as_chunks::<{ mxfp4::BLOCK_BYTES }>();
                for ((out, block), &scale) in out.chunks_exact_mut(mxfp4::BLOCK_LEN).zip(blocks).zip(scales) {
                    let values = mxfp4::unpack(block, scale).expect("scales were checked at load");
                    for (out, value) in out.iter_mut().zip(values) {
                        *out = flush(value);
                    }
                }
            }
        }
    }
}

/// A matrix and what is added to its product.
#[derive(Clone, Debug)]
pub struct Linear {
    /// `[out, in]`.
    pub matrix: Matrix,
    /// `[out]`, flushed; absent where the checkpoint has none.
    pub bias: Option<Vec<f32>>,
}

/// One expert of a layer.
#[derive(Clone, Debug)]
pub struct Expert {
    /// `[2 * intermediate, hidden]`: row 2j is gate j, row 2j + 1 is up j.
    pub gate_up: Linear,
    /// `[hidden, intermediate]`.
    pub down: Linear,
}

/// The weights of one layer. Vectors are widened to f32 and flushed.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Scale of the norm before attention, `[hidden]`.
    pub attention_norm: Vec<f32>,
    /// `[query heads * head_dim, hidden]`.
    pub query: Linear,
    /// `[key heads * head_dim, hidden]`.
    pub key: Linear,
    /// `[key heads * head_dim, hidden]`.
    pub value: Linear,
    /// One logit a query head, which takes part in the softmax and has no value.
    pub sinks: Vec<f32>,
    /// `[hidden, query heads * head_dim]`.
    pub output: Linear,
    /// Scale of the norm before the experts, `[hidden]`.
    pub mlp_norm: Vec<f32>,
    /// `[experts, hidden]`.
    pub router: Linear,
    /// The experts, by id.
    pub experts: Vec<Expert>,
}

/// All weights of a model.
#[derive(Clone, Debug)]
pub struct Weights {
    /// `[vocabulary, hidden]`.
    pub embedding: Matrix,
    /// The layers, first to last.
    pub layers: Vec<Layer>,
    /// Scale of the last norm, `[hidden]`.
    pub norm: Vec<f32>,
    /// `[vocabulary, hidden]`.
    pub unembedding: Matrix,
}
