//! Packed bf16 matrices in order D: a group is one step of all four accumulators, a half of it those of two.

use super::rows::{by_accumulator, fold};
use crate::numerics::{ACCUMULATORS, Order};
use crate::simd::{Kernel, LINE, Simd};
use crate::weights::packed_bf16::{
    ESCAPE, GROUP_BYTES, PackedBf16, PackedRow, TABLE, tail_lines, whole_groups,
};

/// How far ahead of a row its bytes are asked for: the hardware looks no further than a page of 4 KiB.
const AHEAD: usize = 4096;

/// Rows times `X` rows of activations.
pub(super) struct PackedBf16Rows<'a, S: Simd, const X: usize> {
    pub(super) matrix: &'a PackedBf16,
    pub(super) first: usize,
    pub(super) x: [&'a [S::Packed]; X],
    /// `[X, rows]`.
    pub(super) out: &'a mut [S::Real],
}

/// Takes the lines of a row in the order of their steps. A trait and not a closure, as closures need not be inlined.
pub(super) trait Lines<S: Simd> {
    fn take(&mut self, simd: S, accumulator: usize, step: usize, weights: S::Pair);
}

/// The sums of one row of weights with `X` rows of activations.
struct Dots<'a, S: Simd, const X: usize> {
    x: &'a [[&'a [S::Packed]; ACCUMULATORS]; X],
    sums: [[S::Vector; ACCUMULATORS]; X],
}

impl<S: Simd, const X: usize> Lines<S> for Dots<'_, S, X> {
    #[inline(always)]
    fn take(&mut self, simd: S, accumulator: usize, step: usize, weights: S::Pair) {
        for (sums, x) in self.sums.iter_mut().zip(self.x) {
            let x = simd.load_pair(&x[accumulator][step]);
            sums[accumulator] = simd.dot2(sums[accumulator], weights, x);
        }
    }
}

impl<S: Simd, const X: usize> Kernel<S> for PackedBf16Rows<'_, S, X> {
    type Output = ();

    #[inline(always)]
    fn run(self, simd: S) {
        let mut x = [[self.x[0]; ACCUMULATORS]; X];
        for (parts, row) in x.iter_mut().zip(self.x) {
            *parts = by_accumulator(Order::D, self.matrix.cols(), row);
        }
        let rows = self.out.len() / X;
        for index in 0..rows {
            let mut dots = Dots::<S, X> { x: &x, sums: [[simd.zero(); ACCUMULATORS]; X] };
            each_line(simd, &self.matrix.row(self.first + index), self.matrix.cols(), &mut dots);
            for (row, sums) in dots.sums.into_iter().enumerate() {
                self.out[row * rows + index] = fold(simd, sums);
            }
        }
    }
}

/// Gives all lines of a row to `out`.
#[inline(always)]
pub(super) fn each_line<S: Simd>(simd: S, row: &PackedRow<'_>, cols: usize, out: &mut impl Lines<S>) {
    let (whole, tail) = (whole_groups(cols), tail_lines(cols));
    let (mut data, mut group) = (row.data, 0);
    // Between two escaped groups nothing is asked for a group.
    for &escaped in row.escaped {
        let escaped = usize::from(escaped).min(whole);
        data = groups(simd, data, row.table, group..escaped, out);
        if escaped == whole {
            // What is left of the row is escaped.
            return plain(simd, data, tail, whole, out);
        }
        plain(simd, data, ACCUMULATORS, escaped, out);
        (data, group) = (&data[GROUP_BYTES + ESCAPE..], escaped + 1);
    }
    data = groups(simd, data, row.table, group..whole, out);
    if tail >= 2 {
        let (words, rest) = data.split_first_chunk().expect("two lines");
        let (codes, rest) = rest.split_first_chunk().expect("two lines");
        let [a, b] = simd.packed_lines(words, codes, row.table);
        out.take(simd, 0, whole, a);
        out.take(simd, 1, whole, b);
        data = rest;
    }
    // The places are constants, so that sums stay in registers.
    for accumulator in [0, 2] {
        if tail == accumulator + 1 {
            let weights = simd.bf16_line::<false>(data.first_chunk().expect("a line"));
            out.take(simd, accumulator, whole, weights);
        }
    }
}

/// Packed groups; gives the bytes after them.
#[inline(always)]
fn groups<'a, S: Simd>(
    simd: S,
    data: &'a [u8],
    table: &[u8; TABLE],
    range: std::ops::Range<usize>,
    out: &mut impl Lines<S>,
) -> &'a [u8] {
    let (packed, rest) = data.split_at(range.len() * GROUP_BYTES);
    for (step, packed) in range.zip(packed.as_chunks::<GROUP_BYTES>().0) {
        for line in 0..GROUP_BYTES / LINE {
            simd.prefetch(packed.as_ptr().wrapping_add(AHEAD + line * LINE));
        }
        let (words, codes) = packed.split_first_chunk::<{ 2 * LINE }>().expect("a group is longer");
        let (words, _) = words.as_chunks::<LINE>();
        let (codes, _) = codes.as_chunks::<{ LINE / 2 }>();
        let [a, b] = simd.packed_lines(&words[0], &codes[0], table);
        let [c, d] = simd.packed_lines(&words[1], &codes[1], table);
        out.take(simd, 0, step, a);
        out.take(simd, 1, step, b);
        out.take(simd, 2, step, c);
        out.take(simd, 3, step, d);
    }
    rest
}

/// The lines of an escaped group.
#[inline(always)]
fn plain<S: Simd>(simd: S, data: &[u8], lines: usize, step: usize, out: &mut impl Lines<S>) {
    let data = &data.as_chunks::<LINE>().0[..lines];
    for accumulator in 0..ACCUMULATORS {
        if let Some(line) = data.get(accumulator) {
            out.take(simd, accumulator, step, simd.bf16_line::<false>(line));
        }
    }
}
