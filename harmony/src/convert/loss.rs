//! What a conversion could not keep, each kind with a stable code.

use std::fmt;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

/// How much a [`Loss`] matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// What the model reads and may do stays the same in substance.
    Note,
    /// Something that the model would have read, or been bound by, is gone or changed.
    Warning,
}

/// A kind of loss, with a stable code (`C01` and so on) and a name.
///
/// ```
/// use harmony_format::convert::LossKind;
///
/// assert_eq!(LossKind::Media.code(), "C04");
/// assert_eq!(LossKind::Media.name(), "media");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum LossKind {
    /// `C01`: a field that the format does not define.
    UnknownField,
    /// `C02`: a setting of the request, such as a temperature.
    Setting,
    /// `C03`: an id, a time, a status or a count.
    Metadata,
    /// `C04`: an image, a sound or a file.
    Media,
    /// `C05`: an item or a content part of a type without a counterpart.
    Item,
    /// `C06`: a reference to something that the document does not contain.
    Reference,
    /// `C07`: encrypted reasoning.
    Encrypted,
    /// `C08`: a summary of reasoning.
    Summary,
    /// `C09`: the mark that a text is a refusal.
    Refusal,
    /// `C10`: annotations or log probabilities of a text.
    Annotation,
    /// `C11`: the promise that arguments or an answer follow their schema.
    Strict,
    /// `C12`: which tool the model must or must not call.
    ToolChoice,
    /// `C13`: a tool without a counterpart.
    Tool,
    /// `C14`: an option or a description of a tool without a counterpart.
    ToolDetail,
    /// `C15`: a call of a built-in tool, or its result.
    BuiltInCall,
    /// `C16`: a response format without a counterpart.
    ResponseFormat,
    /// `C17`: a reasoning effort without a counterpart.
    Effort,
    /// `C18`: what a system message says besides effort and tools.
    SystemContent,
    /// `C19`: that there is no system message.
    NoSystem,
    /// `C20`: where in the conversation something stands.
    Position,
    /// `C21`: the channel of a message.
    Channel,
    /// `C22`: the recipient of a message.
    Recipient,
    /// `C23`: the content type of a message.
    ContentType,
    /// `C24`: the name of an author.
    Name,
    /// `C25`: a result without the call that it answers.
    Orphan,
    /// `C26`: something empty.
    Empty,
    /// `C27`: that instructions are text of their own rather than developer content.
    InstructionText,
    /// `C28`: how a message ended.
    Ending,
}

struct Entry {
    code: &'static str,
    name: &'static str,
    severity: Severity,
    summary: &'static str,
}

impl LossKind {
    /// All kinds, in the order of their codes.
    pub const ALL: [Self; 28] = [
        Self::UnknownField,
        Self::Setting,
        Self::Metadata,
        Self::Media,
        Self::Item,
        Self::Reference,
        Self::Encrypted,
        Self::Summary,
        Self::Refusal,
        Self::Annotation,
        Self::Strict,
        Self::ToolChoice,
        Self::Tool,
        Self::ToolDetail,
        Self::BuiltInCall,
        Self::ResponseFormat,
        Self::Effort,
        Self::SystemContent,
        Self::NoSystem,
        Self::Position,
        Self::Channel,
        Self::Recipient,
        Self::ContentType,
        Self::Name,
        Self::Orphan,
        Self::Empty,
        Self::InstructionText,
        Self::Ending,
    ];

    const fn entry(self) -> Entry {
        use Severity::{Note, Warning};
        let (code, name, severity, summary) = match self {
            Self::UnknownField => (
                "C01",
                "unknown-field",
                Warning,
                "A field that the format does not define, or whose counterpart says something else.",
            ),
            Self::Setting => (
                "C02",
                "setting",
                Note,
                "A setting of the request (model, sampling, streaming, storage); it is no part of the conversation.",
            ),
            Self::Metadata => (
                "C03",
                "metadata",
                Note,
                "An id, a time, a status or a count; it is no part of the conversation.",
            ),
            Self::Media => (
                "C04",
                "media",
                Warning,
                "An image, a sound or a file; Harmony holds text only, so it is left out.",
            ),
            Self::Item => (
                "C05",
                "item",
                Warning,
                "An item or a content part of a type without a counterpart; it is left out.",
            ),
            Self::Reference => (
                "C06",
                "reference",
                Warning,
                "A reference to something that the server keeps and the document does not contain.",
            ),
            Self::Encrypted => (
                "C07",
                "encrypted",
                Warning,
                "Encrypted reasoning; only the server that made it can read it.",
            ),
            Self::Summary => (
                "C08",
                "summary",
                Warning,
                "A summary of reasoning: left out beside the reasoning itself, taken for it where there is no other.",
            ),
            Self::Refusal => (
                "C09",
                "refusal",
                Note,
                "The mark that a text is a refusal; the text itself is kept as the answer.",
            ),
            Self::Annotation => (
                "C10",
                "annotation",
                Note,
                "Citations, log probabilities and other notes on a text; the text is kept.",
            ),
            Self::Strict => (
                "C11",
                "strict",
                Warning,
                "The promise that arguments or an answer follow their schema; a conversation states the schema and enforces nothing.",
            ),
            Self::ToolChoice => (
                "C12",
                "tool-choice",
                Warning,
                "Which tool the model must or must not call; a conversation cannot say it.",
            ),
            Self::Tool => ("C13", "tool", Warning, "A tool without a counterpart."),
            Self::ToolDetail => {
                ("C14", "tool-detail", Warning, "An option or a description of a tool without a counterpart.")
            }
            Self::BuiltInCall => (
                "C15",
                "built-in-call",
                Warning,
                "A call of a built-in tool, or its result, that the target has no place for; it is left out.",
            ),
            Self::ResponseFormat => (
                "C16",
                "response-format",
                Warning,
                "A response format without a counterpart; it is left out.",
            ),
            Self::Effort => (
                "C17",
                "effort",
                Warning,
                "A reasoning effort other than low, medium and high, or none at all; the nearest is taken.",
            ),
            Self::SystemContent => (
                "C18",
                "system-content",
                Warning,
                "Identity, date, knowledge cutoff or channels of a system message that the target cannot say.",
            ),
            Self::NoSystem => (
                "C19",
                "no-system",
                Note,
                "That there is no system message; servers begin with one of their own.",
            ),
            Self::Position => {
                ("C20", "position", Warning, "Where something stands; the target has one fixed place for it.")
            }
            Self::Channel => {
                ("C21", "channel", Warning, "The channel of a message, where the target implies another one.")
            }
            Self::Recipient => (
                "C22",
                "recipient",
                Warning,
                "The recipient of a message, where the target implies another one.",
            ),
            Self::ContentType => (
                "C23",
                "content-type",
                Note,
                "The content type of a message, where the target implies another one.",
            ),
            Self::Name => ("C24", "name", Warning, "The name of an author, where the target has none."),
            Self::Orphan => (
                "C25",
                "orphan",
                Warning,
                "The link between a result and its call; the call is not in the conversation.",
            ),
            Self::Empty => {
                ("C26", "empty", Note, "Something empty that the target cannot tell from nothing.")
            }
            Self::InstructionText => (
                "C27",
                "instruction-text",
                Note,
                "That system or developer text stands alone, without the heading that developer content renders.",
            ),
            Self::Ending => {
                ("C28", "ending", Note, "That a message has no end, where the target has no field for it.")
            }
        };
        Entry { code, name, severity, summary }
    }

    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.entry().code
    }

    /// The name, in words joined by hyphens.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.entry().name
    }

    /// How much it matters.
    #[must_use]
    pub const fn severity(self) -> Severity {
        self.entry().severity
    }

    /// What the kind covers, in a sentence.
    #[must_use]
    pub const fn summary(self) -> &'static str {
        self.entry().summary
    }
}

impl fmt::Display for LossKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code(), self.name())
    }
}

/// Something of the source that the target does not say.
///
/// As JSON: `{"code":"C04","name":"media","severity":"warning","pointer":"/messages/0/content/1","what":…,"why":…}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Loss {
    /// Which kind it is.
    pub kind: LossKind,
    /// Where it stands in the source, as a JSON Pointer (RFC 6901).
    pub pointer: String,
    /// What is lost, in a few words.
    pub what: String,
    /// Why, and what the target says instead.
    pub why: String,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.pointer.is_empty() { "the document" } else { &self.pointer };
        write!(f, "{} at {place}: {}: {}", self.kind.code(), self.what, self.why)
    }
}

impl Serialize for Loss {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Loss", 6)?;
        fields.serialize_field("code", self.kind.code())?;
        fields.serialize_field("name", self.kind.name())?;
        fields.serialize_field("severity", &self.kind.severity())?;
        fields.serialize_field("pointer", &self.pointer)?;
        fields.serialize_field("what", &self.what)?;
        fields.serialize_field("why", &self.why)?;
        fields.end()
    }
}

/// Collects losses.
#[derive(Debug, Default)]
pub(super) struct Losses(pub(super) Vec<Loss>);

impl Losses {
    pub(super) fn add(
        &mut self,
        kind: LossKind,
        pointer: impl Into<String>,
        what: impl Into<String>,
        why: impl Into<String>,
    ) {
        self.0.push(Loss { kind, pointer: pointer.into(), what: what.into(), why: why.into() });
    }
}
