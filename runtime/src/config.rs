//! The shape of a model.

mod json;

pub(crate) use json::generation_eos;

/// What a layer's attention sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LayerType {
    /// The last `sliding_window` positions, the query's own included.
    Sliding,
    /// Every position up to the query's own.
    Full,
}

/// Rotary position embedding with YaRN.
#[derive(Clone, Debug, PartialEq)]
pub struct RopeConfig {
    /// The base of the frequencies.
    pub theta: f64,
    /// By how much the context was stretched; at most 1 is plain RoPE.
    pub factor: f64,
    /// Rotations over the original context above which a frequency is kept.
    pub beta_fast: f64,
    /// Rotations over the original context below which a frequency is divided by `factor`.
    pub beta_slow: f64,
    /// The context length before stretching, in positions.
    pub original_context: usize,
    /// Whether the two bounds of the ramp are rounded to whole pairs; gpt-oss does not.
    pub truncate: bool,
}

/// The shape of a model and the constants of its forward pass, checked for consistency when read.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// Rows of the embedding, and logits of a position.
    pub vocab_size: usize,
    /// Elements of the hidden state.
    pub hidden_size: usize,
    /// Elements of an expert's hidden layer.
    pub intermediate_size: usize,
    /// Attention of each layer; its length is the number of layers.
    pub layer_types: Vec<LayerType>,
    /// Query heads of a layer.
    pub num_attention_heads: usize,
    /// Key and value heads of a layer; divides `num_attention_heads`.
    pub num_key_value_heads: usize,
    /// Elements of a head; even.
    pub head_dim: usize,
    /// Experts of a layer.
    pub num_experts: usize,
    /// Experts that a token is sent to, at most `num_experts`.
    pub experts_per_token: usize,
    /// Positions that a sliding layer sees, the query's own included; at least 1.
    pub sliding_window: usize,
    /// Added to the mean square in a norm.
    pub rms_norm_eps: f64,
    /// The clamp of SwiGLU.
    pub swiglu_limit: f64,
    /// Rotary position embedding.
    pub rope: RopeConfig,
    /// Positions that the model was made for.
    pub max_position_embeddings: usize,
    /// Whether query, key, value and output have a bias.
    pub attention_bias: bool,
    /// Whether the unembedding is the embedding where the files hold no other.
    pub tie_word_embeddings: bool,
    /// Tokens that end a generation, as the files declare them; may be empty.
    pub eos_token_ids: Vec<u32>,
}

impl ModelConfig {
    /// The number of layers.
    #[must_use]
    pub fn num_layers(&self) -> usize {
        self.layer_types.len()
    }

    /// Query elements of a position: heads times their size.
    #[must_use]
    pub fn query_size(&self) -> usize {
        self.num_attention_heads * self.head_dim
    }

    /// Key (and value) elements of a position: heads times their size.
    #[must_use]
    pub fn key_value_size(&self) -> usize {
        self.num_key_value_heads * self.head_dim
    }
}
