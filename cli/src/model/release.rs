//! The released models: their shapes, and what is known of their files.

use gptoss_runtime::{LayerType, ModelConfig, RopeConfig};

/// The shape of gpt-oss-20b.
pub(crate) fn config_20b() -> ModelConfig {
    config(24, 32)
}

/// The shape of gpt-oss-120b.
pub(crate) fn config_120b() -> ModelConfig {
    config(36, 128)
}

/// The two differ in layers and experts alone.
fn config(layers: usize, experts: usize) -> ModelConfig {
    let layer = |index: usize| if index.is_multiple_of(2) { LayerType::Sliding } else { LayerType::Full };
    ModelConfig {
        vocab_size: 201_088,
        hidden_size: 2880,
        intermediate_size: 2880,
        layer_types: (0..layers).map(layer).collect(),
        num_attention_heads: 64,
        num_key_value_heads: 8,
        head_dim: 64,
        num_experts: experts,
        experts_per_token: 4,
        sliding_window: 128,
        rms_norm_eps: 1e-5,
        swiglu_limit: 7.0,
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
        eos_token_ids: vec![200_002, 199_999, 200_012],
    }
}
