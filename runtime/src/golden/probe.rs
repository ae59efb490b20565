//! The probe: a small checkpoint and a prompt, made so that every known bug shows.
//!
//! It has the heads, the window, the rotation and the experts of the released models, in two layers of 64 elements.
//! Weights stand on coarse grids, and each row of the embedding has mean square 1, so that many sums are exact in f32 in
//! any order and one bit pattern is right. Sinks and biases are large, gates pass the limit of SwiGLU, one token's
//! residual stream passes the greatest f16, and the prompt is longer than the window.

mod measure;

use std::collections::BTreeMap;

use crate::checkpoint::Checkpoint;
use crate::checkpoint::safetensors::header;
use crate::config::{LayerType, ModelConfig};
use crate::dtype::bf16;
use crate::error::{Error, ErrorKind, Result};
use crate::synth::random::{GAMMA, mix};
use crate::synth::{self, Options};
use crate::weights::Weights;

pub use measure::{MeasureOptions, Measured, Measurement, measure};

/// The length of the prompt and of what is decoded after it.
const POSITIONS: u32 = 140;

/// The first position that is decoded.
pub const DECODED_FROM: u32 = 132;

/// The token whose residual stream passes the greatest f16.
const HUGE: usize = 7;

/// The shape of the probe.
#[must_use]
pub fn config() -> ModelConfig {
    ModelConfig {
        vocab_size: 128,
        hidden_size: 64,
        intermediate_size: 64,
        layer_types: vec![LayerType::Sliding, LayerType::Full],
        num_attention_heads: 8,
        num_key_value_heads: 2,
        head_dim: 64,
        num_experts: 32,
        eos_token_ids: Vec::new(),
        ..synth::gpt_oss_20b()
    }
}

/// The tokens of the probe; those from [`DECODED_FROM`] on are to be decoded one by one.
#[must_use]
pub fn tokens() -> Vec<u32> {
    let mut random = Random::new("prompt");
    (0..POSITIONS)
        .map(|position| match position {
            37 | 133 => HUGE as u32,
            _ => (random.next() % 128) as u32,
        })
        .collect()
}

/// The files of the probe, by name.
///
/// # Errors
///
/// None that can happen: the shape is one that a checkpoint can have.
pub fn files() -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = synth::in_memory(&config(), &Options::default())?;
    for (name, bytes) in &mut files {
        if name.ends_with(".safetensors") {
            fill(bytes)?;
        }
    }
    let ids: Vec<String> = tokens().iter().map(ToString::to_string).collect();
    let prompt = format!("{{\"ids\": [{}], \"decoded_from\": {DECODED_FROM}}}\n", ids.join(", "));
    files.push(("prompt.json".to_owned(), prompt.into_bytes()));
    Ok(files)
}

/// The weights of the probe; the same as those of its files.
///
/// # Errors
///
/// None that can happen.
pub fn weights() -> Result<Weights> {
    let mut files: BTreeMap<String, Vec<u8>> = files()?.into_iter().collect();
    let mut take = |name: &str| {
        let missing =
            || Error::new(ErrorKind::MissingTensor, "the probe lacks a file").in_file(name.as_ref());
        files.remove(name).ok_or_else(missing)
    };
    let config = String::from_utf8_lossy(&take("config.json")?).into_owned();
    let tensors = take("model.safetensors")?;
    Weights::load(&Checkpoint::from_bytes("probe", &config, tensors.into())?)
}

/// Replaces what a safetensors file holds, tensor by tensor.
fn fill(bytes: &mut [u8]) -> Result<()> {
    for entry in header(bytes)?.tensors {
        let range = entry.range.start as usize..entry.range.end as usize;
        let shape: Vec<usize> = entry.shape.iter().map(|&length| length as usize).collect();
        let data = content(&entry.name, &shape, range.len());
        bytes[range].copy_from_slice(&data);
    }
    Ok(())
}

/// The bytes of a tensor.
fn content(name: &str, shape: &[usize], len: usize) -> Vec<u8> {
    let mut random = Random::new(name);
    let elements: usize = shape.iter().product();
    let ends = |suffix: &str| name.ends_with(suffix);
    // A multiple of `grid`, up to `most` of them to either side.
    let mut on_grid = |grid: f32, most: i64| -> Vec<u8> {
        numbers(
            (0..elements)
                .map(|_| (random.next() % (2 * most as u64 + 1)) as f32 - most as f32)
                .map(|n| n * grid),
        )
    };
    if ends("embed_tokens.weight") {
        embedding(shape)
    } else if ends("norm.weight") {
        let scales = [0.5, 1.0, 1.0, 1.5];
        numbers((0..elements).map(|_| scales[(random.next() % 4) as usize]))
    } else if ends("q_proj.weight") || ends("k_proj.weight") {
        on_grid(1.0 / 16.0, 3)
    } else if ends("v_proj.weight") || ends("lm_head.weight") {
        on_grid(1.0 / 16.0, 4)
    } else if ends("o_proj.weight") {
        on_grid(1.0 / 32.0, 8)
    } else if ends("router.weight") {
        on_grid(1.0 / 16.0, 4)
    } else if ends("sinks") {
        let sinks = [3.5, 4.0, 4.5, 5.0, 2.0, 5.5, 3.0, 6.0];
        numbers((0..elements).map(|head| sinks[head % sinks.len()]))
    } else if ends("_blocks") {
        blocks(name, len)
    } else if ends("_scales") {
        scales(name, len)
    } else {
        // Biases: none is zero.
        let mut odd = || 2.0 * (random.next() % 8) as f32 - 7.0;
        numbers((0..elements).map(|_| odd() / 8.0))
    }
}

/// Rows with 40 elements of ±1/2 and 24 of ±3/2, so that their mean square is 1.
fn embedding(shape: &[usize]) -> Vec<u8> {
    let mut random = Random::new("embedding");
    let mut values = Vec::new();
    for token in 0..shape[0] {
        let mut row: Vec<f32> =
            (0..shape[1]).map(|element| if element % 8 < 5 { 0.5 } else { 1.5 }).collect();
        for last in (1..row.len()).rev() {
            row.swap(last, (random.next() % (last as u64 + 1)) as usize);
        }
        for value in &mut row {
            *value *= if random.next().is_multiple_of(2) { 1.0 } else { -1.0 };
        }
        if token == HUGE {
            row[5] = 98_304.0;
        }
        values.extend(row);
    }
    numbers(values.into_iter())
}

/// Whether a block of weights has the scale byte 134: the last block of every row 6.
fn is_large(block: usize) -> bool {
    // Rows have two blocks.
    block / 2 % 64 == 6 && block % 2 == 1
}

/// Random codes; one small number in blocks whose scale is large.
fn blocks(name: &str, len: usize) -> Vec<u8> {
    let mut random = Random::new(name);
    let mut bytes: Vec<u8> = (0..len).map(|_| random.next() as u8).collect();
    for (block, bytes) in bytes.chunks_exact_mut(16).enumerate() {
        if is_large(block) {
            bytes.fill(0);
            // In rows of gate and up; 0.5 × 2^7.
            if name.contains("gate_up") {
                bytes[3] = 0x01;
            }
        }
    }
    bytes
}

fn scales(name: &str, len: usize) -> Vec<u8> {
    let mut random = Random::new(name);
    let low = if name.contains("gate_up") { 124 } else { 119 };
    (0..len).map(|block| if is_large(block) { 134 } else { low + (random.next() % 2) as u8 }).collect()
}

fn numbers(values: impl Iterator<Item = f32>) -> Vec<u8> {
    values.flat_map(|value| bf16::from_f32(value).to_le_bytes()).collect()
}

/// SplitMix64 from a name.
struct Random(u64);

impl Random {
    fn new(name: &str) -> Self {
        Self(name.bytes().fold(0x9e37_79b9, |state: u64, byte| {
            (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3).rotate_left(23)
        }))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        mix(self.0)
    }
}

#[cfg(test)]
mod tests;
