//! What stands in a tensor.

use std::sync::Arc;

use super::random::{Stream, Table};

/// Bytes that are filled at once; a whole number of words of every filling.
pub(super) const CHUNK: usize = 1 << 20;

/// A run of bytes of one kind, each a function of its place.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// Where its numbers come from.
    pub(super) stream: Stream,
    /// What they become.
    pub(super) filling: Filling,
    /// How many bytes there are.
    pub(super) len: u64,
}

/// What the numbers of a stream become.
#[derive(Clone, Debug)]
pub(super) enum Filling {
    /// bf16 numbers of a table, in the order of the stream.
    Numbers(Arc<Table>),
    /// The same numbers of matrices of `rows * cols` elements, but each written column by column.
    Transposed {
        /// The table.
        table: Arc<Table>,
        /// Rows of a matrix.
        rows: u64,
        /// Columns of a matrix.
        cols: u64,
    },
    /// Uniform bytes: two four-bit floats each.
    Codes,
    /// This byte or the next.
    Scales(u8),
}

impl Part {
    /// Writes the bytes from `start` on, which is a multiple of [`CHUNK`], to `out`.
    pub(super) fn fill(&self, start: u64, out: &mut [u8]) {
        debug_assert!(start.is_multiple_of(CHUNK as u64), "a start within a chunk");
        let stream = self.stream;
        match &self.filling {
            Filling::Codes => words(out, |index| stream.word(start / 8 + index)),
            Filling::Numbers(table) => words(out, |index| {
                let word = stream.word(start / 8 + index);
                let number = |shift: u32| u64::from(table[usize::from((word >> shift) as u16)]) << shift;
                number(0) | number(16) | number(32) | number(48)
            }),
            Filling::Transposed { table, rows, cols } => {
                for (index, out) in (start / 2..).zip(out.chunks_exact_mut(2)) {
                    let (matrix, place) = (index / (rows * cols), index % (rows * cols));
                    let (row, col) = (place % rows, place / rows);
                    let half = stream.half((matrix * rows + row) * cols + col);
                    out.copy_from_slice(&table[usize::from(half)].to_le_bytes());
                }
            }
            Filling::Scales(low) => {
                for (index, out) in (start / 64..).zip(out.chunks_mut(64)) {
                    let word = stream.word(index);
                    for (bit, out) in out.iter_mut().enumerate() {
                        *out = low + (word >> bit & 1) as u8;
                    }
                }
            }
        }
    }
}

/// Fills `out` with words in little-endian order; the last one may be cut.
#[inline(always)]
fn words(out: &mut [u8], word: impl Fn(u64) -> u64) {
    let (whole, rest) = out.as_chunks_mut::<8>();
    let count = whole.len() as u64;
    for (index, out) in (0..).zip(whole) {
        *out = word(index).to_le_bytes();
    }
    let len = rest.len();
    rest.copy_from_slice(&word(count).to_le_bytes()[..len]);
}
