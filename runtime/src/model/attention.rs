//! Attention of one layer: projections, rotation, cache, and what each query reads.

use ndarray::Array2;
use rayon::prelude::*;

use super::pass::{Hidden, Pass};
use crate::config::LayerType;
use crate::kernels::PackedRows;
use crate::kernels::attention::{Run, scores, softmax_with_sink, weighted_sums};
use crate::kernels::elementwise::{Bias, rotate};
use crate::model::kv_cache::Cache;
use crate::numerics::{Arithmetic, Order, Real, inverse_sqrt};
use crate::ops::{Product, linear, pack};
use crate::simd::Simd;
use crate::tap::{Stage, TapPoint};
use crate::weights::Layer;

/// Queries of a task.
const TASK_QUERIES: usize = 8;

impl<A: Arithmetic, S: Simd<Real = A::Real>> Pass<'_, A, S> {
    pub(super) fn attention(
        &mut self,
        index: usize,
        layer: &Layer,
        first: usize,
        normed: &Hidden<A>,
        cos_sin: &[Vec<(A::Real, A::Real)>],
        cache: &mut Cache<A>,
    ) -> Hidden<A> {
        let here = Some(index);
        self.tap.begin(Stage::Projections);
        let selected: Vec<usize> = (0..normed.nrows()).collect();
        let x = pack(self.simd, Order::D, normed);
        let product = |linear| Product { linear, x: &x, selected: &selected };
        let products = [product(&layer.query), product(&layer.key), product(&layer.value)];
        let mut projected = linear::<A, S>(self.simd, &products, Bias::Inside).into_iter();
        let mut next = || projected.next().expect("three products were asked for").into_rows();
        let (mut queries, mut keys, values) = (next(), next(), next());
        self.record(TapPoint::Query, here, None, first, &queries);
        self.record(TapPoint::Key, here, None, first, &keys);
        self.record(TapPoint::Value, here, None, first, &values);

        self.tap.begin(Stage::Rotation);
        let simd = self.simd;
        for rows in [&mut queries, &mut keys] {
            let size = rows.ncols();
            let rows = rows.as_slice_mut().expect("rows lie one after the other");
            rows.par_chunks_mut(size)
                .zip(cos_sin)
                .for_each(|(row, cos_sin)| rotate::<A, S>(simd, row, cos_sin));
        }
        self.record(TapPoint::QueryRotated, here, None, first, &queries);
        self.record(TapPoint::KeyRotated, here, None, first, &keys);

        self.tap.begin(Stage::Cache);
        self.fill(index, first, &keys, &values, cache);
        self.tap.begin(Stage::Attention);
        let context = self.read(index, layer, first, &queries, cache);
        self.record(TapPoint::Context, here, None, first, &context);

        self.tap.begin(Stage::AttentionOutput);
        let x = pack(self.simd, Order::D, &context);
        let product = Product { linear: &layer.output, x: &x, selected: &selected };
        let output = linear::<A, S>(self.simd, &[product], Bias::Inside).remove(0).into_rows();
        self.record(TapPoint::AttentionOutput, here, None, first, &output);
        output
    }

    /// Writes keys and values to the cache.
    fn fill(&self, index: usize, first: usize, keys: &Hidden<A>, values: &Hidden<A>, cache: &mut Cache<A>) {
        let head_dim = self.config.head_dim;
        for (head, entry) in cache.layer_mut(index).iter_mut().enumerate() {
            let part = head * head_dim..(head + 1) * head_dim;
            for (position, (key, value)) in (first..).zip(keys.rows().into_iter().zip(values.rows())) {
                let (key_place, value_place) = entry.entry_mut(position);
                for (place, element) in part.clone().enumerate() {
                    key_place[place] = A::store(key[element]);
                    value_place[place] = A::store(value[element]);
                }
            }
        }
    }

    /// What every query of the chunk reads, `[positions, heads * head_dim]`.
    fn read(
        &mut self,
        index: usize,
        layer: &Layer,
        first: usize,
        queries: &Hidden<A>,
        cache: &Cache<A>,
    ) -> Hidden<A> {
        let (heads, head_dim) = (self.config.num_attention_heads, self.config.head_dim);
        let key_heads = self.config.num_key_value_heads;
        let group = heads / key_heads;
        let count = queries.nrows();
        let by_head = queries.view().into_shape_with_order((count * heads, head_dim));
        let packed = pack(self.simd, Order::D, &by_head.expect("rows lie one after the other"));
        let scale = inverse_sqrt::<A::Real>(head_dim);
        let reader = Reader { simd: self.simd, packed: &packed, cache, layer, index, heads, group, scale };
        let window = self.window(index);

        if self.wants(TapPoint::Scores, index) || self.wants(TapPoint::Probabilities, index) {
            self.record_scores(&reader, first, count, window);
        }

        // A task reads for the heads of one key head at some positions: [positions, group * head_dim].
        let width = group * head_dim;
        let mut parts = vec![A::Real::ZERO; count * heads * head_dim];
        let mut tasks = Vec::new();
        for (key_head, out) in parts.chunks_mut(count * width).enumerate() {
            for (block, out) in out.chunks_mut(TASK_QUERIES * width).enumerate() {
                tasks.push((key_head, block * TASK_QUERIES, out));
            }
        }
        tasks.into_par_iter().for_each_init(Vec::new, |memory, (key_head, offset, out)| {
            for (query, out) in (offset..).zip(out.chunks_mut(width)) {
                let visible = visible(first + query, window);
                let runs = reader.runs(key_head, visible.clone());
                memory.resize(group * visible.len(), A::Real::ZERO);
                reader.scores(query, key_head, &runs, memory);
                for (slot, row) in memory.chunks_exact_mut(visible.len()).enumerate() {
                    let sink = layer.sinks[key_head * group + slot];
                    softmax_with_sink::<A, S>(reader.simd, row, visible.start, sink);
                }
                weighted_sums::<A, S>(reader.simd, memory, &runs.values, head_dim, out);
            }
        });

        let mut context = Array2::from_elem((count, heads * head_dim), A::Real::ZERO);
        let rows = context.as_slice_mut().expect("rows lie one after the other");
        rows.par_chunks_mut(heads * head_dim).enumerate().for_each(|(query, row)| {
            for (key_head, out) in row.chunks_exact_mut(width).enumerate() {
                out.copy_from_slice(&parts[(key_head * count + query) * width..][..width]);
            }
        });
        context
    }

    fn window(&self, index: usize) -> Option<usize> {
        match self.config.layer_types[index] {
            LayerType::Sliding => Some(self.config.sliding_window),
            LayerType::Full => None,
        }
    }

    /// Computes scores and probabilities once more, whole rows of them, for a tap.
    fn record_scores(
        &mut self,
        reader: &Reader<'_, A, S>,
        first: usize,
        count: usize,
        window: Option<usize>,
    ) {
        let (heads, end) = (reader.heads, first + count);
        for head in 0..heads {
            let mut all_scores = Array2::from_elem((count, end), -A::Real::ONE / A::Real::ZERO);
            let mut all_probabilities = Array2::from_elem((count, end), A::Real::ZERO);
            let (key_head, slot) = (head / reader.group, head % reader.group);
            for query in 0..count {
                let visible = visible(first + query, window);
                let runs = reader.runs(key_head, visible.clone());
                let mut memory = vec![A::Real::ZERO; reader.group * visible.len()];
                reader.scores(query, key_head, &runs, &mut memory);
                let row = &mut memory[slot * visible.len()..][..visible.len()];
                let part = ndarray::s![query, visible.clone()];
                all_scores.slice_mut(part).assign(&ndarray::ArrayView1::from(&*row));
                softmax_with_sink::<A, S>(self.simd, row, visible.start, reader.layer.sinks[head]);
                all_probabilities.slice_mut(part).assign(&ndarray::ArrayView1::from(&*row));
            }
            self.record(TapPoint::Scores, Some(reader.index), Some(head), first, &all_scores);
            self.record(TapPoint::Probabilities, Some(reader.index), Some(head), first, &all_probabilities);
        }
    }
}

/// The positions that a query sees.
fn visible(position: usize, window: Option<usize>) -> std::ops::Range<usize> {
    window.map_or(0, |window| (position + 1).saturating_sub(window))..position + 1
}

/// Keys and values of one key head.
struct Runs<'a, T> {
    keys: Vec<Run<'a, T>>,
    values: Vec<Run<'a, T>>,
}

/// What the tasks of one layer share.
struct Reader<'a, A: Arithmetic, S: Simd> {
    simd: S,
    packed: &'a PackedRows<S>,
    cache: &'a Cache<A>,
    layer: &'a Layer,
    index: usize,
    heads: usize,
    group: usize,
    scale: A::Real,
}

impl<A: Arithmetic, S: Simd<Real = A::Real>> Reader<'_, A, S> {
    fn runs(&self, key_head: usize, positions: std::ops::Range<usize>) -> Runs<'_, A::Stored> {
        let mut runs = Runs { keys: Vec::with_capacity(2), values: Vec::with_capacity(2) };
        for run in self.cache.runs(self.index, key_head, positions) {
            runs.keys.push(Run { first: run.first, rows: run.keys });
            runs.values.push(Run { first: run.first, rows: run.values });
        }
        runs
    }

    /// Scores of all query heads that share a key head, `[group, keys]`.
    fn scores(&self, query: usize, key_head: usize, runs: &Runs<'_, A::Stored>, out: &mut [A::Real]) {
        let first_query = query * self.heads + key_head * self.group;
        scores::<A, S>(self.simd, self.packed, first_query, &runs.keys, self.scale, out);
    }
}
