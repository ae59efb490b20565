//! The numerics contract in code, one function a clause; `docs/numerics.md` is its text.
//!
//! These are the plain definitions. The kernels compute the same values by other means and are tested against them,
//! bit by bit.

mod double_double;
mod elementary;
mod real;
mod rope;

pub use elementary::{exp, sigmoid};
pub use real::{Arithmetic, Bf16, F32, F64, Real, fma};
pub use rope::{Rope, inverse_sqrt};

use std::ops::Range;

use crate::dtype::bf16;

/// The version of the contract: it changes whenever any value of any model may change.
pub const CONTRACT_VERSION: u32 = 1;

/// Lanes of an accumulator (clause 4).
pub const LANES: usize = 16;

/// Accumulators of a dot product (clause 4).
pub const ACCUMULATORS: usize = 4;

/// Keys of a block in the product of probabilities and values (clause 8).
pub const KEY_BLOCK: usize = 256;

/// Clause 3: +0 for what lies below 2^-50, the value itself otherwise.
#[inline(always)]
#[must_use]
pub const fn flush(value: f32) -> f32 {
    const LEAST: f32 = f32::from_bits((127 - 50) << 23);
    if value.abs() < LEAST { 0.0 } else { value }
}

/// Clause 3, b(v): `value` rounded to bf16, then flushed.
#[inline(always)]
#[must_use]
pub fn round_bf16(value: f32) -> f32 {
    flush(bf16::to_f32(bf16::from_f32(value)))
}

/// Clause 4: in which order the elements of a row are summed. It goes by the role of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// The two matrices of the experts.
    E,
    /// Everything else.
    D,
}

impl Order {
    /// The lane and the accumulator that take element `k` of a row.
    #[inline]
    #[must_use]
    pub const fn slot(self, k: usize) -> (usize, usize) {
        match self {
            Self::E => (k % 128 / 8, k % 4),
            Self::D => (k % 32 / 2, k / 32 % 4),
        }
    }

    /// Elements of a group, to which a row is padded with zeros.
    #[inline]
    #[must_use]
    pub const fn group(self) -> usize {
        match self {
            Self::E => 128,
            Self::D => 32,
        }
    }

    /// The accumulators that a group adds to.
    #[inline]
    #[must_use]
    pub const fn accumulators(self, group: usize) -> Range<usize> {
        match self {
            Self::E => 0..ACCUMULATORS,
            Self::D => group % ACCUMULATORS..group % ACCUMULATORS + 1,
        }
    }

    /// The element of a group that is the `step`-th to be added to `accumulator` in `lane`.
    ///
    /// Under `E` an accumulator takes two steps a group; under `D` a group has one accumulator, and the element counts
    /// from the start of the group.
    #[inline]
    #[must_use]
    pub const fn element(self, lane: usize, accumulator: usize, step: usize) -> usize {
        // The odd one comes first.
        let odd = 1 - step;
        match self {
            Self::E => 8 * lane + 4 * odd + accumulator,
            Self::D => 2 * lane + odd,
        }
    }
}

/// Clause 4: the dot product of two rows of equal length.
///
/// # Panics
///
/// If the lengths differ.
#[must_use]
pub fn dot<R: Real>(order: Order, a: &[R], b: &[R]) -> R {
    assert_eq!(a.len(), b.len(), "rows of a dot product have one length");
    let at = |row: &[R], k: usize| row.get(k).copied().unwrap_or(R::ZERO);
    let mut sums = [[R::ZERO; LANES]; ACCUMULATORS];
    for group in 0..a.len().div_ceil(order.group()) {
        let start = group * order.group();
        for accumulator in order.accumulators(group) {
            for (lane, sum) in sums[accumulator].iter_mut().enumerate() {
                for step in 0..2 {
                    let k = start + order.element(lane, accumulator, step);
                    *sum = at(a, k).fma(at(b, k), *sum);
                }
            }
        }
    }
    fold(sums)
}

/// Clause 4: the sum of four accumulators of sixteen lanes.
#[inline(always)]
#[must_use]
pub fn fold<R: Real>(sums: [[R; LANES]; ACCUMULATORS]) -> R {
    let [a, b, c, d] = sums;
    fold_lanes(std::array::from_fn(|lane| (a[lane] + b[lane]) + (c[lane] + d[lane])))
}

/// Clause 4: the sum of sixteen lanes, by halves.
#[inline(always)]
#[must_use]
pub fn fold_lanes<R: Real>(mut lanes: [R; LANES]) -> R {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] = lanes[lane] + lanes[lane + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// Clause 6: the root of the mean square, by which a norm divides.
#[must_use]
pub fn root_mean_square<R: Real>(x: &[R], eps: f64) -> R {
    (dot(Order::D, x, x) / R::from_f64(x.len() as f64) + R::from_f64(eps)).sqrt()
}

/// Clause 6: the norm of `x` times `scale`, written to `out`.
pub fn rms_norm<A: Arithmetic>(x: &[A::Real], scale: &[f32], eps: f64, out: &mut [A::Real]) {
    let root = root_mean_square(x, eps);
    for ((out, &x), &scale) in out.iter_mut().zip(x).zip(scale) {
        *out = A::b((x / root) * A::Real::from_f32(scale));
    }
}

/// Clause 8: whether a key at `key` is visible to a query at `query`; `window` is that of a sliding layer.
#[inline]
#[must_use]
pub const fn visible(query: usize, key: usize, window: Option<usize>) -> bool {
    key <= query
        && match window {
            Some(window) => query - key < window,
            None => true,
        }
}

/// Clause 8: from scores to probabilities, in place. `first` is the absolute position of `scores[0]`; all of `scores` are
/// visible.
pub fn softmax_with_sink<A: Arithmetic>(scores: &mut [A::Real], first: usize, sink: f32) {
    let sink = A::Real::from_f32(sink);
    let greatest =
        scores.iter().fold(sink, |greatest, &score| if score > greatest { score } else { greatest });
    let mut lanes = [A::Real::ZERO; LANES];
    for (index, score) in scores.iter_mut().enumerate() {
        *score = exp(*score - greatest);
        let lane = (first + index) % LANES;
        lanes[lane] = lanes[lane] + *score;
    }
    let sum = fold_lanes(lanes) + exp(sink - greatest);
    for score in scores {
        *score = A::b(*score / sum);
    }
}

/// Clause 8: one element of what attention reads. Terms are (absolute position, probability, value), positions ascending.
pub fn weighted_sum<A: Arithmetic>(terms: impl Iterator<Item = (usize, A::Real, A::Real)>) -> A::Real {
    let mut total = A::Real::ZERO;
    let mut block: Option<(usize, A::Real)> = None;
    for (position, probability, value) in terms {
        let index = position / KEY_BLOCK;
        let sum = match block {
            Some((open, sum)) if open == index => sum,
            Some((_, sum)) => {
                total = total + sum;
                A::Real::ZERO
            }
            None => A::Real::ZERO,
        };
        block = Some((index, probability.fma(value, sum)));
    }
    if let Some((_, sum)) = block {
        total = total + sum;
    }
    A::b(total)
}

/// Clause 9: the indices of the `k` greatest logits, greatest first; equal ones by index, a NaN before all numbers.
///
/// # Panics
///
/// If `k` is greater than the number of logits.
#[must_use]
pub fn top_k<R: Real>(logits: &[R], k: usize) -> Vec<usize> {
    assert!(k <= logits.len(), "more experts chosen than there are");
    let before = |a: R, b: R| if a.is_nan() { !b.is_nan() } else { a > b };
    let mut chosen: Vec<usize> = Vec::with_capacity(k + 1);
    for (index, &logit) in logits.iter().enumerate() {
        let rank = chosen.iter().rposition(|&other| !before(logit, logits[other])).map_or(0, |last| last + 1);
        if rank < k {
            chosen.insert(rank, index);
            chosen.truncate(k);
        }
    }
    chosen
}

/// Clause 9: the weights of the chosen experts, by rank, from their logits.
#[must_use]
pub fn expert_weights<A: Arithmetic>(logits: &[A::Real]) -> Vec<A::Real> {
    let mut weights: Vec<A::Real> = logits.iter().map(|&logit| exp(logit - logits[0])).collect();
    if let Some((&first, rest)) = weights.split_first() {
        let sum = rest.iter().fold(first, |sum, &weight| sum + weight);
        for weight in &mut weights {
            *weight = A::b(*weight / sum);
        }
    }
    weights
}

/// Clause 10: the activation of one gate and one up value.
#[inline(always)]
#[must_use]
pub fn swiglu<A: Arithmetic>(gate: A::Real, up: A::Real, limit: f64) -> A::Real {
    let limit = A::Real::from_f64(limit);
    // Comparisons that keep a NaN (clause 13).
    let gate = if gate > limit { limit } else { gate };
    let up = if up > limit {
        limit
    } else if up < -limit {
        -limit
    } else {
        up
    };
    let gated = A::b(gate * A::b(sigmoid(A::b(A::Real::ALPHA * gate))));
    A::b(gated * A::b(up + A::Real::ONE))
}

#[cfg(test)]
mod tests;
