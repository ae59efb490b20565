//! Sixteen lanes on every instruction set.
//!
//! A kernel is one generic function over [`Simd`]; the files of this module hold no algorithms, only what an
//! instruction set calls a step. Values of the types come only from detection, so having one is the proof that its
//! instructions exist.

#![allow(unsafe_code, reason = "instructions beyond the baseline; each block states why it may run")]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx512bf16;
mod isa;
#[cfg(target_arch = "aarch64")]
mod neon;
mod oracle;
mod scalar;
#[cfg(test)]
mod tests;

#[cfg(target_arch = "x86_64")]
pub use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub use avx512::Avx512;
#[cfg(target_arch = "x86_64")]
pub use avx512bf16::Avx512Bf16;
pub use isa::Isa;
#[cfg(target_arch = "aarch64")]
pub use neon::Neon;
pub use oracle::Oracle;
pub use scalar::Scalar;

use std::fmt;

use crate::dtype::bf16;
use crate::logits::Value;
use crate::numerics::{ACCUMULATORS, LANES, Real, flush};
use crate::weights::packed_bf16::{TABLE, unpack_lines};

/// Bytes of a line: 32 bf16 numbers, or 128 MXFP4 codes.
pub const LINE: usize = 64;

/// A computation that runs with the instructions of `S`.
pub trait Kernel<S: Simd> {
    /// What it gives.
    type Output;

    /// Runs it; must be `#[inline(always)]`, so that it is compiled for the instructions of `S`.
    fn run(self, simd: S) -> Self::Output;
}

/// How many sums of a product fit the registers: rows of weights times rows of activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tile {
    /// 4 by 6.
    Large,
    /// 2 by 3.
    Small,
}

/// One instruction set, for one number type. All methods are exact in the sense of clauses 1 and 4.
pub trait Simd: Copy + Send + Sync + 'static {
    /// f32, or f64 for the oracle.
    type Real: Value;
    /// Sixteen numbers.
    type Vector: Copy + fmt::Debug + Send + Sync + 'static;
    /// Sixteen pairs of operands of a dot product: the elements at even and at odd places.
    type Pair: Copy;
    /// The same in memory.
    type Packed: Copy + Default + Send + Sync + 'static;

    /// The sums that a product keeps in registers.
    const TILE: Tile = Tile::Small;

    /// Runs a kernel with this instruction set.
    fn vectorize<K: Kernel<Self>>(self, kernel: K) -> K::Output;

    /// Sixteen times +0.
    fn zero(self) -> Self::Vector;
    /// Sixteen times `value`.
    fn splat(self, value: Self::Real) -> Self::Vector;
    /// From memory.
    fn load(self, from: &[Self::Real; LANES]) -> Self::Vector;
    /// To memory.
    fn store(self, vector: Self::Vector) -> [Self::Real; LANES];
    /// a + b.
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// a * b + c, rounded once.
    fn fma(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;

    /// The sum of the lanes as clause 4 says.
    #[inline(always)]
    fn fold(self, vector: Self::Vector) -> Self::Real {
        crate::numerics::fold_lanes(self.store(vector))
    }

    /// The sums of the lanes of four vectors.
    #[inline(always)]
    fn fold4(self, vectors: [Self::Vector; 4]) -> [Self::Real; 4] {
        let [a, b, c, d] = vectors;
        [self.fold(a), self.fold(b), self.fold(c), self.fold(d)]
    }

    /// The sums of the lanes of each of `N` vectors.
    #[inline(always)]
    fn fold_each<const N: usize>(self, vectors: [Self::Vector; N]) -> [Self::Real; N] {
        let mut out = [Self::Real::ZERO; N];
        let (quads, rest) = vectors.as_chunks::<4>();
        let (out_quads, out_rest) = out.as_chunks_mut::<4>();
        for (out, quad) in out_quads.iter_mut().zip(quads) {
            *out = self.fold4(*quad);
        }
        for (out, vector) in out_rest.iter_mut().zip(rest) {
            *out = self.fold(*vector);
        }
        out
    }

    /// Adds the product of the odd elements, then that of the even ones (clause 4).
    fn dot2(self, sum: Self::Vector, a: Self::Pair, b: Self::Pair) -> Self::Vector;
    /// Activations to memory; under `bf16` they are bf16 numbers.
    fn pack(self, even: &[Self::Real; LANES], odd: &[Self::Real; LANES]) -> Self::Packed;
    /// From memory.
    fn load_pair(self, from: &Self::Packed) -> Self::Pair;
    /// To memory.
    fn store_pair(self, pair: Self::Pair) -> Self::Packed;

    /// Row i of what is given is column i of `words`.
    #[inline(always)]
    fn transpose(self, words: &[[u32; LANES]; LANES]) -> [[u32; LANES]; LANES] {
        lanes(|row| lanes(|lane| words[lane][row]))
    }

    /// Asks for the line at `at`, which need not exist, to be brought to the cache.
    #[inline(always)]
    fn prefetch(self, _at: *const u8) {}

    /// At most 64 bytes, padded with zeros.
    #[inline(always)]
    fn padded(self, bytes: &[u8]) -> [u8; LINE] {
        let mut line = [0; LINE];
        // Copies of known lengths need no call, and what is stored at once can be loaded at once.
        let (halves, rest) = bytes.as_chunks::<{ LINE / 2 }>();
        let (places, _) = line.as_chunks_mut();
        for (place, half) in places.iter_mut().zip(halves) {
            *place = *half;
        }
        let (blocks, rest) = rest.as_chunks::<16>();
        let places = &mut line[LINE / 2 * halves.len()..];
        for (place, block) in places.as_chunks_mut().0.iter_mut().zip(blocks) {
            *place = *block;
        }
        if !rest.is_empty() {
            places[16 * blocks.len()..][..rest.len()].copy_from_slice(rest);
        }
        line
    }

    /// 32 weights in bf16, little-endian, in the order of their places; flushed where `FLUSH` says so.
    fn bf16_line<const FLUSH: bool>(self, line: &[u8; LINE]) -> Self::Pair;
    /// The even and the odd numbers of what [`Simd::pack`] packed.
    fn unpack(self, from: &Self::Packed) -> ([Self::Real; LANES], [Self::Real; LANES]);

    /// Sixteen weights in bf16, little-endian; flushed where `FLUSH` says so.
    #[inline(always)]
    fn bf16_vector<const FLUSH: bool>(self, numbers: &[u8; 2 * LANES]) -> Self::Vector {
        let (numbers, _) = numbers.as_chunks::<2>();
        let mut wide = [Self::Real::ZERO; LANES];
        for (wide, number) in wide.iter_mut().zip(numbers) {
            let number = bf16::to_f32(u16::from_le_bytes(*number));
            *wide = Self::Real::from_f32(if FLUSH { flush(number) } else { number });
        }
        self.load(&wide)
    }

    /// 32 bf16 numbers in the order of their places, not flushed.
    #[inline(always)]
    fn bf16_pair(self, numbers: &[u16; LINE / 2]) -> Self::Pair {
        let mut line = [0; LINE];
        let (places, _) = line.as_chunks_mut::<2>();
        for (place, number) in places.iter_mut().zip(numbers) {
            *place = number.to_le_bytes();
        }
        self.bf16_line::<false>(&line)
    }

    /// Two packed lines of 32 weights (see [`packed_bf16`](crate::weights::packed_bf16)): their words, their codes and the
    /// exponents that those stand for.
    #[inline(always)]
    fn packed_lines(
        self,
        words: &[u8; LINE],
        codes: &[u8; LINE / 2],
        table: &[u8; TABLE],
    ) -> [Self::Pair; 2] {
        let [a, b] = unpack_lines(words, codes, table);
        [self.bf16_pair(&a), self.bf16_pair(&b)]
    }

    /// 128 MXFP4 codes with the scale bytes of their four blocks: the pairs of the four accumulators of order E.
    ///
    /// Without `ANY_SCALE` the scale bytes are from 78 to 127, so that nothing is flushed and no exponent wraps.
    fn mxfp4_line<const ANY_SCALE: bool>(self, line: &[u8; LINE], scales: [u8; 4]) -> [Self::Pair; 4];

    /// Adds the products of such a line and one step of `X` rows of activations.
    #[inline(always)]
    fn mxfp4_products<const ANY_SCALE: bool, const X: usize>(
        self,
        sums: &mut [[Self::Vector; ACCUMULATORS]; X],
        line: &[u8; LINE],
        scales: [u8; 4],
        x: [[&Self::Packed; ACCUMULATORS]; X],
    ) {
        let weights = self.mxfp4_line::<ANY_SCALE>(line, scales);
        for (sums, x) in sums.iter_mut().zip(x) {
            for accumulator in 0..ACCUMULATORS {
                let x = self.load_pair(x[accumulator]);
                sums[accumulator] = self.dot2(sums[accumulator], weights[accumulator], x);
            }
        }
    }
}

/// Lanes from `(lane) -> value`, as straight-line code.
#[inline(always)]
fn lanes<T: Copy + Default>(mut value: impl FnMut(usize) -> T) -> [T; LANES] {
    let mut out = [T::default(); LANES];
    for (lane, out) in out.iter_mut().enumerate() {
        *out = value(lane);
    }
    out
}
