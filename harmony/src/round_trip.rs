//! Whether a conversation survives being rendered and parsed back.

use std::borrow::Cow;

use crate::{
    Conversation, Encoding, Error, ErrorKind, Message, ParseOptions, Part, Position, RenderOptions, Rendered,
    Result, Role, TokenId,
};

impl Encoding {
    /// Checks that parsing what is rendered, in [`Mode::Recover`](crate::Mode::Recover), gives back
    /// the messages that were rendered.
    ///
    /// The format has no quoting in headers, so it cannot hold every string there: a name with a space, the recipient
    /// `all` (which is not written), an empty channel. Such a message is rendered without an error, because the
    /// official library does so; use this check where what is stored must be read again.
    /// Content can be any text. Several content items are read back as one.
    ///
    /// # Errors
    ///
    /// Those of [`render`](Encoding::render), and [`ErrorKind::NotInvertible`] with [`Position::Message`] that says
    /// which field would be read back as what.
    ///
    /// # Examples
    ///
    /// ```
    /// use harmony_format::{Conversation, Encoding, ErrorKind, Message, RenderOptions, Role};
    ///
    /// let encoding = Encoding::o200k_harmony();
    /// let call = Message::new(Role::Assistant, "{}").with_channel("commentary");
    /// let good = Conversation::new([call.clone().with_recipient("functions.f")]);
    /// encoding.check_round_trip(&good, &RenderOptions::storage())?;
    ///
    /// let bad = Conversation::new([call.with_recipient("functions.f g")]);
    /// let error = encoding.check_round_trip(&bad, &RenderOptions::storage()).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::NotInvertible);
    /// # Ok::<(), harmony_format::Error>(())
    /// ```
    pub fn check_round_trip(&self, conversation: &Conversation, options: &RenderOptions) -> Result<()> {
        let rendered = self.render_detailed(conversation, options)?;
        let frames = frames(&rendered);
        let end = frames.last().map_or(0, |frame| frame.end);
        let parsed = self.parse(&rendered.tokens[..end], &ParseOptions::recover())?;

        let mut read = parsed.messages.iter();
        for frame in &frames {
            let message = &conversation.messages[frame.message];
            let refuse = |what: String| {
                Error::new(ErrorKind::NotInvertible, what).at(Position::Message(frame.message))
            };
            let Some(found) = read.next() else {
                return Err(refuse("the message would not be read back as one of its own".to_owned()));
            };
            let content = self.decode_utf8(&frame.content)?;
            if let Some(difference) = difference(message, &content, &found.message) {
                return Err(refuse(difference));
            }
        }
        match (read.next(), frames.last()) {
            (Some(_), Some(last)) => {
                Err(Error::new(ErrorKind::NotInvertible, "the message would be read back as several")
                    .at(Position::Message(last.message)))
            }
            _ => Ok(()),
        }
    }
}

/// The tokens of one rendered message.
struct Frame {
    message: usize,
    content: Vec<TokenId>,
    /// One past its last token.
    end: usize,
}

fn frames(rendered: &Rendered) -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::new();
    for segment in &rendered.segments {
        let Some(message) = segment.message else { break };
        if segment.part == Part::Start {
            frames.push(Frame { message, content: Vec::new(), end: 0 });
        }
        let Some(frame) = frames.last_mut() else { break };
        if matches!(segment.part, Part::Content(_)) {
            frame.content.extend_from_slice(&rendered.tokens[segment.tokens.clone()]);
        }
        frame.end = segment.tokens.end;
    }
    frames
}

/// The first field in which a message and what would be read back differ, in words.
fn difference(message: &Message, content: &str, read: &Message) -> Option<String> {
    let field = |name: &str, written: Option<&str>, read: Option<&str>| {
        (written != read)
            .then(|| format!("{name} {} would be read back as {}", quoted(written), quoted(read)))
    };
    let role = |role: Role| Some(role.as_str());
    field("role", role(message.author.role), role(read.author.role))
        .or_else(|| field("name", message.author.name.as_deref(), read.author.name.as_deref()))
        .or_else(|| field("recipient", message.recipient.as_deref(), read.recipient.as_deref()))
        .or_else(|| field("channel", message.channel.as_deref(), read.channel.as_deref()))
        .or_else(|| field("content_type", message.content_type.as_deref(), read.content_type.as_deref()))
        .or_else(|| {
            (content != read.text()).then(|| "the content would be read back as another text".to_owned())
        })
}

fn quoted(field: Option<&str>) -> Cow<'static, str> {
    match field {
        Some(text) => format!("{text:?}").into(),
        None => "none".into(),
    }
}
