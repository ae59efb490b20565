//! f64 for the oracle: arrays that the compiler vectorises, with hardware fma where there is one.

use super::scalar::unpack_line;
use super::{Kernel, LINE, Scalar, Simd, lanes};
use crate::numerics::LANES;

/// f64 in sixteen lanes.
#[derive(Clone, Copy, Debug)]
pub struct Oracle {
    #[cfg(target_arch = "x86_64")]
    pub(super) hardware_fma: bool,
}

/// Even and odd elements.
type Pair = ([f64; LANES], [f64; LANES]);

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn with_fma<K: Kernel<Oracle>>(simd: Oracle, kernel: K) -> K::Output {
    kernel.run(simd)
}

/// The same pairs in f64; exact.
#[inline(always)]
fn widen(pair: ([f32; LANES], [f32; LANES])) -> Pair {
    (lanes(|lane| f64::from(pair.0[lane])), lanes(|lane| f64::from(pair.1[lane])))
}

impl Simd for Oracle {
    type Real = f64;
    type Vector = [f64; LANES];
    type Pair = Pair;
    type Packed = Pair;

    #[inline(always)]
    fn vectorize<K: Kernel<Self>>(self, kernel: K) -> K::Output {
        #[cfg(target_arch = "x86_64")]
        if self.hardware_fma {
            // SAFETY: detection set the flag only where AVX2 and FMA exist.
            return unsafe { with_fma(self, kernel) };
        }
        kernel.run(self)
    }

    #[inline(always)]
    fn zero(self) -> [f64; LANES] {
        [0.0; LANES]
    }

    #[inline(always)]
    fn splat(self, value: f64) -> [f64; LANES] {
        [value; LANES]
    }

    #[inline(always)]
    fn load(self, from: &[f64; LANES]) -> [f64; LANES] {
        *from
    }

    #[inline(always)]
    fn store(self, vector: [f64; LANES]) -> [f64; LANES] {
        vector
    }

    #[inline(always)]
    fn add(self, a: [f64; LANES], b: [f64; LANES]) -> [f64; LANES] {
        lanes(|lane| a[lane] + b[lane])
    }

    #[inline(always)]
    fn fma(self, a: [f64; LANES], b: [f64; LANES], c: [f64; LANES]) -> [f64; LANES] {
        lanes(|lane| a[lane].mul_add(b[lane], c[lane]))
    }

    #[inline(always)]
    fn dot2(self, sum: [f64; LANES], a: Pair, b: Pair) -> [f64; LANES] {
        self.fma(a.0, b.0, self.fma(a.1, b.1, sum))
    }

    #[inline(always)]
    fn pack(self, even: &[f64; LANES], odd: &[f64; LANES]) -> Pair {
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
        widen(Scalar(()).bf16_line::<FLUSH>(line))
    }

    #[inline(always)]
    fn mxfp4_line<const ANY_SCALE: bool>(self, line: &[u8; LINE], scales: [u8; 4]) -> [Pair; 4] {
        [
            widen(unpack_line(line, scales, 0)),
            widen(unpack_line(line, scales, 1)),
            widen(unpack_line(line, scales, 2)),
            widen(unpack_line(line, scales, 3)),
        ]
    }
}
