//! Portable code in f32: the definition in the shape of the others.

use super::{Kernel, LINE, Simd, lanes};
use crate::dtype::{bf16, mxfp4};
use crate::numerics::{LANES, flush, fma};

/// No instructions beyond the baseline.
#[derive(Clone, Copy, Debug)]
pub struct Scalar(pub(super) ());

/// Even and odd elements.
type Pair = ([f32; LANES], [f32; LANES]);

/// The values of a line of MXFP4 by accumulator: words hold elements q in the lower and q + 4 in the upper half.
#[inline(always)]
pub(super) fn unpack_line(line: &[u8; LINE], scales: [u8; 4], accumulator: usize) -> Pair {
    let value = |lane: usize, element: usize| {
        let byte = line[4 * lane + element / 2];
        let code = if element & 1 == 0 { byte & 15 } else { byte >> 4 };
        flush(mxfp4::E2M1[usize::from(code)] * mxfp4::exp2(i32::from(scales[lane / 4]) - 127))
    };
    (lanes(|lane| value(lane, accumulator)), lanes(|lane| value(lane, accumulator + 4)))
}

impl Simd for Scalar {
    type Real = f32;
    type Vector = [f32; LANES];
    type Pair = Pair;
    type Packed = Pair;

    #[inline(always)]
    fn vectorize<K: Kernel<Self>>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }

    #[inline(always)]
    fn zero(self) -> [f32; LANES] {
        [0.0; LANES]
    }

    #[inline(always)]
    fn splat(self, value: f32) -> [f32; LANES] {
        [value; LANES]
    }

    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> [f32; LANES] {
        *from
    }

    #[inline(always)]
    fn store(self, vector: [f32; LANES]) -> [f32; LANES] {
        vector
    }

    #[inline(always)]
    fn add(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        lanes(|lane| a[lane] + b[lane])
    }

    #[inline(always)]
    fn fma(self, a: [f32; LANES], b: [f32; LANES], c: [f32; LANES]) -> [f32; LANES] {
        lanes(|lane| fma(a[lane], b[lane], c[lane]))
    }

    #[inline(always)]
    fn dot2(self, sum: [f32; LANES], a: Pair, b: Pair) -> [f32; LANES] {
        self.fma(a.0, b.0, self.fma(a.1, b.1, sum))
    }

    #[inline(always)]
    fn pack(self, even: &[f32; LANES], odd: &[f32; LANES]) -> Pair {
        (*even, *odd)
    }

    #[inline(always)]
    fn unpack(self, from: &Pair) -> Pair {
        *from
    }

    #[inline(always)]
    fn load_pair(self, from: &Pair) -> Pair {
        *from
    }

    #[inline(always)]
    fn store_pair(self, pair: Pair) -> Pair {
        pair
    }

    #[inline(always)]
    fn bf16_line<const FLUSH: bool>(self, line: &[u8; LINE]) -> Pair {
        let value = |k: usize| {
            let value = bf16::to_f32(u16::from_le_bytes([line[2 * k], line[2 * k + 1]]));
            if FLUSH { flush(value) } else { value }
        };
        (lanes(|lane| value(2 * lane)), lanes(|lane| value(2 * lane + 1)))
    }

    #[inline(always)]
    fn mxfp4_line<const ANY_SCALE: bool>(self, line: &[u8; LINE], scales: [u8; 4]) -> [Pair; 4] {
        [
            unpack_line(line, scales, 0),
            unpack_line(line, scales, 1),
            unpack_line(line, scales, 2),
            unpack_line(line, scales, 3),
        ]
    }
}
