//! The special tokens that carry the Harmony format: spelling <-> variant.

use std::fmt;

/// A marker of the Harmony format.
///
/// Its id belongs to an [`Encoding`](crate::Encoding), which looks it up by name; the spelling is fixed.
///
/// ```
/// use harmony_format::SpecialToken;
///
/// assert_eq!(SpecialToken::Channel.as_str(), "<|channel|>");
/// assert_eq!(SpecialToken::from_spelling("<|call|>"), Some(SpecialToken::Call));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SpecialToken {
    /// `<|start|>` begins a message.
    Start,
    /// `<|end|>` ends a message.
    End,
    /// `<|message|>` ends the header and begins the content.
    Message,
    /// `<|channel|>` stands before the name of the channel.
    Channel,
    /// `<|constrain|>` stands before the content type.
    Constrain,
    /// `<|return|>` ends the final message that a model generates.
    Return,
    /// `<|call|>` ends a call of a tool.
    Call,
    /// `<|startoftext|>`: no part of a conversation.
    StartOfText,
    /// `<|endoftext|>`: no part of a conversation; engines stop at it.
    EndOfText,
}

impl SpecialToken {
    /// All markers, those of the format first.
    pub const ALL: [Self; 9] = [
        Self::Start,
        Self::End,
        Self::Message,
        Self::Channel,
        Self::Constrain,
        Self::Return,
        Self::Call,
        Self::StartOfText,
        Self::EndOfText,
    ];

    /// The markers without which an encoding cannot carry Harmony.
    pub const REQUIRED: [Self; 7] =
        [Self::Start, Self::End, Self::Message, Self::Channel, Self::Constrain, Self::Return, Self::Call];

    /// The spelling, for example `<|start|>`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "<|start|>",
            Self::End => "<|end|>",
            Self::Message => "<|message|>",
            Self::Channel => "<|channel|>",
            Self::Constrain => "<|constrain|>",
            Self::Return => "<|return|>",
            Self::Call => "<|call|>",
            Self::StartOfText => "<|startoftext|>",
            Self::EndOfText => "<|endoftext|>",
        }
    }

    /// The marker that is spelled like this, if one is.
    #[must_use]
    pub fn from_spelling(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|token| token.as_str() == text)
    }

    /// Whether a message ends here: `<|end|>`, `<|return|>` or `<|call|>`.
    #[must_use]
    pub const fn is_stop(self) -> bool {
        matches!(self, Self::End | Self::Return | Self::Call)
    }
}

impl fmt::Display for SpecialToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
