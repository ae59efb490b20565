//! The levels of whole layers and models: dumps of a small synthetic checkpoint.

use std::io::Cursor;
use std::path::Path;

use serde_json::{Value, json};

use super::Level;
use super::files::{create, put};
use crate::checkpoint::Checkpoint;
use crate::config::ModelConfig;
use crate::error::Result;
use crate::golden::record::{Selection, record};
use crate::model::{Model, ModelOptions};
use crate::synth;
use crate::tap::TapPoint;
use crate::weights::Weights;

/// Tokens of the prompt, more than the window of a sliding layer.
const PROMPT: usize = 20;
/// Tokens that are decoded behind it.
const DECODED: usize = 12;

/// The released models but for their sizes.
fn config() -> ModelConfig {
    ModelConfig {
        vocab_size: 256,
        hidden_size: 64,
        intermediate_size: 64,
        layer_types: synth::alternating(2),
        num_attention_heads: 4,
        num_key_value_heads: 2,
        num_experts: 8,
        sliding_window: 8,
        eos_token_ids: Vec::new(),
        ..synth::gpt_oss_20b()
    }
}

/// Writes the checkpoint and its dumps, and gives their entries of the index.
pub(super) fn write(folder: &Path, names: &mut Vec<String>) -> Result<Vec<Value>> {
    let place = folder.join("model");
    create(&place)?;
    for (name, bytes) in
        synth::in_memory(&config(), &synth::Options { seed: 1, ..synth::Options::default() })?
    {
        put(folder, &format!("model/{name}"), &bytes, names)?;
    }
    let checkpoint = Checkpoint::open(&place)?;
    let weights = Weights::load(&checkpoint)?;
    let digest = checkpoint.weights_digest();
    let model = Model::new(checkpoint.config().clone(), weights, ModelOptions::default())?;
    let prompt: Vec<u32> = (0..PROMPT as u32).map(|index| (7919 * index + 1) % 256).collect();
    let tokens = decode(&model, &prompt)?;
    let (at_layers, at_model) = (Selection::ops(), Selection::layers());
    let last: std::collections::BTreeSet<u32> = (PROMPT as u32 - 1..tokens.len() as u32 - 1).collect();
    let at_decode =
        Selection { positions: Some(last), ..Selection::of([TapPoint::FinalNorm, TapPoint::Logits]) };
    let mut index = Vec::new();
    for (level, about, run, selection) in [
        (Level::Layers, "every value of the layers, of a prompt longer than the window", &prompt, at_layers),
        (Level::Model, "the residual stream and the logits of the same prompt", &prompt, at_model),
        (
            Level::Decode,
            "logits of the last token of the prompt and of each token behind it",
            &tokens,
            at_decode,
        ),
    ] {
        let name = format!("{}.safetensors", level.name());
        let to = Cursor::new(Vec::new());
        let file = record(&model, run, &selection, Some(digest), to, &|| false)?;
        put(folder, &name, &file.into_inner(), names)?;
        index.push(json!({
            "level": level.name(),
            "about": about,
            "model": "model",
            "tokens": run,
            "prompt": PROMPT,
            "files": [name],
        }));
    }
    Ok(index)
}

/// The prompt and the tokens that have the greatest logits behind it, computed one by one.
fn decode(model: &Model, prompt: &[u32]) -> Result<Vec<u32>> {
    let mut cache = model.new_cache(PROMPT + DECODED, PROMPT)?;
    let mut tokens = prompt.to_vec();
    let mut logits = model.prefill(prompt, &mut cache, &mut ())?;
    loop {
        let token = logits.argmax(0) as u32;
        tokens.push(token);
        if tokens.len() == PROMPT + DECODED {
            return Ok(tokens);
        }
        logits = model.forward(&[token], &mut cache, &mut ())?;
    }
}
