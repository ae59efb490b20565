//! Clauses 9 and 10: the choice of experts, their two matrices, SwiGLU and their sum.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::super::bounds::Bounded;
use super::super::mutants::Mutant;
use super::super::number::Machine;
use super::{Block, Formulas, by_columns};
use crate::dtype::mxfp4;
use crate::numerics::flush;
use crate::weights::{Matrix, Storage};

/// Which of the two matrices of an expert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Projection {
    GateUp,
    Down,
}

impl Formulas<'_> {
    /// Clause 9: the weights of the chosen experts, in the order in which `chosen` names them.
    pub(in super::super) fn expert_weights<M: Machine>(
        &self,
        machine: &M,
        logits: &Block<M::Number>,
        chosen: &[Vec<usize>],
    ) -> Block<M::Number> {
        let mut out = Block::new(logits.positions.clone(), chosen.first().map_or(0, Vec::len));
        for ((_, row), chosen) in logits.rows().zip(chosen) {
            let picked: Vec<M::Number> = chosen.iter().map(|&id| row[id]).collect();
            let greatest = machine.greatest(&picked);
            let exp = |logits: &[M::Number]| -> Vec<M::Number> {
                logits.iter().map(|&logit| machine.exp(machine.sub(logit, greatest))).collect()
            };
            let terms = exp(&picked);
            let sum = match self.has(Mutant::RouterSoftmaxAll) {
                true => machine.sum(&exp(row)),
                false => machine.sum(&terms),
            };
            out.data.extend(terms.into_iter().map(|term| machine.round(machine.div(term, sum))));
        }
        out
    }

    /// One of the two matrices of an expert, for rows that are each sent to an expert of their own; rounded before the
    /// bias and after it.
    pub(in super::super) fn expert_linear<M: Machine>(
        &self,
        machine: &M,
        layer: usize,
        projection: Projection,
        x: &Block<M::Number>,
        experts: &[usize],
    ) -> Block<M::Number> {
        let mut rows_of: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (row, &expert) in experts.iter().enumerate() {
            rows_of.entry(expert).or_default().push(row);
        }
        let width = match projection {
            Projection::GateUp => 2 * self.config.intermediate_size,
            Projection::Down => self.config.hidden_size,
        };
        let mut out = Block::new(x.positions.clone(), width);
        out.data.resize(x.positions.len() * width, machine.number(0.0));
        for (expert, rows) in rows_of {
            let expert = &self.weights.layers[layer].experts[expert];
            let linear = match projection {
                Projection::GateUp => &expert.gate_up,
                Projection::Down => &expert.down,
            };
            let prepared: Vec<M::Row> = rows.iter().map(|&row| machine.row(x.row(row))).collect();
            let values = by_columns(rows.len(), width, |element| {
                let mut weights = vec![0.0; linear.matrix.cols];
                self.expert_row(&linear.matrix, element, &mut weights);
                let weights = machine.weights(&weights);
                let bias = self.expert_bias(projection, linear.bias.as_deref(), element);
                let value = |row| {
                    let dot = machine.round(machine.dot(&weights, row, 0..linear.matrix.cols, None));
                    match bias {
                        Some(bias) => machine.round(machine.add(dot, machine.number(bias))),
                        None => dot,
                    }
                };
                prepared.iter().map(value).collect()
            });
            for (&row, values) in rows.iter().zip(values.chunks_exact(width.max(1))) {
                out.data[row * width..][..width].copy_from_slice(values);
            }
        }
        out
    }

    fn expert_bias(&self, projection: Projection, bias: Option<&[f32]>, element: usize) -> Option<f64> {
        let bias = f64::from(bias?[element]);
        match projection {
            Projection::GateUp => (!self.has(Mutant::GateUpBiasAbsent)).then_some(bias),
            Projection::Down if self.has(Mutant::DownBiasPerRank) => Some(2.0 * bias),
            Projection::Down => Some(bias),
        }
    }

    /// A row of an expert's matrix, with what may go wrong in unpacking it.
    fn expert_row(&self, matrix: &Matrix, row: usize, out: &mut [f32]) {
        let wrong =
            [Mutant::Mxfp4Nibble, Mutant::Mxfp4HighFirst, Mutant::Mxfp4ScaleLinear, Mutant::Mxfp4ScaleNan];
        let Storage::Mxfp4 { blocks, scales, .. } = &matrix.storage else {
            return matrix.row(row, out);
        };
        if !wrong.iter().any(|&mutant| self.has(mutant)) {
            return matrix.row(row, out);
        }
        let per_row = matrix.cols / mxfp4::BLOCK_LEN;
        let (bytes, half) = (mxfp4::BLOCK_BYTES, mxfp4::BLOCK_LEN / 2);
        for (index, out) in out.chunks_exact_mut(mxfp4::BLOCK_LEN).enumerate() {
            let block = row * per_row + index;
            let scale = scales[block];
            let factor = if self.has(Mutant::Mxfp4ScaleNan) && scale == 134 {
                f32::NAN
            } else if self.has(Mutant::Mxfp4ScaleLinear) {
                f32::from(scale)
            } else {
                mxfp4::exp2(i32::from(scale) - 127)
            };
            for (place, &byte) in blocks[block * bytes..][..bytes].iter().enumerate() {
                let (first, second) = match self.has(Mutant::Mxfp4Nibble) {
                    true => (place, place + half),
                    false => (2 * place, 2 * place + 1),
                };
                let (low, high) = match self.has(Mutant::Mxfp4HighFirst) {
                    true => (second, first),
                    false => (first, second),
                };
                out[low] = flush(mxfp4::E2M1[usize::from(byte & 15)] * factor);
                out[high] = flush(mxfp4::E2M1[usize::from(byte >> 4)] * factor);
            }
        }
    }

    /// Clause 10: SwiGLU of rows of gate and up.
    pub(in super::super) fn activation<M: Machine>(
        &self,
        machine: &M,
        x: &Block<M::Number>,
    ) -> Block<M::Number> {
        let half = x.width / 2;
        let mut out = Block::new(x.positions.clone(), half);
        for (_, row) in x.rows() {
            out.data.extend((0..half).map(|element| {
                let (gate, up) = if self.has(Mutant::MoeConcat) {
                    (element, half + element)
                } else if self.has(Mutant::MoeSwap) {
                    (2 * element + 1, 2 * element)
                } else {
                    (2 * element, 2 * element + 1)
                };
                self.swiglu(machine, row[gate], row[up])
            }));
        }
        out
    }

    fn swiglu<M: Machine>(&self, machine: &M, gate: M::Number, up: M::Number) -> M::Number {
        let limit = self.constants.limit;
        // Comparisons that keep a NaN.
        let gate = machine.map(gate, &|value| if value > limit { limit } else { value });
        let up = machine.map(up, &|value| {
            if value > limit {
                limit
            } else if value < -limit {
                -limit
            } else {
                value
            }
        });
        let one = machine.number(1.0);
        let scaled = machine.round(machine.mul(machine.number(self.constants.alpha), gate));
        let sigmoid = machine.div(one, machine.add(one, machine.exp(machine.neg(scaled))));
        let gated = machine.round(machine.mul(gate, machine.round(sigmoid)));
        let shifted = machine.round(machine.add(up, machine.number(self.constants.plus)));
        machine.round(machine.mul(gated, shifted))
    }

    /// Clause 9: the weighted sum of the chosen experts. `downs` has one block a chosen expert, in the order of `weights`
    /// and `chosen`.
    pub(in super::super) fn expert_sum<M: Machine>(
        &self,
        machine: &M,
        layer: usize,
        downs: &[Arc<Block<M::Number>>],
        weights: &Block<M::Number>,
        chosen: &[Vec<usize>],
    ) -> Block<M::Number> {
        let width = self.config.hidden_size;
        let mut out = Block::new(weights.positions.clone(), width);
        for (index, chosen) in chosen.iter().enumerate() {
            let row: Vec<M::Number> = match self.has(Mutant::MoeNoGateWeight) {
                true => vec![machine.number(1.0); downs.len()],
                false => weights.row(index).to_vec(),
            };
            let prepared = machine.row(&row);
            for element in 0..width {
                let column: Vec<M::Number> = downs.iter().map(|down| down.row(index)[element]).collect();
                let extra = self.has(Mutant::DownBiasUnweighted).then(|| {
                    let bias = |id: usize| -> f64 {
                        let bias = self.weights.layers[layer].experts[id].down.bias.as_ref();
                        bias.map_or(0.0, |bias| f64::from(bias[element]))
                    };
                    let unweighted =
                        |(&id, &weight): (&usize, &M::Number)| (1.0 - machine.value(weight)) * bias(id);
                    machine.number(chosen.iter().zip(&row).map(unweighted).sum())
                });
                let sum = machine.dot(&prepared, &machine.row(&column), 0..downs.len(), extra);
                out.data.push(machine.round(sum));
            }
        }
        out
    }
}

/// What is to be said of a choice of experts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// The one that the contract makes.
    Same,
    /// Another of equal logits.
    Tie,
    /// Another, within what the logits may be off by.
    Explained,
    /// A chosen expert has a lower logit than one that was not chosen, or it is chosen twice, or there is none.
    Wrong,
}

/// Judges which experts were chosen, in any order, by the logits.
pub(in super::super) fn judge_choice(logits: &[Bounded], chosen: &[f64]) -> Choice {
    let mut is_chosen = vec![false; logits.len()];
    for &id in chosen {
        let index = id as usize;
        if id < 0.0 || index as f64 != id || index >= logits.len() || is_chosen[index] {
            return Choice::Wrong;
        }
        is_chosen[index] = true;
    }
    let rows = || logits.iter().zip(&is_chosen);
    // Interval against interval: surely wrong only if one is wholly below the other.
    let weakest = rows().filter(|(_, chosen)| **chosen).map(|(x, _)| x);
    let mut verdict = Choice::Same;
    for weak in weakest {
        for (strong, _) in rows().filter(|(_, chosen)| !**chosen) {
            if weak.high < strong.low {
                return Choice::Wrong;
            }
            if weak.rounded < strong.rounded {
                verdict = Choice::Explained;
            } else if weak.rounded == strong.rounded && verdict == Choice::Same {
                verdict = Choice::Tie;
            }
        }
    }
    // A tie that fell as the contract says is no news.
    if verdict == Choice::Tie && is_lowest(logits, &is_chosen) {
        return Choice::Same;
    }
    verdict
}

/// Whether of equal logits the lower indices were chosen.
fn is_lowest(logits: &[Bounded], chosen: &[bool]) -> bool {
    let weakest = logits
        .iter()
        .zip(chosen)
        .filter(|(_, chosen)| **chosen)
        .map(|(x, _)| x.rounded)
        .fold(f64::INFINITY, f64::min);
    let equal = logits.iter().zip(chosen).filter(|(x, _)| x.rounded == weakest).map(|(_, chosen)| *chosen);
    equal.collect::<Vec<_>>().windows(2).all(|pair| pair[0] >= pair[1])
}
