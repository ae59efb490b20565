//! Clauses 7 and 8: rotation, scores, softmax with a sink, and what attention reads.

use std::sync::Arc;

use rayon::prelude::*;

use super::super::formats::E4M3;
use super::super::mutants::Mutant;
use super::super::number::Machine;
use super::{Block, Formulas};
use crate::numerics;

impl Formulas<'_> {
    /// Clause 7: all heads of queries or keys.
    pub(in super::super) fn rotate<M: Machine>(&self, machine: &M, x: &Block<M::Number>) -> Block<M::Number> {
        let head_dim = self.config.head_dim;
        let half = head_dim / 2;
        let mut out = Block::new(x.positions.clone(), x.width);
        for (position, row) in x.rows() {
            let turns = self.constants.frequencies.iter().map(|&frequency| {
                let (cos, sin) = machine.cos_sin(position, frequency, self.constants.concentration);
                (machine.round(cos), machine.round(sin))
            });
            let turns: Vec<(M::Number, M::Number)> = turns.collect();
            for head in row.chunks_exact(head_dim) {
                let start = out.data.len();
                out.data.extend_from_slice(head);
                for (pair, &(cos, sin)) in turns.iter().enumerate() {
                    let (first, second) = match self.has(Mutant::RopeInterleaved) {
                        true => (2 * pair, 2 * pair + 1),
                        false => (pair, pair + half),
                    };
                    let (a, d) = (head[first], head[second]);
                    let product = |x, y| machine.round(machine.mul(x, y));
                    let one = machine.sub(product(a, cos), product(d, sin));
                    let other = machine.add(product(d, cos), product(a, sin));
                    out.data[start + first] = machine.round(one);
                    out.data[start + second] = machine.round(other);
                }
            }
        }
        out
    }

    /// Clause 8: whether a query sees a key, of `keys` in all.
    pub(in super::super) fn visible(&self, layer: usize, query: usize, key: usize, keys: usize) -> bool {
        let window = self.constants.window;
        let slides = self.slides(layer) && !self.has(Mutant::WindowAbsent);
        if slides && self.has(Mutant::MaskStride) {
            let place = query * window + key;
            let (row, column) = (place / keys, place % keys);
            return column <= row && row - column < window;
        }
        if slides && self.has(Mutant::WindowRightOpen) {
            return query.abs_diff(key) < window;
        }
        numerics::visible(query, key, slides.then_some(window))
    }

    /// Clause 8: scores of one query head, `[queries, keys]`; -inf for keys that are not visible.
    ///
    /// `keys` has a row for each position from 0 on.
    pub(in super::super) fn scores<M: Machine>(
        &self,
        machine: &M,
        layer: usize,
        head: usize,
        queries: &Block<M::Number>,
        keys: &Block<M::Number>,
    ) -> Block<M::Number> {
        let head_dim = self.config.head_dim;
        let group = self.config.num_attention_heads / self.config.num_key_value_heads;
        let query_part = head * head_dim..(head + 1) * head_dim;
        let key_part = head / group * head_dim..(head / group + 1) * head_dim;
        let descale = self.descale(machine, keys);
        let zeros = vec![machine.number(0.0); head_dim];
        let key_rows: Vec<M::Row> = keys
            .rows()
            .map(|(position, row)| match self.has(Mutant::KvNotWritten) && self.is_decoded(position) {
                true => machine.row(&zeros),
                false => machine.row(&coarse(machine, &row[key_part.clone()], descale)),
            })
            .collect();
        let masked = machine.number(f64::NEG_INFINITY);
        let scale = machine.number(self.constants.attention_scale);
        let data = queries
            .positions
            .par_iter()
            .enumerate()
            .flat_map_iter(|(index, &position)| {
                let query = machine.row(&queries.row(index)[query_part.clone()]);
                let row: Vec<M::Number> = key_rows
                    .iter()
                    .enumerate()
                    .map(|(key, key_row)| {
                        if !self.visible(layer, position as usize, key, key_rows.len()) {
                            return masked;
                        }
                        let product = machine.round(machine.dot(&query, key_row, 0..head_dim, None));
                        machine.round(machine.mul(product, scale))
                    })
                    .collect();
                row
            })
            .collect();
        Block { positions: queries.positions.clone(), width: key_rows.len(), data }
    }

    /// Clause 8: from scores of a head to probabilities; 0 where a score is -inf.
    pub(in super::super) fn probabilities<M: Machine>(
        &self,
        machine: &M,
        layer: usize,
        head: usize,
        scores: &Block<M::Number>,
    ) -> Block<M::Number> {
        let sink = f64::from(self.weights.layers[layer].sinks[head]) + self.constants.sink_shift;
        let sink = match self.has(Mutant::SinkLogBase) {
            true => sink * std::f64::consts::LN_2,
            false => sink,
        };
        let sink = machine.number(sink);
        let mut out = Block::new(scores.positions.clone(), scores.width);
        for (_, row) in scores.rows() {
            let visible: Vec<M::Number> =
                row.iter().copied().filter(|&score| machine.value(score) != f64::NEG_INFINITY).collect();
            let mut all = visible.clone();
            all.push(sink);
            let greatest = machine.greatest(&all);
            let mut terms: Vec<M::Number> =
                visible.iter().map(|&score| machine.exp(machine.sub(score, greatest))).collect();
            let count = terms.len();
            if !self.has(Mutant::SinkAbsent) {
                let term = machine.exp(machine.sub(sink, greatest));
                terms.push(term);
                if self.has(Mutant::SinkTwice) {
                    terms.push(term);
                }
            }
            let sum = machine.sum(&terms);
            let mut terms = terms[..count].iter();
            out.data.extend(row.iter().map(|&score| match machine.value(score) == f64::NEG_INFINITY {
                true => machine.number(0.0),
                false => {
                    let term = terms.next().copied().unwrap_or(score);
                    machine.round(machine.div(term, sum))
                }
            }));
        }
        out
    }

    /// Clause 8: what attention reads, from the probabilities of each query head and the values of all positions.
    pub(in super::super) fn context<M: Machine>(
        &self,
        machine: &M,
        layer: usize,
        probabilities: &[Arc<Block<M::Number>>],
        values: &Block<M::Number>,
    ) -> Block<M::Number> {
        let head_dim = self.config.head_dim;
        let group = self.config.num_attention_heads / self.config.num_key_value_heads;
        let descale = self.descale(machine, values);
        let mut values = values.clone();
        values.data = coarse(machine, &values.data, descale);
        if self.has(Mutant::KvNotWritten) {
            let width = values.width;
            for (index, &position) in values.positions.iter().enumerate() {
                if self.is_decoded(position) {
                    values.data[index * width..][..width].fill(machine.number(0.0));
                }
            }
        }
        let keys = values.positions.len();
        let columns: Vec<M::Row> = (0..values.width)
            .map(|element| {
                let column: Vec<_> = (0..keys).map(|key| values.data[key * values.width + element]).collect();
                machine.row(&column)
            })
            .collect();
        let positions = probabilities[0].positions.clone();
        let stale = self.has(Mutant::WindowStaleV) && self.slides(layer);
        let per_head: Vec<Vec<M::Number>> = probabilities
            .par_iter()
            .enumerate()
            .map(|(head, block)| {
                let mut out = Vec::with_capacity(positions.len() * head_dim);
                for (position, row) in block.rows() {
                    let stored = !(self.has(Mutant::AttentionNotStored) && self.is_decoded(position));
                    let is_zero = |p: &M::Number| machine.value(*p) == 0.0;
                    let first = row.iter().position(|p| !is_zero(p)).unwrap_or(0);
                    let end = row.iter().rposition(|p| !is_zero(p)).map_or(first, |last| last + 1);
                    let weights = machine.row(row);
                    for column in &columns[head / group * head_dim..(head / group + 1) * head_dim] {
                        out.push(if !stored {
                            machine.number(0.0)
                        } else if stale && position as usize >= self.constants.window {
                            machine.number(f64::NAN)
                        } else {
                            machine.round(machine.dot(&weights, column, first..end, None))
                        });
                    }
                }
                out
            })
            .collect();
        let mut out = Block::new(positions.clone(), per_head.len() * head_dim);
        for index in 0..positions.len() {
            for head in &per_head {
                out.data.extend_from_slice(&head[index * head_dim..][..head_dim]);
            }
        }
        out
    }

    /// The factor of an FP8 cache that is not divided out again.
    fn descale<M: Machine>(&self, machine: &M, x: &Block<M::Number>) -> Option<f64> {
        self.has(Mutant::KvDescaleDropped).then(|| {
            let greatest = x.data.iter().fold(0.0_f64, |most, &x| most.max(machine.value(x).abs()));
            if greatest > 0.0 { E4M3.max() / greatest } else { 1.0 }
        })
    }
}

/// What an FP8 cache without its scale gives back.
fn coarse<M: Machine>(machine: &M, row: &[M::Number], descale: Option<f64>) -> Vec<M::Number> {
    match descale {
        None => row.to_vec(),
        Some(factor) => row.iter().map(|&x| machine.map(x, &|value| E4M3.round(value * factor))).collect(),
    }
}
