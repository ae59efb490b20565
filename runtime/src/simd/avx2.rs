//! AVX2 and FMA: two registers of eight f32.

use std::arch::x86_64::*;

use super::{Kernel, LINE, Simd};
use crate::dtype::mxfp4;
use crate::numerics::{self, ACCUMULATORS, LANES};
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

/// The values of the sixteen codes under one scale, in bf16: first their lower bytes, then their upper ones.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
struct Values([u8; 16], [u8; 16]);

/// The values of the codes under each scale byte that a file may have, so that a scale costs no more than the look-up.
static VALUES: [Values; 256] = {
    let mut values = [Values([0; 16], [0; 16]); 256];
    let mut scale = 0;
    while scale <= mxfp4::MAX_SCALE as usize {
        let mut code = 0;
        while code < 16 {
            let value = numerics::flush(mxfp4::E2M1[code] * mxfp4::exp2(scale as i32 - 127));
            [_, _, values[scale].0[code], values[scale].1[code]] = value.to_bits().to_le_bytes();
            code += 1;
        }
        scale += 1;
    }
    values
};

/// Eight words of MXFP4 codes, which are two blocks.
#[derive(Clone, Copy)]
struct Words {
    /// Their lower and upper codes, in the lower four bits of bytes: those of bytes 0 and 2 of all words, then of 1 and 3.
    codes: [__m256i; 2],
    /// Lower and upper bytes of [`VALUES`], for each block its own: a block is four words, which are what shares a look-up.
    values: [__m256i; 2],
}

/// Reads the words of two blocks, which have these scales.
#[target_feature(enable = "avx2")]
#[inline]
fn words(half: &[u8; LINE / 2], scales: [u8; 2]) -> Words {
    let [first, second] = scales.map(|scale| &VALUES[usize::from(scale)]);
    let values = |first: &[u8; 16], second: &[u8; 16]| {
        // SAFETY: arrays of 16 bytes, and the loads need no alignment.
        unsafe { _mm256_loadu2_m128i(second.as_ptr().cast(), first.as_ptr().cast()) }
    };
    let values = [values(&first.0, &second.0), values(&first.1, &second.1)];
    let order = _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
    // SAFETY: an array of 32 bytes, and the load needs no alignment.
    let half = unsafe { _mm256_loadu_si256(half.as_ptr().cast()) };
    let bytes = _mm256_shuffle_epi8(half, _mm256_broadcastsi128_si256(order));
    let nibbles = _mm256_set1_epi8(15);
    let codes = [_mm256_and_si256(bytes, nibbles), _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), nibbles)];
    Words { codes, values }
}

impl Words {
    /// Even and odd operands of accumulators `upper` and `upper + 2`, from the lower or the upper codes.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn numbers(&self, upper: usize) -> [(__m256, __m256); 2] {
        let [lower, upper] = self.values.map(|values| _mm256_shuffle_epi8(values, self.codes[upper]));
        [_mm256_unpacklo_epi8(lower, upper), _mm256_unpackhi_epi8(lower, upper)]
            .map(|words| split::<false>(words))
    }
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
    fn mxfp4_line<const ANY_SCALE: bool>(self, line: &[u8; LINE], [a, b, c, d]: [u8; 4]) -> [Pair; 4] {
        let (halves, _) = line.as_chunks();
        // SAFETY: a value of this type comes only from detection.
        unsafe {
            let (first, second) = (words(&halves[0], [a, b]), words(&halves[1], [c, d]));
            let pair = |first: (__m256, __m256), second: (__m256, __m256)| {
                ([first.0, second.0], [first.1, second.1])
            };
            let ([a0, c0], [b0, d0]) = (first.numbers(0), first.numbers(1));
            let ([a1, c1], [b1, d1]) = (second.numbers(0), second.numbers(1));
            [pair(a0, a1), pair(b0, b1), pair(c0, c1), pair(d0, d1)]
        }
    }

    /// One half of the lanes after the other, and two accumulators at a time, so that the registers hold the sums and what
    /// else is needed.
    #[inline(always)]
    fn mxfp4_products<const ANY_SCALE: bool, const X: usize>(
        self,
        sums: &mut [[Vector; ACCUMULATORS]; X],
        line: &[u8; LINE],
        [a, b, c, d]: [u8; 4],
        x: [[&Packed; ACCUMULATORS]; X],
    ) {
        let (halves, _) = line.as_chunks();
        for (half, scales) in [[a, b], [c, d]].into_iter().enumerate() {
            // SAFETY: a value of this type comes only from detection.
            unsafe {
                let words = words(&halves[half], scales);
                for upper in 0..2 {
                    for (index, (even, odd)) in words.numbers(upper).into_iter().enumerate() {
                        let accumulator = upper + 2 * index;
                        for (sums, x) in sums.iter_mut().zip(x) {
                            let (x, sum) = (self.load_pair(x[accumulator]), &mut sums[accumulator][half]);
                            *sum = _mm256_fmadd_ps(odd, x.1[half], *sum);
                            *sum = _mm256_fmadd_ps(even, x.0[half], *sum);
                        }
                    }
                }
            }
        }
    }
}
