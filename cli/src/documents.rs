//! Conversations as FILE arguments hold them: Harmony, Chat or Responses.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::ValueEnum;
use harmony_format::Conversation;
use harmony_format::convert::{self, Format, Loss, Severity};
use serde_json::Value;

use crate::agent::tape::Tape;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::input;

/// The conversation of a file in any format; what it does not say any more is warned of.
pub(crate) fn open(path: &Path, context: &Context) -> Result<Conversation> {
    let document = input::read_text(path)?;
    let read = read(&document.text, From::Auto).map_err(|error| error.in_file(&document.name))?;
    read.warnings().into_iter().for_each(|warning| context.warn(warning));
    Ok(read.conversation)
}

/// The format of a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum From {
    /// Whichever the document looks like
    #[default]
    Auto,
    /// Harmony conversations, as this program and the official library write them
    Harmony,
    /// Messages, requests and responses of the Chat Completions API
    Chat,
    /// Items, requests and responses of the Responses API
    Responses,
}

impl From {
    /// The format that is named, if one is.
    pub(crate) const fn format(self) -> Option<Format> {
        match self {
            Self::Auto => None,
            Self::Harmony => Some(Format::Harmony),
            Self::Chat => Some(Format::Chat),
            Self::Responses => Some(Format::Responses),
        }
    }
}

/// A conversation that was read.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) conversation: Conversation,
    pub(crate) format: Format,
    /// What the conversation does not say any more.
    pub(crate) losses: Vec<Loss>,
    /// Whether it was taken for Harmony and could as well be Chat.
    ambiguous: bool,
    /// The record that it is of.
    pub(crate) tape: Option<Box<Tape>>,
}

impl Read {
    /// The losses that matter to the model, a line each.
    ///
    /// That the format is a guess is said once, not for each line of a file.
    pub(crate) fn warnings(&self) -> Vec<String> {
        static SAID: AtomicBool = AtomicBool::new(false);
        let mut lines = warnings(&self.losses);
        if self.ambiguous && !SAID.swap(true, Ordering::Relaxed) {
            lines.push(
                "these messages could be Chat and are read as Harmony; --from says which they are".to_owned(),
            );
        }
        lines
    }
}

/// The losses that matter to the model, a line each.
pub(crate) fn warnings(losses: &[Loss]) -> Vec<String> {
    losses.iter().filter(|loss| loss.kind.severity() == Severity::Warning).map(ToString::to_string).collect()
}

/// Reads a conversation.
pub(crate) fn read(text: &str, from: From) -> Result<Read> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if from == From::Harmony {
        return harmony(text);
    }
    let value = value(text)?;
    if let Some(tape) = Tape::of_document(&value, text)? {
        let conversation = tape.whole();
        let tape = Some(Box::new(tape));
        return Ok(Read {
            conversation,
            format: Format::Harmony,
            losses: Vec::new(),
            ambiguous: false,
            tape,
        });
    }
    let format = format(&value, text, from)?;
    if format == Format::Harmony {
        return Ok(Read { ambiguous: from == From::Auto && convert::is_ambiguous(&value), ..harmony(text)? });
    }
    let read = convert::read(&value, format).map_err(|error| Error::in_document(error, text))?;
    Ok(Read { conversation: read.value, format, losses: read.losses, ambiguous: false, tape: None })
}

/// Reads a conversation without a word about losses.
pub(crate) fn conversation(text: &str, from: From) -> Result<Conversation> {
    Ok(read(text, from)?.conversation)
}

/// Harmony is read from the text itself, so that errors keep their place.
fn harmony(text: &str) -> Result<Read> {
    check_not_empty(text)?;
    let conversation = if text.trim_start().starts_with('[') {
        Conversation {
            messages: serde_json::from_str(text).map_err(|error| Error::in_document(error.into(), text))?,
        }
    } else {
        Conversation::from_json(text).map_err(|error| Error::in_document(error, text))?
    };
    Ok(Read { conversation, format: Format::Harmony, losses: Vec::new(), ambiguous: false, tape: None })
}

/// Reads a document as JSON.
pub(crate) fn value(text: &str) -> Result<Value> {
    check_not_empty(text)?;
    serde_json::from_str(text).map_err(|error| Error::in_document(error.into(), text))
}

/// The format of a document: the one that is named, or the one that it looks like.
pub(crate) fn format(value: &Value, text: &str, from: From) -> Result<Format> {
    from.format().or_else(|| convert::detect(value)).ok_or_else(|| {
        let start = text.len() - text.trim_start().len();
        Error::input("H017", "a conversation is needed, this document is in none of the known formats")
            .point_at(text, Some(start..start))
            .help("a Harmony or Chat document has `messages`, a Responses document has `input` or `output`")
    })
}

fn check_not_empty(text: &str) -> Result<()> {
    if text.trim_ascii().is_empty() {
        return Err(Error::input("H001", "a JSON document is needed, the input is empty"));
    }
    Ok(())
}
