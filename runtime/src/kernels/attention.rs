//! Scores, probabilities and what attention reads (clause 8).

use super::packed::{PackedRows, STEP};
use crate::numerics::{ACCUMULATORS, Arithmetic, KEY_BLOCK, LANES, Order, Real, exp, fold_lanes};
use crate::simd::{Kernel, Simd};

/// Positions of one key head that follow one another: keys or values, `[positions, head_dim]`.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a, T> {
    /// The absolute position of the first.
    pub first: usize,
    /// Their elements.
    pub rows: &'a [T],
}

struct Scores<'a, A: Arithmetic, S: Simd> {
    queries: &'a PackedRows<S>,
    first_query: usize,
    runs: &'a [Run<'a, A::Stored>],
    scale: A::Real,
    out: &'a mut [A::Real],
}

/// Scores of several queries with the keys of all runs, one run after the other.
///
/// Row i of `out`, `[queries, keys]`, belongs to row `first_query + i` of `queries`, packed in order D.
///
/// # Panics
///
/// If the sizes do not fit.
pub fn scores<A: Arithmetic, S: Simd<Real = A::Real>>(
    simd: S,
    queries: &PackedRows<S>,
    first_query: usize,
    runs: &[Run<'_, A::Stored>],
    scale: A::Real,
    out: &mut [A::Real],
) {
    assert_eq!(queries.order(), Order::D, "queries are packed in order D");
    simd.vectorize(Scores::<A, S> { queries, first_query, runs, scale, out });
}

impl<A: Arithmetic, S: Simd<Real = A::Real>> Kernel<S> for Scores<'_, A, S> {
    type Output = ();

    #[inline(always)]
    fn run(self, simd: S) {
        let head_dim = self.queries.cols();
        // Up to four steps, each has an accumulator of its own and the key stays in registers.
        match head_dim.div_ceil(STEP) {
            1 => self.by_steps::<1>(simd, head_dim),
            2 => self.by_steps::<2>(simd, head_dim),
            4 => self.by_steps::<4>(simd, head_dim),
            _ => self.by_rows(simd, head_dim),
        }
    }
}

impl<A: Arithmetic, S: Simd<Real = A::Real>> Scores<'_, A, S> {
    #[inline(always)]
    fn keys(&self, head_dim: usize) -> usize {
        self.runs.iter().map(|run| run.rows.len() / head_dim).sum()
    }

    /// b(b(dot) * scale).
    #[inline(always)]
    fn score(scale: A::Real, dot: A::Real) -> A::Real {
        A::b(A::b(dot) * scale)
    }

    #[inline(always)]
    fn by_steps<const STEPS: usize>(self, simd: S, head_dim: usize) {
        let keys = self.keys(head_dim);
        let queries = self.out.len() / keys.max(1);
        let rows = self.runs.iter().flat_map(|run| run.rows.chunks_exact(head_dim));
        for (column, key) in rows.enumerate() {
            let mut pairs = [simd.load_pair(&S::Packed::default()); STEPS];
            for (step, pair) in pairs.iter_mut().enumerate() {
                *pair = stored_pair::<A, S>(simd, key, step * STEP);
            }
            for query in 0..queries {
                let packed = self.queries.row(self.first_query + query);
                let mut sums = [simd.zero(); ACCUMULATORS];
                for step in 0..STEPS {
                    sums[step] = simd.dot2(sums[step], simd.load_pair(&packed[step]), pairs[step]);
                }
                let [a, b, c, d] = sums;
                let dot = simd.fold(simd.add(simd.add(a, b), simd.add(c, d)));
                self.out[query * keys + column] = Self::score(self.scale, dot);
            }
        }
    }

    #[inline(always)]
    fn by_rows(self, simd: S, head_dim: usize) {
        let keys = self.keys(head_dim);
        let queries = self.out.len() / keys.max(1);
        let steps = head_dim.div_ceil(STEP);
        let rows = self.runs.iter().flat_map(|run| run.rows.chunks_exact(head_dim));
        for (column, key) in rows.enumerate() {
            for query in 0..queries {
                let packed = self.queries.row(self.first_query + query);
                let mut sums = [simd.zero(); ACCUMULATORS];
                let mut places = packed.iter();
                for (accumulator, sum) in sums.iter_mut().enumerate() {
                    for step in (accumulator..steps).step_by(ACCUMULATORS) {
                        let pair = stored_pair::<A, S>(simd, key, step * STEP);
                        if let Some(place) = places.next() {
                            *sum = simd.dot2(*sum, simd.load_pair(place), pair);
                        }
                    }
                }
                let [a, b, c, d] = sums;
                let dot = simd.fold(simd.add(simd.add(a, b), simd.add(c, d)));
                self.out[query * keys + column] = Self::score(self.scale, dot);
            }
        }
    }
}

/// The operands of one step of order D from a row in its natural order, padded with +0.
#[inline(always)]
fn stored_pair<A: Arithmetic, S: Simd<Real = A::Real>>(simd: S, row: &[A::Stored], start: usize) -> S::Pair {
    let (mut even, mut odd) = ([A::Real::ZERO; LANES], [A::Real::ZERO; LANES]);
    if let Some(line) = row[start..].first_chunk::<STEP>() {
        for lane in 0..LANES {
            even[lane] = A::restore(line[2 * lane]);
            odd[lane] = A::restore(line[2 * lane + 1]);
        }
    } else {
        // The number of elements of a head is even.
        for (lane, pair) in row[start..].chunks_exact(2).enumerate() {
            even[lane] = A::restore(pair[0]);
            odd[lane] = A::restore(pair[1]);
        }
    }
    simd.load_pair(&simd.pack(&even, &odd))
}

struct Softmax<'a, A: Arithmetic> {
    scores: &'a mut [A::Real],
    first: usize,
    sink: A::Real,
}

/// As [`numerics::softmax_with_sink`](crate::numerics::softmax_with_sink).
pub fn softmax_with_sink<A: Arithmetic, S: Simd<Real = A::Real>>(
    simd: S,
    scores: &mut [A::Real],
    first: usize,
    sink: f32,
) {
    simd.vectorize(Softmax::<A> { scores, first, sink: A::Real::from_f32(sink) });
}

impl<A: Arithmetic, S: Simd<Real = A::Real>> Kernel<S> for Softmax<'_, A> {
    type Output = ();

    #[inline(always)]
    fn run(self, _: S) {
        let mut greatest = self.sink;
        for &score in self.scores.iter() {
            greatest = if score > greatest { score } else { greatest };
        }
        for score in self.scores.iter_mut() {
            *score = exp(*score - greatest);
        }
        let mut lanes = [A::Real::ZERO; LANES];
        let before = (LANES - self.first % LANES) % LANES;
        let (head, rest) = self.scores.split_at(before.min(self.scores.len()));
        for (lane, &score) in (self.first % LANES..).zip(head) {
            lanes[lane] = lanes[lane] + score;
        }
        let (blocks, tail) = rest.as_chunks::<LANES>();
        for block in blocks {
            for lane in 0..LANES {
                lanes[lane] = lanes[lane] + block[lane];
            }
        }
        for (lane, &score) in tail.iter().enumerate() {
            lanes[lane] = lanes[lane] + score;
        }
        let sum = fold_lanes(lanes) + exp(self.sink - greatest);
        for score in self.scores.iter_mut() {
            *score = A::b(*score / sum);
        }
    }
}

struct WeightedSum<'a, A: Arithmetic> {
    probabilities: &'a [A::Real],
    runs: &'a [Run<'a, A::Stored>],
    out: &'a mut [A::Real],
}

/// What one query head reads: the values of all runs, in ascending order of positions, times `probabilities`, which
/// follow the runs; written to `out`, `[head_dim]`.
///
/// # Panics
///
/// If the sizes do not fit.
pub fn weighted_sum<A: Arithmetic, S: Simd<Real = A::Real>>(
    simd: S,
    probabilities: &[A::Real],
    runs: &[Run<'_, A::Stored>],
    out: &mut [A::Real],
) {
    simd.vectorize(WeightedSum::<A> { probabilities, runs, out });
}

/// Vectors of values that are summed at a time.
const WIDTH: usize = 4;

impl<A: Arithmetic, S: Simd<Real = A::Real>> Kernel<S> for WeightedSum<'_, A> {
    type Output = ();

    #[inline(always)]
    fn run(self, simd: S) {
        let head_dim = self.out.len();
        for (index, out) in self.out.chunks_mut(WIDTH * LANES).enumerate() {
            let start = index * WIDTH * LANES;
            let mut totals = [simd.zero(); WIDTH];
            let mut sums = [simd.zero(); WIDTH];
            let mut open = None;
            let mut probabilities = self.probabilities;
            for run in self.runs {
                let mut position = run.first;
                let mut rows = run.rows;
                while !rows.is_empty() {
                    // Up to the end of the block, or of the run.
                    let count = (KEY_BLOCK - position % KEY_BLOCK).min(rows.len() / head_dim);
                    if open.is_some_and(|block| block != position / KEY_BLOCK) {
                        for (total, sum) in totals.iter_mut().zip(&mut sums) {
                            *total = simd.add(*total, *sum);
                            *sum = simd.zero();
                        }
                    }
                    open = Some(position / KEY_BLOCK);
                    let (block, after) = rows.split_at(count * head_dim);
                    let (weights, rest) = probabilities.split_at(count);
                    for (row, &weight) in block.chunks_exact(head_dim).zip(weights) {
                        let weight = simd.splat(weight);
                        for (vector, sum) in sums.iter_mut().enumerate().take(out.len().div_ceil(LANES)) {
                            let values = values::<A>(row, start + vector * LANES);
                            *sum = simd.fma(weight, simd.load(&values), *sum);
                        }
                    }
                    (rows, probabilities) = (after, rest);
                    position += count;
                }
            }
            for (vector, out) in out.chunks_mut(LANES).enumerate() {
                let total = simd.store(simd.add(totals[vector], sums[vector]));
                for (out, total) in out.iter_mut().zip(total) {
                    *out = A::b(total);
                }
            }
        }
    }
}

/// Sixteen values from `start` on, padded with +0.
#[inline(always)]
fn values<A: Arithmetic>(row: &[A::Stored], start: usize) -> [A::Real; LANES] {
    let mut values = [A::Real::ZERO; LANES];
    if let Some(row) = row[start..].first_chunk::<LANES>() {
        for lane in 0..LANES {
            values[lane] = A::restore(row[lane]);
        }
    } else {
        for (value, &stored) in values.iter_mut().zip(&row[start..]) {
            *value = A::restore(stored);
        }
    }
    values
}
