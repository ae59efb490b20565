//! OpenAI Chat messages, Responses items and Harmony conversations, each from each.
//!
//! Everything goes through [`Conversation`]: [`read`] makes one, [`write()`] turns one into a request body.
//! What the target cannot hold is never dropped silently: each [`Loss`] names it, its place and the reason.
//! The document may be a whole request body, a whole response, or only the list of messages or items.
//!
//! ```
//! use harmony_format::convert::{self, Format};
//! use serde_json::json;
//!
//! let chat = json!({
//!     "model": "gpt-oss-20b",
//!     "reasoning_effort": "high",
//!     "messages": [
//!         {"role": "system", "content": "Answer in one word."},
//!         {"role": "user", "content": "What is the capital of France?"}
//!     ]
//! });
//! let converted = convert::convert(&chat, Format::Chat, Format::Responses)?;
//! assert_eq!(converted.value["instructions"], "Answer in one word.");
//! assert_eq!(converted.value["reasoning"], json!({"effort": "high"}));
//! assert_eq!(converted.losses[0].to_string(), "C02 at /model: model \"gpt-oss-20b\": it is a setting of the request");
//! # Ok::<(), harmony_format::Error>(())
//! ```

mod address;
mod answer;
mod chat;
mod detect;
mod draft;
mod front;
mod harmony;
mod loss;
mod node;
mod parts;
mod responses;
mod steps;
mod tools;
mod waiting;

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use crate::{Conversation, Error, ErrorKind, Result, SystemContent};

pub use answer::write_answer;
pub use detect::{detect, is_ambiguous};
pub use harmony::normalize;
pub use loss::{Loss, LossKind, Severity};

/// A format of conversations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// The JSON of [`Conversation`].
    Harmony,
    /// OpenAI Chat Completions: `messages`, with the fields that servers of gpt-oss add.
    Chat,
    /// OpenAI Responses: `input` or `output` items.
    Responses,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 3] = [Self::Harmony, Self::Chat, Self::Responses];

    /// The name: `harmony`, `chat` or `responses`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Harmony => "harmony",
            Self::Chat => "chat",
            Self::Responses => "responses",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Format {
    type Err = Error;

    /// Exact and lower case.
    fn from_str(word: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == word).ok_or_else(|| {
            Error::new(
                ErrorKind::Convert,
                format!("format must be harmony, chat or responses, found {word:?}"),
            )
        })
    }
}

/// Where the text of a `system` message goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SystemText {
    /// Into the instructions of a developer message, as the official chat template and vLLM do.
    #[default]
    Instructions,
    /// Into the model identity of the system message, if it is the first message; `developer` messages stay instructions.
    Identity,
}

/// The field of a Chat message that holds reasoning. All of them are read; this is about writing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ReasoningField {
    /// `reasoning_content`, which llama.cpp, SGLang, LM Studio and earlier versions of vLLM use.
    #[default]
    ReasoningContent,
    /// `reasoning`, which vLLM and OpenRouter use.
    Reasoning,
    /// `thinking`, which Ollama and the official chat template use.
    Thinking,
}

impl ReasoningField {
    /// All fields, in the order in which they are looked for.
    pub const ALL: [Self; 3] = [Self::ReasoningContent, Self::Reasoning, Self::Thinking];

    /// The name of the field.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReasoningContent => "reasoning_content",
            Self::Reasoning => "reasoning",
            Self::Thinking => "thinking",
        }
    }
}

/// How to convert.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Where the text of a `system` message goes.
    pub system_text: SystemText,
    /// The field that reasoning is written to in Chat.
    pub reasoning_field: ReasoningField,
    /// The system message that a conversation read from Chat or Responses begins with, and that a writer may leave
    /// unsaid, because every server begins with it. With `None` there is one only where the document calls for it.
    pub system: Option<SystemContent>,
}

impl Default for Options {
    /// Instructions, `reasoning_content`, and [`SystemContent::default`].
    fn default() -> Self {
        Self {
            system_text: SystemText::default(),
            reasoning_field: ReasoningField::default(),
            system: Some(SystemContent::default()),
        }
    }
}

/// A converted document and what it does not say any more.
#[derive(Clone, Debug, PartialEq)]
pub struct Converted<T> {
    /// The document.
    pub value: T,
    /// What was lost, in the order of the source as a rule.
    pub losses: Vec<Loss>,
}

impl<T> Converted<T> {
    /// Whether nothing was lost that matters: no loss, or notes only.
    #[must_use]
    pub fn is_faithful(&self) -> bool {
        self.losses.iter().all(|loss| loss.kind.severity() == Severity::Note)
    }
}

/// Reads a document as a conversation, with default [`Options`].
///
/// # Errors
///
/// [`ErrorKind::Convert`] with [`Position::Pointer`](crate::Position::Pointer) if the document is not of this format,
/// for example a role that does not exist, or a result whose call is missing and whose tool has no name.
pub fn read(document: &Value, format: Format) -> Result<Converted<Conversation>> {
    read_with(document, format, &Options::default())
}

/// Reads a document as a conversation.
///
/// # Errors
///
/// As [`read`].
pub fn read_with(document: &Value, format: Format, options: &Options) -> Result<Converted<Conversation>> {
    let read = read_draft(document, format, options)?;
    Ok(Converted { value: Conversation::new(read.messages), losses: read.losses.0 })
}

fn read_draft(document: &Value, format: Format, options: &Options) -> Result<draft::Read> {
    match format {
        Format::Harmony => harmony::read(document),
        Format::Chat => chat::read(document, options),
        Format::Responses => responses::read(document, options),
    }
}

/// Writes a conversation as a request body, with default [`Options`].
///
/// The body has no `model`: a conversation does not know it.
#[must_use]
pub fn write(conversation: &Conversation, format: Format) -> Converted<Value> {
    write_with(conversation, format, &Options::default())
}

/// Writes a conversation as a request body.
#[must_use]
pub fn write_with(conversation: &Conversation, format: Format, options: &Options) -> Converted<Value> {
    match format {
        Format::Harmony => Converted { value: harmony::write(conversation), losses: Vec::new() },
        Format::Chat => chat::write(conversation, options),
        Format::Responses => responses::write(conversation, options),
    }
}

/// Converts a document, with default [`Options`].
///
/// The losses of both steps are listed, each with its place in `document`.
///
/// # Errors
///
/// As [`read`].
pub fn convert(document: &Value, from: Format, to: Format) -> Result<Converted<Value>> {
    convert_with(document, from, to, &Options::default())
}

/// Converts a document.
///
/// # Errors
///
/// As [`read`].
pub fn convert_with(
    document: &Value,
    from: Format,
    to: Format,
    options: &Options,
) -> Result<Converted<Value>> {
    let read = read_draft(document, from, options)?;
    let origins = read.origins;
    let mut losses = read.losses.0;
    let written = write_with(&Conversation::new(read.messages), to, options);
    losses.extend(written.losses.into_iter().map(|mut loss| {
        if from != Format::Harmony {
            loss.pointer = draft::origin(&origins, &loss.pointer);
        }
        loss
    }));
    Ok(Converted { value: written.value, losses })
}
