//! Conversations as FILE arguments hold them.

use clap::ValueEnum;
use harmony_format::Conversation;

use crate::error::{Error, Result};

/// The format of a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum From {
    /// Whichever the document looks like
    #[default]
    Auto,
    /// Harmony conversations, as this program and the official library write them
    Harmony,
}

/// Reads a conversation.
pub(crate) fn conversation(text: &str, _from: From) -> Result<Conversation> {
    if text.trim_ascii().is_empty() {
        return Err(Error::input("H001", "a JSON document is needed, the input is empty"));
    }
    Conversation::from_json(text).map_err(|error| Error::in_document(error, text))
}
