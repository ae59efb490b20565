//! The only reader of the format: lexemes in, events out.

mod json;
mod kind;
mod machine;
mod parser;
mod reference;
mod scan;

use std::ops::Range;

use crate::{Author, Message, Role, SpecialToken};

pub(crate) use kind::is_tool;
pub use kind::{MessageKind, Tool};
pub(crate) use machine::{Core, Input, Piece, Stage};
pub use parser::{Events, StreamParser};

/// How much the parser puts up with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// As the official library with `strict = true`.
    #[default]
    Strict,
    /// As the official library with `strict = false`: the first message may lack its `<|message|>`.
    Lenient,
    /// Never an error and never a lost token: what is malformed is repaired, and each repair is reported.
    Recover,
}

/// How to parse.
///
/// ```
/// use harmony_format::{Mode, ParseOptions, Role};
///
/// let options = ParseOptions::recover().role(Role::Assistant).tools(["functions.get_weather"]);
/// assert_eq!(options.mode, Mode::Recover);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParseOptions {
    /// How much the parser puts up with.
    pub mode: Mode,
    /// The role of the first message, if its `<|start|>` and role stood at the end of the prompt.
    pub role: Option<Role>,
    /// Full names of the tools that exist, such as `functions.get_weather`; repairs match against them.
    pub tools: Vec<String>,
    /// Whether markers that are spelled with ordinary tokens count as markers. Only in [`Mode::Recover`].
    pub textual_markers: bool,
}

impl ParseOptions {
    /// [`Mode::Strict`], no role preset.
    #[must_use]
    pub fn strict() -> Self {
        Self::default()
    }

    /// [`Mode::Lenient`], no role preset.
    #[must_use]
    pub fn lenient() -> Self {
        Self { mode: Mode::Lenient, ..Self::default() }
    }

    /// [`Mode::Recover`], no role preset.
    #[must_use]
    pub fn recover() -> Self {
        Self { mode: Mode::Recover, ..Self::default() }
    }

    /// Presets the role of the first message: parse what a model said after `<|start|>assistant`.
    #[must_use]
    pub fn role(mut self, role: impl Into<Option<Role>>) -> Self {
        self.role = role.into();
        self
    }

    /// Names the tools that exist.
    #[must_use]
    pub fn tools(mut self, tools: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.tools = tools.into_iter().map(Into::into).collect();
        self
    }

    /// Lets markers that are spelled with ordinary tokens count as markers.
    #[must_use]
    pub fn textual_markers(mut self, yes: bool) -> Self {
        self.textual_markers = yes;
        self
    }
}

/// A message header: everything between `<|start|>` and `<|message|>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// Who writes the message.
    pub author: Author,
    /// To whom it goes.
    pub recipient: Option<String>,
    /// The channel.
    pub channel: Option<String>,
    /// How the content is to be read, marker included: `<|constrain|>json`.
    pub content_type: Option<String>,
}

/// What happened while a token was read.
///
/// The deltas of a message concatenate to its content, and how a stream is cut into calls does not change its events;
/// only a text that is cut differently has its deltas cut differently.
/// Each message is one [`Start`](Event::Start), any number of deltas and one [`End`](Event::End).
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A header is complete; a message begins.
    Start(Header),
    /// More content of the message, never empty, whole characters.
    Delta(String),
    /// The message is complete.
    End(ParsedMessage),
    /// Something malformed was repaired or set aside. It comes before the event that it concerns.
    Repair(Diagnostic),
}

/// A message and what it was made of.
#[derive(Clone, Debug, PartialEq)]
pub struct ParsedMessage {
    /// The message; its content is exactly one text.
    pub message: Message,
    /// How it ended.
    pub status: Status,
}

/// How a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Status {
    /// With this marker.
    Complete(SpecialToken),
    /// Without one: the input ended, or another message began.
    Incomplete,
}

impl Status {
    /// `end`, `return`, `call` or `incomplete`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete(SpecialToken::Return) => "return",
            Self::Complete(SpecialToken::Call) => "call",
            Self::Complete(_) => "end",
            Self::Incomplete => "incomplete",
        }
    }
}

/// A repair, with its code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Which repair it was.
    pub repair: crate::Repair,
    /// The tokens that were malformed, counted over the whole stream.
    pub tokens: Range<usize>,
    /// Index of the message that the repair is about, if it is about one.
    pub message: Option<usize>,
    /// What was found, as text, markers spelled out.
    pub found: String,
    /// What was made of it, in one sentence.
    pub note: String,
}

/// To whom a span of tokens belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// The message with this index.
    Message(usize),
    /// The diagnostic with this index: the tokens are in no message.
    Diagnostic(usize),
}

/// Consecutive tokens with one owner.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// The tokens, counted from the first that was parsed.
    pub tokens: Range<usize>,
    /// Their owner.
    pub owner: Owner,
}

/// All that was read from a list of tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parsed {
    /// The messages, in order.
    pub messages: Vec<ParsedMessage>,
    /// The repairs, in order. Empty unless in [`Mode::Recover`].
    pub diagnostics: Vec<Diagnostic>,
    /// A partition of the tokens: in order, without gaps, each span with one owner.
    ///
    /// [`Mode::Lenient`] leaves a gap where it discards a header, as the official library does.
    pub spans: Vec<Span>,
}

/// Where a [`StreamParser`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// Between two messages.
    ExpectStart,
    /// In a header.
    Header,
    /// In the content of a message.
    Content,
}
