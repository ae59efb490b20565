//! The whole forward pass as plain loops: no SIMD, no threads, no cache. The fast path must equal it bit for bit.
//!
//! Read it from top to bottom beside `docs/numerics.md`; the numbers in the comments are its clauses. It computes the
//! same values as [`Model`](crate::Model) and shares only the numerics, the number formats, the weights and the taps.

use ndarray::{Array2, ArrayView2};

use crate::config::{LayerType, ModelConfig};
use crate::error::{Error, ErrorKind, Result};
use crate::logits::{Logits, Value};
use crate::numerics::{
    Arithmetic, Bf16, F32, F64, Order, Real, Rope, dot, expert_weights, inverse_sqrt, rms_norm,
    softmax_with_sink, swiglu, top_k, visible, weighted_sum,
};
use crate::profile::Profile;
use crate::tap::{Tap, TapPoint, TapSite};
use crate::weights::{Layer, Linear, Matrix, Weights};

/// The logits of every position of `tokens`, `[tokens, vocabulary]`.
///
/// Time grows with the square of the number of tokens, and a token of the 20B takes minutes.
///
/// # Errors
///
/// [`ErrorKind::Token`] if there are no tokens or one is outside the vocabulary, [`ErrorKind::NotFinite`] if a hidden
/// state or a logit is a NaN or infinite.
pub fn forward(
    config: &ModelConfig,
    weights: &Weights,
    profile: Profile,
    tokens: &[u32],
    tap: &mut dyn Tap,
) -> Result<Logits> {
    match profile {
        Profile::Bf16 => Pass::<Bf16>::new(config, weights, tap).run(tokens),
        Profile::F32 => Pass::<F32>::new(config, weights, tap).run(tokens),
        Profile::F64 => Pass::<F64>::new(config, weights, tap).run(tokens),
    }
}

/// The values of all positions, one row a position.
type Rows<R> = Vec<Vec<R>>;

struct Pass<'a, A: Arithmetic> {
    config: &'a ModelConfig,
    weights: &'a Weights,
    rope: Rope<A>,
    tap: &'a mut dyn Tap,
}

impl<'a, A: Arithmetic> Pass<'a, A> {
    fn new(config: &'a ModelConfig, weights: &'a Weights, tap: &'a mut dyn Tap) -> Self {
        Self { config, weights, rope: Rope::new(&config.rope, config.head_dim), tap }
    }

    fn run(mut self, tokens: &[u32]) -> Result<Logits> {
        if tokens.is_empty() {
            return Err(Error::new(ErrorKind::Token, "a forward pass needs at least one token"));
        }
        let mut hidden = Vec::with_capacity(tokens.len());
        for &token in tokens {
            hidden.push(self.embed(token)?);
        }
        self.record(TapPoint::Embedding, None, None, &hidden);

        for (index, layer) in self.weights.layers.iter().enumerate() {
            let normed = self.norm(&hidden, &layer.attention_norm);
            self.record(TapPoint::AttentionNorm, Some(index), None, &normed);
            let attended = self.attention(index, layer, &normed);
            add_to(&mut hidden, &attended, A::b);
            self.record(TapPoint::AttentionResidual, Some(index), None, &hidden);

            let normed = self.norm(&hidden, &layer.mlp_norm);
            self.record(TapPoint::MlpNorm, Some(index), None, &normed);
            let mixed = self.experts(index, layer, &normed);
            add_to(&mut hidden, &mixed, A::b);
            self.record(TapPoint::LayerOutput, Some(index), None, &hidden);
            check_finite(&hidden, Some(index))?;
        }

        let normed = self.norm(&hidden, &self.weights.norm);
        self.record(TapPoint::FinalNorm, None, None, &normed);
        let logits: Rows<A::Real> = normed
            .iter()
            .map(|x| product(&self.weights.unembedding, Order::D, x).into_iter().map(A::b).collect())
            .collect();
        self.record(TapPoint::Logits, None, None, &logits);
        check_finite(&logits, None)?;
        let flat = logits.concat();
        let rows = Array2::from_shape_vec((tokens.len(), self.config.vocab_size), flat);
        Ok(A::Real::into_logits(rows.expect("one logit a token of the vocabulary")))
    }

    /// 3: a row of the embedding; weights are exact in bf16, so b only names what they are.
    fn embed(&self, token: u32) -> Result<Vec<A::Real>> {
        if token as usize >= self.config.vocab_size {
            let rule = format!("token {token} is outside the vocabulary of {}", self.config.vocab_size);
            return Err(Error::new(ErrorKind::Token, rule));
        }
        let mut row = vec![0.0; self.config.hidden_size];
        self.weights.embedding.row(token as usize, &mut row);
        Ok(row.into_iter().map(|weight| A::b(A::Real::from_f32(weight))).collect())
    }

    /// 6.
    fn norm(&self, hidden: &Rows<A::Real>, scale: &[f32]) -> Rows<A::Real> {
        hidden
            .iter()
            .map(|x| {
                let mut out = vec![A::Real::ZERO; x.len()];
                rms_norm::<A>(x, scale, self.config.rms_norm_eps, &mut out);
                out
            })
            .collect()
    }

    /// 7 and 8: from the norm to the output projection.
    fn attention(&mut self, index: usize, layer: &Layer, normed: &Rows<A::Real>) -> Rows<A::Real> {
        let here = Some(index);
        let mut queries: Rows<A::Real> = normed.iter().map(|x| linear::<A>(&layer.query, x)).collect();
        let mut keys: Rows<A::Real> = normed.iter().map(|x| linear::<A>(&layer.key, x)).collect();
        let values: Rows<A::Real> = normed.iter().map(|x| linear::<A>(&layer.value, x)).collect();
        self.record(TapPoint::Query, here, None, &queries);
        self.record(TapPoint::Key, here, None, &keys);
        self.record(TapPoint::Value, here, None, &values);

        let head_dim = self.config.head_dim;
        for position in 0..normed.len() {
            let cos_sin: Vec<_> = (0..head_dim / 2).map(|pair| self.rope.cos_sin(position, pair)).collect();
            for row in [&mut queries[position], &mut keys[position]] {
                row.chunks_exact_mut(head_dim).for_each(|head| Rope::<A>::rotate(head, &cos_sin));
            }
        }
        self.record(TapPoint::QueryRotated, here, None, &queries);
        self.record(TapPoint::KeyRotated, here, None, &keys);

        let wants_scores = self.wants(TapPoint::Scores, index);
        let wants_probabilities = self.wants(TapPoint::Probabilities, index);
        let window = match self.config.layer_types[index] {
            LayerType::Sliding => Some(self.config.sliding_window),
            LayerType::Full => None,
        };
        let scale = inverse_sqrt::<A::Real>(head_dim);
        let mut context = vec![vec![A::Real::ZERO; self.config.query_size()]; normed.len()];
        for head in 0..self.config.num_attention_heads {
            let group = self.config.num_attention_heads / self.config.num_key_value_heads;
            let query_part = head * head_dim..(head + 1) * head_dim;
            let key_part = head / group * head_dim..(head / group + 1) * head_dim;
            let mut all_scores = Vec::new();
            let mut all_probabilities = Vec::new();
            for position in 0..normed.len() {
                let first = (0..=position)
                    .find(|&key| visible(position, key, window))
                    .expect("a position sees itself");
                let query = &queries[position][query_part.clone()];
                let mut scores: Vec<A::Real> = (first..=position)
                    .map(|key| A::b(A::b(dot(Order::D, query, &keys[key][key_part.clone()])) * scale))
                    .collect();
                if wants_scores {
                    all_scores.push(spread(&scores, first, normed.len(), -A::Real::ONE / A::Real::ZERO));
                }
                softmax_with_sink::<A>(&mut scores, first, layer.sinks[head]);
                if wants_probabilities {
                    all_probabilities.push(spread(&scores, first, normed.len(), A::Real::ZERO));
                }
                for (element, value) in key_part.clone().enumerate() {
                    let terms = scores.iter().zip(first..).map(|(&p, key)| (key, p, values[key][value]));
                    context[position][query_part.start + element] = weighted_sum::<A>(terms);
                }
            }
            self.record(TapPoint::Scores, here, Some(head), &all_scores);
            self.record(TapPoint::Probabilities, here, Some(head), &all_probabilities);
        }
        self.record(TapPoint::Context, here, None, &context);

        let output = context.iter().map(|x| linear::<A>(&layer.output, x)).collect();
        self.record(TapPoint::AttentionOutput, here, None, &output);
        output
    }

    /// 9 and 10: the router, the chosen experts and their sum.
    fn experts(&mut self, index: usize, layer: &Layer, normed: &Rows<A::Real>) -> Rows<A::Real> {
        let here = Some(index);
        let k = self.config.experts_per_token;
        let logits: Rows<A::Real> = normed.iter().map(|x| linear::<A>(&layer.router, x)).collect();
        self.record(TapPoint::RouterLogits, here, None, &logits);
        let chosen: Vec<Vec<usize>> = logits.iter().map(|row| top_k(row, k)).collect();
        let weights: Rows<A::Real> = chosen
            .iter()
            .zip(&logits)
            .map(|(chosen, row)| expert_weights::<A>(&chosen.iter().map(|&id| row[id]).collect::<Vec<_>>()))
            .collect();
        if self.wants(TapPoint::ExpertIds, index) {
            let ids: Rows<A::Real> = chosen
                .iter()
                .map(|ids| ids.iter().map(|&id| A::Real::from_f64(id as f64)).collect())
                .collect();
            self.record(TapPoint::ExpertIds, here, None, &ids);
        }
        self.record(TapPoint::ExpertWeights, here, None, &weights);

        let points = [TapPoint::GateUp, TapPoint::Activation, TapPoint::Down];
        let wants_rows = points.iter().any(|&point| self.wants(point, index));
        let mut sums = vec![vec![A::Real::ZERO; self.config.hidden_size]; normed.len()];
        for rank in 0..k {
            let (mut gate_ups, mut activations, mut downs) = (Vec::new(), Vec::new(), Vec::new());
            for (position, x) in normed.iter().enumerate() {
                let expert = &layer.experts[chosen[position][rank]];
                let gate_up = expert_linear::<A>(&expert.gate_up, x);
                let activation: Vec<A::Real> = gate_up
                    .chunks_exact(2)
                    .map(|pair| swiglu::<A>(pair[0], pair[1], self.config.swiglu_limit))
                    .collect();
                let down = expert_linear::<A>(&expert.down, &activation);
                let weight = weights[position][rank];
                for (sum, &down) in sums[position].iter_mut().zip(&down) {
                    *sum = weight.fma(down, *sum);
                }
                if wants_rows {
                    gate_ups.push(gate_up);
                    activations.push(activation);
                    downs.push(down);
                }
            }
            self.record(TapPoint::GateUp, here, Some(rank), &gate_ups);
            self.record(TapPoint::Activation, here, Some(rank), &activations);
            self.record(TapPoint::Down, here, Some(rank), &downs);
        }
        sums.iter_mut().flatten().for_each(|sum| *sum = A::b(*sum));
        self.record(TapPoint::MlpOutput, here, None, &sums);
        sums
    }

    fn wants(&self, point: TapPoint, layer: usize) -> bool {
        self.tap.wants(point, Some(layer))
    }

    fn record(&mut self, point: TapPoint, layer: Option<usize>, slot: Option<usize>, rows: &Rows<A::Real>) {
        if self.tap.wants(point, layer) {
            let flat = rows.concat();
            let shape = (rows.len(), rows.first().map_or(0, Vec::len));
            let view = ArrayView2::from_shape(shape, &flat).expect("rows have one length");
            self.tap.record(TapSite { point, layer, slot, position: 0 }, A::Real::tap_values(view));
        }
    }
}

/// 4: a matrix times a vector, unrounded.
fn product<R: Real>(matrix: &Matrix, order: Order, x: &[R]) -> Vec<R> {
    let mut weights = vec![0.0; matrix.cols];
    (0..matrix.rows)
        .map(|row| {
            matrix.row(row, &mut weights);
            let weights: Vec<R> = weights.iter().map(|&weight| R::from_f32(weight)).collect();
            dot(order, &weights, x)
        })
        .collect()
}

/// 5: the bias is added before the one rounding.
fn linear<A: Arithmetic>(linear: &Linear, x: &[A::Real]) -> Vec<A::Real> {
    let mut out = product(&linear.matrix, Order::D, x);
    for (row, out) in out.iter_mut().enumerate() {
        *out = A::b(match &linear.bias {
            Some(bias) => *out + A::Real::from_f32(bias[row]),
            None => *out,
        });
    }
    out
}

/// 5: experts round before the bias and after it.
fn expert_linear<A: Arithmetic>(linear: &Linear, x: &[A::Real]) -> Vec<A::Real> {
    let mut out = product(&linear.matrix, Order::E, x);
    for (row, out) in out.iter_mut().enumerate() {
        *out = A::b(*out);
        if let Some(bias) = &linear.bias {
            *out = A::b(*out + A::Real::from_f32(bias[row]));
        }
    }
    out
}

/// 5: the residual stream.
fn add_to<R: Real>(hidden: &mut Rows<R>, rows: &Rows<R>, b: fn(R) -> R) {
    for (hidden, &row) in hidden.iter_mut().flatten().zip(rows.iter().flatten()) {
        *hidden = b(*hidden + row);
    }
}

/// `values` from `first` on in a row of `length`, `rest` elsewhere.
fn spread<R: Real>(values: &[R], first: usize, length: usize, rest: R) -> Vec<R> {
    let mut row = vec![rest; length];
    row[first..first + values.len()].copy_from_slice(values);
    row
}

/// 13.
fn check_finite<R: Real>(rows: &Rows<R>, layer: Option<usize>) -> Result<()> {
    for (position, row) in rows.iter().enumerate() {
        if !row.iter().all(|value| value.is_finite()) {
            return Err(not_finite(layer, position));
        }
    }
    Ok(())
}

/// The error of clause 13.
pub(crate) fn not_finite(layer: Option<usize>, position: usize) -> Error {
    let rule = match layer {
        Some(layer) => format!("the hidden state after layer {layer} is not finite at position {position}"),
        None => format!("a logit is not finite at position {position}"),
    };
    Error::new(ErrorKind::NotFinite, rule)
}
