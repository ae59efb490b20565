//! The forward pass: which kernel runs on which buffers.

use gptoss_runtime::config::{LayerType, ModelConfig};
use gptoss_runtime::numerics::{Bf16, Rope, inverse_sqrt};
use gptoss_runtime::tap::TapPoint;
use wgpu::{Buffer, CommandEncoder};

use super::device::{Device, Kernels};
use super::tensors::Tensors;

/// Invocations of a workgroup of the kernels that have one an element.
const GROUP: usize = 64;
/// Output elements of a workgroup of the kernels that compute dot products.
const ROWS: usize = 4;

/// What a run computed, in the order of the forward pass.
#[derive(Clone, Debug)]
pub struct Run {
    /// All named values.
    pub values: Vec<Value>,
}

/// One named value of all positions.
#[derive(Clone, Debug)]
pub struct Value {
    /// Which one.
    pub point: TapPoint,
    /// Its layer, if it is of one.
    pub layer: Option<usize>,
    /// `[positions, width]`; `[heads, positions, positions]` of scores and probabilities; `[positions, ranks, width]` of
    /// rows of experts.
    pub shape: Vec<usize>,
    /// The bits of each element as f32; whole numbers of expert ids.
    pub bits: Vec<u32>,
}

impl Value {
    /// Its name in a dump.
    #[must_use]
    pub fn name(&self) -> String {
        match self.layer {
            Some(layer) => format!("layer.{layer}.{}", self.point.name()),
            None => self.point.name().to_owned(),
        }
    }

    /// The bits of the rows of a head or of a rank, or of all of them.
    ///
    /// # Panics
    ///
    /// If the value has no such slot.
    #[must_use]
    pub fn rows(&self, slot: Option<usize>) -> Vec<u32> {
        match (self.shape.as_slice(), slot) {
            (&[_, _], None) => self.bits.clone(),
            (&[_, rows, width], Some(head))
                if matches!(self.point, TapPoint::Scores | TapPoint::Probabilities) =>
            {
                self.bits[head * rows * width..][..rows * width].to_vec()
            }
            (&[_, ranks, width], Some(rank)) => self
                .bits
                .chunks_exact(ranks * width)
                .flat_map(|row| row[rank * width..][..width].iter().copied())
                .collect(),
            other => panic!("{} has no part {other:?}", self.name()),
        }
    }
}

/// Runs `tokens` from position 0 on; positions from `decoded_from` on count as decoded for the bugs of decoding.
///
/// # Panics
///
/// If a tensor is missing, or sizes are such as gpt-oss does not have: an odd number of elements, or experts whose rows
/// are no blocks of 32.
#[must_use]
pub fn run(
    kernels: &Kernels<'_>,
    config: &ModelConfig,
    tensors: &Tensors,
    tokens: &[u32],
    decoded_from: Option<usize>,
) -> Run {
    assert!(config.hidden_size.is_multiple_of(32) && config.intermediate_size.is_multiple_of(32));
    assert!(config.head_dim.is_multiple_of(2) && config.num_attention_heads.is_multiple_of(2));
    let mut pass = Pass {
        kernels,
        device: kernels.device,
        config,
        tensors,
        positions: tokens.len(),
        decoded_from: decoded_from.unwrap_or(tokens.len()),
        commands: kernels.device.commands(),
        values: Vec::new(),
    };
    pass.forward(tokens);
    let Pass { commands, values, .. } = pass;
    let buffers: Vec<&Buffer> = values.iter().map(|(.., buffer)| buffer).collect();
    let contents = kernels.device.finish(commands, &buffers);
    let values = values
        .iter()
        .zip(contents)
        .map(|((point, layer, shape, _), bits)| Value {
            point: *point,
            layer: *layer,
            shape: shape.clone(),
            bits,
        })
        .collect();
    Run { values }
}

struct Pass<'a> {
    kernels: &'a Kernels<'a>,
    device: &'a Device,
    config: &'a ModelConfig,
    tensors: &'a Tensors,
    positions: usize,
    decoded_from: usize,
    commands: CommandEncoder,
    values: Vec<(TapPoint, Option<usize>, Vec<usize>, Buffer)>,
}

/// A matrix of bf16 by the name of its tensors, and what the kernel has to know of it.
struct Linear<'a> {
    name: &'a str,
    rows: usize,
    has_bias: bool,
    point: TapPoint,
}

impl Pass<'_> {
    fn forward(&mut self, tokens: &[u32]) {
        let config = self.config;
        let (n, hidden) = (self.positions, config.hidden_size);
        let mut x = self.new_value(TapPoint::Embedding, None, &[n, hidden]);
        let buffers = [&self.device.upload_words(tokens), &self.weights("model.embed_tokens.weight"), &x];
        self.dispatch("embedding", &[hidden], &buffers, [(hidden / 2).div_ceil(GROUP), n, 1]);
        let turns = self.angles();
        for layer in 0..config.num_layers() {
            let attended = self.attention(layer, &x, &turns);
            x = self.residual(TapPoint::AttentionResidual, layer, &x, &attended);
            let mixed = self.experts(layer, &x);
            x = self.residual(TapPoint::LayerOutput, layer, &x, &mixed);
        }
        let normed = self.norm(TapPoint::FinalNorm, None, "model.norm.weight", &x);
        let unembedding = Linear {
            name: if config.tie_word_embeddings { "model.embed_tokens" } else { "lm_head" },
            rows: config.vocab_size,
            has_bias: false,
            point: TapPoint::Logits,
        };
        self.linear(None, &unembedding, &normed, hidden);
    }

    /// Cosine and sine of each position and pair.
    fn angles(&mut self) -> Buffer {
        let rope = Rope::<Bf16>::new(&self.config.rope, self.config.head_dim);
        let frequencies: Vec<u32> =
            rope.inverse_frequencies().iter().map(|number| number.to_bits()).collect();
        let pairs = frequencies.len();
        let out = self.device.new_buffer(2 * self.positions * pairs);
        let shape = [self.positions as u32, pairs as u32, rope.concentration().to_bits()];
        let buffers = [&self.device.upload_words(&frequencies), &out];
        let groups = [(self.positions * pairs).div_ceil(GROUP), 1, 1];
        self.kernels.dispatch(&mut self.commands, "angles", &shape, &buffers, groups);
        out
    }

    fn attention(&mut self, layer: usize, x: &Buffer, turns: &Buffer) -> Buffer {
        let config = self.config;
        let (n, head_dim) = (self.positions, config.head_dim);
        let (heads, key_heads) = (config.num_attention_heads, config.num_key_value_heads);
        let prefix = format!("model.layers.{layer}");
        let here = Some(layer);
        let norm = format!("{prefix}.input_layernorm.weight");
        let normed = self.norm(TapPoint::AttentionNorm, here, &norm, x);
        let [query, key, value] = [
            ("q_proj", heads, TapPoint::Query),
            ("k_proj", key_heads, TapPoint::Key),
            ("v_proj", key_heads, TapPoint::Value),
        ]
        .map(|(name, heads, point)| {
            let name = format!("{prefix}.self_attn.{name}");
            let has_bias = config.attention_bias;
            let linear = Linear { name: &name, rows: heads * head_dim, has_bias, point };
            self.linear(here, &linear, &normed, config.hidden_size)
        });
        let query = self.rotate(TapPoint::QueryRotated, layer, &query, turns, heads);
        let key = self.rotate(TapPoint::KeyRotated, layer, &key, turns, key_heads);

        let slides = usize::from(config.layer_types[layer] == LayerType::Sliding);
        let shape = [n, heads, heads / key_heads, head_dim, slides, config.sliding_window, self.decoded_from];
        let mut shape = shape.map(|size| size as u32).to_vec();
        shape.push(inverse_sqrt::<f32>(head_dim).to_bits());
        let scores = self.new_value(TapPoint::Scores, here, &[heads, n, n]);
        let groups = [n.div_ceil(ROWS), n, heads];
        self.kernels.dispatch(&mut self.commands, "scores", &shape, &[&query, &key, &scores], groups);
        let probabilities = self.new_value(TapPoint::Probabilities, here, &[heads, n, n]);
        let sinks = self.weights(&format!("{prefix}.self_attn.sinks"));
        self.dispatch("probabilities", &[n], &[&scores, &sinks, &probabilities], [n, heads, 1]);
        let context = self.new_value(TapPoint::Context, here, &[n, heads * head_dim]);
        let groups = [(heads * head_dim).div_ceil(GROUP), n, 1];
        let buffers = [&probabilities, &value, &context];
        self.kernels.dispatch(&mut self.commands, "context", &shape[..7], &buffers, groups);

        let name = format!("{prefix}.self_attn.o_proj");
        let (rows, has_bias) = (config.hidden_size, config.attention_bias);
        let output = Linear { name: &name, rows, has_bias, point: TapPoint::AttentionOutput };
        self.linear(here, &output, &context, heads * head_dim)
    }

    fn experts(&mut self, layer: usize, x: &Buffer) -> Buffer {
        let config = self.config;
        let (n, hidden, intermediate) = (self.positions, config.hidden_size, config.intermediate_size);
        let ranks = config.experts_per_token;
        let prefix = format!("model.layers.{layer}");
        let here = Some(layer);
        let norm = format!("{prefix}.post_attention_layernorm.weight");
        let normed = self.norm(TapPoint::MlpNorm, here, &norm, x);
        let name = format!("{prefix}.mlp.router");
        let router =
            Linear { name: &name, rows: config.num_experts, has_bias: true, point: TapPoint::RouterLogits };
        let logits = self.linear(here, &router, &normed, hidden);
        let ids = self.new_value(TapPoint::ExpertIds, here, &[n, ranks]);
        let weights = self.new_value(TapPoint::ExpertWeights, here, &[n, ranks]);
        let shape = [n, config.num_experts, ranks];
        self.dispatch("router", &shape, &[&logits, &ids, &weights], [n.div_ceil(GROUP), 1, 1]);

        let gate_up = self.new_value(TapPoint::GateUp, here, &[n, ranks, 2 * intermediate]);
        let experts = format!("{prefix}.mlp.experts");
        self.expert_matrix(
            &format!("{experts}.gate_up_proj"),
            &normed,
            &ids,
            &gate_up,
            [2 * intermediate, hidden, 0],
        );
        let activation = self.new_value(TapPoint::Activation, here, &[n, ranks, intermediate]);
        let elements = n * ranks * intermediate;
        let shape = [elements as u32, intermediate as u32, (config.swiglu_limit as f32).to_bits()];
        let groups = [elements.div_ceil(GROUP), 1, 1];
        self.kernels.dispatch(&mut self.commands, "swiglu", &shape, &[&gate_up, &activation], groups);
        let down = self.new_value(TapPoint::Down, here, &[n, ranks, hidden]);
        let name = format!("{experts}.down_proj");
        self.expert_matrix(&name, &activation, &ids, &down, [hidden, intermediate, 1]);

        let out = self.new_value(TapPoint::MlpOutput, here, &[n, hidden]);
        let bias = self.weights(&format!("{name}_bias"));
        let buffers = [&down, &weights, &ids, &bias, &out];
        self.dispatch("mix", &[n, hidden, ranks], &buffers, [hidden.div_ceil(GROUP), n, 1]);
        out
    }

    /// `sizes`: rows, columns, and 1 for the second matrix.
    fn expert_matrix(&mut self, name: &str, x: &Buffer, ids: &Buffer, out: &Buffer, sizes: [usize; 3]) {
        let [rows, cols, is_down] = sizes;
        let ranks = self.config.experts_per_token;
        let [blocks, scales, bias] =
            ["blocks", "scales", "bias"].map(|part| self.weights(&format!("{name}_{part}")));
        let buffers = [x, ids, &blocks, &scales, &bias, out];
        let groups = [rows.div_ceil(ROWS), ranks, self.positions];
        self.dispatch("experts", &[rows, cols, ranks, is_down], &buffers, groups);
    }

    fn norm(&mut self, point: TapPoint, layer: Option<usize>, scale: &str, x: &Buffer) -> Buffer {
        let hidden = self.config.hidden_size;
        let out = self.new_value(point, layer, &[self.positions, hidden]);
        let shape = [hidden as u32, (self.config.rms_norm_eps as f32).to_bits()];
        let buffers = [x, &self.weights(scale), &out];
        self.kernels.dispatch(&mut self.commands, "norm", &shape, &buffers, [self.positions, 1, 1]);
        out
    }

    fn linear(&mut self, layer: Option<usize>, linear: &Linear<'_>, x: &Buffer, cols: usize) -> Buffer {
        let out = self.new_value(linear.point, layer, &[self.positions, linear.rows]);
        let weights = self.weights(&format!("{}.weight", linear.name));
        let bias = match linear.has_bias {
            true => self.weights(&format!("{}.bias", linear.name)),
            false => self.device.new_buffer(1),
        };
        let is = |point| usize::from(linear.point == point);
        let shape = [
            linear.rows,
            cols,
            usize::from(linear.has_bias),
            is(TapPoint::RouterLogits),
            is(TapPoint::AttentionOutput),
        ];
        let groups = [linear.rows.div_ceil(ROWS), self.positions, 1];
        self.dispatch("linear", &shape, &[x, &weights, &bias, &out], groups);
        out
    }

    fn rotate(&mut self, point: TapPoint, layer: usize, x: &Buffer, turns: &Buffer, heads: usize) -> Buffer {
        let head_dim = self.config.head_dim;
        let out = self.new_value(point, Some(layer), &[self.positions, heads * head_dim]);
        let groups = [(heads * head_dim / 2).div_ceil(GROUP), self.positions, 1];
        self.dispatch("rotate", &[heads, head_dim / 2], &[x, turns, &out], groups);
        out
    }

    fn residual(&mut self, point: TapPoint, layer: usize, x: &Buffer, y: &Buffer) -> Buffer {
        let elements = self.positions * self.config.hidden_size;
        let out = self.new_value(point, Some(layer), &[self.positions, self.config.hidden_size]);
        self.dispatch("residual", &[elements], &[x, y, &out], [elements.div_ceil(GROUP), 1, 1]);
        out
    }

    /// The bytes of a tensor on the device.
    fn weights(&self, name: &str) -> Buffer {
        self.device.upload(self.tensors.get(name))
    }

    fn new_value(&mut self, point: TapPoint, layer: Option<usize>, shape: &[usize]) -> Buffer {
        let buffer = self.device.new_buffer(shape.iter().product());
        self.values.push((point, layer, shape.to_vec(), buffer.clone()));
        buffer
    }

    fn dispatch(&mut self, kernel: &str, shape: &[usize], buffers: &[&Buffer], groups: [usize; 3]) {
        let shape: Vec<u32> = shape.iter().map(|&size| size as u32).collect();
        self.kernels.dispatch(&mut self.commands, kernel, &shape, buffers, groups);
    }
}
