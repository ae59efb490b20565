//! What arrays are called, here and elsewhere: from a name to the value that it holds.

mod hugging_face;
mod llama_cpp;
mod metal;
mod table;
mod torch;

use std::fmt;

use serde::Serialize;

pub use table::{Entry, GateUpOrder, Heads, Rotary, Table};

use crate::golden::site::{Part, Site};
use crate::tap::TapPoint;

/// Whose names these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// This crate's: `layer.3.query`.
    Gptoss,
    /// A user's table.
    Table,
    /// Module paths of Hugging Face's transformers: `model.layers.3.self_attn.q_proj`.
    HuggingFace,
    /// OpenAI's code for PyTorch: `block.3.attn.qkv`.
    Torch,
    /// Buffers of OpenAI's code for Metal: `block.3.qkv_activation_buffer`.
    Metal,
    /// llama.cpp's callback: `Qcur-3`.
    LlamaCpp,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gptoss => "gptoss",
            Self::Table => "the table",
            Self::HuggingFace => "Hugging Face",
            Self::Torch => "the official torch code",
            Self::Metal => "the official Metal code",
            Self::LlamaCpp => "llama.cpp",
        })
    }
}

/// What an array holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// One value.
    Point(TapPoint),
    /// Queries, keys and values side by side; the first two may be rotated.
    QueryKeyValue { is_rotated: bool },
    /// The gate half of `GateUp`.
    Gate,
    /// The up half of `GateUp`.
    Up,
    /// Weights of the chosen experts, by rank or in a row with an element for each expert.
    RouterScores,
    /// What a router gives: logits if a row has an element for each expert, else weights.
    Router,
    /// The token ids of the run.
    Tokens,
    /// The positions of the rows.
    Positions,
    /// Something that is not judged, and why.
    Nothing(&'static str),
}

/// A name that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) holds: Holds,
    pub(crate) layer: Option<u32>,
    pub(crate) part: Option<Part>,
    pub(crate) scheme: Scheme,
    /// Among names of one value the highest is taken; others are left.
    pub(crate) rank: u32,
    /// What has to be guessed to take it so.
    pub(crate) guess: Option<&'static str>,
}

impl Known {
    fn new(scheme: Scheme, layer: Option<u32>, holds: Holds) -> Self {
        Self { holds, layer, part: None, scheme, rank: 1, guess: None }
    }

    fn rank(self, rank: u32) -> Self {
        Self { rank, ..self }
    }

    fn guess(self, guess: &'static str) -> Self {
        Self { guess: Some(guess), ..self }
    }
}

/// What a name says, in any of the schemes.
pub(crate) fn known(name: &str) -> Option<Known> {
    if let Ok(Site { layer, point, part }) = name.parse() {
        return Some(Known { part, ..Known::new(Scheme::Gptoss, layer, Holds::Point(point)) });
    }
    let holds = match name {
        "tokens" | "ids" | "input_ids" | "token_ids" => Some(Holds::Tokens),
        "positions" | "position_ids" => Some(Holds::Positions),
        _ => None,
    };
    if let Some(holds) = holds {
        return Some(Known::new(Scheme::Gptoss, None, holds));
    }
    hugging_face::known(name)
        .or_else(|| torch::known(name))
        .or_else(|| metal::known(name))
        .or_else(|| llama_cpp::known(name))
}

/// Splits `PREFIX.N.REST` or `PREFIX.N` into the number and the rest.
fn layer_and_rest<'a>(name: &'a str, prefix: &str) -> Option<(u32, &'a str)> {
    let rest = name.strip_prefix(prefix)?.strip_prefix('.')?;
    let (number, rest) = rest.split_once('.').unwrap_or((rest, ""));
    Some((number.parse().ok()?, rest))
}

#[cfg(test)]
mod tests;
