//! AVX2 and FMA: two registers of eight f32.

use std::arch::x86_64::*;

use super::{Kernel, LINE, Simd};
use crate::numerics::LANES;
use crate::weights::packed_bf16::TABLE;

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
#[inline(never)]
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

/// The exponents of two blocks as bf16 counts them, each in all places of its four lanes: (scale - 127) * 128, or the
/// negative of it.
#[target_feature(enable = "avx2")]
#[inline]
fn exponents<const NEGATIVE: bool>(scales: [u8; 4], half: i64) -> __m256i {
    // A negative index gives zero.
    let index = |byte: i64| 0x8000_8000_8000_8000_u64 as i64 | (byte * 0x0001_0001_0001_0001);
    let (a, b) = (index(2 * half), index(2 * half + 1));
    let all = _mm256_set1_epi32(i32::from_le_bytes(scales));
    let bytes = _mm256_shuffle_epi8(all, _mm256_setr_epi64x(a, a, b, b));
    let bias = _mm256_set1_epi16(127);
    let difference = if NEGATIVE { _mm256_sub_epi16(bias, bytes) } else { _mm256_sub_epi16(bytes, bias) };
    _mm256_slli_epi16::<7>(difference)
}

/// bf16 numbers with `added` added to their exponent and mantissa, and zero where they were zero or where the exponent
/// falls below that of 2^-50. No sum leaves 15 bits: 6 * 2^125 is below infinity.
#[target_feature(enable = "avx2")]
#[inline]
fn add_exponent(words: __m256i, added: __m256i) -> __m256i {
    let magnitude = _mm256_and_si256(words, _mm256_set1_epi16(0x7fff));
    let none = _mm256_cmpeq_epi16(magnitude, _mm256_setzero_si256());
    let large = _mm256_cmpgt_epi16(_mm256_add_epi16(magnitude, added), _mm256_set1_epi16((77 << 7) - 1));
    _mm256_and_si256(_mm256_andnot_si256(none, large), _mm256_add_epi16(words, added))
}

/// Even and odd operands of the four accumulators from eight words of MXFP4 codes.
#[target_feature(enable = "avx2")]
#[inline]
fn unpack<const ANY_SCALE: bool>(words: __m256i, scales: [u8; 4], half: i64) -> [(__m256, __m256); 4] {
    // The upper and the lower byte of a code's bf16; code 8 is +0.
    let upper = _mm256_broadcastsi128_si256(_mm_setr_epi8(
        0x00, 0x3f, 0x3f, 0x3f, 0x40, 0x40, 0x40, 0x40, 0x00, -0x41, -0x41, -0x41, -0x40, -0x40, -0x40, -0x40,
    ));
    let lower = _mm256_broadcastsi128_si256(_mm_setr_epi8(
        0x00, 0x00, -0x80, -0x40, 0x00, 0x40, -0x80, -0x40, 0x00, 0x00, -0x80, -0x40, 0x00, 0x40, -0x80,
        -0x40,
    ));
    let nibbles = _mm256_set1_epi8(15);
    let low_bytes = _mm256_set1_epi16(0x00ff);
    // Codes 0, 2, 4, 6 of a word are the lower halves of its bytes, codes 1, 3, 5, 7 the upper ones; codes q and q + 4
    // lie two bytes apart.
    let codes = [_mm256_and_si256(words, nibbles), _mm256_and_si256(_mm256_srli_epi16::<4>(words), nibbles)];
    let high = [_mm256_shuffle_epi8(upper, codes[0]), _mm256_shuffle_epi8(upper, codes[1])];
    let low = [_mm256_shuffle_epi8(lower, codes[0]), _mm256_shuffle_epi8(lower, codes[1])];
    let pairs = [
        _mm256_or_si256(_mm256_slli_epi16::<8>(high[0]), _mm256_and_si256(low[0], low_bytes)),
        _mm256_or_si256(_mm256_slli_epi16::<8>(high[1]), _mm256_and_si256(low[1], low_bytes)),
        _mm256_or_si256(_mm256_andnot_si256(low_bytes, high[0]), _mm256_srli_epi16::<8>(low[0])),
        _mm256_or_si256(_mm256_andnot_si256(low_bytes, high[1]), _mm256_srli_epi16::<8>(low[1])),
    ];
    let mut out = [(_mm256_setzero_ps(), _mm256_setzero_ps()); 4];
    if ANY_SCALE {
        let added = exponents::<false>(scales, half);
        for (out, words) in out.iter_mut().zip(pairs) {
            *out = split::<false>(add_exponent(words, added));
        }
    } else {
        // Zero saturates and stays zero. Negative numbers are unsigned here, so their sign bit survives.
        let taken = exponents::<true>(scales, half);
        for (out, words) in out.iter_mut().zip(pairs) {
            *out = split::<false>(_mm256_subs_epu16(words, taken));
        }
    }
    out
}

/// Even and odd numbers of a packed line: its codes in the lower four bits of bytes, and its words with other bits beside
/// the signs and mantissas. The codes' middle quarters have changed places. `tables` has the lower and the upper bytes
/// of the exponents, where bf16 has them.
#[target_feature(enable = "avx2")]
#[inline]
fn packed_line(codes: __m256i, words: [__m256i; 2], tables: [__m256i; 2]) -> Pair {
    let codes = _mm256_and_si256(codes, _mm256_set1_epi8(15));
    let (lower, upper) = (_mm256_shuffle_epi8(tables[0], codes), _mm256_shuffle_epi8(tables[1], codes));
    let signs_mantissas = _mm256_set1_epi32(0x807f_807f_u32 as i32);
    let half = |words: __m256i, exponents: __m256i| {
        split::<false>(_mm256_or_si256(_mm256_and_si256(words, signs_mantissas), exponents))
    };
    let (even0, odd0) = half(words[0], _mm256_unpacklo_epi8(lower, upper));
    let (even1, odd1) = half(words[1], _mm256_unpackhi_epi8(lower, upper));
    ([even0, even1], [odd0, odd1])
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
    fn fold4(self, [a, b, c, d]: [Vector; 4]) -> [f32; 4] {
        let mut out = [0.0; 4];
        // SAFETY: a value of this type comes only from detection; an array of four numbers takes the store.
        unsafe {
            let (a, b) = (_mm256_add_ps(a[0], a[1]), _mm256_add_ps(b[0], b[1]));
            let (c, d) = (_mm256_add_ps(c[0], c[1]), _mm256_add_ps(d[0], d[1]));
            // Four lanes of two vectors side by side, then two lanes of all.
            let ab =
                _mm256_add_ps(_mm256_permute2f128_ps::<0x20>(a, b), _mm256_permute2f128_ps::<0x31>(a, b));
            let cd =
                _mm256_add_ps(_mm256_permute2f128_ps::<0x20>(c, d), _mm256_permute2f128_ps::<0x31>(c, d));
            let two = _mm256_add_ps(_mm256_shuffle_ps::<0x44>(ab, cd), _mm256_shuffle_ps::<0xee>(ab, cd));
            let one = _mm256_add_ps(_mm256_shuffle_ps::<0x88>(two, two), _mm256_shuffle_ps::<0xdd>(two, two));
            // a and c lie in the lower half, b and d in the upper one.
            let sums = _mm_unpacklo_ps(_mm256_castps256_ps128(one), _mm256_extractf128_ps::<1>(one));
            _mm_storeu_ps(out.as_mut_ptr(), sums);
        }
        out
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
    fn prefetch(self, at: *const u8) {
        // SAFETY: a hint, which touches no memory that is not there.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
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
    fn packed_lines(self, words: &[u8; LINE], codes: &[u8; LINE / 2], table: &[u8; TABLE]) -> [Pair; 2] {
        // SAFETY: as above; arrays of 64, 32 and 16 bytes, and the loads need no alignment.
        unsafe {
            let words = [
                _mm256_loadu_si256(words.as_ptr().cast()),
                _mm256_loadu_si256(words.as_ptr().add(32).cast()),
            ];
            let codes = _mm256_permute4x64_epi64::<0xd8>(_mm256_loadu_si256(codes.as_ptr().cast()));
            let table = _mm256_broadcastsi128_si256(_mm_loadu_si128(table.as_ptr().cast()));
            // An exponent's lowest bit is the highest of a lower byte.
            let lower = _mm256_and_si256(_mm256_slli_epi16::<7>(table), _mm256_set1_epi8(-128));
            let upper = _mm256_and_si256(_mm256_srli_epi16::<1>(table), _mm256_set1_epi8(127));
            // Every word rotated right by a byte.
            let bytes = _mm_setr_epi8(1, 2, 3, 0, 5, 6, 7, 4, 9, 10, 11, 8, 13, 14, 15, 12);
            let bytes = _mm256_broadcastsi128_si256(bytes);
            let rotated = [_mm256_shuffle_epi8(words[0], bytes), _mm256_shuffle_epi8(words[1], bytes)];
            [
                packed_line(codes, words, [lower, upper]),
                packed_line(_mm256_srli_epi16::<4>(codes), rotated, [lower, upper]),
            ]
        }
    }

    #[inline(always)]
    fn mxfp4_line<const ANY_SCALE: bool>(self, line: &[u8; LINE], scales: [u8; 4]) -> [Pair; 4] {
        // SAFETY: as above; an array of 64 bytes, and the loads need no alignment.
        unsafe {
            let first = _mm256_loadu_si256(line.as_ptr().cast());
            let second = _mm256_loadu_si256(line.as_ptr().add(32).cast());
            let [a0, b0, c0, d0] = unpack::<ANY_SCALE>(first, scales, 0);
            let [a1, b1, c1, d1] = unpack::<ANY_SCALE>(second, scales, 1);
            [
                ([a0.0, a1.0], [a0.1, a1.1]),
                ([b0.0, b1.0], [b0.1, b1.1]),
                ([c0.0, c1.0], [c0.1, c1.1]),
                ([d0.0, d1.0], [d0.1, d1.1]),
            ]
        }
    }
}
