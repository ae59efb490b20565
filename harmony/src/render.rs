//! The only writer of the format: conversations in, lexemes out.

use std::ops::Range;

use crate::{Role, TokenId};

/// What a conversation is rendered for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A prompt after which a model continues as this role: ends with `<|start|>` and the role.
    Completion(Role),
    /// A training example: a last message of the assistant on channel `final` ends with `<|return|>`.
    Training,
    /// The messages, nothing else.
    Storage,
}

/// Which reasoning is left out of a rendered conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DropPolicy {
    /// The rule of the official library: if the last message of the assistant is on channel `final`,
    /// everything on channel `analysis` before the *first* `final` message is dropped.
    #[default]
    Reference,
    /// What the models were trained on: all `analysis` before the *last* `final` message of the assistant is dropped.
    LastFinal,
    /// Nothing is dropped.
    None,
}

/// Where the recipient of an assistant's message stands in its header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RecipientPosition {
    /// `assistant to=functions.f<|channel|>commentary`, as the official library renders.
    #[default]
    BeforeChannel,
    /// `assistant<|channel|>commentary to=functions.f`, as the models generate.
    AfterChannel,
}

/// How JSON Schema becomes TypeScript.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SchemaStyle {
    /// Byte for byte as the official library, its losses included.
    #[default]
    Reference,
    /// `$ref`, `anyOf`, `allOf` and `const` keep their types, unions in arrays are parenthesised,
    /// text in comments cannot leave them.
    Typed,
}

/// How to render.
///
/// ```
/// use harmony_format::{DropPolicy, RenderOptions, Role};
///
/// let mut options = RenderOptions::completion(Role::Assistant);
/// options.drop = DropPolicy::LastFinal;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RenderOptions {
    /// What for.
    pub purpose: Purpose,
    /// Which reasoning is left out.
    pub drop: DropPolicy,
    /// Where the recipient stands.
    pub recipient: RecipientPosition,
    /// How tools are described.
    pub schema_style: SchemaStyle,
}

impl RenderOptions {
    /// A prompt after which the model continues as `next`; everything else as the official library.
    #[must_use]
    pub fn completion(next: Role) -> Self {
        Self::new(Purpose::Completion(next))
    }

    /// A training example; everything else as the official library.
    #[must_use]
    pub fn training() -> Self {
        Self::new(Purpose::Training)
    }

    /// The messages alone; everything else as the official library.
    #[must_use]
    pub fn storage() -> Self {
        Self::new(Purpose::Storage)
    }

    fn new(purpose: Purpose) -> Self {
        Self {
            purpose,
            drop: DropPolicy::default(),
            recipient: RecipientPosition::default(),
            schema_style: SchemaStyle::default(),
        }
    }

    /// Sets which reasoning is left out.
    #[must_use]
    pub fn drop(mut self, policy: DropPolicy) -> Self {
        self.drop = policy;
        self
    }

    /// Sets where the recipient stands.
    #[must_use]
    pub fn recipient(mut self, position: RecipientPosition) -> Self {
        self.recipient = position;
        self
    }

    /// Sets how tools are described.
    #[must_use]
    pub fn schema_style(mut self, style: SchemaStyle) -> Self {
        self.schema_style = style;
        self
    }
}

/// What a token of a rendered conversation is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Part {
    /// The marker `<|start|>`.
    Start,
    /// The role, or the name of a tool that stands in its place.
    Role,
    /// `:` and the name of an author who is no tool.
    Name,
    /// ` to=` and the recipient.
    Recipient,
    /// The marker `<|channel|>`.
    ChannelMarker,
    /// The name of the channel.
    Channel,
    /// The content type, with the space before it.
    ContentType,
    /// The marker `<|constrain|>`.
    ConstrainMarker,
    /// The marker `<|message|>`.
    MessageMarker,
    /// The content item with this index.
    Content(usize),
    /// The marker that ends the message.
    Stop,
}

/// Consecutive tokens of one part of one message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Segment {
    /// The tokens, by index into [`Rendered::tokens`].
    pub tokens: Range<usize>,
    /// Index of the message in the conversation; `None` for the header that a completion begins with.
    pub message: Option<usize>,
    /// The part.
    pub part: Part,
}

/// A message that was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dropped {
    /// Index of the message in the conversation.
    pub message: usize,
    /// Index of the `final` message that made it obsolete.
    pub because_of: usize,
}

/// A rendered conversation with what each token is part of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The tokens.
    pub tokens: Vec<TokenId>,
    /// What they are part of: in order, without gaps.
    pub segments: Vec<Segment>,
    /// For each token whether a model would have generated it, so that training counts its loss.
    pub loss_mask: Vec<bool>,
    /// The messages that were left out, in order.
    pub dropped: Vec<Dropped>,
}
