//! What is measured: English, code, JSON and other scripts, mixed the same way in each run.

use harmony_format::{Author, Conversation, Encoding, Message, RenderOptions, Role, SystemContent, TokenId};

const PROSE: &str = include_str!("../../../docs/harmony-format.md");
const CODE: &str = include_str!("../../../harmony/src/render.rs");
const OTHER: &str = "Die Straßenbahn fährt um 8:15 Uhr über die Brücke. Le garçon naïf a déjà mangé. \
    Где находится ближайшая станция метро? 東京の天気は晴れ、最高気温は二十三度です。今天下午三点开会，请准时参加。 \
    كيف حالك اليوم؟ 👋🏾 안녕하세요 세계! Η ταχύτητα του φωτός είναι 299792458 m/s. ";

/// A small generator (xorshift), so that every run measures the same.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Self {
        Self(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    /// A passage of about this many bytes.
    fn passage(&mut self, bytes: usize) -> String {
        let mut text = String::new();
        while text.len() < bytes {
            let source = [PROSE, PROSE, PROSE, CODE, CODE, OTHER][self.below(6)];
            let mut start = self.below(source.len());
            let mut end = (start + 200 + self.below(400)).min(source.len());
            while !source.is_char_boundary(start) {
                start -= 1;
            }
            while !source.is_char_boundary(end) {
                end -= 1;
            }
            text.push_str(&source[start..end]);
        }
        text
    }
}

/// Text of at least this many bytes.
pub(crate) fn text(bytes: usize) -> String {
    Random::new().passage(bytes)
}

/// Rounds of a user's question, reasoning, a call, its result and an answer.
pub(crate) fn conversation(bytes: usize) -> Conversation {
    let mut random = Random::new();
    let mut messages = vec![
        Message::new(Role::System, SystemContent::default()),
        Message::new(Role::User, "Read the following and help me with it."),
    ];
    let mut written = 0;
    while written < bytes * 9 / 10 {
        let about = random.below(2000);
        let call = format!("{{\"query\":\"{about}\",\"limit\":{},\"exact\":true}}", random.below(100));
        let round = [
            Message::new(Role::User, random.passage(900)),
            Message::new(Role::Assistant, random.passage(600)).with_channel("analysis"),
            Message::new(Role::Assistant, call)
                .with_channel("commentary")
                .with_recipient("functions.search")
                .with_content_type("<|constrain|>json"),
            Message::new(Author::new(Role::Tool, "functions.search"), random.passage(1700))
                .with_channel("commentary")
                .with_recipient("assistant"),
            Message::new(Role::Assistant, random.passage(800)).with_channel("commentary"),
        ];
        written += 4_000 + 500;
        messages.extend(round);
    }
    Conversation::new(messages)
}

/// What a model generates after `<|start|>assistant`: one long message.
pub(crate) fn one_message(encoding: &Encoding, tokens: usize) -> Vec<TokenId> {
    let mut content = encoding.encode_ordinary(&text(tokens * 5));
    content.truncate(tokens);
    let mut stream = encoding.encode_prompt("<|channel|>final<|message|>");
    stream.extend(content);
    stream
}

/// What a model generates after `<|start|>assistant`: many messages of a few words.
pub(crate) fn short_messages(encoding: &Encoding, tokens: usize) -> Vec<TokenId> {
    let message =
        Message::new(Role::Assistant, "I look at the next page of results.").with_channel("analysis");
    let count = tokens
        / encoding.render_message(&message, false, &RenderOptions::storage()).map_or(1, |one| one.len());
    let mut stream = encoding
        .render(&Conversation::new(vec![message; count]), &RenderOptions::storage())
        .expect("plain messages can be rendered");
    // The prompt ends with the first two.
    stream.drain(..2);
    stream
}
