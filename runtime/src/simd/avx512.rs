//! AVX-512 F and BW: one register of sixteen f32.

use std::arch::x86_64::*;

use super::{Kernel, LINE, Simd, Tile};
use crate::numerics::LANES;

/// AVX-512 F and BW.
#[derive(Clone, Copy, Debug)]
pub struct Avx512(pub(super) ());

/// Even and odd elements.
type Pair = (__m512, __m512);

/// Even and odd elements in memory.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub struct Packed([f32; LANES], [f32; LANES]);

#[target_feature(enable = "avx2,fma,avx512f,avx512bw")]
fn with_avx512<K: Kernel<Avx512>>(simd: Avx512, kernel: K) -> K::Output {
    kernel.run(simd)
}

/// The sixteen values of E2M1 in bf16, twice; code 8 is +0. `vpermw` takes five bits of an index, so the upper copy
/// makes the bit above a code harmless.
pub(super) const E2M1_BF16: [u16; 32] = {
    let half = [
        0x0000, 0x3f00, 0x3f80, 0x3fc0, 0x4000, 0x4040, 0x4080, 0x40c0, 0x0000, 0xbf00, 0xbf80, 0xbfc0,
        0xc000, 0xc040, 0xc080, 0xc0c0,
    ];
    let mut both = [0; 32];
    let mut index = 0;
    while index < 32 {
        both[index] = half[index % 16];
        index += 1;
    }
    both
};

/// The values of E2M1 in f32; code 8 is +0.
const E2M1_F32: [f32; 16] =
    [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0];

/// Four bytes, each in the sixteen bytes of its four lanes.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn spread_scales(scales: [u8; 4]) -> __m512i {
    let all = _mm512_set1_epi32(i32::from_le_bytes(scales));
    let index = _mm512_set_epi64(
        0x0303_0303_0303_0303,
        0x0303_0303_0303_0303,
        0x0202_0202_0202_0202,
        0x0202_0202_0202_0202,
        0x0101_0101_0101_0101,
        0x0101_0101_0101_0101,
        0,
        0,
    );
    _mm512_shuffle_epi8(all, index)
}

/// Sixteen words of bf16 pairs (even below odd) of each accumulator, where scale bytes are from 78 to 127.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
pub(super) fn unpack_folded(line: &[u8; LINE], scales: [u8; 4]) -> [__m512i; 4] {
    // SAFETY: an array of 64 bytes; the load needs no alignment.
    let (words, table) =
        unsafe { (_mm512_loadu_si512(line.as_ptr().cast()), _mm512_loadu_si512(E2M1_BF16.as_ptr().cast())) };
    // What the scale takes off the exponent of a bf16, (127 - scale) * 128; zero saturates and stays zero. Negative
    // numbers are unsigned here, so their sign bit survives.
    let below = _mm512_sub_epi8(_mm512_set1_epi8(127), spread_scales(scales));
    let taken = _mm512_slli_epi16::<7>(_mm512_and_si512(below, _mm512_set1_epi16(0x00ff)));
    let value = |codes: __m512i| _mm512_subs_epu16(_mm512_permutexvar_epi16(codes, table), taken);
    [
        value(words),
        value(_mm512_srli_epi16::<4>(words)),
        value(_mm512_srli_epi16::<8>(words)),
        value(_mm512_srli_epi16::<12>(words)),
    ]
}

/// bf16 pairs with those numbers zero whose magnitude is below 2^-50.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
pub(super) fn flush_pairs(words: __m512i) -> __m512i {
    let magnitude = _mm512_and_si512(words, _mm512_set1_epi16(0x7fff));
    // The bf16 of 2^-50 is (127 - 50) * 128.
    let kept = _mm512_cmpge_epu16_mask(magnitude, _mm512_set1_epi16(77 << 7));
    _mm512_maskz_mov_epi16(kept, words)
}

/// Even and odd numbers of bf16 pairs.
#[target_feature(enable = "avx512f")]
#[inline]
fn split(words: __m512i) -> Pair {
    let even = _mm512_castsi512_ps(_mm512_slli_epi32::<16>(words));
    let odd = _mm512_castsi512_ps(_mm512_and_si512(words, _mm512_set1_epi32(0xffff_0000_u32 as i32)));
    (even, odd)
}

impl Simd for Avx512 {
    type Real = f32;
    type Vector = __m512;
    type Pair = Pair;
    type Packed = Packed;

    const TILE: Tile = Tile::Large;

    #[inline(always)]
    fn vectorize<K: Kernel<Self>>(self, kernel: K) -> K::Output {
        // SAFETY: a value of this type comes only from detection.
        unsafe { with_avx512(self, kernel) }
    }

    #[inline(always)]
    fn zero(self) -> __m512 {
        // SAFETY: a value of this type comes only from detection.
        unsafe { _mm512_setzero_ps() }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        // SAFETY: a value of this type comes only from detection.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> __m512 {
        // SAFETY: as above; an array of sixteen numbers, and the load needs no alignment.
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, vector: __m512) -> [f32; LANES] {
        let mut out = [0.0; LANES];
        // SAFETY: as above; an array of sixteen numbers, and the store needs no alignment.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr(), vector) };
        out
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: a value of this type comes only from detection.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn fma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: a value of this type comes only from detection.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn fold(self, vector: __m512) -> f32 {
        // SAFETY: a value of this type comes only from detection.
        unsafe { fold(vector) }
    }

    #[inline(always)]
    fn dot2(self, sum: __m512, a: Pair, b: Pair) -> __m512 {
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
        // SAFETY: as above; an array of 64 bytes, and the load needs no alignment.
        unsafe {
            let words = _mm512_loadu_si512(line.as_ptr().cast());
            split(if FLUSH { flush_pairs(words) } else { words })
        }
    }

    #[inline(always)]
    fn mxfp4_line<const ANY_SCALE: bool>(self, line: &[u8; LINE], scales: [u8; 4]) -> [Pair; 4] {
        // SAFETY: a value of this type comes only from detection.
        unsafe {
            if ANY_SCALE {
                return unpack_any(line, scales);
            }
            let [a, b, c, d] = unpack_folded(line, scales);
            [split(a), split(b), split(c), split(d)]
        }
    }
}

/// As [`unpack_folded`] in f32, for every scale byte up to 252, flushed.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn unpack_any(line: &[u8; LINE], scales: [u8; 4]) -> [Pair; 4] {
    // SAFETY: arrays of 64 bytes; the loads need no alignment.
    let (words, table) =
        unsafe { (_mm512_loadu_si512(line.as_ptr().cast()), _mm512_loadu_ps(E2M1_F32.as_ptr())) };
    let bytes = _mm512_and_si512(spread_scales(scales), _mm512_set1_epi32(0xff));
    // 2^(s - 127) is a subnormal for s = 0: one half of 2^-126.
    let normal = _mm512_slli_epi32::<23>(bytes);
    let zero = _mm512_cmpeq_epi32_mask(bytes, _mm512_setzero_si512());
    let scale = _mm512_castsi512_ps(_mm512_mask_mov_epi32(normal, zero, _mm512_set1_epi32(0x0040_0000)));
    let least = _mm512_castsi512_ps(_mm512_set1_epi32(77 << 23));
    let value = |codes: __m512i| {
        let value = _mm512_mul_ps(_mm512_permutexvar_ps(codes, table), scale);
        let kept = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(_mm512_abs_ps(value), least);
        _mm512_maskz_mov_ps(kept, value)
    };
    [
        (value(words), value(_mm512_srli_epi32::<16>(words))),
        (value(_mm512_srli_epi32::<4>(words)), value(_mm512_srli_epi32::<20>(words))),
        (value(_mm512_srli_epi32::<8>(words)), value(_mm512_srli_epi32::<24>(words))),
        (value(_mm512_srli_epi32::<12>(words)), value(_mm512_srli_epi32::<28>(words))),
    ]
}

/// The sum of the lanes: lane i takes lane i + 8, then + 4, + 2, + 1.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn fold(vector: __m512) -> f32 {
    let upper =
        _mm512_castpd_ps(_mm512_castpd256_pd512(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(vector))));
    let eight = _mm256_add_ps(_mm512_castps512_ps256(vector), _mm512_castps512_ps256(upper));
    let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
}
