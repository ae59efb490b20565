//! AVX-512-BF16: a pair of bf16 numbers a lane, and both steps of a dot product in one instruction.
//!
//! Only for the profile `bf16`, where every operand is a bf16 number that is zero or at least 2^-50: then
//! `vdpbf16ps`, which flushes subnormals, gives the bits of two fused multiply-adds, the odd element first.

use std::arch::x86_64::*;

use super::avx512::{flush_pairs, fold, fold4, padded, transpose, unpack_any, unpack_folded, unpack_packed};
use super::{Kernel, LINE, Simd, Tile};
use crate::numerics::LANES;
use crate::weights::packed_bf16::TABLE;

/// AVX-512 F, BW and BF16.
#[derive(Clone, Copy, Debug)]
pub struct Avx512Bf16(pub(super) ());

/// Sixteen words: an even bf16 below an odd one.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub struct Packed([u32; LANES]);

#[target_feature(enable = "avx2,fma,avx512f,avx512bw,avx512bf16")]
#[inline(never)]
fn with_avx512bf16<K: Kernel<Avx512Bf16>>(simd: Avx512Bf16, kernel: K) -> K::Output {
    kernel.run(simd)
}

impl Avx512Bf16 {
    /// Pairs of f32 that are bf16 numbers.
    #[inline(always)]
    fn narrow(even: &[f32; LANES], odd: &[f32; LANES]) -> [u32; LANES] {
        super::lanes(|lane| (even[lane].to_bits() >> 16) | (odd[lane].to_bits() & 0xffff_0000))
    }
}

impl Simd for Avx512Bf16 {
    type Real = f32;
    type Vector = __m512;
    type Pair = __m512i;
    type Packed = Packed;

    const TILE: Tile = Tile::Large;

    #[inline(always)]
    fn vectorize<K: Kernel<Self>>(self, kernel: K) -> K::Output {
        // SAFETY: a value of this type comes only from detection.
        unsafe { with_avx512bf16(self, kernel) }
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
    fn fold4(self, vectors: [__m512; 4]) -> [f32; 4] {
        // SAFETY: a value of this type comes only from detection.
        unsafe { fold4(vectors) }
    }

    #[inline(always)]
    fn dot2(self, sum: __m512, a: __m512i, b: __m512i) -> __m512 {
        // SAFETY: a value of this type comes only from detection; both register types are 512 bits without a rule.
        unsafe {
            let a = std::mem::transmute::<__m512i, __m512bh>(a);
            let b = std::mem::transmute::<__m512i, __m512bh>(b);
            _mm512_dpbf16_ps(sum, a, b)
        }
    }

    #[inline(always)]
    fn pack(self, even: &[f32; LANES], odd: &[f32; LANES]) -> Packed {
        Packed(Self::narrow(even, odd))
    }

    #[inline(always)]
    fn unpack(self, from: &Packed) -> ([f32; LANES], [f32; LANES]) {
        (
            super::lanes(|lane| f32::from_bits(from.0[lane] << 16)),
            super::lanes(|lane| f32::from_bits(from.0[lane] & 0xffff_0000)),
        )
    }

    #[inline(always)]
    fn load_pair(self, from: &Packed) -> __m512i {
        // SAFETY: as above; 64 bytes.
        unsafe { _mm512_loadu_si512(from.0.as_ptr().cast()) }
    }

    #[inline(always)]
    fn store_pair(self, pair: __m512i) -> Packed {
        let mut out = Packed::default();
        // SAFETY: as above; 64 bytes.
        unsafe { _mm512_storeu_si512(out.0.as_mut_ptr().cast(), pair) };
        out
    }

    #[inline(always)]
    fn padded(self, bytes: &[u8]) -> [u8; LINE] {
        // SAFETY: a value of this type comes only from detection.
        unsafe { padded(bytes) }
    }

    #[inline(always)]
    fn transpose(self, words: &[[u32; LANES]; LANES]) -> [[u32; LANES]; LANES] {
        // SAFETY: a value of this type comes only from detection.
        unsafe { transpose(words) }
    }

    #[inline(always)]
    fn prefetch(self, at: *const u8) {
        // SAFETY: a hint, which touches no memory that is not there.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
    }

    #[inline(always)]
    fn bf16_line<const FLUSH: bool>(self, line: &[u8; LINE]) -> __m512i {
        // SAFETY: as above; 64 bytes, and the load needs no alignment.
        unsafe {
            let words = _mm512_loadu_si512(line.as_ptr().cast());
            if FLUSH { flush_pairs(words) } else { words }
        }
    }

    #[inline(always)]
    fn packed_lines(self, words: &[u8; LINE], codes: &[u8; LINE / 2], table: &[u8; TABLE]) -> [__m512i; 2] {
        // SAFETY: a value of this type comes only from detection.
        unsafe { unpack_packed(words, codes, table) }
    }

    #[inline(always)]
    fn mxfp4_line<const ANY_SCALE: bool>(self, line: &[u8; LINE], scales: [u8; 4]) -> [__m512i; 4] {
        // SAFETY: a value of this type comes only from detection.
        unsafe { if ANY_SCALE { unpack_any(line, scales) } else { unpack_folded(line, scales) } }
    }
}
