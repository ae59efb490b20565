//! The one error type of the crate: what rule was broken, and where.

use std::fmt;
use std::ops::Range;

/// A shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong while rendering, parsing, converting or opening a tokenizer.
///
/// [`kind`](Error::kind) says which rule was broken and [`position`](Error::position) where;
/// `Display` states both in one line of lower case without a full stop.
///
/// # Examples
///
/// ```
/// use harmony_format::{Conversation, ErrorKind};
///
/// let error = Conversation::from_json(r#"{"messages":[{"role":"User","content":"hi"}]}"#).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Json);
/// assert_eq!(error.code(), "H001");
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    position: Option<Position>,
    reference: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The rule that an [`Error`] names. Each has a stable code, `H001` and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// `H001`: the text is not JSON, or not JSON of the expected shape.
    Json,
    /// `H002`: a role that is none of `user`, `assistant`, `system`, `developer`, `tool`.
    UnknownRole,
    /// `H003`: an encoding name that is not known.
    UnknownEncoding,
    /// `H004`: a built-in tool namespace that is not known.
    UnknownNamespace,
    /// `H005`: a file could not be read.
    Io,
    /// `H006`: a `tokenizer.json` that cannot serve, for example one without the Harmony markers.
    Tokenizer,
    /// `H007`: a token id that the encoding does not have.
    InvalidToken,
    /// `H008`: bytes that are not UTF-8 where text is needed.
    InvalidUtf8,
    /// `H009`: text that spells a special token where that was not allowed.
    DisallowedSpecial,
    /// `H010`: a message of a tool without the tool's name.
    MissingToolName,
    /// `H011`: system content outside a system message, or developer content outside a developer message.
    MisplacedContent,
    /// `H012`: a message header that does not follow the grammar.
    Header,
    /// `H013`: a token other than `<|start|>` between two messages.
    UnexpectedToken,
    /// `H014`: the input ended inside a message header.
    UnexpectedEnd,
    /// `H015`: a conversation whose rendering could not be parsed back to the same conversation.
    NotInvertible,
    /// `H016`: a limit of the format or of this crate was passed.
    Limit,
    /// `H017`: a Chat or Responses document that cannot be read as one.
    Convert,
    /// `H018`: tools or a schema from which no grammar can be made.
    Grammar,
}

impl ErrorKind {
    /// The stable code, `H001` and so on.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Json => "H001",
            Self::UnknownRole => "H002",
            Self::UnknownEncoding => "H003",
            Self::UnknownNamespace => "H004",
            Self::Io => "H005",
            Self::Tokenizer => "H006",
            Self::InvalidToken => "H007",
            Self::InvalidUtf8 => "H008",
            Self::DisallowedSpecial => "H009",
            Self::MissingToolName => "H010",
            Self::MisplacedContent => "H011",
            Self::Header => "H012",
            Self::UnexpectedToken => "H013",
            Self::UnexpectedEnd => "H014",
            Self::NotInvertible => "H015",
            Self::Limit => "H016",
            Self::Convert => "H017",
            Self::Grammar => "H018",
        }
    }
}

/// Where in the input an [`Error`] lies.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Position {
    /// A place in a JSON or other text document; both count from 1, the column in bytes.
    Input {
        /// Line, from 1.
        line: usize,
        /// Column, from 1, in bytes.
        column: usize,
    },
    /// A message of a conversation, counted from 0.
    Message(usize),
    /// A token of a token list, counted from 0.
    Token(usize),
    /// A part of a message header.
    Header {
        /// Index of the message whose header it is, counted from 0 over the messages of the stream.
        message: usize,
        /// The header as text, markers spelled out.
        text: String,
        /// The offending bytes of `text`; empty where something is missing.
        span: Range<usize>,
    },
    /// A value of a JSON document, as a JSON Pointer (RFC 6901).
    Pointer(String),
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input { line, column } => write!(f, "line {line} column {column}"),
            Self::Message(index) => write!(f, "message {index}"),
            Self::Token(index) => write!(f, "token {index}"),
            Self::Header { message, .. } => write!(f, "header of message {message}"),
            Self::Pointer(pointer) if pointer.is_empty() => f.write_str("the whole document"),
            Self::Pointer(pointer) => write!(f, "at {pointer}"),
        }
    }
}

impl Error {
    /// An error of `kind`; `message` states the rule in lower case without a full stop.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), position: None, reference: None, source: None }))
    }

    pub(crate) fn at(mut self, position: Position) -> Self {
        self.0.position = Some(position);
        self
    }

    /// Adds the wording that the official library has for the same error.
    pub(crate) fn reference(mut self, wording: impl Into<String>) -> Self {
        self.0.reference = Some(wording.into());
        self
    }

    pub(crate) fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The rule that was broken.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The stable code of the rule, `H001` and so on.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.kind.code()
    }

    /// The rule in words, without the place.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Where the error lies, if that is known.
    #[must_use]
    pub fn position(&self) -> Option<&Position> {
        self.0.position.as_ref()
    }

    /// The wording of `openai-harmony` 0.0.8 for the same error, or [`message`](Error::message) where it has none.
    #[must_use]
    pub fn reference_message(&self) -> &str {
        self.0.reference.as_deref().unwrap_or(&self.0.message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        match &self.0.position {
            Some(position) => write!(f, " ({position})"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("code", &self.code())
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("position", &self.0.position)
            .finish_non_exhaustive()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|source| &**source as _)
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        let text = error.to_string();
        let (line, column) = (error.line(), error.column());
        // serde_json appends the place to its message; ours is kept apart in `position`.
        let suffix = format!(" at line {line} column {column}");
        let message = text.strip_suffix(&suffix).unwrap_or(&text).to_owned();
        let this = Self::new(ErrorKind::Json, message).reference(official_json_wording(&text));
        let this = if line > 0 { this.at(Position::Input { line, column: column.max(1) }) } else { this };
        this.caused_by(error)
    }
}

/// The two places where our readers say what they expect in plainer words than the official ones.
fn official_json_wording(text: &str) -> String {
    text.replace("expected a string or a list of content items", "expected string or list of content")
        .replace("expected a content item with a `type`", "expected internally tagged enum Content")
}
