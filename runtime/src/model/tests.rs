use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use super::kv_cache::KvCache;
use super::*;
use crate::config::{LayerType, RopeConfig};
use crate::dtype::bf16;
use crate::reference;
use crate::tap::{TapPoint, TapSite, TapValues};
use crate::weights::{Expert, Layer, Linear, Matrix, Storage};

/// A shape, and how its experts are stored.
#[derive(Clone, Copy, Debug)]
struct Shape {
    hidden: usize,
    intermediate: usize,
    heads: usize,
    key_heads: usize,
    head_dim: usize,
    experts: usize,
    top_k: usize,
    window: usize,
    layers: usize,
    stored: Stored,
    bias: bool,
}

#[derive(Clone, Copy, Debug)]
enum Stored {
    Mxfp4,
    Bf16,
    Transposed,
}

const SHAPES: [Shape; 5] = [
    // As a64, but for sizes that are no multiple of 128.
    Shape {
        hidden: 96,
        intermediate: 160,
        heads: 4,
        key_heads: 2,
        head_dim: 32,
        experts: 6,
        top_k: 3,
        window: 5,
        layers: 3,
        stored: Stored::Mxfp4,
        bias: true,
    },
    // One key head, window 1, all experts chosen, sizes that are no multiple of anything.
    Shape {
        hidden: 50,
        intermediate: 37,
        heads: 3,
        key_heads: 1,
        head_dim: 6,
        experts: 2,
        top_k: 2,
        window: 1,
        layers: 2,
        stored: Stored::Bf16,
        bias: true,
    },
    Shape {
        hidden: 133,
        intermediate: 70,
        heads: 8,
        key_heads: 8,
        head_dim: 34,
        experts: 5,
        top_k: 1,
        window: 16,
        layers: 2,
        stored: Stored::Transposed,
        bias: false,
    },
    // Heads of the released models.
    Shape {
        hidden: 288,
        intermediate: 288,
        heads: 8,
        key_heads: 1,
        head_dim: 64,
        experts: 4,
        top_k: 4,
        window: 3,
        layers: 2,
        stored: Stored::Mxfp4,
        bias: true,
    },
    Shape {
        hidden: 32,
        intermediate: 32,
        heads: 1,
        key_heads: 1,
        head_dim: 130,
        experts: 1,
        top_k: 1,
        window: 2,
        layers: 2,
        stored: Stored::Mxfp4,
        bias: true,
    },
];

struct Numbers(u64);

impl Numbers {
    fn bits(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    /// From -1 to 1; one in 32 is tiny enough to be flushed.
    fn unit(&mut self) -> f32 {
        let value = self.bits() as f32 / (1_u64 << 30) as f32 - 1.0;
        if self.bits().is_multiple_of(32) { value * f32::from_bits(70 << 23) } else { value }
    }

    fn vector(&mut self, n: usize, middle: f32, spread: f32) -> Vec<f32> {
        (0..n).map(|_| crate::numerics::round_bf16(middle + spread * self.unit())).collect()
    }

    fn bf16(&mut self, rows: usize, cols: usize, spread: f32) -> Vec<u8> {
        (0..rows * cols).flat_map(|_| bf16::from_f32(spread * self.unit()).to_le_bytes()).collect()
    }

    fn dense(&mut self, rows: usize, cols: usize, spread: f32) -> Matrix {
        Matrix {
            rows,
            cols,
            storage: Storage::Bf16 { data: self.bf16(rows, cols, spread).into(), tiny: true },
        }
    }

    fn expert(&mut self, rows: usize, cols: usize, stored: Stored) -> Matrix {
        let spread = 2.0 / (cols as f32).sqrt();
        let storage = match stored {
            Stored::Bf16 => return self.dense(rows, cols, spread),
            Stored::Transposed => {
                Storage::Bf16Transposed { data: self.bf16(rows, cols, spread).into(), tiny: true }
            }
            Stored::Mxfp4 => Storage::Mxfp4 {
                blocks: (0..rows * cols / 2).map(|_| self.bits() as u8).collect::<Vec<_>>().into(),
                scales: (0..rows * cols / 32)
                    .map(|_| 121 + (self.bits() % 3) as u8)
                    .collect::<Vec<_>>()
                    .into(),
                scale_range: (121, 123),
            },
        };
        Matrix { rows, cols, storage }
    }

    fn linear(&mut self, matrix: Matrix, bias: bool) -> Linear {
        let bias = bias.then(|| self.vector(matrix.rows, 0.0, 0.5));
        Linear { matrix, bias }
    }
}

fn small(shape: Shape) -> (ModelConfig, Weights) {
    let config = ModelConfig {
        vocab_size: 71,
        hidden_size: shape.hidden,
        intermediate_size: shape.intermediate,
        layer_types: (0..shape.layers)
            .map(|index| if index % 2 == 0 { LayerType::Sliding } else { LayerType::Full })
            .collect(),
        num_attention_heads: shape.heads,
        num_key_value_heads: shape.key_heads,
        head_dim: shape.head_dim,
        num_experts: shape.experts,
        experts_per_token: shape.top_k,
        sliding_window: shape.window,
        rms_norm_eps: 1e-5,
        swiglu_limit: 1.5,
        rope: RopeConfig {
            theta: 10_000.0,
            factor: 4.0,
            beta_fast: 32.0,
            beta_slow: 1.0,
            original_context: 64,
            truncate: false,
        },
        max_position_embeddings: 8192,
        eos_token_ids: vec![],
        attention_bias: shape.bias,
        tie_word_embeddings: false,
    };
    let mut numbers = Numbers(shape.hidden as u64);
    let (hidden, query, key) = (shape.hidden, config.query_size(), config.key_value_size());
    let spread = 2.0 / (hidden as f32).sqrt();
    let layers = (0..shape.layers)
        .map(|_| {
            let mut linear = |rows, cols| {
                let matrix = numbers.dense(rows, cols, spread);
                numbers.linear(matrix, shape.bias)
            };
            let (query, key, value, output) =
                (linear(query, hidden), linear(key, hidden), linear(key, hidden), linear(hidden, query));
            let router = linear(shape.experts, hidden);
            let experts = (0..shape.experts)
                .map(|_| {
                    let mut expert = |rows, cols| {
                        let matrix = numbers.expert(rows, cols, shape.stored);
                        numbers.linear(matrix, true)
                    };
                    Expert {
                        gate_up: expert(2 * shape.intermediate, hidden),
                        down: expert(hidden, shape.intermediate),
                    }
                })
                .collect();
            Layer {
                attention_norm: numbers.vector(hidden, 1.0, 0.2),
                query,
                key,
                value,
                sinks: numbers.vector(shape.heads, 0.0, 1.0),
                output,
                mlp_norm: numbers.vector(hidden, 1.0, 0.2),
                router,
                experts,
            }
        })
        .collect();
    let weights = Weights {
        embedding: numbers.dense(71, hidden, 1.0),
        layers,
        norm: numbers.vector(hidden, 1.0, 0.2),
        unembedding: numbers.dense(71, hidden, spread),
    };
    (config, weights)
}

fn tokens(count: usize) -> Vec<u32> {
    (0..count as u32).map(|index| (index * 29 + index / 7) % 71).collect()
}

fn model(shape: Shape, profile: Profile, isa: Isa, threads: usize) -> Model {
    let (config, weights) = small(shape);
    let options = ModelOptions { profile, isa: Some(isa), threads: NonZeroUsize::new(threads) };
    Model::new(config, weights, options).unwrap()
}

/// Point, layer, slot and absolute position.
type Place = (TapPoint, Option<usize>, Option<usize>, usize);

/// All values of a pass as bits, row by row.
#[derive(Default)]
struct Record(BTreeMap<Place, Vec<u64>>);

impl Tap for Record {
    fn record(&mut self, site: TapSite, values: TapValues<'_>) {
        let rows: Vec<Vec<u64>> = match values {
            TapValues::F32(rows) => rows
                .rows()
                .into_iter()
                .map(|row| row.iter().map(|v| u64::from(v.to_bits())).collect())
                .collect(),
            TapValues::F64(rows) => {
                rows.rows().into_iter().map(|row| row.iter().map(|v| v.to_bits()).collect()).collect()
            }
        };
        for (position, row) in (site.position..).zip(rows) {
            let old = self.0.insert((site.point, site.layer, site.slot, position), row);
            assert!(old.is_none(), "{site:?} was recorded twice");
        }
    }
}

/// Runs all tokens in chunks, with the logits of every row.
fn run(model: &Model, tokens: &[u32], chunk: usize, cache: &mut KvCache, tap: &mut Record) -> Vec<u8> {
    tokens
        .chunks(chunk)
        .flat_map(|part| model.forward_rows(part, Rows::All, cache, tap).unwrap().to_bytes())
        .collect()
}

#[test]
fn every_tap_has_the_bits_of_the_reference() {
    for shape in SHAPES {
        for profile in Profile::ALL {
            let (config, weights) = small(shape);
            let tokens = tokens(37);
            let mut expected = Record::default();
            let logits = reference::forward(&config, &weights, profile, &tokens, &mut expected).unwrap();
            for isa in Isa::available() {
                let chunks: &[usize] = if isa == Isa::best() { &[1, 37] } else { &[9] };
                for &chunk in chunks {
                    let model = model(shape, profile, isa, 2);
                    let mut cache = model.new_cache(64, chunk).unwrap();
                    let mut found = Record::default();
                    let bytes = run(&model, &tokens, chunk, &mut cache, &mut found);
                    for (site, found) in &found.0 {
                        let expected = &expected.0[site];
                        // A chunk knows no later keys.
                        let seen = found.len();
                        assert_eq!(
                            found,
                            &expected[..seen],
                            "{shape:?} {profile} {isa} chunk {chunk}: {site:?}"
                        );
                    }
                    assert_eq!(found.0.len(), expected.0.len());
                    assert_eq!(bytes, logits.to_bytes());
                }
            }
        }
    }
}

/// Each instruction set after each other one, as those of long prompts and of all else may differ.
#[test]
fn passes_on_two_instruction_sets_share_a_cache() {
    let tokens = tokens(MANY_TOKENS + 6);
    let (config, weights) = small(SHAPES[0]);
    for profile in [Profile::Bf16, Profile::F32] {
        let expected = reference::forward(&config, &weights, profile, &tokens, &mut ()).unwrap().to_bytes();
        for few in Isa::available() {
            for many in Isa::available() {
                let mut model = model(SHAPES[0], profile, few, 2);
                model.isas.many = many;
                let mut cache = model.new_cache(tokens.len(), MANY_TOKENS).unwrap();
                let (prompt, rest) = tokens.split_at(MANY_TOKENS);
                assert_eq!((model.isa(prompt.len()), model.isa(prompt.len() - 1)), (many, few));
                let mut forward = |part| model.forward_rows(part, Rows::All, &mut cache, &mut ()).unwrap();
                let bytes = [forward(prompt).to_bytes(), forward(rest).to_bytes()].concat();
                assert_eq!(bytes, expected, "{profile} {few} {many}");
            }
        }
    }
}

#[test]
fn without_a_choice_both_instruction_sets_are_the_best() {
    let (config, weights) = small(SHAPES[0]);
    let model = Model::new(config, weights, ModelOptions::default()).unwrap();
    assert_eq!(model.isa(1), Isa::best());
    assert_eq!(model.isa(MANY_TOKENS), Isa::best_for_products());
    assert!(Isa::best_for_products() <= Isa::best());
}

#[test]
fn threads_chunks_and_a_tap_change_no_bit() {
    for shape in SHAPES {
        for profile in Profile::ALL {
            // More than a task takes, so that products are split by tokens.
            let tokens = tokens(130);
            let (config, weights) = small(shape);
            let expected =
                reference::forward(&config, &weights, profile, &tokens, &mut ()).unwrap().to_bytes();
            for threads in [1, 3] {
                let model = model(shape, profile, Isa::best(), threads);
                for chunk in [1, 7, 130] {
                    let mut cache = model.new_cache(130, chunk).unwrap();
                    let bytes: Vec<u8> = tokens
                        .chunks(chunk)
                        .flat_map(|part| {
                            model.forward_rows(part, Rows::All, &mut cache, &mut ()).unwrap().to_bytes()
                        })
                        .collect();
                    assert!(bytes == expected, "{shape:?} {profile} threads {threads} chunk {chunk}");
                }
            }
        }
    }
}

#[test]
fn prompts_beyond_a_key_block_and_beyond_the_original_context() {
    let shape = Shape { layers: 2, ..SHAPES[1] };
    let tokens = tokens(600);
    for profile in [Profile::Bf16, Profile::F32] {
        let (config, weights) = small(shape);
        let expected = reference::forward(&config, &weights, profile, &tokens, &mut ()).unwrap();
        let model = model(shape, profile, Isa::best(), 2);
        let mut cache = model.new_cache(600, 100).unwrap();
        let last = model.prefill(&tokens, &mut cache, &mut ()).unwrap();
        for token in 0..71 {
            assert_eq!(last.get(0, token).to_bits(), expected.get(599, token).to_bits());
        }
    }
}

#[test]
fn wrong_tokens_and_a_full_context_are_errors_that_change_nothing() {
    let model = model(SHAPES[0], Profile::Bf16, Isa::best(), 1);
    let mut cache = model.new_cache(4, 4).unwrap();
    let kind = |result: Result<Logits>| result.unwrap_err().kind();
    assert_eq!(kind(model.forward(&[], &mut cache, &mut ())), ErrorKind::Token);
    assert_eq!(kind(model.forward(&[3, 71], &mut cache, &mut ())), ErrorKind::Token);
    let first = model.forward(&[1, 2, 3], &mut cache, &mut ()).unwrap();
    assert_eq!(kind(model.forward(&[1, 2], &mut cache, &mut ())), ErrorKind::Context);
    assert_eq!(kind(model.prefill(&[1, 2], &mut cache, &mut ())), ErrorKind::Context);
    assert_eq!(cache.len(), 3);
    cache.truncate(0).unwrap();
    assert_eq!(model.forward(&[1, 2, 3], &mut cache, &mut ()).unwrap(), first);
    let mut other = KvCache::new(model.config(), Profile::F32, 4, 4).unwrap();
    assert_eq!(kind(model.forward(&[1], &mut other, &mut ())), ErrorKind::Cache);
}

#[test]
fn what_is_not_finite_is_named() {
    let (config, mut weights) = small(SHAPES[0]);
    weights.layers[1].mlp_norm[3] = f32::INFINITY;
    let error = reference::forward(&config, &weights, Profile::Bf16, &tokens(3), &mut ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFinite);
    let model = Model::new(config, weights, ModelOptions::default()).unwrap();
    let mut cache = model.new_cache(4, 4).unwrap();
    let found = model.forward(&tokens(3), &mut cache, &mut ()).unwrap_err();
    assert_eq!(found.to_string(), error.to_string());
    assert_eq!(found.rule(), "the hidden state after layer 1 is not finite at position 0");
    assert_eq!(cache.len(), 0);
}
