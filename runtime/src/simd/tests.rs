use super::*;
use crate::dtype::mxfp4;
use crate::numerics::{Arithmetic, Bf16, Order, flush};

/// Runs a check on every instruction set that this machine has.
macro_rules! on_each_isa {
    ($check:ident) => {
        $check(Scalar::detect());
        #[cfg(target_arch = "x86_64")]
        {
            Avx2::detect().map($check);
            Avx512::detect().map($check);
            Avx512Bf16::detect().map($check);
        }
        #[cfg(target_arch = "aarch64")]
        Neon::detect().map($check);
    };
}

/// What a pair holds, even before odd: each element picked out by a dot product with a one.
fn elements<S: Simd<Real = f32>>(simd: S, pair: S::Pair) -> [(f32, f32); LANES] {
    let (one, none) = ([1.0; LANES], [0.0; LANES]);
    let even = simd.dot2(simd.zero(), pair, simd.load_pair(&simd.pack(&one, &none)));
    let odd = simd.dot2(simd.zero(), pair, simd.load_pair(&simd.pack(&none, &one)));
    let (even, odd) = (simd.store(even), simd.store(odd));
    std::array::from_fn(|lane| (even[lane], odd[lane]))
}

/// A step through cases: wider under Miri, which needs a thousand times as long.
fn few(step: usize, under_miri: usize) -> usize {
    if cfg!(miri) { under_miri } else { step }
}

struct Codes<'a>(&'a [u8; LINE], [u8; 4], bool);

impl<S: Simd<Real = f32>> Kernel<S> for Codes<'_> {
    type Output = [[(f32, f32); LANES]; 4];

    #[inline(always)]
    fn run(self, simd: S) -> Self::Output {
        let pairs = if self.2 {
            simd.mxfp4_line::<true>(self.0, self.1)
        } else {
            simd.mxfp4_line::<false>(self.0, self.1)
        };
        pairs.map(|pair| elements(simd, pair))
    }
}

/// Every code stands at every place of a line once in sixteen lines.
fn line_of_codes(turn: u8) -> [u8; LINE] {
    std::array::from_fn(|byte| {
        let low = (2 * byte as u8 + turn) & 15;
        let high = (2 * byte as u8 + 1 + 3 * turn) & 15;
        low | high << 4
    })
}

#[test]
fn codes_unpack_to_their_places() {
    fn check<S: Simd<Real = f32>>(simd: S) {
        for turn in (0..16).step_by(few(1, 7)) {
            let line = line_of_codes(turn);
            for first in (0..=252_u8).step_by(few(3, 42)) {
                let scales = [first, first.saturating_add(1).min(252), 252 - first, first];
                let folded = scales.iter().all(|scale| (78..=127).contains(scale));
                for any in [true, false] {
                    if !any && !folded {
                        continue;
                    }
                    let found = simd.vectorize(Codes(&line, scales, any));
                    for k in 0..128 {
                        let byte = line[k / 2];
                        let code = if k % 2 == 0 { byte & 15 } else { byte >> 4 };
                        let power = mxfp4::exp2(i32::from(scales[k / 32]) - 127);
                        let expected = flush(mxfp4::E2M1[usize::from(code)] * power);
                        let (lane, accumulator) = Order::E.slot(k);
                        let (even, odd) = found[accumulator][lane];
                        let value = if k / 4 % 2 == 1 { odd } else { even };
                        assert_eq!(value.to_bits(), expected.to_bits(), "{scales:?} {k}");
                    }
                }
            }
        }
    }
    on_each_isa!(check);
}

struct Bf16Line<'a>(&'a [u8; LINE], bool);

impl<S: Simd<Real = f32>> Kernel<S> for Bf16Line<'_> {
    type Output = [(f32, f32); LANES];

    #[inline(always)]
    fn run(self, simd: S) -> Self::Output {
        let pair = if self.1 { simd.bf16_line::<true>(self.0) } else { simd.bf16_line::<false>(self.0) };
        elements(simd, pair)
    }
}

#[test]
fn bf16_weights_are_flushed_below_two_to_the_minus_fifty() {
    fn check<S: Simd<Real = f32>>(simd: S) {
        for start in (0..0x7f80_u16).step_by(few(16, 1104)) {
            let bits: [u16; 32] = std::array::from_fn(|k| (start + k as u16 / 2) | ((k as u16 & 1) << 15));
            let mut line = [0; LINE];
            for (to, bits) in line.chunks_exact_mut(2).zip(bits) {
                to.copy_from_slice(&bits.to_le_bytes());
            }
            let found = simd.vectorize(Bf16Line(&line, true));
            for k in 0..32 {
                let (even, odd) = found[k / 2];
                let expected = flush(crate::dtype::bf16::to_f32(bits[k]));
                let value = if k % 2 == 1 { odd } else { even };
                assert_eq!(value.to_bits(), (expected + 0.0).to_bits(), "{:04x}", bits[k]);
            }
        }
    }
    on_each_isa!(check);
}

struct Sum([f32; LANES], [f32; LANES], [f32; LANES], [f32; LANES], [f32; LANES]);

impl<S: Simd<Real = f32>> Kernel<S> for Sum {
    type Output = ([f32; LANES], f32);

    #[inline(always)]
    fn run(self, simd: S) -> Self::Output {
        let a = simd.load_pair(&simd.pack(&self.0, &self.1));
        let b = simd.load_pair(&simd.pack(&self.2, &self.3));
        let sum = simd.dot2(simd.load(&self.4), a, b);
        (simd.store(sum), simd.fold(sum))
    }
}

#[test]
fn two_steps_of_a_dot_product_round_as_two_fused_multiply_adds_the_odd_one_first() {
    fn check<S: Simd<Real = f32>>(simd: S) {
        let mut state = 1_u64;
        let mut next = |low: u32, high: u32| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let bits = (state >> 32) as u32;
            let exponent = low + (bits >> 8) % (high - low);
            Bf16::b(f32::from_bits((bits & 0x807f_ffff) | exponent << 23))
        };
        for (low, high) in [(100, 150), (77, 80), (120, 130), (77, 180)] {
            for _ in (0..2000).step_by(few(1, 500)) {
                let mut row = || -> [f32; LANES] { std::array::from_fn(|_| next(low, high)) };
                let (a, b, c, d) = (row(), row(), row(), row());
                // Sums that nearly cancel show the order and the single rounding best.
                let e: [f32; LANES] = std::array::from_fn(|lane| match lane % 3 {
                    0 => -(a[lane] * c[lane]),
                    1 => -(b[lane] * d[lane]) * 1.000_001,
                    _ => a[lane] * c[lane] * 123_456.0,
                });
                let (found, folded) = simd.vectorize(Sum(a, b, c, d, e));
                let expected: [f32; LANES] =
                    std::array::from_fn(|lane| a[lane].mul_add(c[lane], b[lane].mul_add(d[lane], e[lane])));
                assert_eq!(found.map(f32::to_bits), expected.map(f32::to_bits));
                assert_eq!(folded.to_bits(), crate::numerics::fold_lanes(expected).to_bits());
            }
        }
    }
    on_each_isa!(check);
}

#[test]
fn an_instruction_set_that_the_machine_lacks_is_refused() {
    let missing = if cfg!(target_arch = "x86_64") { Isa::Neon } else { Isa::Avx2 };
    let error = missing.require().unwrap_err();
    assert_eq!(error.kind(), crate::ErrorKind::Isa);
    assert!(error.rule().contains("scalar"), "{error}");
    assert_eq!("avx512bf16".parse::<Isa>().unwrap(), Isa::Avx512Bf16);
    assert!("sse9".parse::<Isa>().is_err());
    assert!(Isa::best().is_available());
}

struct Words<'a>(&'a [[u32; LANES]; LANES]);

impl<S: Simd> Kernel<S> for Words<'_> {
    type Output = [[u32; LANES]; LANES];

    #[inline(always)]
    fn run(self, simd: S) -> Self::Output {
        simd.transpose(self.0)
    }
}

#[test]
fn columns_become_rows() {
    fn check<S: Simd<Real = f32>>(simd: S) {
        let words = std::array::from_fn(|row| std::array::from_fn(|lane| (row << 16 | lane) as u32));
        for (row, words) in simd.vectorize(Words(&words)).into_iter().enumerate() {
            assert_eq!(words, std::array::from_fn(|lane| (lane << 16 | row) as u32), "row {row}");
        }
    }
    on_each_isa!(check);
}
