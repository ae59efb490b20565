//! Rows of weights that are stored by columns, as the lines that rows have.

use std::ops::Range;

use super::packed::{first_step, row_steps, step_of};
use crate::numerics::{ACCUMULATORS, LANES, Order};
use crate::simd::{Kernel, LINE, Simd};

/// 32 bf16 numbers, little-endian: the pairs of one step of one accumulator.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Line(pub(super) [u8; LINE]);

/// Writes some rows of a matrix of bf16 in columns as lines, for each row its accumulators one after the other.
pub(super) struct Transpose<'a> {
    /// Element (row, col) is number `col * rows + row`.
    pub(super) data: &'a [u8],
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) order: Order,
    /// Which rows.
    pub(super) range: Range<usize>,
    pub(super) out: &'a mut Vec<Line>,
}

impl<S: Simd> Kernel<S> for Transpose<'_> {
    type Output = ();

    #[inline(always)]
    fn run(mut self, simd: S) {
        let (order, cols, count) = (self.order, self.cols, self.range.len());
        self.out.resize(count * row_steps(order, cols), Line([0; LINE]));
        let firsts = std::array::from_fn(|accumulator| first_step(order, cols, accumulator));
        for group in 0..cols.div_ceil(order.group()) {
            let is_whole = (group + 1) * order.group() <= cols;
            for first in (0..count).step_by(LANES) {
                let height = LANES.min(count - first);
                // Copies of a known length need no call.
                if is_whole && height == LANES {
                    self.group(simd, group, firsts, first, LANES, |data| {
                        let bytes = data.first_chunk::<{ 2 * LANES }>().expect("sixteen rows of a column");
                        let (numbers, _) = bytes.as_chunks();
                        std::array::from_fn(|row| u16::from_le_bytes(numbers[row]))
                    });
                } else {
                    self.group(simd, group, firsts, first, height, |data| {
                        let mut numbers = [0; LANES];
                        let (bytes, _) = data.as_chunks();
                        for (number, bytes) in numbers.iter_mut().zip(bytes).take(height) {
                            *number = u16::from_le_bytes(*bytes);
                        }
                        numbers
                    });
                }
            }
        }
    }
}

impl Transpose<'_> {
    /// One group of columns of `height` rows from `first` on; `numbers` takes a column from where its first row is, or
    /// nothing for a column that the matrix lacks.
    #[inline(always)]
    fn group<S: Simd>(
        &mut self,
        simd: S,
        group: usize,
        firsts: [usize; ACCUMULATORS],
        first: usize,
        height: usize,
        numbers: impl Fn(&[u8]) -> [u16; LANES],
    ) {
        let (order, cols) = (self.order, self.cols);
        let stride = row_steps(order, cols);
        for accumulator in order.accumulators(group) {
            let words: [[u32; LANES]; LANES] = std::array::from_fn(|lane| {
                let [even, odd] = [1, 0].map(|step| {
                    let col = group * order.group() + order.element(lane, accumulator, step);
                    let start = if col < cols { 2 * (col * self.rows + self.range.start + first) } else { 0 };
                    let data = if col < cols { &self.data[start..] } else { &[] };
                    // The same rows one group on.
                    simd.prefetch(data.as_ptr().wrapping_add(2 * order.group() * self.rows));
                    numbers(data)
                });
                std::array::from_fn(|row| u32::from(even[row]) | u32::from(odd[row]) << 16)
            });
            let place = firsts[accumulator] + step_of(order, group);
            let lines = self.out[first * stride + place..].iter_mut().step_by(stride);
            for (line, words) in lines.zip(simd.transpose(&words)).take(height) {
                let (places, _) = line.0.as_chunks_mut();
                places.iter_mut().zip(words).for_each(|(place, word)| *place = word.to_le_bytes());
            }
        }
    }
}
