//! A few rows of activations: the weights' bytes are read once, in one stream, and never stored elsewhere.

use super::packed::{first_step, steps};
use super::unpack::{CODES, bf16_line, mxfp4_line};
use crate::numerics::{ACCUMULATORS, Order};
use crate::simd::{Kernel, LINE, Simd};

/// How far ahead of the codes their line is asked for: the hardware looks no further than a page of 4 KiB.
const AHEAD: usize = 4096;
/// The same for their scales, which are a second stream, of a sixteenth of the bytes.
const SCALES_AHEAD: usize = 1024;

/// (a + b) + (c + d), then the lanes.
#[inline(always)]
pub(super) fn fold<S: Simd>(simd: S, sums: [S::Vector; ACCUMULATORS]) -> S::Real {
    let [a, b, c, d] = sums;
    simd.fold(simd.add(simd.add(a, b), simd.add(c, d)))
}

/// The steps of each accumulator of a packed row.
#[inline(always)]
pub(super) fn by_accumulator<P>(order: Order, cols: usize, row: &[P]) -> [&[P]; ACCUMULATORS] {
    let mut parts = [row; ACCUMULATORS];
    for (accumulator, part) in parts.iter_mut().enumerate() {
        *part = &row[first_step(order, cols, accumulator)..][..steps(order, cols, accumulator)];
    }
    parts
}

/// Rows of MXFP4 in order E times `X` rows of activations.
pub(super) struct Mxfp4Rows<'a, S: Simd, const ANY_SCALE: bool, const X: usize> {
    pub(super) blocks: &'a [u8],
    pub(super) scales: &'a [u8],
    pub(super) cols: usize,
    pub(super) first: usize,
    pub(super) x: [&'a [S::Packed]; X],
    /// `[X, rows]`.
    pub(super) out: &'a mut [S::Real],
}

impl<S: Simd, const ANY_SCALE: bool, const X: usize> Kernel<S> for Mxfp4Rows<'_, S, ANY_SCALE, X> {
    type Output = ();

    #[inline(always)]
    fn run(self, simd: S) {
        let mut x = [[self.x[0]; ACCUMULATORS]; X];
        for (parts, row) in x.iter_mut().zip(self.x) {
            *parts = by_accumulator(Order::E, self.cols, row);
        }
        let step = |group: usize| x.map(|parts| parts.map(|steps| &steps[group]));
        let (block_bytes, scale_bytes) = (self.cols / 2, self.cols / 32);
        let rows = self.out.len() / X;
        for index in 0..rows {
            let blocks = &self.blocks[(self.first + index) * block_bytes..][..block_bytes];
            let scales = &self.scales[(self.first + index) * scale_bytes..][..scale_bytes];
            let mut sums = [[simd.zero(); ACCUMULATORS]; X];
            let (lines, rest) = blocks.as_chunks::<LINE>();
            let (fours, rest_scales) = scales.as_chunks::<4>();
            for (group, (line, scales)) in lines.iter().zip(fours).enumerate() {
                // Before the scales are read, which then go from memory to all lanes at once.
                simd.prefetch(line.as_ptr().wrapping_add(AHEAD));
                simd.prefetch(scales.as_ptr().wrapping_add(SCALES_AHEAD));
                simd.mxfp4_products::<ANY_SCALE, X>(&mut sums, line, *scales, step(group));
            }
            if !rest.is_empty() {
                let (line, scales) = mxfp4_line(simd, rest, rest_scales);
                simd.mxfp4_products::<ANY_SCALE, X>(&mut sums, &line, scales, step(self.cols / CODES));
            }
            for (row, sums) in sums.into_iter().enumerate() {
                self.out[row * rows + index] = fold(simd, sums);
            }
        }
    }
}

/// Rows of bf16 in order D times `X` rows of activations.
pub(super) struct Bf16Rows<'a, S: Simd, const FLUSH: bool, const X: usize> {
    pub(super) data: &'a [u8],
    pub(super) cols: usize,
    pub(super) first: usize,
    pub(super) x: [&'a [S::Packed]; X],
    /// `[X, rows]`.
    pub(super) out: &'a mut [S::Real],
}

impl<S: Simd, const FLUSH: bool, const X: usize> Kernel<S> for Bf16Rows<'_, S, FLUSH, X> {
    type Output = ();

    #[inline(always)]
    fn run(self, simd: S) {
        let mut x = [[self.x[0]; ACCUMULATORS]; X];
        for (parts, row) in x.iter_mut().zip(self.x) {
            *parts = by_accumulator(Order::D, self.cols, row);
        }
        let rows = self.out.len() / X;
        for index in 0..rows {
            let data = &self.data[2 * (self.first + index) * self.cols..][..2 * self.cols];
            let mut sums = [[simd.zero(); ACCUMULATORS]; X];
            let (quads, rest) = data.as_chunks::<{ ACCUMULATORS * LINE }>();
            for (step, quad) in quads.iter().enumerate() {
                let (lines, _) = quad.as_chunks::<LINE>();
                for accumulator in 0..ACCUMULATORS {
                    let weights = simd.bf16_line::<FLUSH>(&lines[accumulator]);
                    for (sums, x) in sums.iter_mut().zip(&x) {
                        let x = simd.load_pair(&x[accumulator][step]);
                        sums[accumulator] = simd.dot2(sums[accumulator], weights, x);
                    }
                }
            }
            for accumulator in 0..ACCUMULATORS {
                if rest.len() > accumulator * LINE {
                    let weights = simd.bf16_line::<FLUSH>(&bf16_line(simd, &rest[accumulator * LINE..]));
                    for (sums, x) in sums.iter_mut().zip(&x) {
                        let x = simd.load_pair(&x[accumulator][quads.len()]);
                        sums[accumulator] = simd.dot2(sums[accumulator], weights, x);
                    }
                }
            }
            for (row, sums) in sums.into_iter().enumerate() {
                self.out[row * rows + index] = fold(simd, sums);
            }
        }
    }
}
