//! Sessions with models of random weights.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(feature = "constrain")]
mod enforced;
mod reuse;

use std::sync::Arc;

use gptoss_runtime::checkpoint::Checkpoint;
use gptoss_runtime::sampler::{Sampler, SamplerOptions};
use gptoss_runtime::{Model, ModelConfig, ModelOptions, synth};
use harmony_format::{Conversation, Encoding, Message, Role, SystemContent};

use super::speaker::Speaker;
use super::turn::{Session, TurnOptions};

/// A vocabulary of 1012 ids.
fn small_encoding() -> Encoding {
    let bytes = include_bytes!("../../../fixtures/tokenizers/tiny/tokenizer.json");
    Encoding::from_tokenizer_json_bytes(bytes).unwrap()
}

/// A model by chance for a vocabulary.
fn speaker(encoding: &Encoding, vocab_size: usize, seed: u64) -> Speaker {
    let config = ModelConfig {
        vocab_size,
        hidden_size: 32,
        intermediate_size: 32,
        layer_types: synth::alternating(2),
        num_attention_heads: 2,
        num_key_value_heads: 1,
        head_dim: 16,
        num_experts: 4,
        experts_per_token: 2,
        sliding_window: 16,
        eos_token_ids: vec![0],
        ..synth::gpt_oss_20b()
    };
    let options = synth::Options { seed, ..synth::Options::default() };
    let mut files = synth::in_memory(&config, &options).unwrap();
    let at = files.iter().position(|(name, _)| name == "config.json").unwrap();
    let (_, config) = files.remove(at);
    let (_, weights) = files.into_iter().find(|(name, _)| name.ends_with(".safetensors")).unwrap();
    let config = String::from_utf8(config).unwrap();
    let checkpoint = Checkpoint::from_bytes("synthetic", &config, weights.into()).unwrap();
    let options = ModelOptions { threads: std::num::NonZeroUsize::new(1), ..ModelOptions::default() };
    let model = Model::load_checkpoint(checkpoint, options, Ok).unwrap();
    Speaker { model, encoding: encoding.clone(), name: "synthetic".to_owned() }
}

/// A session whose model seldom says one of the few tokens that end an answer: most of its ids are no tokens at all.
fn session(seed: u64, capacity: usize) -> Session {
    Session::new(speaker(&small_encoding(), 20_000, seed), capacity).unwrap()
}

fn options(seed: u64, max_tokens: usize) -> TurnOptions {
    TurnOptions {
        sampler: Sampler::new(SamplerOptions { seed, ..SamplerOptions::default() }).unwrap(),
        max_tokens: Some(max_tokens),
        draft: 0,
        tools: Vec::new(),
        interrupt: Arc::default(),
    }
}

fn conversation(question: &str) -> Conversation {
    Conversation::new([
        Message::new(Role::System, SystemContent::default()),
        Message::new(Role::User, question),
    ])
}
