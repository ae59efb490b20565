//! What is done value by value: norm, bias and rounding, SwiGLU, rotation, sums of experts and of the residual stream.

use super::packed::STEP;
use crate::numerics::{ACCUMULATORS, Arithmetic, LANES, Real, Rope, swiglu};
use crate::simd::{Kernel, Simd};

struct RmsNorm<'a, A: Arithmetic> {
    x: &'a [A::Real],
    scale: &'a [f32],
    eps: f64,
    out: &'a mut [A::Real],
}

/// As [`numerics::rms_norm`](crate::numerics::rms_norm) (clause 6).
pub fn rms_norm<A: Arithmetic, S: Simd<Real = A::Real>>(
    simd: S,
    x: &[A::Real],
    scale: &[f32],
    eps: f64,
    out: &mut [A::Real],
) {
    simd.vectorize(RmsNorm::<A> { x, scale, eps, out });
}

impl<A: Arithmetic, S: Simd<Real = A::Real>> Kernel<S> for RmsNorm<'_, A> {
    type Output = ();

    #[inline(always)]
    fn run(self, simd: S) {
        let mut sums = [simd.zero(); ACCUMULATORS];
        for (group, x) in self.x.chunks(STEP).enumerate() {
            let (mut even, mut odd) = ([A::Real::ZERO; LANES], [A::Real::ZERO; LANES]);
            for (k, &x) in x.iter().enumerate() {
                let half = if k & 1 == 0 { &mut even } else { &mut odd };
                half[k / 2] = x;
            }
            let pair = simd.load_pair(&simd.pack(&even, &odd));
            let sum = &mut sums[group % ACCUMULATORS];
            *sum = simd.dot2(*sum, pair, pair);
        }
        let [a, b, c, d] = sums;
        let dot = simd.fold(simd.add(simd.add(a, b), simd.add(c, d)));
        let root = (dot / A::Real::from_f64(self.x.len() as f64) + A::Real::from_f64(self.eps)).sqrt();
        for ((out, &x), &scale) in self.out.iter_mut().zip(self.x).zip(self.scale) {
            *out = A::b((x / root) * A::Real::from_f32(scale));
        }
    }
}

/// Where the bias of a product is added (clause 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bias {
    /// In the accumulator: one rounding.
    Inside,
    /// After the rounding, with one of its own.
    After,
}

struct Finish<'a, A: Arithmetic> {
    out: &'a mut [A::Real],
    bias: Option<&'a [f32]>,
    place: Bias,
}

/// Clause 5: rounds products and adds their bias, in place; `out` is `[rows, bias.len()]`.
pub fn finish<A: Arithmetic, S: Simd<Real = A::Real>>(
    simd: S,
    out: &mut [A::Real],
    bias: Option<&[f32]>,
    place: Bias,
) {
    simd.vectorize(Finish::<A> { out, bias, place });
}

impl<A: Arithmetic, S: Simd<Real = A::Real>> Kernel<S> for Finish<'_, A> {
    type Output = ();

    #[inline(always)]
    fn run(self, _: S) {
        let Some(bias) = self.bias else {
            self.out.iter_mut().for_each(|out| *out = A::b(*out));
            return;
        };
        for row in self.out.chunks_exact_mut(bias.len().max(1)) {
            match self.place {
                Bias::Inside => {
                    for (out, &bias) in row.iter_mut().zip(bias) {
                        *out = A::b(*out + A::Real::from_f32(bias));
                    }
                }
                Bias::After => {
                    for (out, &bias) in row.iter_mut().zip(bias) {
                        *out = A::b(A::b(*out) + A::Real::from_f32(bias));
                    }
                }
            }
        }
    }
}

struct Swiglu<'a, A: Arithmetic> {
    gate_up: &'a [A::Real],
    limit: f64,
    out: &'a mut [A::Real],
}

/// Clause 10 over interleaved gate and up values.
pub fn swiglu_rows<A: Arithmetic, S: Simd<Real = A::Real>>(
    simd: S,
    gate_up: &[A::Real],
    limit: f64,
    out: &mut [A::Real],
) {
    simd.vectorize(Swiglu::<A> { gate_up, limit, out });
}

impl<A: Arithmetic, S: Simd<Real = A::Real>> Kernel<S> for Swiglu<'_, A> {
    type Output = ();

    #[inline(always)]
    fn run(self, _: S) {
        for (out, pair) in self.out.iter_mut().zip(self.gate_up.chunks_exact(2)) {
            *out = swiglu::<A>(pair[0], pair[1], self.limit);
        }
    }
}

struct Rotate<'a, A: Arithmetic> {
    row: &'a mut [A::Real],
    cos_sin: &'a [(A::Real, A::Real)],
}

/// Clause 7: rotates all heads of one position; a head has twice as many elements as `cos_sin`.
pub fn rotate<A: Arithmetic, S: Simd<Real = A::Real>>(
    simd: S,
    row: &mut [A::Real],
    cos_sin: &[(A::Real, A::Real)],
) {
    simd.vectorize(Rotate::<A> { row, cos_sin });
}

impl<A: Arithmetic, S: Simd<Real = A::Real>> Kernel<S> for Rotate<'_, A> {
    type Output = ();

    #[inline(always)]
    fn run(self, _: S) {
        for head in self.row.chunks_exact_mut(2 * self.cos_sin.len()) {
            Rope::<A>::rotate(head, self.cos_sin);
        }
    }
}

struct AddRow<'a, A: Arithmetic> {
    hidden: &'a mut [A::Real],
    row: &'a [A::Real],
}

/// Clause 5: adds to the residual stream; whether all of it is finite.
pub fn add_row<A: Arithmetic, S: Simd<Real = A::Real>>(
    simd: S,
    hidden: &mut [A::Real],
    row: &[A::Real],
) -> bool {
    simd.vectorize(AddRow::<A> { hidden, row })
}

impl<A: Arithmetic, S: Simd<Real = A::Real>> Kernel<S> for AddRow<'_, A> {
    type Output = bool;

    #[inline(always)]
    fn run(self, _: S) -> bool {
        let mut finite = true;
        for (hidden, &row) in self.hidden.iter_mut().zip(self.row) {
            *hidden = A::b(*hidden + row);
            finite &= hidden.is_finite();
        }
        finite
    }
}

struct SumExperts<'a, A: Arithmetic> {
    rows: &'a [&'a [A::Real]],
    weights: &'a [A::Real],
    out: &'a mut [A::Real],
}

/// Clause 9: the sum of the experts' rows, by rank.
pub fn sum_experts<A: Arithmetic, S: Simd<Real = A::Real>>(
    simd: S,
    rows: &[&[A::Real]],
    weights: &[A::Real],
    out: &mut [A::Real],
) {
    simd.vectorize(SumExperts::<A> { rows, weights, out });
}

impl<A: Arithmetic, S: Simd<Real = A::Real>> Kernel<S> for SumExperts<'_, A> {
    type Output = ();

    #[inline(always)]
    fn run(self, simd: S) {
        for (block, out) in self.out.chunks_mut(LANES).enumerate() {
            let mut sum = simd.zero();
            for (row, &weight) in self.rows.iter().zip(self.weights) {
                let row = &row[block * LANES..];
                let mut values = [A::Real::ZERO; LANES];
                if let Some(row) = row.first_chunk() {
                    values = *row;
                } else {
                    values[..row.len()].copy_from_slice(row);
                }
                sum = simd.fma(simd.splat(weight), simd.load(&values), sum);
            }
            for (out, sum) in out.iter_mut().zip(simd.store(sum)) {
                *out = A::b(sum);
            }
        }
    }
}
