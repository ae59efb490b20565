//! The experts of one layer: router, gate and up, activation, down, and their sum.

use ndarray::Array2;
use rayon::prelude::*;

use super::pass::{Hidden, Pass};
use crate::kernels::elementwise::{Bias, finish, sum_experts, swiglu_rows};
use crate::numerics::{Arithmetic, Order, Real, expert_weights, top_k};
use crate::ops::{self, Product, TASK_ROWS, TaskRows, linear, pack};
use crate::simd::Simd;
use crate::tap::{Stage, TapPoint};
use crate::weights::Layer;

/// The tokens of the chunk that an expert was chosen for.
struct Assigned {
    expert: usize,
    /// Rows of the chunk.
    tokens: Vec<usize>,
    /// Where the expert's rows begin among those of all experts.
    start: usize,
}

/// Which experts the router chose.
struct Routes<R> {
    /// `[tokens][rank]`: the expert.
    chosen: Vec<Vec<usize>>,
    /// `[tokens][rank]`: its weight.
    weights: Vec<Vec<R>>,
    assigned: Vec<Assigned>,
    /// `[tokens][rank]`: which of `assigned`, and which of its tokens.
    places: Vec<Vec<(usize, usize)>>,
}

impl<A: Arithmetic, S: Simd<Real = A::Real>> Pass<'_, A, S> {
    pub(super) fn experts(
        &mut self,
        index: usize,
        layer: &Layer,
        first: usize,
        normed: &Hidden<A>,
    ) -> Hidden<A> {
        let here = Some(index);
        self.tap.begin(Stage::Router);
        let routes = self.route(index, layer, first, normed);

        self.tap.begin(Stage::GateUp);
        let x = pack(self.simd, Order::E, normed);
        let products: Vec<_> = routes
            .assigned
            .iter()
            .map(|assigned| Product {
                linear: &layer.experts[assigned.expert].gate_up,
                x: &x,
                selected: &assigned.tokens,
            })
            .collect();
        let (simd, limit) = (self.simd, self.config.swiglu_limit);
        let activations = if self.wants(TapPoint::GateUp, index) {
            // The same in two steps.
            let gate_ups = linear::<A, S>(simd, &products, Bias::After);
            self.record_ranks(TapPoint::GateUp, index, first, &routes, &gate_ups);
            let mut activations = Vec::new();
            for rows in gate_ups {
                for row in rows.into_rows().rows() {
                    let mut out = vec![A::Real::ZERO; self.config.intermediate_size];
                    let row = row.to_slice().expect("rows lie one after the other");
                    swiglu_rows::<A, S>(simd, row, limit, &mut out);
                    activations.extend(out);
                }
            }
            Array2::from_shape_vec((routes.rows(), self.config.intermediate_size), activations)
                .expect("one activation a row")
        } else {
            let parts = ops::run::<A, S>(simd, &products, 2, |raw, out, bias| {
                let mut gate_up = raw.to_vec();
                finish::<A, S>(simd, &mut gate_up, bias, Bias::After);
                swiglu_rows::<A, S>(simd, &gate_up, limit, out);
            });
            self.gather(&routes, &parts, self.config.intermediate_size)
        };
        self.record_gathered(TapPoint::Activation, index, first, &routes, &activations);

        self.tap.begin(Stage::Down);
        let x = pack(self.simd, Order::E, &activations);
        let selected: Vec<Vec<usize>> = routes
            .assigned
            .iter()
            .map(|assigned| (assigned.start..assigned.start + assigned.tokens.len()).collect())
            .collect();
        let products: Vec<_> = routes
            .assigned
            .iter()
            .zip(&selected)
            .map(|(assigned, selected)| Product {
                linear: &layer.experts[assigned.expert].down,
                x: &x,
                selected,
            })
            .collect();
        let downs = linear::<A, S>(simd, &products, Bias::After);
        if self.wants(TapPoint::Down, index) {
            self.record_ranks(TapPoint::Down, index, first, &routes, &downs);
        }

        self.tap.begin(Stage::ExpertSum);
        let size = self.config.hidden_size;
        let mut sums = Array2::from_elem(normed.dim(), A::Real::ZERO);
        let rows = sums.as_slice_mut().expect("rows lie one after the other");
        rows.par_chunks_mut(size).enumerate().for_each_init(Vec::new, |memory, (token, out)| {
            memory.resize(size * routes.places[token].len(), A::Real::ZERO);
            for (&(assigned, row), out) in routes.places[token].iter().zip(memory.chunks_exact_mut(size)) {
                downs[assigned].copy_row(row, out);
            }
            let rows: Vec<&[A::Real]> = memory.chunks_exact(size).collect();
            sum_experts::<A, S>(simd, &rows, &routes.weights[token], out);
        });
        self.record(TapPoint::MlpOutput, here, None, first, &sums);
        sums
    }

    /// Clause 9: which experts each token goes to.
    fn route(&mut self, index: usize, layer: &Layer, first: usize, normed: &Hidden<A>) -> Routes<A::Real> {
        let here = Some(index);
        let k = self.config.experts_per_token;
        let selected: Vec<usize> = (0..normed.nrows()).collect();
        let x = pack(self.simd, Order::D, normed);
        let product = Product { linear: &layer.router, x: &x, selected: &selected };
        let logits = linear::<A, S>(self.simd, &[product], Bias::Inside).remove(0).into_rows();
        self.record(TapPoint::RouterLogits, here, None, first, &logits);

        let mut routes = Routes { chosen: vec![], weights: vec![], assigned: vec![], places: vec![] };
        let mut tokens = vec![Vec::new(); layer.experts.len()];
        let rows = logits.as_slice().expect("rows lie one after the other").par_chunks(layer.experts.len());
        (routes.chosen, routes.weights) = rows
            .map(|row| {
                let chosen = top_k(row, k);
                let logits: Vec<A::Real> = chosen.iter().map(|&expert| row[expert]).collect();
                (chosen, expert_weights::<A>(&logits))
            })
            .unzip();
        for (token, chosen) in routes.chosen.iter().enumerate() {
            for &expert in chosen {
                tokens[expert].push(token);
            }
        }
        let mut order = vec![0; layer.experts.len()];
        let mut start = 0;
        for (expert, tokens) in tokens.into_iter().enumerate() {
            if tokens.is_empty() {
                continue;
            }
            order[expert] = routes.assigned.len();
            let count = tokens.len();
            routes.assigned.push(Assigned { expert, tokens, start });
            start += count;
        }
        let mut seen = vec![0; routes.assigned.len()];
        for chosen in &routes.chosen {
            let place = |&expert: &usize| {
                let assigned = order[expert];
                seen[assigned] += 1;
                (assigned, seen[assigned] - 1)
            };
            routes.places.push(chosen.iter().map(place).collect());
        }

        let by_rank = |value: &dyn Fn(usize, usize) -> A::Real| {
            Array2::from_shape_fn((normed.nrows(), k), |(token, rank)| value(token, rank))
        };
        if self.wants(TapPoint::ExpertIds, index) {
            let ids = by_rank(&|token, rank| A::Real::from_f64(routes.chosen[token][rank] as f64));
            self.record(TapPoint::ExpertIds, here, None, first, &ids);
        }
        if self.wants(TapPoint::ExpertWeights, index) {
            let weights = by_rank(&|token, rank| routes.weights[token][rank]);
            self.record(TapPoint::ExpertWeights, here, None, first, &weights);
        }
        routes
    }

    /// The rows of all experts, one expert after the other.
    fn gather(&self, routes: &Routes<A::Real>, parts: &[TaskRows<A::Real>], cols: usize) -> Hidden<A> {
        let mut rows = Array2::from_elem((routes.rows(), cols), A::Real::ZERO);
        let mut out = rows.as_slice_mut().expect("rows lie one after the other");
        let mut tasks = Vec::with_capacity(routes.rows());
        for (assigned, part) in routes.assigned.iter().zip(parts) {
            for row in 0..assigned.tokens.len() {
                let (place, rest) = out.split_at_mut(cols);
                tasks.push((part, row, place));
                out = rest;
            }
        }
        tasks.into_par_iter().for_each(|(part, row, place)| part.copy_row(row, place));
        rows
    }

    /// Gives the rows of each rank to the tap.
    fn record_ranks(
        &mut self,
        point: TapPoint,
        index: usize,
        first: usize,
        routes: &Routes<A::Real>,
        parts: &[TaskRows<A::Real>],
    ) {
        let cols = parts.first().map_or(0, TaskRows::cols);
        let gathered = self.gather(routes, parts, cols);
        self.record_gathered(point, index, first, routes, &gathered);
    }

    /// As [`record_ranks`](Self::record_ranks), from the rows of all experts.
    fn record_gathered(
        &mut self,
        point: TapPoint,
        index: usize,
        first: usize,
        routes: &Routes<A::Real>,
        gathered: &Hidden<A>,
    ) {
        if !self.wants(point, index) {
            return;
        }
        for rank in 0..self.config.experts_per_token {
            let rows: Vec<usize> = routes
                .places
                .iter()
                .map(|places| {
                    let (assigned, row) = places[rank];
                    routes.assigned[assigned].start + row
                })
                .collect();
            let rows = gathered.select(ndarray::Axis(0), &rows);
            self.record(point, Some(index), Some(rank), first, &rows);
        }
    }
}

impl<R> Routes<R> {
    /// Pairs of a token and an expert.
    fn rows(&self) -> usize {
        self.assigned.iter().map(|assigned| assigned.tokens.len()).sum()
    }
}

const _: () = assert!(TASK_ROWS & 1 == 0, "a gate and its up row belong to one task");
