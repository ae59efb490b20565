//! AVX-512 F and BW: one register of sixteen f32.

use std::arch::x86_64::*;

use super::{Kernel, LINE, Simd, Tile};
use crate::numerics::LANES;
use crate::weights::packed_bf16::TABLE;

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
#[inline(never)]
fn with_avx512<K: Kernel<Avx512>>(simd: Avx512, kernel: K) -> K::Output {
    kernel.run(simd)
}

/// The sixteen values of E2M1 in bf16, twice; code 8 is +0. `vpermw` takes five bits of an index, so the upper copy
/// makes the bit above a code harmless.
const E2M1_BF16: [u16; 32] = {
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

/// Four bytes, each as a 16-bit number in all places of its four lanes.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn spread_scales(scales: [u8; 4]) -> __m512i {
    // A negative index gives zero.
    const INDEX: [i64; 4] = [0, 1, 2, 3];
    const UPPER: i64 = 0x8000_8000_8000_8000_u64 as i64;
    const ALL: i64 = 0x0001_0001_0001_0001;
    let [a, b, c, d] = INDEX.map(|byte| UPPER | (byte * ALL));
    _mm512_shuffle_epi8(
        _mm512_set1_epi32(i32::from_le_bytes(scales)),
        _mm512_set_epi64(d, d, c, c, b, b, a, a),
    )
}

/// Sixteen words of bf16 pairs (even below odd) of each accumulator, unscaled.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn look_up(line: &[u8; LINE]) -> [__m512i; 4] {
    // SAFETY: arrays of 64 bytes; the loads need no alignment.
    let (words, table) =
        unsafe { (_mm512_loadu_si512(line.as_ptr().cast()), _mm512_loadu_si512(E2M1_BF16.as_ptr().cast())) };
    [
        _mm512_permutexvar_epi16(words, table),
        _mm512_permutexvar_epi16(_mm512_srli_epi16::<4>(words), table),
        _mm512_permutexvar_epi16(_mm512_srli_epi16::<8>(words), table),
        _mm512_permutexvar_epi16(_mm512_srli_epi16::<12>(words), table),
    ]
}

/// At most 64 bytes, padded with zeros.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
pub(super) fn padded(bytes: &[u8]) -> [u8; LINE] {
    let mut line = [0; LINE];
    let there = u64::MAX.checked_shr((LINE - bytes.len().min(LINE)) as u32).unwrap_or(0);
    // SAFETY: bytes outside the mask are not read; the store writes the 64 bytes of an array.
    unsafe {
        let padded = _mm512_maskz_loadu_epi8(there, bytes.as_ptr().cast());
        _mm512_storeu_si512(line.as_mut_ptr().cast(), padded);
    }
    line
}

/// Sixteen words of bf16 pairs of each accumulator, where scale bytes are from 78 to 127.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
pub(super) fn unpack_folded(line: &[u8; LINE], scales: [u8; 4]) -> [__m512i; 4] {
    // What the scale takes off the exponent of a bf16, (127 - scale) * 128; zero saturates and stays zero. Negative
    // numbers are unsigned here, so their sign bit survives.
    let taken = _mm512_slli_epi16::<7>(_mm512_sub_epi16(_mm512_set1_epi16(127), spread_scales(scales)));
    let [a, b, c, d] = look_up(line);
    [
        _mm512_subs_epu16(a, taken),
        _mm512_subs_epu16(b, taken),
        _mm512_subs_epu16(c, taken),
        _mm512_subs_epu16(d, taken),
    ]
}

/// As [`unpack_folded`] for every scale byte up to 252, flushed.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
pub(super) fn unpack_any(line: &[u8; LINE], scales: [u8; 4]) -> [__m512i; 4] {
    let added = _mm512_slli_epi16::<7>(_mm512_sub_epi16(spread_scales(scales), _mm512_set1_epi16(127)));
    let [a, b, c, d] = look_up(line);
    [add_exponent(a, added), add_exponent(b, added), add_exponent(c, added), add_exponent(d, added)]
}

/// bf16 numbers with `added` added to their exponent and mantissa, and zero where they were zero or where the exponent
/// falls below that of 2^-50. No sum leaves 15 bits: 6 * 2^125 is below infinity.
#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn add_exponent(words: __m512i, added: __m512i) -> __m512i {
    let magnitude = _mm512_and_si512(words, _mm512_set1_epi16(0x7fff));
    let some = _mm512_test_epi16_mask(magnitude, magnitude);
    let sum = _mm512_add_epi16(magnitude, added);
    let kept = _mm512_mask_cmpge_epi16_mask(some, sum, _mm512_set1_epi16(77 << 7));
    _mm512_maskz_add_epi16(kept, words, added)
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

/// Sixteen words of bf16 pairs of each of two packed lines.
#[target_feature(enable = "avx2,avx512f,avx512bw")]
#[inline]
pub(super) fn unpack_packed(words: &[u8; LINE], codes: &[u8; LINE / 2], table: &[u8; TABLE]) -> [__m512i; 2] {
    // SAFETY: arrays of 64, 32 and 16 bytes; the loads need no alignment.
    let (words, codes, table) = unsafe {
        (
            _mm512_loadu_si512(words.as_ptr().cast()),
            _mm256_loadu_si256(codes.as_ptr().cast()),
            _mm_loadu_si128(table.as_ptr().cast()),
        )
    };
    // The exponents where bf16 has them, twice: `vpermw` takes five bits of an index, and the fifth is the lowest one of
    // the other line's code.
    let exponents = _mm512_slli_epi16::<7>(_mm512_cvtepu8_epi16(_mm256_broadcastsi128_si256(table)));
    let codes = _mm512_cvtepu8_epi16(codes);
    let signs_mantissas = _mm512_set1_epi32(0x807f_807f_u32 as i32);
    // Where the first operand has a one the second, else the third.
    const SELECT: i32 = 0xca;
    [
        _mm512_ternarylogic_epi32::<SELECT>(
            signs_mantissas,
            words,
            _mm512_permutexvar_epi16(codes, exponents),
        ),
        _mm512_ternarylogic_epi32::<SELECT>(
            signs_mantissas,
            _mm512_ror_epi32::<8>(words),
            _mm512_permutexvar_epi16(_mm512_srli_epi16::<4>(codes), exponents),
        ),
    ]
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
    fn fold4(self, vectors: [__m512; 4]) -> [f32; 4] {
        // SAFETY: a value of this type comes only from detection.
        unsafe { fold4(vectors) }
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
    fn bf16_line<const FLUSH: bool>(self, line: &[u8; LINE]) -> Pair {
        // SAFETY: as above; an array of 64 bytes, and the load needs no alignment.
        unsafe {
            let words = _mm512_loadu_si512(line.as_ptr().cast());
            split(if FLUSH { flush_pairs(words) } else { words })
        }
    }

    #[inline(always)]
    fn packed_lines(self, words: &[u8; LINE], codes: &[u8; LINE / 2], table: &[u8; TABLE]) -> [Pair; 2] {
        // SAFETY: a value of this type comes only from detection.
        unsafe {
            let [a, b] = unpack_packed(words, codes, table);
            [split(a), split(b)]
        }
    }

    #[inline(always)]
    fn mxfp4_line<const ANY_SCALE: bool>(self, line: &[u8; LINE], scales: [u8; 4]) -> [Pair; 4] {
        // SAFETY: a value of this type comes only from detection.
        unsafe {
            let [a, b, c, d] = if ANY_SCALE { unpack_any(line, scales) } else { unpack_folded(line, scales) };
            [split(a), split(b), split(c), split(d)]
        }
    }
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

/// [`fold`] of four vectors.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn fold4([a, b, c, d]: [__m512; 4]) -> [f32; 4] {
    // Eight lanes of two vectors side by side, then four lanes of all.
    let eight = |a, b| _mm512_add_ps(_mm512_shuffle_f32x4::<0x44>(a, b), _mm512_shuffle_f32x4::<0xee>(a, b));
    let (ab, cd) = (eight(a, b), eight(c, d));
    let four = _mm512_add_ps(_mm512_shuffle_f32x4::<0x88>(ab, cd), _mm512_shuffle_f32x4::<0xdd>(ab, cd));
    let two = _mm512_add_ps(four, _mm512_permute_ps::<0x4e>(four));
    let one = _mm512_add_ps(two, _mm512_permute_ps::<0xb1>(two));
    let firsts = _mm512_setr_epi32(0, 4, 8, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    let sums = _mm512_castps512_ps128(_mm512_permutexvar_ps(firsts, one));
    let mut out = [0.0; 4];
    // SAFETY: an array of four numbers; the store needs no alignment.
    unsafe { _mm_storeu_ps(out.as_mut_ptr(), sums) };
    out
}

/// Row i is column i of `words`.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn transpose(words: &[[u32; LANES]; LANES]) -> [[u32; LANES]; LANES] {
    // SAFETY: an array of sixteen words, and the load needs no alignment.
    let rows = words.each_ref().map(|row| unsafe { _mm512_loadu_si512(row.as_ptr().cast()) });
    // Of four rows, the columns 4 i + k for each i of four: their words side by side.
    let mut fours = [[_mm512_setzero_si512(); 4]; 4];
    for (four, rows) in fours.iter_mut().zip(rows.as_chunks::<4>().0) {
        let [a, b, c, d] = *rows;
        let (low, high) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
        let (next_low, next_high) = (_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
        *four = [
            _mm512_unpacklo_epi64(low, next_low),
            _mm512_unpackhi_epi64(low, next_low),
            _mm512_unpacklo_epi64(high, next_high),
            _mm512_unpackhi_epi64(high, next_high),
        ];
    }
    let mut out = [[0; LANES]; LANES];
    for k in 0..4 {
        let [a, b, c, d] = fours.map(|four| four[k]);
        // The columns k and 8 + k, then 4 + k and 12 + k.
        let (even, odd) = (_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0xdd>(a, b));
        let (next_even, next_odd) = (_mm512_shuffle_i32x4::<0x88>(c, d), _mm512_shuffle_i32x4::<0xdd>(c, d));
        let columns = [
            (k, _mm512_shuffle_i32x4::<0x88>(even, next_even)),
            (k + 4, _mm512_shuffle_i32x4::<0x88>(odd, next_odd)),
            (k + 8, _mm512_shuffle_i32x4::<0xdd>(even, next_even)),
            (k + 12, _mm512_shuffle_i32x4::<0xdd>(odd, next_odd)),
        ];
        for (column, words) in columns {
            // SAFETY: an array of sixteen words, and the store needs no alignment.
            unsafe { _mm512_storeu_si512(out[column].as_mut_ptr().cast(), words) };
        }
    }
    out
}
