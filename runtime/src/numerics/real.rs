//! The two number types and the three profiles' rounding.

use std::fmt::Debug;
use std::ops::{Add, Div, Mul, Neg, Sub};

use super::{elementary, round_bf16};
use crate::dtype::bf16;
use crate::profile::Profile;

/// f32 or f64, with the operations that the contract allows (clause 1).
pub trait Real:
    Copy
    + Debug
    + Default
    + PartialOrd
    + Send
    + Sync
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + 'static
{
    /// +0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// The factor in the sigmoid of SwiGLU: 1.702, in f32 0x3fd9db23.
    const ALPHA: Self;
    /// Bytes of a number.
    const BYTES: usize;

    /// A weight.
    fn from_f32(value: f32) -> Self;
    /// The nearest number.
    fn from_f64(value: f64) -> Self;
    /// The same number; exact.
    fn to_f64(self) -> f64;
    /// `self * factor + addend`, rounded once.
    fn fma(self, factor: Self, addend: Self) -> Self;
    /// The square root, correctly rounded.
    fn sqrt(self) -> Self;
    /// e to the power of `self` (clause 11).
    fn exp(self) -> Self;
    /// Whether this is a NaN.
    fn is_nan(self) -> bool;
    /// Whether this is neither a NaN nor infinite.
    fn is_finite(self) -> bool;
    /// The number's bytes, little-endian, appended to `out` (clause 16).
    fn append_to(self, out: &mut Vec<u8>);
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const ALPHA: Self = 1.702;
    const BYTES: usize = 4;

    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        value
    }

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value as f32
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn fma(self, factor: Self, addend: Self) -> Self {
        fma(self, factor, addend)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        f32::sqrt(self)
    }

    #[inline(always)]
    fn exp(self) -> Self {
        elementary::exp_f32(self)
    }

    #[inline(always)]
    fn is_nan(self) -> bool {
        f32::is_nan(self)
    }

    #[inline(always)]
    fn is_finite(self) -> bool {
        f32::is_finite(self)
    }

    fn append_to(self, out: &mut Vec<u8>) {
        out.extend(self.to_le_bytes());
    }
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const ALPHA: Self = 1.702;
    const BYTES: usize = 8;

    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        f64::from(value)
    }

    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value
    }

    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }

    #[inline(always)]
    fn fma(self, factor: Self, addend: Self) -> Self {
        self.mul_add(factor, addend)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }

    #[inline(always)]
    fn exp(self) -> Self {
        elementary::exp_f64(self)
    }

    #[inline(always)]
    fn is_nan(self) -> bool {
        f64::is_nan(self)
    }

    #[inline(always)]
    fn is_finite(self) -> bool {
        f64::is_finite(self)
    }

    fn append_to(self, out: &mut Vec<u8>) {
        out.extend(self.to_le_bytes());
    }
}

/// `a * b + c` in f32, rounded once, on hardware with and without the instruction.
///
/// Without it: the product of two f32 is exact in f64; the sum is rounded to odd there, and 53 bits rounded to odd round
/// to the 24 of an f32 as the exact sum does (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", 2008).
#[inline(always)]
#[must_use]
pub fn fma(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
        a.mul_add(b, c)
    } else {
        fma_by_f64(a, b, c)
    }
}

/// The form of [`fma`] that needs no instruction for it.
#[inline(always)]
pub(crate) fn fma_by_f64(a: f32, b: f32, c: f32) -> f32 {
    let product = f64::from(a) * f64::from(b);
    let addend = f64::from(c);
    let sum = product + addend;
    // Knuth's two-sum: `sum + error` is exactly the sum.
    let part = sum - product;
    let error = (product - (sum - part)) + (addend - part);
    let bits = sum.to_bits();
    let inexact = error != 0.0 && sum.is_finite();
    // Toward the error if that makes the last bit odd; the magnitude grows where both have one sign.
    let even = bits & 1 == 0;
    let outward = (error > 0.0) == (sum > 0.0);
    let odd = if outward { bits | 1 } else { bits.wrapping_sub(1) };
    (if inexact && even { f64::from_bits(odd) } else { sum }) as f32
}

/// A profile: its number type, and b (clause 3).
pub trait Arithmetic: Copy + Debug + Default + Send + Sync + 'static {
    /// The type of activations and sums.
    type Real: crate::logits::Value;
    /// The type in which the KV cache holds a value; exact.
    type Stored: Copy + Debug + Default + PartialEq + Send + Sync + 'static;
    /// The profile's name.
    const PROFILE: Profile;

    /// A value that went through b, as the KV cache holds it.
    fn store(value: Self::Real) -> Self::Stored;
    /// The value that the KV cache holds.
    fn restore(stored: Self::Stored) -> Self::Real;

    /// b(v) of the profile: rounded to bf16 and flushed under `bf16`, the value itself otherwise.
    fn b(value: Self::Real) -> Self::Real;
}

/// The arithmetic of [`Profile::Bf16`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Bf16;

/// The arithmetic of [`Profile::F32`].
#[derive(Clone, Copy, Debug, Default)]
pub struct F32;

/// The arithmetic of [`Profile::F64`].
#[derive(Clone, Copy, Debug, Default)]
pub struct F64;

impl Arithmetic for Bf16 {
    type Real = f32;
    type Stored = u16;
    const PROFILE: Profile = Profile::Bf16;

    #[inline(always)]
    fn store(value: f32) -> u16 {
        (value.to_bits() >> 16) as u16
    }

    #[inline(always)]
    fn restore(stored: u16) -> f32 {
        bf16::to_f32(stored)
    }

    #[inline(always)]
    fn b(value: f32) -> f32 {
        round_bf16(value)
    }
}

impl Arithmetic for F32 {
    type Real = f32;
    type Stored = f32;
    const PROFILE: Profile = Profile::F32;

    #[inline(always)]
    fn store(value: f32) -> f32 {
        value
    }

    #[inline(always)]
    fn restore(stored: f32) -> f32 {
        stored
    }

    #[inline(always)]
    fn b(value: f32) -> f32 {
        value
    }
}

impl Arithmetic for F64 {
    type Real = f64;
    type Stored = f64;
    const PROFILE: Profile = Profile::F64;

    #[inline(always)]
    fn store(value: f64) -> f64 {
        value
    }

    #[inline(always)]
    fn restore(stored: f64) -> f64 {
        stored
    }

    #[inline(always)]
    fn b(value: f64) -> f64 {
        value
    }
}
