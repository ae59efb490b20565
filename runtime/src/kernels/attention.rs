//! Scores, probabilities and what attention reads (clause 8).

use std::any::Any;

use super::packed::{PackedRows, STEP};
use crate::numerics::{ACCUMULATORS, Arithmetic, KEY_BLOCK, LANES, Order, Real, exp, fold_lanes};
use crate::simd::{Kernel, Simd, Tile};

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
    fn run(mut self, simd: S) {
        let head_dim = self.queries.cols();
        let keys: usize = self.runs.iter().map(|run| run.rows.len() / head_dim).sum();
        let mut column = 0;
        for run in self.runs {
            // Four keys at a time, so that their sums are folded together.
            for rows in run.rows.chunks(4 * head_dim) {
                let mut four = [&rows[..head_dim]; 4];
                let count = rows.len() / head_dim;
                for (key, row) in four.iter_mut().zip(rows.chunks_exact(head_dim)) {
                    *key = row;
                }
                let places = Places { keys, column, count };
                match head_dim.div_ceil(STEP) {
                    // Up to four steps, each has an accumulator of its own and the keys stay in registers.
                    1 => self.by_steps::<1>(simd, four, places),
                    2 => self.by_steps::<2>(simd, four, places),
                    4 => self.by_steps::<4>(simd, four, places),
                    steps => self.by_rows(simd, steps, four, places),
                }
                column += count;
            }
        }
        for score in self.out {
            *score = A::b(A::b(*score) * self.scale);
        }
    }
}

/// Which scores of a row of `keys` are those of some keys.
#[derive(Clone, Copy)]
struct Places {
    keys: usize,
    column: usize,
    count: usize,
}

impl<A: Arithmetic, S: Simd<Real = A::Real>> Scores<'_, A, S> {
    /// Products of four keys of `STEPS` steps and of each query, to their places in its row.
    #[inline(always)]
    fn by_steps<const STEPS: usize>(&mut self, simd: S, keys: [&[A::Stored]; 4], places: Places) {
        let mut pairs = [[simd.load_pair(&S::Packed::default()); STEPS]; 4];
        for (pairs, key) in pairs.iter_mut().zip(keys) {
            for (step, pair) in pairs.iter_mut().enumerate() {
                *pair = stored_pair::<A, S>(simd, &key[step * STEP..]);
            }
        }
        // No iterator that is put together of closures: those need not be inlined.
        for index in 0..self.out.len() / places.keys {
            let query = self.queries.row(self.first_query + index);
            let query: &[S::Packed; STEPS] = query.first_chunk().expect("queries have the keys' steps");
            let mut totals = [simd.zero(); 4];
            for (total, pairs) in totals.iter_mut().zip(&pairs) {
                let mut sums = [simd.zero(); ACCUMULATORS];
                for step in 0..STEPS {
                    sums[step] = simd.dot2(sums[step], simd.load_pair(&query[step]), pairs[step]);
                }
                let [a, b, c, d] = sums;
                *total = simd.add(simd.add(a, b), simd.add(c, d));
            }
            self.write(index, places, simd.fold4(totals));
        }
    }

    /// As [`by_steps`](Self::by_steps) for any number of steps.
    #[inline(always)]
    fn by_rows(&mut self, simd: S, steps: usize, keys: [&[A::Stored]; 4], places: Places) {
        for index in 0..self.out.len() / places.keys {
            let query = self.queries.row(self.first_query + index);
            let mut totals = [simd.zero(); 4];
            for (total, key) in totals.iter_mut().zip(keys) {
                let mut sums = [simd.zero(); ACCUMULATORS];
                let mut places = query.iter();
                for (accumulator, sum) in sums.iter_mut().enumerate() {
                    for (step, place) in (accumulator..steps).step_by(ACCUMULATORS).zip(&mut places) {
                        let pair = stored_pair::<A, S>(simd, &key[step * STEP..]);
                        *sum = simd.dot2(*sum, simd.load_pair(place), pair);
                    }
                }
                let [a, b, c, d] = sums;
                *total = simd.add(simd.add(a, b), simd.add(c, d));
            }
            self.write(index, places, simd.fold4(totals));
        }
    }

    /// Writes as many of four numbers as there are keys.
    #[inline(always)]
    fn write(&mut self, index: usize, places: Places, numbers: [A::Real; 4]) {
        let out = &mut self.out[index * places.keys + places.column..][..places.count];
        if let Some(out) = out.first_chunk_mut() {
            *out = numbers;
            return;
        }
        for (out, number) in out.iter_mut().zip(numbers) {
            *out = number;
        }
    }
}

/// The operands of one step of order D from the elements of a row in their natural order, padded with +0.
#[inline(always)]
fn stored_pair<A: Arithmetic, S: Simd<Real = A::Real>>(simd: S, row: &[A::Stored]) -> S::Pair {
    let (mut even, mut odd) = ([A::Real::ZERO; LANES], [A::Real::ZERO; LANES]);
    if let Some(line) = row.first_chunk::<STEP>() {
        // bf16 numbers are operands as they are.
        if let Some(numbers) = (line as &dyn Any).downcast_ref::<[u16; STEP]>() {
            return simd.bf16_pair(numbers);
        }
        for lane in 0..LANES {
            even[lane] = A::restore(line[2 * lane]);
            odd[lane] = A::restore(line[2 * lane + 1]);
        }
    } else {
        // The number of elements of a head is even.
        for (lane, pair) in row.chunks_exact(2).enumerate() {
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
        // One a lane, as no order changes which is the greatest.
        let mut all = [self.sink; LANES];
        let (blocks, rest) = self.scores.as_chunks::<LANES>();
        for block in blocks {
            for lane in 0..LANES {
                all[lane] = if block[lane] > all[lane] { block[lane] } else { all[lane] };
            }
        }
        let mut greatest = self.sink;
        for &score in all.iter().chain(rest) {
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

struct WeightedSums<'a, A: Arithmetic> {
    probabilities: &'a [A::Real],
    runs: &'a [Run<'a, A::Stored>],
    head_dim: usize,
    out: &'a mut [A::Real],
}

/// What the query heads that share a key head read: the values of all runs, in ascending order of positions, times
/// `probabilities`, `[heads, keys]`, whose rows follow the runs; written to `out`, `[heads, head_dim]`.
///
/// # Panics
///
/// If the sizes do not fit.
pub fn weighted_sums<A: Arithmetic, S: Simd<Real = A::Real>>(
    simd: S,
    probabilities: &[A::Real],
    runs: &[Run<'_, A::Stored>],
    head_dim: usize,
    out: &mut [A::Real],
) {
    assert!(head_dim > 0 && out.len().is_multiple_of(head_dim), "whole heads");
    let keys: usize = runs.iter().map(|run| run.rows.len() / head_dim).sum();
    assert_eq!(probabilities.len(), out.len() / head_dim * keys, "a probability for each head and key");
    simd.vectorize(WeightedSums::<A> { probabilities, runs, head_dim, out });
}

impl<A: Arithmetic, S: Simd<Real = A::Real>> Kernel<S> for WeightedSums<'_, A> {
    type Output = ();

    #[inline(always)]
    fn run(self, simd: S) {
        match S::TILE {
            Tile::Large => self.by_heads::<S, 4, 4>(simd),
            Tile::Small => self.by_heads::<S, 2, 2>(simd),
        }
    }
}

impl<A: Arithmetic> WeightedSums<'_, A> {
    /// `H` heads and `W` vectors of their elements at a time, where so many are left.
    #[inline(always)]
    fn by_heads<S: Simd<Real = A::Real>, const H: usize, const W: usize>(mut self, simd: S) {
        let heads = self.out.len() / self.head_dim;
        let whole = self.head_dim / (W * LANES) * (W * LANES);
        for head in (0..heads).step_by(H) {
            for start in (0..whole).step_by(W * LANES) {
                if head + H <= heads {
                    self.block::<S, H, W>(simd, head, start);
                } else {
                    (head..heads).for_each(|head| self.block::<S, 1, W>(simd, head, start));
                }
            }
            for start in (whole..self.head_dim).step_by(LANES) {
                (head..heads.min(head + H)).for_each(|head| self.block::<S, 1, 1>(simd, head, start));
            }
        }
    }

    /// `W` vectors of elements from `start` on, of `H` heads.
    #[inline(always)]
    fn block<S: Simd<Real = A::Real>, const H: usize, const W: usize>(
        &mut self,
        simd: S,
        head: usize,
        start: usize,
    ) {
        let head_dim = self.head_dim;
        let keys = self.probabilities.len() / (self.out.len() / head_dim);
        let mut weights = [self.probabilities; H];
        for (offset, weights) in weights.iter_mut().enumerate() {
            *weights = &self.probabilities[(head + offset) * keys..][..keys];
        }
        let mut totals = [[simd.zero(); W]; H];
        let mut sums = [[simd.zero(); W]; H];
        let mut open = None;
        let mut column = 0;
        for run in self.runs {
            let mut position = run.first;
            let mut rows = run.rows;
            while !rows.is_empty() {
                // Up to the end of the block, or of the run.
                let count = (KEY_BLOCK - position % KEY_BLOCK).min(rows.len() / head_dim);
                if open.is_some_and(|block| block != position / KEY_BLOCK) {
                    for (total, sum) in totals.as_flattened_mut().iter_mut().zip(sums.as_flattened_mut()) {
                        *total = simd.add(*total, *sum);
                        *sum = simd.zero();
                    }
                }
                open = Some(position / KEY_BLOCK);
                let (block, after) = rows.split_at(count * head_dim);
                sums = chain::<A, S, H, W>(simd, block, head_dim, start, weights, column, sums);
                rows = after;
                position += count;
                column += count;
            }
        }
        for (offset, (totals, sums)) in totals.into_iter().zip(sums).enumerate() {
            let out = &mut self.out[(head + offset) * head_dim..][..head_dim][start..];
            for ((total, sum), out) in totals.into_iter().zip(sums).zip(out.chunks_mut(LANES)) {
                for (out, total) in out.iter_mut().zip(simd.store(simd.add(total, sum))) {
                    *out = A::b(total);
                }
            }
        }
    }
}

/// The sums after the rows of one block, whose probabilities begin at `column`.
#[inline(always)]
fn chain<A: Arithmetic, S: Simd<Real = A::Real>, const H: usize, const W: usize>(
    simd: S,
    block: &[A::Stored],
    head_dim: usize,
    start: usize,
    weights: [&[A::Real]; H],
    column: usize,
    mut sums: [[S::Vector; W]; H],
) -> [[S::Vector; W]; H] {
    let count = block.len() / head_dim;
    let mut rows = weights;
    for (row, weights) in rows.iter_mut().zip(weights) {
        *row = &weights[column..][..count];
    }
    for (key, row) in block.chunks_exact(head_dim).enumerate() {
        let mut values = [simd.zero(); W];
        // All at once, so that they go to the registers without a detour.
        if let Some(row) = row.get(start..start + W * LANES) {
            let (vectors, _) = row.as_chunks::<LANES>();
            for vector in 0..W {
                values[vector] = simd.load(&restored::<A>(&vectors[vector]));
            }
        } else {
            for (vector, value) in values.iter_mut().enumerate() {
                *value = simd.load(&stored_vector::<A>(&row[start + vector * LANES..]));
            }
        }
        for (sums, weights) in sums.iter_mut().zip(rows) {
            let weight = simd.splat(weights[key]);
            for vector in 0..W {
                sums[vector] = simd.fma(weight, values[vector], sums[vector]);
            }
        }
    }
    sums
}

#[inline(always)]
fn restored<A: Arithmetic>(stored: &[A::Stored; LANES]) -> [A::Real; LANES] {
    let mut values = [A::Real::ZERO; LANES];
    for lane in 0..LANES {
        values[lane] = A::restore(stored[lane]);
    }
    values
}

/// At most sixteen values, padded with +0.
#[inline(always)]
fn stored_vector<A: Arithmetic>(row: &[A::Stored]) -> [A::Real; LANES] {
    let mut values = [A::Real::ZERO; LANES];
    for (value, &stored) in values.iter_mut().zip(row) {
        *value = A::restore(stored);
    }
    values
}
