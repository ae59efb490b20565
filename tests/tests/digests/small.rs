//! Small models with random weights, in memory: shapes that no released model has.

use gptoss_runtime::dtype::bf16;
use gptoss_runtime::numerics::round_bf16;
use gptoss_runtime::weights::{Expert, Layer, Linear, Matrix, Storage, Weights};
use gptoss_runtime::{LayerType, ModelConfig, RopeConfig};

/// Tokens of the small models' vocabulary.
pub(crate) const VOCAB_SIZE: usize = 68;

/// How experts are stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Stored {
    Mxfp4,
    Bf16,
    Transposed,
}

/// A shape and its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    pub(crate) hidden: usize,
    pub(crate) intermediate: usize,
    pub(crate) heads: usize,
    pub(crate) key_heads: usize,
    pub(crate) head_dim: usize,
    pub(crate) experts: usize,
    pub(crate) top_k: usize,
    pub(crate) window: usize,
    pub(crate) layers: usize,
    pub(crate) stored: Stored,
}

/// The sizes of the released models, divided.
const USUAL: Shape = Shape {
    name: "usual",
    hidden: 128,
    intermediate: 128,
    heads: 4,
    key_heads: 2,
    head_dim: 32,
    experts: 4,
    top_k: 2,
    window: 16,
    layers: 2,
    stored: Stored::Mxfp4,
};

/// Each differs from the usual in one thing or a few.
pub(crate) const SHAPES: [Shape; 9] = [
    USUAL,
    Shape { name: "no-multiple-of-128", hidden: 224, intermediate: 96, ..USUAL },
    Shape { name: "no-multiple-of-32", hidden: 77, intermediate: 45, stored: Stored::Bf16, ..USUAL },
    Shape { name: "one-key-head", heads: 5, key_heads: 1, ..USUAL },
    Shape { name: "head-dim-64", heads: 2, head_dim: 64, ..USUAL },
    Shape { name: "window-1", window: 1, layers: 3, ..USUAL },
    Shape { name: "all-experts", top_k: 4, ..USUAL },
    Shape { name: "bf16-experts", stored: Stored::Bf16, ..USUAL },
    Shape { name: "transposed-experts", hidden: 90, stored: Stored::Transposed, ..USUAL },
];

/// For prompts of thousands of positions.
pub(crate) const LONG: Shape = Shape {
    name: "long",
    hidden: 32,
    intermediate: 32,
    heads: 1,
    key_heads: 1,
    experts: 1,
    top_k: 1,
    window: 300,
    ..USUAL
};

/// A prompt.
pub(crate) fn tokens(count: usize) -> Vec<u32> {
    let mut random = Random(count as u64);
    (0..count).map(|_| random.next() % VOCAB_SIZE as u32).collect()
}

/// A model of that shape, the same on every machine.
pub(crate) fn model(shape: Shape) -> (ModelConfig, Weights) {
    let config = ModelConfig {
        vocab_size: VOCAB_SIZE,
        hidden_size: shape.hidden,
        intermediate_size: shape.intermediate,
        layer_types: (0..shape.layers)
            .map(|layer| if layer % 2 == 0 { LayerType::Sliding } else { LayerType::Full })
            .collect(),
        num_attention_heads: shape.heads,
        num_key_value_heads: shape.key_heads,
        head_dim: shape.head_dim,
        num_experts: shape.experts,
        experts_per_token: shape.top_k,
        sliding_window: shape.window,
        rms_norm_eps: 1e-5,
        swiglu_limit: 2.0,
        rope: RopeConfig {
            theta: 150_000.0,
            factor: 32.0,
            beta_fast: 32.0,
            beta_slow: 1.0,
            original_context: 4096,
            truncate: false,
        },
        max_position_embeddings: 131_072,
        attention_bias: true,
        tie_word_embeddings: false,
        eos_token_ids: Vec::new(),
    };
    let mut random = Random(shape.name.len() as u64);
    let layers = (0..shape.layers).map(|_| random.layer(shape, &config)).collect();
    let weights = Weights {
        embedding: random.dense(VOCAB_SIZE, shape.hidden, 1.0),
        layers,
        norm: random.vector(shape.hidden, 1.0, 0.25),
        unembedding: random.dense(VOCAB_SIZE, shape.hidden, 0.25),
    };
    (config, weights)
}

/// The generator of Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 32) as u32
    }

    /// From -1 to 1; one in 64 lies around 2^-50, where numbers are flushed.
    fn unit(&mut self) -> f32 {
        let value = f32::from(self.next() as u16) / 32_768.0 - 1.0;
        if self.next().is_multiple_of(64) { value * f32::from_bits((127 - 50) << 23) } else { value }
    }

    fn vector(&mut self, length: usize, middle: f32, spread: f32) -> Vec<f32> {
        (0..length).map(|_| round_bf16(middle + spread * self.unit())).collect()
    }

    fn bytes(&mut self, count: usize, spread: f32) -> Vec<u8> {
        (0..count).flat_map(|_| bf16::from_f32(spread * self.unit()).to_le_bytes()).collect()
    }

    fn dense(&mut self, rows: usize, cols: usize, spread: f32) -> Matrix {
        let data = self.bytes(rows * cols, spread).into();
        Matrix { rows, cols, storage: Storage::Bf16 { data, tiny: true } }
    }

    fn linear(&mut self, matrix: Matrix) -> Linear {
        let bias = Some(self.vector(matrix.rows, 0.0, 0.25));
        Linear { matrix, bias }
    }

    fn expert_matrix(&mut self, rows: usize, cols: usize, stored: Stored) -> Linear {
        let matrix = match stored {
            Stored::Bf16 => self.dense(rows, cols, 0.25),
            Stored::Transposed => {
                let data = self.bytes(rows * cols, 0.25).into();
                Matrix { rows, cols, storage: Storage::Bf16Transposed { data, tiny: true } }
            }
            Stored::Mxfp4 => {
                let blocks: Vec<u8> = (0..rows * cols / 2).map(|_| self.next() as u8).collect();
                let scales: Vec<u8> = (0..rows * cols / 32).map(|_| 121 + (self.next() % 4) as u8).collect();
                let storage =
                    Storage::Mxfp4 { blocks: blocks.into(), scales: scales.into(), scale_range: (121, 124) };
                Matrix { rows, cols, storage }
            }
        };
        self.linear(matrix)
    }

    fn layer(&mut self, shape: Shape, config: &ModelConfig) -> Layer {
        let (hidden, query, key) = (shape.hidden, config.query_size(), config.key_value_size());
        let mut linear = |rows, cols| {
            let matrix = self.dense(rows, cols, 0.25);
            self.linear(matrix)
        };
        let [query, key, value, output] =
            [(query, hidden), (key, hidden), (key, hidden), (hidden, query)].map(|(r, c)| linear(r, c));
        let router = linear(shape.experts, hidden);
        let experts = (0..shape.experts)
            .map(|_| Expert {
                gate_up: self.expert_matrix(2 * shape.intermediate, hidden, shape.stored),
                down: self.expert_matrix(hidden, shape.intermediate, shape.stored),
            })
            .collect();
        Layer {
            attention_norm: self.vector(hidden, 1.0, 0.25),
            query,
            key,
            value,
            sinks: self.vector(shape.heads, 0.0, 1.0),
            output,
            mlp_norm: self.vector(hidden, 1.0, 0.25),
            router,
            experts,
        }
    }
}
