//! 64-bit Arm: four registers of four f32. BFDOT rounds otherwise and is not used.

use std::arch::aarch64::*;

use super::{Kernel, LINE, Simd};
use crate::numerics::LANES;

/// Advanced SIMD.
#[derive(Clone, Copy, Debug)]
pub struct Neon(pub(super) ());

/// Four lanes each.
type Vector = [float32x4_t; 4];

/// Even and odd elements.
type Pair = (Vector, Vector);

/// Even and odd elements in memory.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub struct Packed([f32; LANES], [f32; LANES]);

impl Neon {
    /// Zero for what lies below 2^-50.
    #[inline(always)]
    fn flush(self, value: float32x4_t) -> float32x4_t {
        // SAFETY: Advanced SIMD is part of the target's baseline.
        unsafe {
            let kept = vcageq_f32(value, vdupq_n_f32(f32::from_bits(77 << 23)));
            vreinterpretq_f32_u32(vandq_u32(kept, vreinterpretq_u32_f32(value)))
        }
    }

    /// Even and odd numbers of four bf16 pairs.
    #[inline(always)]
    fn split(self, words: uint32x4_t) -> (float32x4_t, float32x4_t) {
        // SAFETY: Advanced SIMD is part of the target's baseline.
        unsafe {
            let even = vreinterpretq_f32_u32(vshlq_n_u32::<16>(words));
            let odd = vreinterpretq_f32_u32(vandq_u32(words, vdupq_n_u32(0xffff_0000)));
            (even, odd)
        }
    }

    /// bf16 numbers times 2^(scale - 127).
    ///
    /// With `ANY_SCALE` zero where they were zero or where the exponent falls below that of 2^-50. No sum leaves 15
    /// bits: 6 * 2^125 is below infinity.
    #[inline(always)]
    fn scale<const ANY_SCALE: bool>(self, words: uint16x8_t, scale: u8) -> uint32x4_t {
        let exponent = (i16::from(scale) - 127) << 7;
        // SAFETY: Advanced SIMD is part of the target's baseline.
        unsafe {
            let scaled = if ANY_SCALE {
                let added = vdupq_n_s16(exponent);
                let magnitude = vandq_s16(vreinterpretq_s16_u16(words), vdupq_n_s16(0x7fff));
                let large = vcgeq_s16(vaddq_s16(magnitude, added), vdupq_n_s16(77 << 7));
                let kept = vandq_u16(large, vcgtzq_s16(magnitude));
                vandq_u16(kept, vaddq_u16(words, vreinterpretq_u16_s16(added)))
            } else {
                // Zero saturates and stays zero. Negative numbers are unsigned here, so their sign bit survives.
                vqsubq_u16(words, vdupq_n_u16((-exponent) as u16))
            };
            vreinterpretq_u32_u16(scaled)
        }
    }

    /// Even and odd operands of the four accumulators from four words of MXFP4 codes and their scale.
    #[inline(always)]
    fn unpack<const ANY_SCALE: bool>(self, words: uint8x16_t, scale: u8) -> [(float32x4_t, float32x4_t); 4] {
        // The upper and the lower byte of a code's bf16; code 8 is +0.
        const UPPER: [u8; 16] =
            [0x00, 0x3f, 0x3f, 0x3f, 0x40, 0x40, 0x40, 0x40, 0x00, 0xbf, 0xbf, 0xbf, 0xc0, 0xc0, 0xc0, 0xc0];
        const LOWER: [u8; 16] =
            [0x00, 0x00, 0x80, 0xc0, 0x00, 0x40, 0x80, 0xc0, 0x00, 0x00, 0x80, 0xc0, 0x00, 0x40, 0x80, 0xc0];
        // SAFETY: Advanced SIMD is part of the target's baseline; the tables have sixteen bytes.
        let [a, b, c, d] = unsafe {
            let (upper, lower) = (vld1q_u8(UPPER.as_ptr()), vld1q_u8(LOWER.as_ptr()));
            // Codes 0, 2, 4, 6 of a word are the lower halves of its bytes, codes 1, 3, 5, 7 the upper ones; codes q
            // and q + 4 lie two bytes apart.
            let (first, second) = (vandq_u8(words, vdupq_n_u8(15)), vshrq_n_u8::<4>(words));
            let (high0, low0) = (vqtbl1q_u8(upper, first), vqtbl1q_u8(lower, first));
            let (high1, low1) = (vqtbl1q_u8(upper, second), vqtbl1q_u8(lower, second));
            let (high0, low0) = (vreinterpretq_u16_u8(high0), vreinterpretq_u16_u8(low0));
            let (high1, low1) = (vreinterpretq_u16_u8(high1), vreinterpretq_u16_u8(low1));
            [
                vsliq_n_u16::<8>(low0, high0),
                vsliq_n_u16::<8>(low1, high1),
                vsriq_n_u16::<8>(high0, low0),
                vsriq_n_u16::<8>(high1, low1),
            ]
        };
        [
            self.split(self.scale::<ANY_SCALE>(a, scale)),
            self.split(self.scale::<ANY_SCALE>(b, scale)),
            self.split(self.scale::<ANY_SCALE>(c, scale)),
            self.split(self.scale::<ANY_SCALE>(d, scale)),
        ]
    }
}

impl Simd for Neon {
    type Real = f32;
    type Vector = Vector;
    type Pair = Pair;
    type Packed = Packed;

    #[inline(always)]
    fn vectorize<K: Kernel<Self>>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }

    #[inline(always)]
    fn zero(self) -> Vector {
        self.splat(0.0)
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Vector {
        // SAFETY: Advanced SIMD is part of the target's baseline.
        unsafe { [vdupq_n_f32(value), vdupq_n_f32(value), vdupq_n_f32(value), vdupq_n_f32(value)] }
    }

    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Vector {
        let at = from.as_ptr();
        // SAFETY: as above; an array of sixteen numbers.
        unsafe { [vld1q_f32(at), vld1q_f32(at.add(4)), vld1q_f32(at.add(8)), vld1q_f32(at.add(12))] }
    }

    #[inline(always)]
    fn store(self, vector: Vector) -> [f32; LANES] {
        let mut out = [0.0; LANES];
        // SAFETY: as above; four times four numbers.
        unsafe {
            vst1q_f32(out.as_mut_ptr(), vector[0]);
            vst1q_f32(out.as_mut_ptr().add(4), vector[1]);
            vst1q_f32(out.as_mut_ptr().add(8), vector[2]);
            vst1q_f32(out.as_mut_ptr().add(12), vector[3]);
        }
        out
    }

    #[inline(always)]
    fn add(self, a: Vector, b: Vector) -> Vector {
        // SAFETY: Advanced SIMD is part of the target's baseline.
        unsafe {
            [vaddq_f32(a[0], b[0]), vaddq_f32(a[1], b[1]), vaddq_f32(a[2], b[2]), vaddq_f32(a[3], b[3])]
        }
    }

    #[inline(always)]
    fn fma(self, a: Vector, b: Vector, c: Vector) -> Vector {
        // SAFETY: Advanced SIMD is part of the target's baseline.
        unsafe {
            [
                vfmaq_f32(c[0], a[0], b[0]),
                vfmaq_f32(c[1], a[1], b[1]),
                vfmaq_f32(c[2], a[2], b[2]),
                vfmaq_f32(c[3], a[3], b[3]),
            ]
        }
    }

    #[inline(always)]
    fn dot2(self, sum: Vector, a: Pair, b: Pair) -> Vector {
        self.fma(a.0, b.0, self.fma(a.1, b.1, sum))
    }

    #[inline(always)]
    fn pack(self, even: &[f32; LANES], odd: &[f32; LANES]) -> Packed {
        Packed(*even, *odd)
    }

    #[inline(always)]
    fn unpack(self, from: &Packed) -> ([f32; LANES], [f32; LANES]) {
        (from.0, from.1)
    }

    #[inline(always)]
    fn load_pair(self, from: &Packed) -> Pair {
        (self.load(&from.0), self.load(&from.1))
    }

    #[inline(always)]
    fn store_pair(self, pair: Pair) -> Packed {
        Packed(self.store(pair.0), self.store(pair.1))
    }

    #[inline(always)]
    fn bf16_line<const FLUSH: bool>(self, line: &[u8; LINE]) -> Pair {
        // SAFETY: as above; an array of 64 bytes, read sixteen at a time.
        let pair = |quarter: usize| unsafe {
            let words = vreinterpretq_u32_u8(vld1q_u8(line.as_ptr().add(16 * quarter)));
            let (even, odd) = self.split(words);
            if FLUSH { (self.flush(even), self.flush(odd)) } else { (even, odd) }
        };
        let (a, b, c, d) = (pair(0), pair(1), pair(2), pair(3));
        ([a.0, b.0, c.0, d.0], [a.1, b.1, c.1, d.1])
    }

    #[inline(always)]
    fn mxfp4_line<const ANY_SCALE: bool>(self, line: &[u8; LINE], scales: [u8; 4]) -> [Pair; 4] {
        // SAFETY: as above; an array of 64 bytes, read sixteen at a time.
        let quarter = |block: usize| unsafe {
            let words = vld1q_u8(line.as_ptr().add(16 * block));
            self.unpack::<ANY_SCALE>(words, scales[block])
        };
        let (a, b, c, d) = (quarter(0), quarter(1), quarter(2), quarter(3));
        let pair = |q: usize| ([a[q].0, b[q].0, c[q].0, d[q].0], [a[q].1, b[q].1, c[q].1, d[q].1]);
        [pair(0), pair(1), pair(2), pair(3)]
    }
}
