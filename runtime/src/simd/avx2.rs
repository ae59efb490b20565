//! AVX2 and FMA: two registers of eight f32.

use std::arch::x86_64::*;

use super::{Kernel, LINE, Simd};
use crate::numerics::LANES;

/// AVX2 and FMA.
#[derive(Clone, Copy, Debug)]
pub struct Avx2(pub(super) ());

/// Lanes 0 to 7 and 8 to 15.
type Vector = [__m256; 2];

/// Even and odd elements.
type Pair = (Vector, Vector);

/// Even and odd elements in memory.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub struct Packed([f32; LANES], [f32; LANES]);

#[target_feature(enable = "avx2,fma")]
fn with_avx2<K: Kernel<Avx2>>(simd: Avx2, kernel: K) -> K::Output {
    kernel.run(simd)
}

/// Even and odd numbers of eight bf16 pairs, flushed where `FLUSH` says so.
#[target_feature(enable = "avx2")]
#[inline]
fn split<const FLUSH: bool>(words: __m256i) -> (__m256, __m256) {
    let even = _mm256_castsi256_ps(_mm256_slli_epi32::<16>(words));
    let odd = _mm256_castsi256_ps(_mm256_and_si256(words, _mm256_set1_epi32(0xffff_0000_u32 as i32)));
    if FLUSH { (flush(even), flush(odd)) } else { (even, odd) }
}

/// Zero for what lies below 2^-50.
#[target_feature(enable = "avx2")]
#[inline]
fn flush(value: __m256) -> __m256 {
    let magnitude = _mm256_andnot_ps(_mm256_set1_ps(-0.0), value);
    let least = _mm256_castsi256_ps(_mm256_set1_epi32(77 << 23));
    _mm256_and_ps(_mm256_cmp_ps::<_CMP_GE_OQ>(magnitude, least), value)
}

/// Eight words of MXFP4 codes, whose two scales are 2^(byte - 127), to even and odd operands of the four accumulators.
#[target_feature(enable = "avx2")]
#[inline]
fn unpack<const ANY_SCALE: bool>(words: __m256i, scale: __m256) -> [(__m256, __m256); 4] {
    // The upper and the lower byte of a code's bf16; code 8 is +0.
    let upper = _mm256_broadcastsi128_si256(_mm_setr_epi8(
        0x00, 0x3f, 0x3f, 0x3f, 0x40, 0x40, 0x40, 0x40, 0x00, -0x41, -0x41, -0x41, -0x40, -0x40, -0x40, -0x40,
    ));
    let lower = _mm256_broadcastsi128_si256(_mm_setr_epi8(
        0x00, 0x00, -0x80, -0x40, 0x00, 0x40, -0x80, -0x40, 0x00, 0x00, -0x80, -0x40, 0x00, 0x40, -0x80,
        -0x40,
    ));
    let nibbles = _mm256_set1_epi8(15);
    let top = _mm256_set1_epi32(0xff00_0000_u32 as i32);
    let next = _mm256_set1_epi32(0x00ff_0000);
    let scaled = |bits: __m256i| {
        let value = _mm256_mul_ps(_mm256_castsi256_ps(bits), scale);
        if ANY_SCALE { flush(value) } else { value }
    };
    // Codes 0, 2, 4, 6 of a word are the lower halves of its bytes, codes 1, 3, 5, 7 the upper ones.
    let half = |codes: __m256i| {
        let (high, low) = (_mm256_shuffle_epi8(upper, codes), _mm256_shuffle_epi8(lower, codes));
        let byte0 = _mm256_or_si256(
            _mm256_slli_epi32::<24>(high),
            _mm256_and_si256(_mm256_slli_epi32::<16>(low), next),
        );
        let byte1 = _mm256_or_si256(
            _mm256_and_si256(_mm256_slli_epi32::<16>(high), top),
            _mm256_and_si256(_mm256_slli_epi32::<8>(low), next),
        );
        let byte2 =
            _mm256_or_si256(_mm256_and_si256(_mm256_slli_epi32::<8>(high), top), _mm256_and_si256(low, next));
        let byte3 =
            _mm256_or_si256(_mm256_and_si256(high, top), _mm256_and_si256(_mm256_srli_epi32::<8>(low), next));
        ((scaled(byte0), scaled(byte2)), (scaled(byte1), scaled(byte3)))
    };
    let (zero, two) = half(_mm256_and_si256(words, nibbles));
    let (one, three) = half(_mm256_and_si256(_mm256_srli_epi32::<4>(words), nibbles));
    [zero, one, two, three]
}

/// 2^(byte - 127) for the four lanes of each of two bytes.
#[target_feature(enable = "avx2")]
#[inline]
fn scale_of(first: u8, second: u8) -> __m256 {
    let power = |byte: u8| if byte == 0 { 0x0040_0000 } else { i32::from(byte) << 23 };
    let (a, b) = (_mm_set1_epi32(power(first)), _mm_set1_epi32(power(second)));
    _mm256_castsi256_ps(_mm256_set_m128i(b, a))
}

impl Simd for Avx2 {
    type Real = f32;
    type Vector = Vector;
    type Pair = Pair;
    type Packed = Packed;

    #[inline(always)]
    fn vectorize<K: Kernel<Self>>(self, kernel: K) -> K::Output {
        // SAFETY: a value of this type comes only from detection.
        unsafe { with_avx2(self, kernel) }
    }

    #[inline(always)]
    fn zero(self) -> Vector {
        // SAFETY: a value of this type comes only from detection.
        unsafe { [_mm256_setzero_ps(), _mm256_setzero_ps()] }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Vector {
        // SAFETY: a value of this type comes only from detection.
        unsafe { [_mm256_set1_ps(value), _mm256_set1_ps(value)] }
    }

    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Vector {
        // SAFETY: as above; an array of sixteen numbers, and the loads need no alignment.
        unsafe { [_mm256_loadu_ps(from.as_ptr()), _mm256_loadu_ps(from.as_ptr().add(8))] }
    }

    #[inline(always)]
    fn store(self, vector: Vector) -> [f32; LANES] {
        let mut out = [0.0; LANES];
        // SAFETY: as above; an array of sixteen numbers, and the stores need no alignment.
        unsafe {
            _mm256_storeu_ps(out.as_mut_ptr(), vector[0]);
            _mm256_storeu_ps(out.as_mut_ptr().add(8), vector[1]);
        }
        out
    }

    #[inline(always)]
    fn add(self, a: Vector, b: Vector) -> Vector {
        // SAFETY: a value of this type comes only from detection.
        unsafe { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn fma(self, a: Vector, b: Vector, c: Vector) -> Vector {
        // SAFETY: a value of this type comes only from detection.
        unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
    }

    #[inline(always)]
    fn fold(self, vector: Vector) -> f32 {
        // SAFETY: a value of this type comes only from detection.
        unsafe {
            let eight = _mm256_add_ps(vector[0], vector[1]);
            let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
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
    fn load_pair(self, from: &Packed) -> Pair {
        (self.load(&from.0), self.load(&from.1))
    }

    #[inline(always)]
    fn store_pair(self, pair: Pair) -> Packed {
        Packed(self.store(pair.0), self.store(pair.1))
    }

    #[inline(always)]
    fn bf16_line<const FLUSH: bool>(self, line: &[u8; LINE]) -> Pair {
        // SAFETY: as above; an array of 64 bytes, and the loads need no alignment.
        unsafe {
            let (even0, odd0) = split::<FLUSH>(_mm256_loadu_si256(line.as_ptr().cast()));
            let (even1, odd1) = split::<FLUSH>(_mm256_loadu_si256(line.as_ptr().add(32).cast()));
            ([even0, even1], [odd0, odd1])
        }
    }

    #[inline(always)]
    fn mxfp4_line<const ANY_SCALE: bool>(self, line: &[u8; LINE], scales: [u8; 4]) -> [Pair; 4] {
        // SAFETY: as above; an array of 64 bytes, and the loads need no alignment.
        unsafe {
            let first = _mm256_loadu_si256(line.as_ptr().cast());
            let second = _mm256_loadu_si256(line.as_ptr().add(32).cast());
            let [a0, b0, c0, d0] = unpack::<ANY_SCALE>(first, scale_of(scales[0], scales[1]));
            let [a1, b1, c1, d1] = unpack::<ANY_SCALE>(second, scale_of(scales[2], scales[3]));
            [
                ([a0.0, a1.0], [a0.1, a1.1]),
                ([b0.0, b1.0], [b0.1, b1.1]),
                ([c0.0, c1.0], [c0.1, c1.1]),
                ([d0.0, d1.0], [d0.1, d1.1]),
            ]
        }
    }
}
