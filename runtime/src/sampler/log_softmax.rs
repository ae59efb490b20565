//! Clause 15: log-probabilities.

use super::{first, order, sums};
use crate::error::Result;
use crate::numerics::{Real, exp};

/// A token and the natural logarithm of its probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Logprob {
    /// The token's id.
    pub token: u32,
    /// ln of its probability; at most 0, -inf for a token that is barred.
    pub value: f64,
}

/// The log-probabilities that a row of logits stands for, before temperature and filters.
///
/// ```
/// use gptoss_runtime::sampler::LogSoftmax;
///
/// let row = LogSoftmax::new(&[1.0_f32, 1.0])?;
/// assert!((row.of(0).value - 0.5_f64.ln()).abs() < 1e-15);
/// assert_eq!(row.best(1)[0].token, 0);
/// # Ok::<(), gptoss_runtime::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LogSoftmax<'a, R: Real> {
    logits: &'a [R],
    greatest: f64,
    ln_sum: f64,
}

impl<'a, R: Real> LogSoftmax<'a, R> {
    /// Sums up one logit for each token id.
    ///
    /// # Errors
    ///
    /// Those of [`Sampler::sample`](super::Sampler::sample).
    pub fn new(logits: &'a [R]) -> Result<Self> {
        let greatest = logits[first(logits)? as usize].to_f64();
        let weights: Vec<f64> = logits.iter().map(|logit| exp(logit.to_f64() - greatest)).collect();
        Ok(Self { logits, greatest, ln_sum: ln(sums::total(&weights)) })
    }

    /// The log-probability of `token`.
    ///
    /// # Panics
    ///
    /// If there is no logit of `token`.
    #[must_use]
    pub fn of(&self, token: u32) -> Logprob {
        let value = (self.logits[token as usize].to_f64() - self.greatest) - self.ln_sum;
        Logprob { token, value }
    }

    /// The `count` likeliest tokens, the likeliest first, the lower id among equals; all if there are fewer.
    #[must_use]
    pub fn best(&self, count: usize) -> Vec<Logprob> {
        order::best(self.logits, count).into_iter().map(|token| self.of(token)).collect()
    }
}

/// Coefficients of (artanh z) / z in z squared, the last power first.
const COEFFICIENTS: [f64; 13] = [
    1.0 / 25.0,
    1.0 / 23.0,
    1.0 / 21.0,
    1.0 / 19.0,
    1.0 / 17.0,
    1.0 / 15.0,
    1.0 / 13.0,
    1.0 / 11.0,
    1.0 / 9.0,
    1.0 / 7.0,
    1.0 / 5.0,
    1.0 / 3.0,
    1.0,
];

/// 0x1.62e42feep-1, the upper part of ln 2: its product with a small whole number is exact.
const LN2_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fee0_0000);
/// 0x1.a39ef35793c76p-33, the rest of ln 2.
const LN2_LOW: f64 = f64::from_bits(0x3dea_39ef_3579_3c76);

/// The natural logarithm of a finite number that is at least 1.
pub(super) fn ln(value: f64) -> f64 {
    const MANTISSA: u64 = (1 << 52) - 1;
    let bits = value.to_bits();
    let mut exponent = (bits >> 52) as i32 - 1023;
    let mut mantissa = f64::from_bits(bits & MANTISSA | 1023 << 52);
    if mantissa >= 1.5 {
        mantissa *= 0.5;
        exponent += 1;
    }
    // ln m = 2 artanh((m - 1) / (m + 1)).
    let z = (mantissa - 1.0) / (mantissa + 1.0);
    let square = z * z;
    let series =
        COEFFICIENTS[1..].iter().fold(COEFFICIENTS[0], |sum, coefficient| sum * square + coefficient);
    let k = f64::from(exponent);
    k * LN2_HIGH + (k * LN2_LOW + (2.0 * z) * series)
}
