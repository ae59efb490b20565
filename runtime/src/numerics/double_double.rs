//! Numbers of about 106 bits: the sum of two f64 that do not overlap.
//!
//! Only for tables (rotation angles and frequencies), where the nearest f32 of a true value is promised.
//! Algorithms: Dekker, "A floating-point technique for extending the available precision" (1971); Knuth's two-sum.

use std::ops::{Add, Div, Mul, Neg, Sub};

/// `high + low`, with `|low|` at most half a unit in the last place of `high`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct DoubleDouble {
    high: f64,
    low: f64,
}

/// a + b as a rounded sum and its error.
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let part = sum - a;
    (sum, (a - (sum - part)) + (b - part))
}

/// a * b as a rounded product and its error.
fn two_product(a: f64, b: f64) -> (f64, f64) {
    let product = a * b;
    (product, a.mul_add(b, -product))
}

impl DoubleDouble {
    pub(super) const ONE: Self = Self { high: 1.0, low: 0.0 };
    /// pi.
    pub(super) const PI: Self =
        Self { high: f64::from_bits(0x4009_21fb_5444_2d18), low: f64::from_bits(0x3ca1_a626_3314_5c07) };
    /// ln 2.
    const LN_2: Self =
        Self { high: f64::from_bits(0x3fe6_2e42_fefa_39ef), low: f64::from_bits(0x3c7a_bc9e_3b39_803f) };
    /// pi / 2 in four parts.
    const HALF_PI: [f64; 4] = [
        f64::from_bits(0x3ff9_21fb_5444_2d18),
        f64::from_bits(0x3c91_a626_3314_5c07),
        f64::from_bits(0xb91f_1976_b7ed_8fbc),
        f64::from_bits(0x35b4_cf98_e804_177d),
    ];

    pub(super) const fn new(value: f64) -> Self {
        Self { high: value, low: 0.0 }
    }

    /// From two parts of any size.
    fn sum_of(a: f64, b: f64) -> Self {
        let (high, low) = two_sum(a, b);
        Self { high, low }
    }

    /// The nearest f64.
    pub(super) fn to_f64(self) -> f64 {
        self.high
    }

    /// The nearest f32: what lies beyond the f64 decides where the f64 is half-way between two f32.
    pub(super) fn to_f32(self) -> f32 {
        let bits = self.high.to_bits();
        let even = bits & 1 == 0;
        let odd = if (self.low > 0.0) == (self.high > 0.0) { bits | 1 } else { bits.wrapping_sub(1) };
        (if self.low != 0.0 && even { f64::from_bits(odd) } else { self.high }) as f32
    }

    fn scale(self, power_of_two: f64) -> Self {
        Self { high: self.high * power_of_two, low: self.low * power_of_two }
    }

    /// The square root.
    pub(super) fn sqrt(self) -> Self {
        let root = self.high.sqrt();
        // One step of Newton from a root with 53 bits.
        let rest = self - Self::new(root) * Self::new(root);
        Self::new(root) + Self::new(rest.high / (2.0 * root))
    }

    /// The natural logarithm of a positive number.
    pub(super) fn ln(self) -> Self {
        let mut exponent = ((self.high.to_bits() >> 52) as i64) - 1023;
        // A mantissa from 0.75 to 1.5 keeps the series short and loses nothing near 1.
        let mut mantissa = self.scale(power_of_two(-exponent));
        if mantissa.high >= 1.5 {
            mantissa = mantissa.scale(0.5);
            exponent += 1;
        }
        // ln m = 2 artanh((m - 1) / (m + 1)).
        let ratio = (mantissa - Self::ONE) / (mantissa + Self::ONE);
        let square = ratio * ratio;
        let mut power = ratio;
        let mut sum = ratio;
        for term in 1..28 {
            power = power * square;
            sum = sum + power / Self::new(f64::from(2 * term + 1));
        }
        sum.scale(2.0) + Self::LN_2 * Self::new(exponent as f64)
    }

    /// e to the power of this number, for magnitudes below 700.
    pub(super) fn exp(self) -> Self {
        let n = (self.high / Self::LN_2.high).round();
        let rest = (self - Self::LN_2 * Self::new(n)).scale(1.0 / 64.0);
        let mut sum = Self::ONE;
        for term in (1..=16).rev() {
            sum = Self::ONE + sum * rest / Self::new(f64::from(term));
        }
        for _ in 0..6 {
            sum = sum * sum;
        }
        sum.scale(power_of_two(n as i64))
    }

    /// Sine and cosine of `angle`, for magnitudes below 2^30.
    pub(super) fn sin_cos(angle: f64) -> (Self, Self) {
        let quarter_turns = (angle / Self::HALF_PI[0]).round();
        let mut rest = Self::new(angle);
        for part in Self::HALF_PI {
            let (product, error) = two_product(quarter_turns, part);
            rest = rest - Self::new(product) - Self::new(error);
        }
        let square = rest * rest;
        let (mut sine, mut cosine) = (Self::ONE, Self::ONE);
        for term in (1..=14).rev() {
            let n = f64::from(2 * term);
            sine = Self::ONE - sine * square / Self::new(n * (n + 1.0));
            cosine = Self::ONE - cosine * square / Self::new(n * (n - 1.0));
        }
        sine = sine * rest;
        match (quarter_turns as i64).rem_euclid(4) {
            0 => (sine, cosine),
            1 => (cosine, -sine),
            2 => (-sine, -cosine),
            _ => (-cosine, sine),
        }
    }
}

/// 2 to the power of `exponent`, within the normal range of f64.
fn power_of_two(exponent: i64) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

impl Neg for DoubleDouble {
    type Output = Self;

    fn neg(self) -> Self {
        Self { high: -self.high, low: -self.low }
    }
}

impl Add for DoubleDouble {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let (high, error) = two_sum(self.high, other.high);
        let (low, rest) = two_sum(self.low, other.low);
        let sum = Self::sum_of(high, error + low);
        Self::sum_of(sum.high, sum.low + rest)
    }
}

impl Sub for DoubleDouble {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Mul for DoubleDouble {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        let (high, error) = two_product(self.high, other.high);
        Self::sum_of(high, error + (self.high * other.low + self.low * other.high))
    }
}

impl Div for DoubleDouble {
    type Output = Self;

    fn div(self, other: Self) -> Self {
        let first = self.high / other.high;
        let rest = self - other * Self::new(first);
        let second = rest.high / other.high;
        let rest = rest - other * Self::new(second);
        Self::sum_of(first, second) + Self::new(rest.high / other.high)
    }
}
