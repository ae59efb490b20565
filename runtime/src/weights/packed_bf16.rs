//! bf16 matrices in twelve bits an element, without loss.
//!
//! The signs and mantissas of a row take a byte an element. Exponents are few: each row has a table of the sixteen that
//! it uses most, and an element names one of them in four bits. A group of [`GROUP`] elements with any other exponent
//! is *escaped*: it stands as plain bf16, in its place, so that a row stays one stream of bytes.
//!
//! A row has its groups one after the other, each as two halves of two lines of 32 elements:
//!
//! | bytes | what |
//! |---|---|
//! | 0 to 63, 64 to 127 | signs and mantissas of lines 0 and 1, and of lines 2 and 3 |
//! | 128 to 159, 160 to 191 | codes of lines 0 and 1, and of lines 2 and 3: byte j has element j of the one in its lower four bits and that of the other in its upper ones |
//!
//! Two lines share 16 words of 32 bits: where `a` and `b` are a word of each (an even element below an odd one) and M is
//! 0x807f807f, the bits of signs and mantissas, the word is (a & M) | ((b & M) rotated left by 8). The rotated bits are
//! just those that M leaves free.
//! What is left of a row is padded to whole lines; two of them are packed as above, and a single one is plain. An
//! escaped group has [`ESCAPE`] bytes more than a packed one, so where a row begins follows from the number of escaped
//! groups before it.

mod parts;
#[cfg(test)]
mod tests;

use rayon::prelude::*;

use super::Bytes;
use crate::numerics::flush;

/// Elements of a group: one step of all accumulators of order D.
pub const GROUP: usize = 128;
/// Bytes of a packed group.
pub const GROUP_BYTES: usize = GROUP * 3 / 2;
/// How many bytes more an escaped group has.
pub const ESCAPE: usize = 2 * GROUP - GROUP_BYTES;
/// Exponents of a row's table.
pub const TABLE: usize = 16;

/// Elements of a line.
const LINE: usize = 32;
/// Bytes of two packed lines.
const HALF_BYTES: usize = GROUP_BYTES / 2;
/// The sign and the mantissa of both elements of a word.
const SIGN_MANTISSA: u32 = 0x807f_807f;

/// A packed matrix of bf16; its elements are flushed (clause 3 of the contract).
#[derive(Clone, Debug)]
pub struct PackedBf16 {
    rows: usize,
    cols: usize,
    /// Row by row.
    data: Bytes,
    /// [`TABLE`] exponents a row.
    tables: Bytes,
    /// The number of escaped groups before each row, and of all.
    starts: Vec<u32>,
    /// The escaped groups of each row, ascending. What is left after the whole groups is the last group.
    escaped: Vec<u16>,
}

/// One row of a [`PackedBf16`].
#[derive(Clone, Copy, Debug)]
pub struct PackedRow<'a> {
    /// Its groups.
    pub data: &'a [u8],
    /// The exponents that its codes stand for.
    pub table: &'a [u8; TABLE],
    /// Its escaped groups, ascending.
    pub escaped: &'a [u16],
}

/// Lines of 32 elements that the last, short group of a row has: 0 to 3.
#[must_use]
pub const fn tail_lines(cols: usize) -> usize {
    cols.div_ceil(LINE) % (GROUP / LINE)
}

/// Whole groups of a row; a last group whose last line is short is whole, too.
#[must_use]
pub const fn whole_groups(cols: usize) -> usize {
    cols.div_ceil(LINE) / (GROUP / LINE)
}

/// Bytes of a row without escaped groups.
const fn row_bytes(cols: usize) -> usize {
    let lines = tail_lines(cols);
    whole_groups(cols) * GROUP_BYTES + lines / 2 * HALF_BYTES + lines % 2 * 2 * LINE
}

/// A row while it is packed.
struct Packing {
    data: Vec<u8>,
    table: [u8; TABLE],
    escaped: Vec<u16>,
}

impl PackedBf16 {
    /// Packs a matrix of `rows` by `cols` elements, bf16, little-endian, row by row.
    ///
    /// Runs in parallel on the current rayon pool.
    ///
    /// # Panics
    ///
    /// If `data` is not as long as that, or a row has 2^23 elements or more, or the matrix 2^39.
    ///
    /// ```
    /// use gptoss_runtime::weights::packed_bf16::PackedBf16;
    ///
    /// let ones = [0x80, 0x3f].repeat(64 * 2880);
    /// let packed = PackedBf16::pack(64, 2880, &ones);
    /// assert!(packed.size() < ones.len() * 76 / 100);
    /// let mut row = [0; 2880];
    /// packed.unpack(3, &mut row);
    /// assert_eq!(row, [0x3f80; 2880]);
    /// ```
    #[must_use]
    pub fn pack(rows: usize, cols: usize, data: &[u8]) -> Self {
        assert_eq!(data.len(), 2 * rows * cols, "two bytes an element");
        assert!(cols < 1 << 23, "a group's number fits 16 bits");
        let packed: Vec<Packing> = data.par_chunks_exact((2 * cols).max(1)).map(pack_row).collect();
        let mut starts = vec![0];
        let (mut data, mut tables, mut escaped) = (Vec::new(), Vec::new(), Vec::new());
        data.reserve_exact(packed.iter().map(|row| row.data.len()).sum());
        for row in packed {
            data.extend(row.data);
            tables.extend(row.table);
            escaped.extend(row.escaped);
            starts.push(u32::try_from(escaped.len()).expect("fewer than 2^39 elements"));
        }
        starts.resize(rows + 1, 0);
        tables.resize(TABLE * rows, 0);
        Self { rows, cols, data: data.into(), tables: tables.into(), starts, escaped }
    }

    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Elements of a row.
    #[must_use]
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Its rows' groups, one after the other: nearly all of its bytes.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The number of escaped groups.
    #[must_use]
    pub fn escaped(&self) -> usize {
        self.escaped.len()
    }

    /// All its bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.data.len() + self.tables.len() + 4 * self.starts.len() + 2 * self.escaped.len()
    }

    /// Whether it is small enough, beside plain bf16, to be worth the work of unpacking it.
    ///
    /// By 2 % at least, where an escaped group counts as so many bytes more as are read in the time in which a processor
    /// finds out that it guessed wrongly where one comes.
    #[must_use]
    pub fn gains(&self) -> bool {
        gains(self.size(), self.escaped(), 2 * self.rows * self.cols)
    }

    /// One row.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    #[inline(always)]
    #[must_use]
    pub fn row(&self, row: usize) -> PackedRow<'_> {
        let (first, end) = (self.starts[row] as usize, self.starts[row + 1] as usize);
        let size = row_bytes(self.cols);
        PackedRow {
            data: &self.data[row * size + first * ESCAPE..(row + 1) * size + end * ESCAPE],
            table: self.tables[row * TABLE..].first_chunk().expect("a table a row"),
            escaped: &self.escaped[first..end],
        }
    }

    /// Writes the bits of row `row` to `out`, flushed.
    ///
    /// # Panics
    ///
    /// If there is no such row or `out` is not as long as it.
    pub fn unpack(&self, row: usize, out: &mut [u16]) {
        assert_eq!(out.len(), self.cols, "as many elements as the row has");
        let PackedRow { mut data, table, mut escaped } = self.row(row);
        for (group, out) in out.chunks_mut(GROUP).enumerate() {
            let lines = out.len().div_ceil(LINE);
            let is_escaped = escaped.split_off_first_if(group);
            let mut bits = [0; GROUP];
            let used = if is_escaped {
                unpack_plain(data, &mut bits[..lines * LINE]);
                group_bytes(lines) + ESCAPE
            } else {
                unpack_group(data, table, lines, &mut bits);
                group_bytes(lines)
            };
            data = &data[used..];
            out.copy_from_slice(&bits[..out.len()]);
        }
    }
}

/// Whether so many bytes with so many escaped groups are better than plain ones.
pub(crate) const fn gains(size: usize, escaped: usize, plain: usize) -> bool {
    /// So that a matrix with two escaped groups in each row of 2880, which was no faster than a plain one, stays plain.
    const ESCAPED: usize = 640;
    size + ESCAPED * escaped <= plain / 50 * 49
}

/// Bytes of a packed group of so many lines.
const fn group_bytes(lines: usize) -> usize {
    lines / 2 * HALF_BYTES + lines % 2 * 2 * LINE
}

trait SplitOff {
    /// Takes the first number off if it is `group`.
    fn split_off_first_if(&mut self, group: usize) -> bool;
}

impl SplitOff for &[u16] {
    fn split_off_first_if(&mut self, group: usize) -> bool {
        match self.split_first() {
            Some((&first, rest)) if usize::from(first) == group => {
                *self = rest;
                true
            }
            _ => false,
        }
    }
}

fn unpack_plain(data: &[u8], out: &mut [u16]) {
    for (out, bytes) in out.iter_mut().zip(data.as_chunks::<2>().0) {
        *out = u16::from_le_bytes(*bytes);
    }
}

fn unpack_group(data: &[u8], table: &[u8; TABLE], lines: usize, out: &mut [u16; GROUP]) {
    let halves = lines / 2;
    let (words, rest) = data.split_at(halves * 2 * LINE);
    let (codes, rest) = rest.split_at(halves * LINE);
    let halves = words.as_chunks::<{ 2 * LINE }>().0.iter().zip(codes.as_chunks::<LINE>().0);
    let (out, _) = out.as_chunks_mut::<LINE>();
    for (index, (words, codes)) in halves.enumerate() {
        let [a, b] = unpack_lines(words, codes, table);
        out[2 * index] = a;
        out[2 * index + 1] = b;
    }
    if lines % 2 == 1 {
        unpack_plain(rest, &mut out[lines - 1]);
    }
}

/// The bits of two packed lines.
#[inline(always)]
pub(crate) fn unpack_lines(
    words: &[u8; 2 * LINE],
    codes: &[u8; LINE],
    table: &[u8; TABLE],
) -> [[u16; LINE]; 2] {
    let mut lines = [[0; LINE]; 2];
    for (index, word) in words.as_chunks::<4>().0.iter().enumerate() {
        let word = u32::from_le_bytes(*word);
        let signs_mantissas = [word & SIGN_MANTISSA, word.rotate_right(8) & SIGN_MANTISSA];
        for element in [2 * index, 2 * index + 1] {
            for (line, shift) in [0, 4].into_iter().enumerate() {
                let exponent = table[usize::from(codes[element] >> shift & 15)];
                let rest = (signs_mantissas[line] >> (16 * (element % 2))) as u16;
                lines[line][element] = rest | u16::from(exponent) << 7;
            }
        }
    }
    lines
}

/// The exponent of bf16 bits.
const fn exponent(bits: u16) -> u8 {
    (bits >> 7) as u8
}

/// The sixteen exponents that occur most, the greatest first; equally frequent ones by size.
fn table(row: &[u16]) -> ([u8; TABLE], [Option<u8>; 256]) {
    let mut counts = [0_u32; 256];
    for &bits in row {
        counts[usize::from(exponent(bits))] += 1;
    }
    let mut by_count: Vec<u8> = (0..=u8::MAX).filter(|&e| counts[usize::from(e)] > 0).collect();
    by_count.sort_by_key(|&e| std::cmp::Reverse((counts[usize::from(e)], e)));
    by_count.truncate(TABLE);
    by_count.sort_by_key(|&e| std::cmp::Reverse(e));
    let (mut table, mut codes) = ([0; TABLE], [None; 256]);
    for (code, exponent) in (0..).zip(by_count) {
        table[usize::from(code)] = exponent;
        codes[usize::from(exponent)] = Some(code);
    }
    (table, codes)
}

fn pack_row(row: &[u8]) -> Packing {
    let bits = row.as_chunks::<2>().0.iter().map(|&bits| u16::from_le_bytes(bits));
    let row: Vec<u16> = bits.map(flushed).collect();
    let (table, codes) = table(&row);
    let (mut data, mut escaped) = (Vec::with_capacity(row_bytes(row.len())), Vec::new());
    for (group, elements) in row.chunks(GROUP).enumerate() {
        let lines = elements.len().div_ceil(LINE);
        // Padding takes the first exponent: its products with zeros are zeros all the same.
        let mut bits = [u16::from(table[0]) << 7; GROUP];
        bits[..elements.len()].copy_from_slice(elements);
        let (bits, _) = bits.as_chunks::<LINE>();
        let packed = &elements[..elements.len().min(lines / 2 * 2 * LINE)];
        if packed.iter().any(|&bits| codes[usize::from(exponent(bits))].is_none()) {
            escaped.push(group as u16);
            let end = data.len() + group_bytes(lines) + ESCAPE;
            data.extend(bits[..lines].as_flattened().iter().flat_map(|bits| bits.to_le_bytes()));
            data.resize(end, 0);
            continue;
        }
        let code = |bits: u16| codes[usize::from(exponent(bits))].unwrap_or(0);
        let (halves, rest) = bits[..lines].as_chunks::<2>();
        for [a, b] in halves {
            for (a, b) in a.as_chunks::<2>().0.iter().zip(b.as_chunks::<2>().0) {
                let word = |pair: &[u16; 2]| (u32::from(pair[0]) | u32::from(pair[1]) << 16) & SIGN_MANTISSA;
                data.extend((word(a) | word(b).rotate_left(8)).to_le_bytes());
            }
        }
        for [a, b] in halves {
            data.extend(a.iter().zip(b).map(|(&a, &b)| code(a) | code(b) << 4));
        }
        data.extend(rest.as_flattened().iter().flat_map(|bits| bits.to_le_bytes()));
    }
    Packing { data, table, escaped }
}

/// Bits after the flush of clause 3.
pub(crate) fn flushed(bits: u16) -> u16 {
    (flush(crate::dtype::bf16::to_f32(bits)).to_bits() >> 16) as u16
}
