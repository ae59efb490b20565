//! Prompts cut into messages, and messages into their parts, by their tokens.

use harmony_format::{Encoding, SpecialToken, TokenId};

/// A message of a prompt, as its tokens have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) tokens: Vec<TokenId>,
    /// The first word of the header.
    pub(super) author: String,
    pub(super) recipient: Option<String>,
    pub(super) is_recipient_after_channel: bool,
    pub(super) channel: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) has_constrain: bool,
    /// None if the message has no `<|message|>`: the header that a completion begins with.
    pub(super) content: Option<String>,
    pub(super) stop: Option<SpecialToken>,
    /// What stands before `<|start|>` or behind the stop token.
    pub(super) stray: String,
}

/// Cuts before each `<|start|>`.
pub(super) fn split(encoding: &Encoding, tokens: &[TokenId]) -> Vec<Message> {
    let start = encoding.marker_id(SpecialToken::Start);
    let mut messages: Vec<&[TokenId]> = Vec::new();
    let mut begin = 0;
    for (at, &token) in tokens.iter().enumerate() {
        if Some(token) == start && at > begin {
            messages.push(&tokens[begin..at]);
            begin = at;
        }
    }
    if begin < tokens.len() {
        messages.push(&tokens[begin..]);
    }
    messages.into_iter().map(|tokens| Message::read(encoding, tokens)).collect()
}

impl Message {
    fn read(encoding: &Encoding, tokens: &[TokenId]) -> Self {
        let text = |tokens: &[TokenId]| encoding.decode_lossy(tokens).unwrap_or_default();
        let marker = |at: usize| encoding.marker(tokens[at]);
        let mut this = Self { tokens: tokens.to_vec(), ..Self::default() };
        if marker(0) != Some(SpecialToken::Start) {
            this.stray = text(tokens);
            return this;
        }
        let message = (0..tokens.len()).find(|&at| marker(at) == Some(SpecialToken::Message));
        let header_end = message.unwrap_or(tokens.len());
        let channel = (1..header_end).find(|&at| marker(at) == Some(SpecialToken::Channel));
        let constrain = (1..header_end).find(|&at| marker(at) == Some(SpecialToken::Constrain));
        this.has_constrain = constrain.is_some();
        let before_constrain = constrain.unwrap_or(header_end);
        let first = text(&tokens[1..channel.unwrap_or(before_constrain).min(before_constrain)]);
        let second = channel.map(|at| text(&tokens[at + 1..before_constrain.max(at + 1)]));
        let typed = constrain.map(|at| text(&tokens[at + 1..header_end]));
        for (is_second, part) in [(false, Some(first)), (true, second), (false, typed)] {
            for word in part.as_deref().unwrap_or_default().split_whitespace() {
                if let Some(recipient) = word.strip_prefix("to=") {
                    this.recipient = Some(recipient.to_owned());
                    this.is_recipient_after_channel = is_second;
                } else if this.author.is_empty() {
                    this.author = word.to_owned();
                } else if is_second && this.channel.is_none() {
                    this.channel = Some(word.to_owned());
                } else {
                    this.content_type = Some(word.to_owned());
                }
            }
        }
        if let Some(at) = message {
            let stops = [SpecialToken::End, SpecialToken::Call, SpecialToken::Return];
            let stop =
                (at + 1..tokens.len()).find(|&at| marker(at).is_some_and(|marker| stops.contains(&marker)));
            let end = stop.unwrap_or(tokens.len());
            this.content = Some(text(&tokens[at + 1..end]));
            this.stop = stop.and_then(marker);
            this.stray = stop.map(|at| text(&tokens[at + 1..])).unwrap_or_default();
        }
        this
    }

    /// Whether this is a call of a tool.
    pub(super) fn is_call(&self) -> bool {
        self.author == "assistant" && self.recipient.is_some()
    }

    pub(super) fn is_reasoning(&self) -> bool {
        self.author == "assistant" && self.channel.as_deref() == Some("analysis") && self.recipient.is_none()
    }
}
