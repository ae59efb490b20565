//! The only writer of the format: conversations in, lexemes out.

mod drop;
mod sections;
mod sink;

use std::ops::Range;

use crate::{
    Author, Content, Conversation, Encoding, Error, ErrorKind, Lexeme, Message, Position, Result, Role,
    SpecialToken, TokenId, ToolNamespace, channel,
};

pub use sections::render_tools;
use sink::{Place, Sink};

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

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "message {} was left out: reasoning on channel `analysis` is no longer needed after the answer in message {}",
            self.message, self.because_of
        )
    }
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

impl Encoding {
    /// Renders a conversation to tokens.
    ///
    /// With the defaults of [`RenderOptions`] the tokens are those of `openai-harmony` 0.0.8.
    /// Text never becomes a marker: `<|end|>` in a content, a name or a channel is ordinary text.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MissingToolName`] for a message of a tool without a name, and
    /// [`ErrorKind::MisplacedContent`] for system or developer content in a message of another role,
    /// both with [`Position::Message`].
    ///
    /// # Examples
    ///
    /// ```
    /// use harmony_format::{Conversation, Encoding, Message, RenderOptions, Role};
    ///
    /// let encoding = Encoding::o200k_harmony();
    /// let conversation = Conversation::new([Message::new(Role::User, "What is 2 + 2?")]);
    /// let tokens = encoding.render(&conversation, &RenderOptions::completion(Role::Assistant))?;
    /// assert_eq!(tokens, [200006, 1428, 200008, 4827, 382, 220, 17, 659, 220, 17, 30, 200007, 200006, 173781]);
    /// # Ok::<(), harmony_format::Error>(())
    /// ```
    pub fn render(&self, conversation: &Conversation, options: &RenderOptions) -> Result<Vec<TokenId>> {
        let mut sink = sink::Tokens { encoding: self, tokens: Vec::new() };
        write_conversation(conversation, options, &mut sink)?;
        Ok(sink.tokens)
    }

    /// Renders a conversation to text, markers spelled out: what the tokens of [`render`](Encoding::render) decode to.
    ///
    /// The text is for people. A marker that a content spells looks like a marker in it; tokens keep them apart.
    ///
    /// # Errors
    ///
    /// As [`render`](Encoding::render).
    pub fn render_text(&self, conversation: &Conversation, options: &RenderOptions) -> Result<String> {
        let mut sink = sink::Text(String::new());
        write_conversation(conversation, options, &mut sink)?;
        Ok(sink.0)
    }

    /// Renders a conversation to tokens and tells for each what it is part of,
    /// whether a model would have generated it, and which messages were left out.
    ///
    /// # Errors
    ///
    /// As [`render`](Encoding::render).
    ///
    /// # Examples
    ///
    /// ```
    /// use harmony_format::{Conversation, Encoding, Message, Part, RenderOptions, Role};
    ///
    /// let encoding = Encoding::o200k_harmony();
    /// let conversation = Conversation::new([
    ///     Message::new(Role::User, "What is 2 + 2?"),
    ///     Message::new(Role::Assistant, "4").with_channel("final"),
    /// ]);
    /// let rendered = encoding.render_detailed(&conversation, &RenderOptions::training())?;
    /// let trained: Vec<_> =
    ///     rendered.tokens.iter().zip(&rendered.loss_mask).filter(|(_, yes)| **yes).map(|(token, _)| *token).collect();
    /// assert_eq!(encoding.decode_utf8(&trained)?, "<|channel|>final<|message|>4<|return|>");
    /// assert_eq!(rendered.segments.last().map(|segment| segment.part), Some(Part::Stop));
    /// # Ok::<(), harmony_format::Error>(())
    /// ```
    pub fn render_detailed(&self, conversation: &Conversation, options: &RenderOptions) -> Result<Rendered> {
        let mut sink = sink::Detailed { encoding: self, rendered: Rendered::default() };
        let dropped = write_conversation(conversation, options, &mut sink)?;
        let mut rendered = Rendered { dropped, ..sink.rendered };
        rendered.loss_mask = loss_mask(&rendered, &conversation.messages);
        Ok(rendered)
    }

    /// Renders one message to tokens.
    ///
    /// `has_function_tools` says whether the conversation declares function tools: a system message mentions it.
    /// Only the recipient's position and the schema style of `options` matter here.
    ///
    /// # Errors
    ///
    /// As [`render`](Encoding::render).
    pub fn render_message(
        &self,
        message: &Message,
        has_function_tools: bool,
        options: &RenderOptions,
    ) -> Result<Vec<TokenId>> {
        let mut sink = sink::Tokens { encoding: self, tokens: Vec::new() };
        write_message(message, 0, Frame { has_function_tools, stop: stop(message), options }, &mut sink)?;
        Ok(sink.tokens)
    }
}

impl Conversation {
    /// Whether a developer message declares a tool under the key `functions`.
    ///
    /// A system message then says that these go to the commentary channel.
    #[must_use]
    pub fn has_function_tools(&self) -> bool {
        self.messages.iter().flat_map(|message| &message.content).any(|content| match content {
            Content::Developer(developer) => developer
                .tools
                .as_ref()
                .and_then(|tools| tools.get(ToolNamespace::FUNCTIONS))
                .is_some_and(|functions| !functions.tools.is_empty()),
            Content::Text(_) | Content::System(_) => false,
        })
    }

    /// The messages that `policy` leaves out, in order, each with the message that made it obsolete.
    ///
    /// ```
    /// use harmony_format::{Conversation, DropPolicy, Message, Role};
    ///
    /// let conversation = Conversation::new([
    ///     Message::new(Role::Assistant, "The user greets me.").with_channel("analysis"),
    ///     Message::new(Role::Assistant, "Hello!").with_channel("final"),
    /// ]);
    /// let dropped = conversation.dropped(DropPolicy::Reference);
    /// assert_eq!((dropped[0].message, dropped[0].because_of), (0, 1));
    /// ```
    #[must_use]
    pub fn dropped(&self, policy: DropPolicy) -> Vec<Dropped> {
        drop::dropped(&self.messages, policy)
    }
}

/// Writes a whole conversation and returns what was left out.
fn write_conversation(
    conversation: &Conversation,
    options: &RenderOptions,
    sink: &mut impl Sink,
) -> Result<Vec<Dropped>> {
    let messages = &conversation.messages;
    // The flag looks at all messages, the dropped ones included.
    let has_function_tools = conversation.has_function_tools();
    let dropped = drop::dropped(messages, options.drop);
    let mut next_dropped = dropped.iter().map(|dropped| dropped.message).peekable();
    for (index, message) in messages.iter().enumerate() {
        if next_dropped.next_if_eq(&index).is_some() {
            continue;
        }
        let is_answer = index + 1 == messages.len()
            && message.author.role == Role::Assistant
            && message.channel.as_deref() == Some(channel::FINAL);
        let stop = match options.purpose {
            Purpose::Training if is_answer => SpecialToken::Return,
            _ => stop(message),
        };
        write_message(message, index, Frame { has_function_tools, stop, options }, sink)?;
    }
    if let Purpose::Completion(next) = options.purpose {
        let place = |part| Place { message: None, part };
        sink.write(place(Part::Start), Lexeme::Special(SpecialToken::Start));
        sink.write(place(Part::Role), Lexeme::Text(next.as_str()));
    }
    Ok(dropped)
}

/// What the frame of a message depends on besides the message.
#[derive(Clone, Copy)]
struct Frame<'a> {
    has_function_tools: bool,
    stop: SpecialToken,
    options: &'a RenderOptions,
}

/// How a message ends when nothing else is asked for.
fn stop(message: &Message) -> SpecialToken {
    match (message.author.role, &message.recipient) {
        (Role::Assistant, Some(_)) => SpecialToken::Call,
        _ => SpecialToken::End,
    }
}

fn write_message(message: &Message, index: usize, frame: Frame<'_>, sink: &mut impl Sink) -> Result<()> {
    let place = |part| Place { message: Some(index), part };
    sink.write(place(Part::Start), Lexeme::Special(SpecialToken::Start));
    write_author(&message.author, index, sink)?;

    let after_channel = frame.options.recipient == RecipientPosition::AfterChannel
        && message.author.role == Role::Assistant
        && message.channel.is_some();
    if !after_channel {
        write_recipient(message, index, sink);
    }
    if let Some(channel) = &message.channel {
        sink.write(place(Part::ChannelMarker), Lexeme::Special(SpecialToken::Channel));
        sink.write(place(Part::Channel), Lexeme::Text(channel));
    }
    if after_channel {
        write_recipient(message, index, sink);
    }
    if let Some(content_type) = &message.content_type {
        write_content_type(content_type, index, sink);
    }

    sink.write(place(Part::MessageMarker), Lexeme::Special(SpecialToken::Message));
    for (item, content) in message.content.iter().enumerate() {
        let text = content_text(content, message.author.role, index, &frame)?;
        sink.write(place(Part::Content(item)), Lexeme::Text(&text));
    }
    sink.write(place(Part::Stop), Lexeme::Special(frame.stop));
    Ok(())
}

fn write_author(author: &Author, index: usize, sink: &mut impl Sink) -> Result<()> {
    let place = |part| Place { message: Some(index), part };
    match (author.role, &author.name) {
        (Role::Tool, Some(name)) => sink.write(place(Part::Role), Lexeme::Text(name)),
        (Role::Tool, None) => {
            return Err(Error::new(
                ErrorKind::MissingToolName,
                "a message of role tool must name its tool in `name`",
            )
            .at(Position::Message(index))
            .reference("Tools should have a name!"));
        }
        (role, name) => {
            sink.write(place(Part::Role), Lexeme::Text(role.as_str()));
            if let Some(name) = name {
                sink.write(place(Part::Name), Lexeme::Text(&format!(":{name}")));
            }
        }
    }
    Ok(())
}

/// The recipient `all` is everybody, which the format says by leaving it out.
fn write_recipient(message: &Message, index: usize, sink: &mut impl Sink) {
    if let Some(recipient) = message.recipient.as_deref().filter(|&recipient| recipient != "all") {
        let place = Place { message: Some(index), part: Part::Recipient };
        sink.write(place, Lexeme::Text(&format!(" to={recipient}")));
    }
}

/// A content type that begins with the spelling of `<|constrain|>` is the one text that stands for a marker.
fn write_content_type(content_type: &str, index: usize, sink: &mut impl Sink) {
    let place = |part| Place { message: Some(index), part };
    match content_type.strip_prefix(SpecialToken::Constrain.as_str()) {
        Some(rest) => {
            sink.write(place(Part::ContentType), Lexeme::Text(" "));
            sink.write(place(Part::ConstrainMarker), Lexeme::Special(SpecialToken::Constrain));
            sink.write(place(Part::ContentType), Lexeme::Text(rest));
        }
        None => sink.write(place(Part::ContentType), Lexeme::Text(&format!(" {content_type}"))),
    }
}

fn content_text<'a>(
    content: &'a Content,
    role: Role,
    index: usize,
    frame: &Frame<'_>,
) -> Result<std::borrow::Cow<'a, str>> {
    let misplaced = |what: &str, official: &str, home: Role| {
        Error::new(
            ErrorKind::MisplacedContent,
            format!("{what} may stand only in a message of role {home}, found in one of role {role}"),
        )
        .at(Position::Message(index))
        .reference(format!("{official} may only appear in {home} messages, found in {}", capitalised(role)))
    };
    Ok(match content {
        Content::Text(text) => text.into(),
        Content::System(system) if role == Role::System => {
            sections::system(system, frame.has_function_tools, frame.options.schema_style).into()
        }
        Content::Developer(developer) if role == Role::Developer => {
            sections::developer(developer, frame.options.schema_style).into()
        }
        Content::System(_) => return Err(misplaced("system content", "SystemContent", Role::System)),
        Content::Developer(_) => {
            return Err(misplaced("developer content", "DeveloperContent", Role::Developer));
        }
    })
}

/// The role as the official library's messages spell it.
const fn capitalised(role: Role) -> &'static str {
    match role {
        Role::User => "User",
        Role::Assistant => "Assistant",
        Role::System => "System",
        Role::Developer => "Developer",
        Role::Tool => "Tool",
    }
}

/// A model generates what follows `<|start|>` and the role in each of its messages, up to and with the stop token.
/// It also generates these two where it goes on after a message of its own that did not end its turn.
fn loss_mask(rendered: &Rendered, messages: &[Message]) -> Vec<bool> {
    let is_assistant = |index: usize| messages[index].author.role == Role::Assistant;
    let mut mask = vec![false; rendered.tokens.len()];
    // Whether the model is still at its turn where the next message begins.
    let mut goes_on = false;
    for segment in &rendered.segments {
        let Some(message) = segment.message.filter(|&index| is_assistant(index)) else {
            goes_on = false;
            continue;
        };
        let generated = match segment.part {
            Part::Start | Part::Role => goes_on,
            _ => true,
        };
        mask[segment.tokens.clone()].fill(generated);
        if segment.part == Part::Stop {
            goes_on = stop(&messages[message]) == SpecialToken::End;
        }
    }
    mask
}
