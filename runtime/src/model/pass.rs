//! One forward pass, from top to bottom.

use ndarray::Array2;
use rayon::prelude::*;

use crate::config::ModelConfig;
use crate::error::{Error, ErrorKind, Result};
use crate::kernels::elementwise::{Bias, add_row, rms_norm};
use crate::logits::{Logits, Value};
use crate::model::Rows;
use crate::model::kv_cache::Cache;
use crate::numerics::{Arithmetic, Order, Real, Rope};
use crate::ops::{Product, linear, pack};
use crate::reference::not_finite;
use crate::simd::Simd;
use crate::tap::{Stage, Tap, TapPoint, TapSite};
use crate::weights::{Linear, Weights};

/// The values of a chunk of tokens, one row a token.
pub(super) type Hidden<A> = Array2<<A as Arithmetic>::Real>;

/// What a forward pass needs to know.
pub(super) struct Pass<'a, A: Arithmetic, S> {
    pub(super) config: &'a ModelConfig,
    pub(super) weights: &'a Weights,
    pub(super) rope: Rope<A>,
    pub(super) simd: S,
    pub(super) tap: &'a mut dyn Tap,
}

impl<A: Arithmetic, S: Simd<Real = A::Real>> Pass<'_, A, S> {
    /// The logits of `tokens`, which are known to be in the vocabulary, after those that `cache` holds.
    pub(super) fn run(mut self, tokens: &[u32], rows: Rows, cache: &mut Cache<A>) -> Result<Logits> {
        cache.reserve(tokens.len())?;
        let first = cache.len();
        self.tap.begin(Stage::Embedding);
        let mut hidden = self.embed(tokens);
        self.record(TapPoint::Embedding, None, None, first, &hidden);
        let cos_sin = self.cos_sin(first, tokens.len());

        for (index, layer) in self.weights.layers.iter().enumerate() {
            if self.tap.interrupted() {
                return Err(Error::new(ErrorKind::Interrupted, "interrupted"));
            }
            self.tap.begin(Stage::AttentionNorm);
            let normed = self.norm(&hidden, &layer.attention_norm);
            self.record(TapPoint::AttentionNorm, Some(index), None, first, &normed);
            let attended = self.attention(index, layer, first, &normed, &cos_sin, cache);
            self.add(&mut hidden, &attended, index, first)?;
            self.record(TapPoint::AttentionResidual, Some(index), None, first, &hidden);

            self.tap.begin(Stage::MlpNorm);
            let normed = self.norm(&hidden, &layer.mlp_norm);
            self.record(TapPoint::MlpNorm, Some(index), None, first, &normed);
            let mixed = self.experts(index, layer, first, &normed);
            self.add(&mut hidden, &mixed, index, first)?;
            self.record(TapPoint::LayerOutput, Some(index), None, first, &hidden);
        }

        let logits = self.logits(first, hidden, rows)?;
        cache.advance(tokens);
        Ok(A::Real::into_logits(logits))
    }

    fn embed(&self, tokens: &[u32]) -> Hidden<A> {
        let mut hidden = Array2::from_elem((tokens.len(), self.config.hidden_size), A::Real::ZERO);
        let mut row = vec![0.0; self.config.hidden_size];
        for (&token, mut hidden) in tokens.iter().zip(hidden.rows_mut()) {
            self.weights.embedding.row(token as usize, &mut row);
            for (hidden, &weight) in hidden.iter_mut().zip(&row) {
                *hidden = A::b(A::Real::from_f32(weight));
            }
        }
        hidden
    }

    /// Cosine and sine of every pair of elements of a head, for each position of the chunk.
    fn cos_sin(&self, first: usize, count: usize) -> Vec<Vec<(A::Real, A::Real)>> {
        let (rope, pairs) = (&self.rope, self.config.head_dim / 2);
        (first..first + count)
            .into_par_iter()
            .map(|position| (0..pairs).map(|pair| rope.cos_sin(position, pair)).collect())
            .collect()
    }

    fn norm(&self, hidden: &Hidden<A>, scale: &[f32]) -> Hidden<A> {
        let mut normed = Array2::from_elem(hidden.dim(), A::Real::ZERO);
        let rows = hidden.as_slice().expect("rows lie one after the other").par_chunks(scale.len());
        let out = normed.as_slice_mut().expect("rows lie one after the other").par_chunks_mut(scale.len());
        let (simd, eps) = (self.simd, self.config.rms_norm_eps);
        rows.zip(out).for_each(|(x, out)| rms_norm::<A, S>(simd, x, scale, eps, out));
        normed
    }

    /// Adds to the residual stream, which must stay finite.
    fn add(&self, hidden: &mut Hidden<A>, rows: &Hidden<A>, layer: usize, first: usize) -> Result<()> {
        let (simd, size) = (self.simd, self.config.hidden_size);
        let rows = rows.as_slice().expect("rows lie one after the other");
        let hidden = hidden.as_slice_mut().expect("rows lie one after the other");
        let bad = hidden
            .par_chunks_mut(size)
            .zip(rows.par_chunks(size))
            .enumerate()
            .filter_map(|(index, (hidden, row))| (!add_row::<A, S>(simd, hidden, row)).then_some(index))
            .min();
        match bad {
            Some(index) => Err(not_finite(Some(layer), first + index)),
            None => Ok(()),
        }
    }

    fn logits(&mut self, first: usize, hidden: Hidden<A>, rows: Rows) -> Result<Hidden<A>> {
        let count = hidden.nrows();
        let (hidden, first) = match rows {
            Rows::None => return Ok(Array2::from_elem((0, self.config.vocab_size), A::Real::ZERO)),
            Rows::Last => {
                let last = hidden.slice(ndarray::s![count - 1.., ..]).to_owned();
                (last, first + count - 1)
            }
            Rows::All => (hidden, first),
        };
        self.tap.begin(Stage::FinalNorm);
        let normed = self.norm(&hidden, &self.weights.norm);
        self.record(TapPoint::FinalNorm, None, None, first, &normed);
        self.tap.begin(Stage::Unembedding);
        let x = pack(self.simd, Order::D, &normed);
        let selected: Vec<usize> = (0..normed.nrows()).collect();
        let linear_weights = Linear { matrix: self.weights.unembedding.clone(), bias: None };
        let product = Product { linear: &linear_weights, x: &x, selected: &selected };
        let logits = linear::<A, S>(self.simd, &[product], Bias::Inside).remove(0).into_rows();
        self.record(TapPoint::Logits, None, None, first, &logits);
        let bad = logits.rows().into_iter().position(|row| !row.iter().all(|logit| logit.is_finite()));
        match bad {
            Some(index) => Err(not_finite(None, first + index)),
            None => Ok(logits),
        }
    }

    /// Gives a value to the tap, if it wants it.
    pub(super) fn record(
        &mut self,
        point: TapPoint,
        layer: Option<usize>,
        slot: Option<usize>,
        position: usize,
        rows: &Hidden<A>,
    ) {
        if self.tap.wants(point, layer) {
            self.tap.record(TapSite { point, layer, slot, position }, A::Real::tap_values(rows.view()));
        }
    }

    /// Whether the tap wants a value that is collected only for it.
    pub(super) fn wants(&self, point: TapPoint, layer: usize) -> bool {
        self.tap.wants(point, Some(layer))
    }
}
