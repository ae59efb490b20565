//! The formulas of a forward pass, each written once, over any arithmetic, with the known bugs as variants.
//!
//! Read it beside `docs/numerics.md`; the numbers in the comments are its clauses.

mod attention;
mod experts;

use std::sync::Arc;

use rayon::prelude::*;

use super::mutants::{Mutant, Mutants};
use super::number::Machine;
use crate::config::{LayerType, ModelConfig, RopeConfig};
use crate::numerics::{F64, Rope};
use crate::weights::{Layer, Linear, Matrix, Weights};

pub use experts::Choice;
pub(super) use experts::{Projection, judge_choice};

/// Rows of numbers at given positions.
#[derive(Clone, Debug)]
pub(super) struct Block<N> {
    /// Ascending, one a row.
    pub(super) positions: Arc<[u32]>,
    pub(super) width: usize,
    pub(super) data: Vec<N>,
}

impl<N: Copy> Block<N> {
    pub(super) fn new(positions: Arc<[u32]>, width: usize) -> Self {
        let capacity = positions.len() * width;
        Self { positions, width, data: Vec::with_capacity(capacity) }
    }

    pub(super) fn row(&self, index: usize) -> &[N] {
        &self.data[index * self.width..][..self.width]
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = (u32, &[N])> {
        self.positions.iter().enumerate().map(|(index, &position)| (position, self.row(index)))
    }

    /// The row of a position, if it is there.
    pub(super) fn at(&self, position: u32) -> Option<&[N]> {
        self.positions.binary_search(&position).ok().map(|index| self.row(index))
    }
}

/// The constants of the formulas, which a wrong program may have otherwise.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Constants {
    /// Radians a position, by pair.
    pub(super) frequencies: Vec<f64>,
    /// What cosine and sine are multiplied by.
    pub(super) concentration: f64,
    /// What scores are multiplied by.
    pub(super) attention_scale: f64,
    /// Added to the mean square.
    pub(super) eps: f64,
    /// The factor in the sigmoid of SwiGLU.
    pub(super) alpha: f64,
    /// The clamp of SwiGLU.
    pub(super) limit: f64,
    /// Added to up.
    pub(super) plus: f64,
    /// Added to each sink.
    pub(super) sink_shift: f64,
    /// Keys that a sliding layer sees.
    pub(super) window: usize,
    /// What the weights of a matrix with a bias in its sum are multiplied by.
    pub(super) gain: f64,
}

impl Constants {
    fn new(config: &ModelConfig, mutants: Mutants) -> Self {
        let rope = if mutants.has(Mutant::YarnAbsent) {
            RopeConfig { factor: 1.0, ..config.rope.clone() }
        } else if mutants.has(Mutant::YarnTruncate) {
            RopeConfig { truncate: true, ..config.rope.clone() }
        } else {
            config.rope.clone()
        };
        let rope = Rope::<F64>::new(&rope, config.head_dim);
        let when = |mutant, wrong: f64, right: f64| if mutants.has(mutant) { wrong } else { right };
        Self {
            frequencies: rope.inverse_frequencies().to_vec(),
            concentration: when(Mutant::YarnNoMscale, 1.0, rope.concentration()),
            attention_scale: when(Mutant::ScaleAbsent, 1.0, 1.0 / (config.head_dim as f64).sqrt()),
            eps: config.rms_norm_eps,
            alpha: when(Mutant::SwigluAlphaOne, 1.0, 1.702),
            limit: if mutants.has(Mutant::SwigluNoLimit) {
                f64::INFINITY
            } else {
                when(Mutant::SwigluLimitZero, 0.0, config.swiglu_limit)
            },
            plus: when(Mutant::SwigluNoPlusOne, 0.0, 1.0),
            sink_shift: 0.0,
            gain: 1.0,
            window: config.sliding_window + usize::from(mutants.has(Mutant::WindowPlusOne)),
        }
    }
}

/// The formulas of one model, right or with bugs.
#[derive(Clone)]
pub(super) struct Formulas<'a> {
    pub(super) config: &'a ModelConfig,
    pub(super) weights: &'a Weights,
    pub(super) mutants: Mutants,
    pub(super) constants: Constants,
    /// The first position that was decoded rather than read as part of the prompt, if that is known.
    pub(super) decoded_from: Option<u32>,
}

impl<'a> Formulas<'a> {
    pub(super) fn new(
        config: &'a ModelConfig,
        weights: &'a Weights,
        mutants: Mutants,
        decoded_from: Option<u32>,
    ) -> Self {
        Self { config, weights, mutants, constants: Constants::new(config, mutants), decoded_from }
    }

    fn has(&self, mutant: Mutant) -> bool {
        self.mutants.has(mutant)
    }

    /// Whether a position is known to have been decoded.
    fn is_decoded(&self, position: u32) -> bool {
        self.decoded_from.is_some_and(|first| position >= first)
    }

    /// Whether attention of this layer slides.
    fn slides(&self, layer: usize) -> bool {
        let sliding = self.config.layer_types[layer] == LayerType::Sliding;
        sliding != self.has(Mutant::WindowParity)
    }

    /// Clause 3: rows of the embedding.
    pub(super) fn embedding<M: Machine>(
        &self,
        machine: &M,
        tokens: &[u32],
        positions: &Arc<[u32]>,
    ) -> Option<Block<M::Number>> {
        let mut block = Block::new(positions.clone(), self.config.hidden_size);
        let mut row = vec![0.0; self.config.hidden_size];
        for &position in positions.iter() {
            let token = *tokens.get(position as usize)? as usize;
            if token >= self.config.vocab_size {
                return None;
            }
            self.weights.embedding.row(token, &mut row);
            block.data.extend(row.iter().map(|&weight| machine.number(f64::from(weight))));
        }
        Some(block)
    }

    /// Clause 6.
    pub(super) fn norm<M: Machine>(
        &self,
        machine: &M,
        x: &Block<M::Number>,
        scale: &[f32],
    ) -> Block<M::Number> {
        let mut out = Block::new(x.positions.clone(), x.width);
        let eps = machine.number(self.constants.eps);
        for (_, row) in x.rows() {
            let root = machine.sqrt(machine.add(machine.mean_square(row), eps));
            out.data.extend(row.iter().zip(scale).map(|(&x, &scale)| {
                let scale = machine.number(f64::from(scale));
                machine.round(machine.mul(machine.div(x, root), scale))
            }));
        }
        out
    }

    /// Clause 5: a matrix whose bias is part of the sum.
    pub(super) fn linear<M: Machine>(
        &self,
        machine: &M,
        x: &Block<M::Number>,
        linear: &Linear,
    ) -> Block<M::Number> {
        self.product(machine, x, &linear.matrix, linear.bias.as_deref())
    }

    /// Clause 12 of the forward pass: no bias.
    pub(super) fn logits<M: Machine>(&self, machine: &M, x: &Block<M::Number>) -> Block<M::Number> {
        self.product(machine, x, &self.weights.unembedding, None)
    }

    /// The output projection of attention.
    pub(super) fn attention_output<M: Machine>(
        &self,
        machine: &M,
        x: &Block<M::Number>,
        layer: &Layer,
    ) -> Block<M::Number> {
        let mut bias = layer.output.bias.clone();
        if self.has(Mutant::OutputBiasPerRank) {
            bias.iter_mut().flatten().for_each(|bias| *bias *= 2.0);
        }
        self.product(machine, x, &layer.output.matrix, bias.as_deref())
    }

    /// The router's logits.
    pub(super) fn router<M: Machine>(
        &self,
        machine: &M,
        x: &Block<M::Number>,
        layer: &Layer,
    ) -> Block<M::Number> {
        let bias = layer.router.bias.as_deref().filter(|_| !self.has(Mutant::RouterNoBias));
        self.product(machine, x, &layer.router.matrix, bias)
    }

    fn product<M: Machine>(
        &self,
        machine: &M,
        x: &Block<M::Number>,
        matrix: &Matrix,
        bias: Option<&[f32]>,
    ) -> Block<M::Number> {
        let rows: Vec<M::Row> = (0..x.positions.len()).map(|index| machine.row(x.row(index))).collect();
        let data = by_columns(rows.len(), matrix.rows, |out| {
            let mut weights = vec![0.0; matrix.cols];
            matrix.row(out, &mut weights);
            if self.constants.gain != 1.0 {
                weights.iter_mut().for_each(|weight| *weight *= self.constants.gain as f32);
            }
            let weights = machine.weights(&weights);
            let bias = bias.map(|bias| machine.number(f64::from(bias[out])));
            rows.iter().map(|row| machine.round(machine.dot(&weights, row, 0..matrix.cols, bias))).collect()
        });
        Block { positions: x.positions.clone(), width: matrix.rows, data }
    }

    /// Clause 5: the residual stream.
    pub(super) fn residual<M: Machine>(
        &self,
        machine: &M,
        x: &Block<M::Number>,
        y: &Block<M::Number>,
    ) -> Block<M::Number> {
        let mut out = Block::new(x.positions.clone(), x.width);
        out.data.extend(x.data.iter().zip(&y.data).map(|(&x, &y)| {
            let sum = machine.round(machine.add(x, y));
            match self.has(Mutant::ResidualF16Overflow) {
                true => machine.map(sum, &|value| {
                    if value.abs() > 65_504.0 { value.signum() * f64::INFINITY } else { value }
                }),
                false => sum,
            }
        }));
        out
    }
}

/// `[rows, width]`, of which each column is computed by itself.
fn by_columns<N: Copy + Send + Sync>(
    rows: usize,
    width: usize,
    column: impl Fn(usize) -> Vec<N> + Send + Sync,
) -> Vec<N> {
    let columns: Vec<Vec<N>> = (0..width).into_par_iter().map(column).collect();
    // Also on all threads, as it waits for memory.
    (0..rows * width).into_par_iter().map(|index| columns[index % width][index / width]).collect()
}
