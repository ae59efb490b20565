//! A checkpoint whose rows have 2880 elements and cancel: what is left of a sum is its rounding.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use gptoss_runtime::ModelConfig;
use gptoss_runtime::synth::{self, Options};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

const SIZE: usize = 2880;

/// Writes the checkpoint to a folder.
///
/// The second half of each row of a matrix is the negative of the first, and what it is multiplied by has equal halves:
/// embeddings, scales of norms, and rows of the matrices whose outputs are read by such a row. A bias would hide what is
/// left of a sum; only every other gate and up has one, so that activations are not all tiny.
pub(super) fn write(folder: &Path) {
    let config = ModelConfig {
        vocab_size: 64,
        hidden_size: SIZE,
        intermediate_size: SIZE,
        layer_types: synth::alternating(1),
        num_attention_heads: 2,
        num_key_value_heads: 1,
        num_experts: 2,
        experts_per_token: 2,
        eos_token_ids: Vec::new(),
        ..synth::gpt_oss_20b()
    };
    for (name, bytes) in synth::in_memory(&config, &Options::default()).unwrap() {
        let bytes = if name.ends_with(".safetensors") { cancel(&bytes) } else { bytes };
        fs::write(folder.join(name), bytes).unwrap();
    }
}

fn cancel(file: &[u8]) -> Vec<u8> {
    let file = SafeTensors::deserialize(file).unwrap();
    let tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = file
        .iter()
        .map(|(name, view)| {
            let mut data = view.data().to_vec();
            change(name, view.shape(), &mut data);
            (name.to_owned(), view.dtype(), view.shape().to_vec(), data)
        })
        .collect();
    let views: Vec<(&str, TensorView<'_>)> = tensors
        .iter()
        .map(|(name, dtype, shape, data)| {
            (name.as_str(), TensorView::new(*dtype, shape.clone(), data).unwrap())
        })
        .collect();
    safetensors::serialize(views, Some(HashMap::from([("format".to_owned(), "pt".to_owned())]))).unwrap()
}

fn change(name: &str, shape: &[usize], data: &mut [u8]) {
    let has = |part: &str| name.contains(part);
    if has("bias") {
        if !has("gate_up") {
            return data.fill(0);
        }
        // Two numbers, a gate and an up, in turn.
        data.chunks_exact_mut(8).for_each(|rows| rows[..4].fill(0));
        return data.chunks_exact_mut(4 * SIZE).for_each(|expert| repeat(expert, |byte| byte));
    }
    if has("embed_tokens") {
        spread_exponents(data);
    }
    let is_repeated = has("embed_tokens") || has("norm");
    // Halves of the last axis.
    let negative: u8 = if is_repeated { 0 } else { 0x80 };
    if has("_blocks") {
        data.chunks_exact_mut(SIZE / 2).for_each(|row| repeat(row, |code| code ^ 0x88));
    } else if has("_scales") {
        data.chunks_exact_mut(SIZE / 32).for_each(|row| repeat(row, |scale| scale));
    } else if shape.last() == Some(&SIZE) {
        let mut is_upper = false;
        data.chunks_exact_mut(2 * SIZE).for_each(|row| {
            repeat(row, |byte| {
                is_upper = !is_upper;
                if is_upper { byte } else { byte ^ negative }
            });
        });
    }
    // Halves of the rows.
    if has("_blocks") || has("_scales") {
        let experts = shape[0];
        let expert = data.len() / experts;
        data.chunks_exact_mut(expert).for_each(|expert| repeat(expert, |byte| byte));
    } else if has("o_proj") {
        repeat(data, |byte| byte);
    }
}

/// Makes the second half that of the first.
fn repeat(data: &mut [u8], mut change: impl FnMut(u8) -> u8) {
    let (first, second) = data.split_at_mut(data.len() / 2);
    second.iter_mut().zip(first).for_each(|(second, &mut first)| *second = change(first));
}

/// Divides bf16 numbers by powers of two, so that sums of products have more bits than an f32.
fn spread_exponents(data: &mut [u8]) {
    for (index, number) in data.chunks_exact_mut(2).enumerate() {
        let bits = u16::from_le_bytes([number[0], number[1]]);
        if bits & 0x7f80 > 20 << 7 {
            let smaller = bits - (((index * index % 13) as u16) << 7);
            number.copy_from_slice(&smaller.to_le_bytes());
        }
    }
}
