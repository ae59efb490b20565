//! The flags that the commands which run a model share.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::ValueEnum;
use gptoss_runtime::sampler::{Sampler, SamplerOptions};
use harmony_format::{Conversation, ReasoningEffort};

use super::setup;
use super::speaker::{ModelChoice, Speaker};
use super::turn::{Session, TurnOptions};
use crate::context::Context;
use crate::error::Result;
use crate::interrupt;
use crate::model::Packed;

/// Which model, and how it is used.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ModelArgs {
    /// The model: tiny, which is part of this program, or a checkpoint: a folder, or a file with config.json beside it
    #[arg(long, value_name = "tiny|DIR", default_value = "tiny", env = "GPTOSS_MODEL", hide_env = true)]
    pub(crate) model: ModelChoice,
    /// The vocabulary: o200k_harmony or a tokenizer.json [default: the model's own]
    #[arg(long, value_name = "FILE", env = "GPTOSS_TOKENIZER", hide_env = true, hide_short_help = true)]
    pub(crate) tokenizer: Option<PathBuf>,
    /// Use the matrices of a file that `gptoss model pack` wrote: FILE, auto (that of the checkpoint's folder, if there is
    /// one) or off [default: auto]
    #[arg(long, value_name = "FILE|auto|off", hide_short_help = true)]
    pub(crate) packed: Option<Packed>,
    /// Positions that there is room for, prompt and answers together [default: 8192, or what the model has]
    #[arg(long = "context", value_name = "N")]
    pub(crate) context_length: Option<NonZeroUsize>,
    /// Guess up to N tokens from the text so far, and verify them in one pass; it changes nothing but the time
    #[arg(long, value_name = "N", default_value = "0", hide_short_help = true)]
    pub(crate) draft: usize,
}

impl ModelArgs {
    /// Opens the model.
    pub(crate) fn speaker(&self, context: &Context) -> Result<Speaker> {
        let packed = match (&self.packed, context.pages) {
            (Some(packed), _) => packed.clone(),
            (None, crate::model::Pages::Huge) => Packed::Off,
            (None, crate::model::Pages::Map) => Packed::Auto,
        };
        Speaker::open(&self.model, &packed, self.tokenizer.as_deref(), context)
    }

    /// Opens the model, with nothing said yet.
    pub(crate) fn session(&self, context: &Context) -> Result<Session> {
        const DEFAULT: usize = 8192;
        let speaker = self.speaker(context)?;
        let most = speaker.model.config().max_position_embeddings;
        let capacity = self.context_length.map_or(DEFAULT.min(most), NonZeroUsize::get);
        Session::new(speaker, capacity)
    }
}

/// How tokens are chosen, and how many.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SamplingArgs {
    /// The most tokens of an answer [default: as many as there is room for]
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) max_tokens: Option<NonZeroUsize>,
    /// What differences of logits are divided by; 0 always takes the likeliest token [default: 1, and 0 for tiny]
    #[arg(short, long, value_name = "T")]
    pub(crate) temperature: Option<f64>,
    /// Keep the likeliest tokens that together have this share of the probability
    #[arg(long, value_name = "P", default_value = "1")]
    pub(crate) top_p: f64,
    /// Keep this many of the likeliest tokens
    #[arg(long, value_name = "K", hide_short_help = true)]
    pub(crate) top_k: Option<usize>,
    /// Keep tokens that are at least this many times as likely as the likeliest
    #[arg(long, value_name = "P", default_value = "0", hide_short_help = true)]
    pub(crate) min_p: f64,
    /// The seed of chance: the same seed, the same answer, on every machine
    #[arg(long, value_name = "S", default_value = "0")]
    pub(crate) seed: u64,
}

impl SamplingArgs {
    /// The sampler for a model.
    pub(crate) fn sampler(&self, model: &ModelChoice) -> Result<Sampler> {
        let automatic = if *model == ModelChoice::Tiny { 0.0 } else { 1.0 };
        Ok(Sampler::new(SamplerOptions {
            temperature: self.temperature.unwrap_or(automatic),
            top_k: self.top_k,
            top_p: self.top_p,
            min_p: self.min_p,
            seed: self.seed,
        })?)
    }

    /// How a model answers in a conversation; Ctrl-C stops it.
    pub(crate) fn turn(&self, model: &ModelArgs, conversation: &Conversation) -> Result<TurnOptions> {
        Ok(TurnOptions {
            sampler: self.sampler(&model.model)?,
            max_tokens: self.max_tokens.map(usize::from),
            draft: model.draft,
            tools: setup::tool_names(conversation),
            interrupt: interrupt::flag()?.clone(),
        })
    }
}

/// The value of `--effort`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Effort {
    Low,
    Medium,
    High,
}

impl From<Effort> for ReasoningEffort {
    fn from(effort: Effort) -> Self {
        match effort {
            Effort::Low => Self::Low,
            Effort::Medium => Self::Medium,
            Effort::High => Self::High,
        }
    }
}

/// Whether answers are held to the grammar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Enforce {
    /// Where there are tools or a schema
    #[default]
    Auto,
    /// Always: headers are legal, too, where there are neither
    Always,
    /// Never
    Off,
}
