//! From logits to a token: greedy or by chance, with log-probabilities.
//!
//! What follows is clause 15 of the numerics contract. Every value is f64, and every operation is one of clause 1; so the
//! same logits, options, seed and step give the same token and the same bits everywhere.
//!
//! - **Input.** One logit l_i for each token id i; f32 logits are read as f64, which is exact. A NaN or +inf is an
//!   error. −inf bars a token: its weight is +0.
//! - **Order.** Candidates are ordered by logit, descending; equal logits (−0 equals +0) by id, ascending. M is the
//!   logit of the first. **Greedy**, which is temperature 0, takes the first; filters and seed have no part in it.
//! - **Weights.** w_i = exp((l_i − M) / temperature): a subtraction, a division, and the exp of clause 11 before its last
//!   rounding, +0 for arguments below −708. The weight of the first is exactly 1.
//! - **Sums over ids.** Blocks of 256 ids, block = id div 256, each a chain of additions from +0 over ascending ids; block
//!   sums added in ascending order to a total that starts at +0. What a filter drops has weight +0.
//! - **Filters**, each over what the ones before it left, in the order of llama.cpp and Hugging Face transformers, after the
//!   temperature as in the latter:
//!   1. *top-k* keeps the first k in order;
//!   2. *top-p* (unless p = 1): along the order, the weights are added to a chain that starts at +0, and the candidate with
//!      which the chain first reaches p × (sum over ids) is the last that is kept; all are kept if it never does;
//!   3. *min-p* keeps the candidates with w_i ≥ min_p.
//! - **Chance.** (x0, x1, x2, x3) = Philox4x32-10 of the counter (step mod 2^32, step div 2^32, 0, 0) under the key (seed
//!   mod 2^32, seed div 2^32); u = ((x1 × 2^32 + x0) div 2^11) × 2^-53. The step of a token is its position in the
//!   context, so a generation that is stopped and resumed draws what it would have drawn.
//! - **Draw.** t = u × (sum over ids). The token is the first id i for which (total of the blocks before its own) + (chain
//!   of its block up to i) > t. There always is one, because u × s rounds to less than s for u ≤ 1 − 2^-53.
//! - **Log-probabilities** are those of the model, before temperature and filters: (l_i − M) − ln S, where S is the sum over
//!   ids of exp(l_i − M).
//! - **ln** of S ≥ 1: S = m × 2^k with 0.75 ≤ m < 1.5; z = (m − 1) / (m + 1); p by Horner in z × z with the
//!   coefficients 1/25, 1/23, … 1/3, 1 (quotients rounded to f64), plain multiply and add; ln S = k × 0x1.62e42feep-1 + (k
//!   × 0x1.a39ef35793c76p-33 + (2 × z) × p).

mod log_softmax;
mod order;
mod philox;
mod sums;

pub use log_softmax::{LogSoftmax, Logprob};
pub use philox::philox4x32_10;

use crate::error::{Error, ErrorKind, Result};
use crate::numerics::{Real, exp};

/// How a token is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SamplerOptions {
    /// What differences of logits are divided by: 0 always takes the greatest logit, 1 samples as the model was trained.
    /// Finite and at least 0.
    pub temperature: f64,
    /// Keeps this many of the likeliest tokens; at least 1.
    pub top_k: Option<usize>,
    /// Keeps the likeliest tokens that together have this share of the weight; above 0, at most 1, which keeps all.
    pub top_p: f64,
    /// Keeps tokens that are at least this many times as likely as the likeliest; from 0, which keeps all, to 1.
    pub min_p: f64,
    /// The seed of chance.
    pub seed: u64,
}

impl Default for SamplerOptions {
    /// Temperature 1 without filters, as the model's authors advise; seed 0.
    fn default() -> Self {
        Self { temperature: 1.0, top_k: None, top_p: 1.0, min_p: 0.0, seed: 0 }
    }
}

impl SamplerOptions {
    /// Always the greatest logit, the lower id among equals.
    #[must_use]
    pub fn greedy() -> Self {
        Self { temperature: 0.0, ..Self::default() }
    }
}

/// Chooses tokens: a pure function of logits and step.
///
/// ```
/// use gptoss_runtime::sampler::{Sampler, SamplerOptions};
///
/// let logits = [0.5_f32, 2.0, 2.0, -1.0];
/// let greedy = Sampler::new(SamplerOptions::greedy())?;
/// assert_eq!(greedy.sample(&logits, 0)?, 1);
///
/// let sampler = Sampler::new(SamplerOptions { top_p: 0.9, seed: 7, ..SamplerOptions::default() })?;
/// assert_eq!(sampler.sample(&logits, 3)?, sampler.sample(&logits, 3)?);
/// # Ok::<(), gptoss_runtime::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sampler {
    options: SamplerOptions,
}

impl Sampler {
    /// A sampler with these options.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Sampling`] if an option is out of its range.
    pub fn new(options: SamplerOptions) -> Result<Self> {
        let SamplerOptions { temperature, top_k, top_p, min_p, seed: _ } = options;
        let refuse = |rule: String| Err(Error::new(ErrorKind::Sampling, rule));
        if !(temperature.is_finite() && temperature >= 0.0) {
            return refuse(format!("the temperature is finite and at least 0, found {temperature}"));
        }
        if top_k == Some(0) {
            return refuse("top-k keeps at least 1 token, found 0".to_owned());
        }
        if !(top_p > 0.0 && top_p <= 1.0) {
            return refuse(format!("top-p is above 0 and at most 1, found {top_p}"));
        }
        if !(0.0..=1.0).contains(&min_p) {
            return refuse(format!("min-p is from 0 to 1, found {min_p}"));
        }
        Ok(Self { options })
    }

    /// The options that it was made with.
    #[must_use]
    pub fn options(&self) -> &SamplerOptions {
        &self.options
    }

    /// The token at `step` (its position in the context), given one logit for each token id.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFinite`] if a logit is a NaN or +inf, or if all are -inf; [`ErrorKind::Sampling`] if there are none.
    pub fn sample<R: Real>(&self, logits: &[R], step: u64) -> Result<u32> {
        let first = first(logits)?;
        if self.options.temperature == 0.0 {
            return Ok(first);
        }
        let mut weights = self.weights(logits, first);
        self.filter(logits, &mut weights);
        Ok(sums::draw(&weights, philox::uniform(self.options.seed, step)))
    }

    /// The weight of each id before the filters; `first` is the first in order.
    fn weights<R: Real>(&self, logits: &[R], first: u32) -> Vec<f64> {
        let greatest = logits[first as usize].to_f64();
        let temperature = self.options.temperature;
        logits.iter().map(|logit| exp((logit.to_f64() - greatest) / temperature)).collect()
    }

    /// Sets the weights of the ids that the filters drop to +0.
    fn filter<R: Real>(&self, logits: &[R], weights: &mut [f64]) {
        let SamplerOptions { top_k, top_p, min_p, .. } = self.options;
        let most = top_k.unwrap_or(usize::MAX).min(logits.len());
        if top_p < 1.0 {
            if most < logits.len() {
                keep(weights, &order::best(logits, most));
            }
            let goal = top_p * sums::total(weights);
            // The last that is kept seldom stands far down the order, so the order is made as far as it is needed.
            let mut length = 64.min(most);
            let kept = loop {
                let candidates = order::best(logits, length);
                if let Some(count) = reaches(candidates.iter().map(|&id| weights[id as usize]), goal) {
                    break candidates[..count].to_vec();
                }
                if length == most {
                    break candidates;
                }
                length = length.saturating_mul(8).min(most);
            };
            keep(weights, &kept);
        } else if most < logits.len() {
            keep(weights, &order::best(logits, most));
        }
        if min_p > 0.0 {
            for weight in weights {
                if *weight < min_p {
                    *weight = 0.0;
                }
            }
        }
    }
}

/// How many weights it takes for their running sum to reach `goal`.
fn reaches(weights: impl Iterator<Item = f64>, goal: f64) -> Option<usize> {
    let mut sum = 0.0;
    for (index, weight) in weights.enumerate() {
        sum += weight;
        if sum >= goal {
            return Some(index + 1);
        }
    }
    None
}

/// Sets all weights but those of `ids` to +0.
fn keep(weights: &mut [f64], ids: &[u32]) {
    let kept: Vec<f64> = ids.iter().map(|&id| weights[id as usize]).collect();
    weights.fill(0.0);
    for (&id, weight) in ids.iter().zip(kept) {
        weights[id as usize] = weight;
    }
}

/// The first candidate in order: the lowest id of the greatest logit.
///
/// # Errors
///
/// Those of [`Sampler::sample`].
fn first<R: Real>(logits: &[R]) -> Result<u32> {
    let Some((&start, rest)) = logits.split_first() else {
        return Err(Error::new(ErrorKind::Sampling, "there are no logits to choose from"));
    };
    let mut greatest = start;
    let mut id = 0;
    let mut nan = start.is_nan();
    for (index, &logit) in rest.iter().enumerate() {
        nan |= logit.is_nan();
        if logit > greatest {
            greatest = logit;
            id = index + 1;
        }
    }
    if nan {
        let place = logits.iter().position(|logit| logit.is_nan()).unwrap_or_default();
        return Err(Error::new(ErrorKind::NotFinite, format!("the logit of token {place} is a NaN")));
    }
    if !greatest.is_finite() {
        let rule = if greatest > R::ZERO {
            format!("the logit of token {id} is infinite")
        } else {
            "every token is barred".to_owned()
        };
        return Err(Error::new(ErrorKind::NotFinite, rule));
    }
    Ok(id as u32)
}

#[cfg(test)]
mod tests;
