//! A packed matrix as what a file holds of it.

use super::{Bytes, ESCAPE, PackedBf16, TABLE, row_bytes, tail_lines, whole_groups};

/// The pieces of a packed matrix.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pieces<'a> {
    /// Row by row.
    pub(crate) data: &'a [u8],
    /// The exponents of each row's table.
    pub(crate) tables: &'a [u8],
    /// The number of escaped groups before each row, and of all.
    pub(crate) starts: &'a [u32],
    /// The escaped groups of each row.
    pub(crate) escaped: &'a [u16],
}

impl PackedBf16 {
    pub(crate) fn pieces(&self) -> Pieces<'_> {
        Pieces { data: &self.data, tables: &self.tables, starts: &self.starts, escaped: &self.escaped }
    }

    /// A matrix of bytes that were read: starts and escaped groups are little-endian. Everything that decides what is
    /// read where is checked; the rule that is broken otherwise.
    pub(crate) fn from_parts(
        rows: usize,
        cols: usize,
        data: Bytes,
        tables: Bytes,
        starts: &[u8],
        escaped: &[u8],
    ) -> Result<Self, &'static str> {
        let ((starts, odd_starts), (escaped, odd_escaped)) = (starts.as_chunks(), escaped.as_chunks());
        let starts: Vec<u32> = starts.iter().map(|&start| u32::from_le_bytes(start)).collect();
        let escaped: Vec<u16> = escaped.iter().map(|&group| u16::from_le_bytes(group)).collect();
        if cols >= 1 << 23 || !odd_starts.is_empty() || !odd_escaped.is_empty() {
            return Err("a packed matrix has rows of fewer than 2^23 elements, and whole numbers");
        }
        if tables.len() != rows * TABLE || !tables.iter().all(|&e| e == 0 || (77..255).contains(&e)) {
            return Err("a row has a table of sixteen exponents, each 0 or from 77 to 254");
        }
        let is_ascending = starts.is_sorted() && starts.first() == Some(&0);
        if starts.len() != rows + 1
            || !is_ascending
            || starts.last() != u32::try_from(escaped.len()).ok().as_ref()
        {
            return Err("the rows share out the escaped groups one after the other");
        }
        let groups = whole_groups(cols) + usize::from(tail_lines(cols) >= 2);
        let of_row = |ends: &[u32]| {
            let escaped = &escaped[ends[0] as usize..ends[1] as usize];
            escaped.is_sorted_by(|a, b| a < b)
                && escaped.last().is_none_or(|&last| usize::from(last) < groups)
        };
        if !starts.windows(2).all(of_row) {
            return Err("the escaped groups of a row are groups of it, ascending");
        }
        if data.len() != rows * row_bytes(cols) + escaped.len() * ESCAPE {
            return Err("the data have the length that rows and escaped groups give");
        }
        Ok(Self { rows, cols, data, tables, starts, escaped })
    }
}
