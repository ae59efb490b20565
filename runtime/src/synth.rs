//! Synthetic checkpoints: random weights in the layouts of the released ones, up to their full size.
//!
//! Each byte is a function of the seed, the tensor's name and its place, on every machine and with any number of
//! threads. A stream is SplitMix64 whose first state is made of the seed and the name. Sixteen bits of it become a
//! bf16 number of a bell curve through a table of quantiles; MXFP4 blocks are its bytes, scale bytes its bits.
//! Under one seed both layouts hold the same weights.
//!
//! Activations stay finite and tokens spread over all experts, but the weights mean nothing: the text that they
//! make is noise. They are for speed, size and bit-for-bit tests.
//!
//! ```
//! use gptoss_runtime::ModelConfig;
//! use gptoss_runtime::synth::{self, Options, Plan};
//!
//! let config = synth::gpt_oss_20b();
//! let plan = Plan::new(&config, &Options::default())?;
//! assert_eq!(plan.files()[0].name(), "model-00000-of-00002.safetensors");
//! assert_eq!(plan.files()[0].len(), 4_792_272_488);
//!
//! // Small ones fit memory.
//! let small = ModelConfig { hidden_size: 64, intermediate_size: 32, vocab_size: 100, num_experts: 4, ..config };
//! let files = synth::in_memory(&small, &Options::default())?;
//! assert_eq!(files.last().map(|(name, _)| name.as_str()), Some("config.json"));
//! # Ok::<(), gptoss_runtime::Error>(())
//! ```

mod content;
mod files;
mod json;
pub(crate) mod random;
mod tensors;
mod write;

pub use files::{Plan, PlannedFile};
pub use write::{Found, Progress, look, write};

use crate::checkpoint::Layout;
use crate::config::{LayerType, ModelConfig, RopeConfig};
use crate::error::Result;

/// How the experts' matrices are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ExpertFormat {
    /// MXFP4 blocks and scales, as released; rows must be a multiple of 32 elements.
    #[default]
    Mxfp4,
    /// bf16 numbers, as fine-tunes have them. These are other weights than those in MXFP4.
    Bf16,
}

/// What is made of a configuration.
#[derive(Clone, Debug)]
pub struct Options {
    /// Names and files.
    pub layout: Layout,
    /// The experts.
    pub experts: ExpertFormat,
    /// Which random weights.
    pub seed: u64,
    /// The most bytes of tensors in a file; a single tensor may be larger.
    ///
    /// Without it, 4.8e9 in Hugging Face's layout, as in the release. In OpenAI's there is one file up to 20e9
    /// bytes, as of the 20B, and files of 10e9 above.
    pub shard_bytes: Option<u64>,
}

impl Default for Options {
    /// Hugging Face's layout, MXFP4 experts, seed 0 and files as long as those of the release.
    fn default() -> Self {
        Self { layout: Layout::HuggingFace, experts: ExpertFormat::Mxfp4, seed: 0, shard_bytes: None }
    }
}

/// The shape of gpt-oss-20b.
#[must_use]
pub fn gpt_oss_20b() -> ModelConfig {
    released(24, 32)
}

/// The shape of gpt-oss-120b.
#[must_use]
pub fn gpt_oss_120b() -> ModelConfig {
    released(36, 128)
}

fn released(layers: usize, experts: usize) -> ModelConfig {
    ModelConfig {
        vocab_size: 201_088,
        hidden_size: 2880,
        intermediate_size: 2880,
        layer_types: alternating(layers),
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

/// The layer types of the release for any number of layers: the first slides, the second does not, and so on.
#[must_use]
pub fn alternating(layers: usize) -> Vec<LayerType> {
    [LayerType::Sliding, LayerType::Full].into_iter().cycle().take(layers).collect()
}

/// A whole checkpoint as file names and bytes, the configuration last.
///
/// Runs on the current rayon pool.
///
/// # Errors
///
/// As [`Plan::new`].
pub fn in_memory(config: &ModelConfig, options: &Options) -> Result<Vec<(String, Vec<u8>)>> {
    let plan = Plan::new(config, options)?;
    Ok(plan.files().iter().map(|file| (file.name().to_owned(), file.bytes())).collect())
}

#[cfg(test)]
mod tests;
