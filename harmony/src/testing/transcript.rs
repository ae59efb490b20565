//! What assertions are made about.

use std::ops::Range;

use crate::{Conversation, Message, Owner, Parsed, ParsedMessage};

/// What assertions are made about: all that was parsed, or a list of messages.
///
/// ```
/// use harmony_format::testing::{Transcript, assert_final};
/// use harmony_format::{Message, Role};
///
/// /// An answer of one's own client.
/// struct Answer {
///     messages: Vec<Message>,
/// }
///
/// impl Transcript for Answer {
///     fn messages(&self) -> Vec<&Message> {
///         self.messages.iter().collect()
///     }
/// }
///
/// let answer = Answer { messages: vec![Message::new(Role::Assistant, "4").with_channel("final")] };
/// assert_final(&answer, "4");
/// ```
pub trait Transcript {
    /// The messages, oldest first.
    fn messages(&self) -> Vec<&Message>;

    /// Where they were parsed from, if they were: reports then say which tokens of the input a message is.
    fn parsed(&self) -> Option<&Parsed> {
        None
    }
}

impl Transcript for Parsed {
    fn messages(&self) -> Vec<&Message> {
        self.messages.as_slice().messages()
    }

    fn parsed(&self) -> Option<&Parsed> {
        Some(self)
    }
}

impl Transcript for Conversation {
    fn messages(&self) -> Vec<&Message> {
        self.messages.iter().collect()
    }
}

impl Transcript for [Message] {
    fn messages(&self) -> Vec<&Message> {
        self.iter().collect()
    }
}

impl<const N: usize> Transcript for [Message; N] {
    fn messages(&self) -> Vec<&Message> {
        self.iter().collect()
    }
}

impl Transcript for Vec<Message> {
    fn messages(&self) -> Vec<&Message> {
        self.iter().collect()
    }
}

impl Transcript for [ParsedMessage] {
    fn messages(&self) -> Vec<&Message> {
        self.iter().map(|parsed| &parsed.message).collect()
    }
}

impl Transcript for Vec<ParsedMessage> {
    fn messages(&self) -> Vec<&Message> {
        self.as_slice().messages()
    }
}

/// A transcript as the assertions use it.
pub(super) struct View<'a> {
    pub(super) messages: Vec<&'a Message>,
    pub(super) parsed: Option<&'a Parsed>,
}

impl<'a> View<'a> {
    pub(super) fn new(transcript: &'a (impl Transcript + ?Sized)) -> Self {
        Self { messages: transcript.messages(), parsed: transcript.parsed() }
    }

    /// The spans of the input that make up a message.
    pub(super) fn spans(&self, message: usize) -> Vec<Range<usize>> {
        let spans = self.parsed.map_or(&[][..], |parsed| &parsed.spans);
        let own = spans.iter().filter(|span| span.owner == Owner::Message(message));
        own.map(|span| span.tokens.clone()).collect()
    }
}
