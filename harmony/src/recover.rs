//! The repairs of malformed output, one function a repair, each with its code.
//!
//! [`Mode::Recover`](crate::Mode::Recover) never fails and never loses a token: each token is in exactly one message
//! or in the span of one diagnostic. What strict mode reads as the format means it stays as it is, without a diagnostic.
//!
//! A word in a header that neither `to=` nor `<|channel|>` introduces is
//! a channel if it is `analysis`, `commentary` or `final` and the header has no other channel;
//! a content type if it is `json`, `code`, `text`, `markdown`, a media type such as `text/plain`, or begins with `<|constrain|>`,
//! or if it stands alone beside a `to=`;
//! and a recipient otherwise, if it can be a name.

mod arguments;
mod content;
mod header;
mod machine;
mod parts;
mod table;
mod words;

use std::fmt;

pub use arguments::{ArgumentRepair, Arguments, arguments};
pub(crate) use parts::LooseHeader;
pub use table::{Entry, table};
pub(crate) use words::Tools;

/// A named repair; its code is stable.
///
/// ```
/// use harmony_format::Repair;
///
/// assert_eq!(Repair::StrayStop.code(), "R01");
/// assert_eq!(Repair::StrayStop.to_string(), "R01 stray-stop");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Repair {
    /// `R01`: a stop token where no message is open.
    StrayStop,
    /// `R02`: a message without its `<|start|>`.
    MissingStart,
    /// `R03`: a header without its `<|message|>`.
    MissingMessage,
    /// `R04`: text without any header.
    BareText,
    /// `R05`: a content type without a recipient.
    LoneType,
    /// `R06`: white space between `<|constrain|>` and its word.
    SpacedConstrain,
    /// `R07`: more than one recipient.
    RepeatedRecipient,
    /// `R08`: a second channel after the recipient.
    SecondChannel,
    /// `R09`: a call of a function on another channel than `commentary`; a kind, never a diagnostic.
    CallOffChannel,
    /// `R10`: commentary to nobody; a kind, never a diagnostic.
    Preamble,
    /// `R11`: a channel before the channel, or a name that is none.
    StrayChannel,
    /// `R12`: `<|channel|>` without a name, or a name without `<|channel|>`.
    EmptyChannel,
    /// `R13`: `<|start|>` or the role twice.
    DoubledStart,
    /// `R14`: a content type glued to the recipient.
    GluedType,
    /// `R15`: a function without its namespace; a kind, never a diagnostic.
    BareRecipient,
    /// `R16`: no stop token.
    Unfinished,
    /// `R17`: a marker that is spelled as text.
    SpelledMarker,
    /// `R18`: a message begins before the last one ended.
    MissingEnd,
    /// `R19`: arguments that are not exactly one JSON object; see [`arguments`].
    Arguments,
    /// `R20`: a recipient that is none of the given tools.
    UnknownTool,
    /// `R21`: the prompt's last tokens at the beginning of the answer.
    RepeatedPrompt,
    /// `R22`: words or bytes in a header that mean nothing there.
    UnreadableHeader,
    /// `R23`: a token that the vocabulary does not have.
    UnknownToken,
    /// `R24`: a marker that means nothing where it stands.
    StrayMarker,
    /// `R25`: white space, or nothing at all, where a message should be.
    StrayText,
    /// `R26`: a header without a role.
    MissingRole,
}

impl Repair {
    /// The row of [`table`] about this repair.
    #[must_use]
    pub fn entry(self) -> &'static Entry {
        &table()[self as usize]
    }

    /// The stable code, `R01` and so on.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.entry().code
    }

    /// The stable name in lower case with hyphens.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.entry().name
    }
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code(), self.name())
    }
}
