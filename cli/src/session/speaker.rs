//! A model with its vocabulary: the tiny one of this program, or a checkpoint.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use gptoss_runtime::Model;
use gptoss_runtime::checkpoint::Checkpoint;
use harmony_format::{Encoding, SpecialToken, TokenId};

use crate::context::Context;
use crate::error::{Error, Result};
use crate::model::{Packed, hex, load};

/// The value of `--model`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ModelChoice {
    /// The one that is part of this program.
    Tiny,
    /// A checkpoint: a folder or a file.
    Path(PathBuf),
}

impl FromStr for ModelChoice {
    type Err = Infallible;

    fn from_str(name: &str) -> std::result::Result<Self, Infallible> {
        Ok(match name {
            "tiny" => Self::Tiny,
            path => Self::Path(path.into()),
        })
    }
}

impl std::fmt::Display for ModelChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tiny => f.write_str("tiny"),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

impl ModelChoice {
    /// The SHA-256 that tells the model from others, in hexadecimal; all of its weights are read.
    pub(crate) fn digest(&self) -> Result<String> {
        let checkpoint = match self {
            Self::Tiny => tiny_checkpoint()?,
            Self::Path(path) => Checkpoint::open(path)?,
        };
        Ok(hex(&checkpoint.model_digest()))
    }
}

/// The files of the tiny model.
#[cfg(feature = "tiny")]
mod tiny {
    pub(super) const CONFIG: &str = include_str!("../../../fixtures/tiny/config.json");
    pub(super) const WEIGHTS: &[u8] = include_bytes!("../../../fixtures/tiny/model.safetensors");
    pub(super) const TOKENIZER: &[u8] = include_bytes!("../../../fixtures/tiny/tokenizer.json");
}

/// A model that is ready to run, and its vocabulary.
pub(crate) struct Speaker {
    pub(crate) model: Model,
    pub(crate) encoding: Encoding,
    /// As the user named it.
    pub(crate) name: String,
}

impl Speaker {
    /// Opens what `--model` names.
    pub(crate) fn open(
        choice: &ModelChoice,
        packed: &Packed,
        tokenizer: Option<&Path>,
        context: &Context,
    ) -> Result<Self> {
        let (model, encoding) = match choice {
            ModelChoice::Tiny => tiny_model(tokenizer, context)?,
            ModelChoice::Path(path) => {
                let model = load::model(path, packed, context)?;
                let encoding = vocabulary(path, &model, tokenizer, context)?;
                (model, encoding)
            }
        };
        check(&model, &encoding)?;
        Ok(Self { model, encoding, name: choice.to_string() })
    }

    /// The tokens that end an answer: what ends a turn, and what ends a text.
    pub(crate) fn stop_tokens(&self) -> Vec<TokenId> {
        let end_of_text = self.encoding.marker_id(SpecialToken::EndOfText);
        self.encoding.stop_tokens_for_assistant_actions().into_iter().chain(end_of_text).collect()
    }
}

#[cfg(feature = "tiny")]
fn tiny_checkpoint() -> Result<Checkpoint> {
    Ok(Checkpoint::from_bytes("tiny", tiny::CONFIG, tiny::WEIGHTS.into())?)
}

#[cfg(not(feature = "tiny"))]
fn tiny_checkpoint() -> Result<Checkpoint> {
    Err(no_tiny())
}

#[cfg(not(feature = "tiny"))]
fn no_tiny() -> Error {
    Error::usage("this program was built without the model tiny").help("name one: --model DIR")
}

#[cfg(feature = "tiny")]
fn tiny_model(tokenizer: Option<&Path>, context: &Context) -> Result<(Model, Encoding)> {
    let checkpoint = tiny_checkpoint()?;
    let options = load::options(context, context.profile.unwrap_or_default())?;
    let model = Model::load_checkpoint(checkpoint, options, Ok)?;
    let encoding = match tokenizer {
        Some(path) => context.encoding(Some(path))?,
        None => Encoding::from_tokenizer_json_bytes(tiny::TOKENIZER)?,
    };
    Ok((model, encoding))
}

#[cfg(not(feature = "tiny"))]
fn tiny_model(_: Option<&Path>, _: &Context) -> Result<(Model, Encoding)> {
    Err(no_tiny())
}

/// The vocabulary of a checkpoint: the one that is named; the embedded one, where the model has as many ids as gpt-oss;
/// else the `tokenizer.json` beside it.
fn vocabulary(path: &Path, model: &Model, tokenizer: Option<&Path>, context: &Context) -> Result<Encoding> {
    /// Ids of gpt-oss-20b and gpt-oss-120b.
    const RELEASED: usize = 201_088;
    if tokenizer.is_some() || model.config().vocab_size == RELEASED {
        return context.encoding(tokenizer);
    }
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new("")) };
    let beside = folder.join("tokenizer.json");
    if !beside.exists() {
        let size = model.config().vocab_size;
        let rule =
            format!("the model has a vocabulary of its own, {size} ids, and no tokenizer.json beside it");
        return Err(Error::model(rule).in_file(folder.display()).help("name it: --tokenizer FILE"));
    }
    context.encoding(Some(&beside))
}

/// The markers must be tokens that the model has.
fn check(model: &Model, encoding: &Encoding) -> Result<()> {
    let size = model.config().vocab_size;
    let beyond = |marker: &SpecialToken| encoding.marker_id(*marker).is_some_and(|id| id as usize >= size);
    match SpecialToken::REQUIRED.iter().find(|marker| beyond(marker)) {
        None => Ok(()),
        Some(marker) => {
            let marker = marker.as_str();
            let rule =
                format!("the vocabulary is not the model's: it has {marker} beyond the model's {size} ids");
            Err(Error::model(rule).help("name the model's own: --tokenizer FILE"))
        }
    }
}
