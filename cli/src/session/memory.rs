//! What a session remembers between answers: the KV cache, and the tokens in which the model said its messages.

use std::collections::HashMap;

use gptoss_runtime::Model;
use gptoss_runtime::model::kv_cache::KvCache;
use harmony_format::{
    Conversation, DropPolicy, Dropped, Encoding, Owner, Parsed, RenderOptions, Role, SpecialToken, Status,
    TokenId,
};

use super::setup;
use crate::error::Result;

/// The positions so far, and those before the current answer where the cache alone would lose them.
///
/// Sliding layers forget, so a cache can be cut back only a little. The next prompt leaves out the reasoning of the last
/// answer; what it shares with the cache ends where that answer began. So a copy of the cache from there is kept, but only
/// of answers that are too long to be cut off again.
pub(crate) struct Memory {
    pub(crate) cache: KvCache,
    base: Base,
    /// Where the answer to the last message of the user began.
    anchor: usize,
    /// Whether sliding layers never forget, because all positions fit into them.
    holds_all: bool,
    /// The tokens of messages that the model said, by their JSON.
    said: HashMap<String, Vec<TokenId>>,
}

/// The cache as it was at the anchor.
enum Base {
    /// The cache can still be cut back to it.
    NotNeeded,
    Kept(Box<KvCache>),
    /// It is lost; the next prompt is computed whole.
    Lost,
}

/// A prompt, and the reasoning that it leaves out.
pub(crate) struct Prompt {
    pub(crate) tokens: Vec<TokenId>,
    pub(crate) dropped: Vec<Dropped>,
}

impl Memory {
    /// Room for `capacity` positions.
    pub(crate) fn new(model: &Model, capacity: usize) -> Result<Self> {
        const CHUNK: usize = 512;
        let cache = model.new_cache(capacity, CHUNK)?;
        let holds_all = capacity <= model.config().sliding_window.saturating_add(cache.chunk());
        Ok(Self { cache, base: Base::NotNeeded, anchor: 0, holds_all, said: HashMap::new() })
    }

    /// What the model reads to go on with the conversation.
    ///
    /// Reasoning before the last answer is left out, as the models were trained. A message that the model said itself
    /// stands in the tokens in which it said it: what is in the cache need not be computed again.
    pub(crate) fn prompt(&self, conversation: &Conversation, encoding: &Encoding) -> Result<Prompt> {
        let style = setup::schema_style(conversation);
        let options =
            RenderOptions::completion(Role::Assistant).drop(DropPolicy::LastFinal).schema_style(style);
        let rendered = encoding.render_detailed(conversation, &options)?;
        let mut tokens = Vec::with_capacity(rendered.tokens.len());
        for part in rendered.segments.chunk_by(|a, b| a.message == b.message) {
            let range = part[0].tokens.start..part[part.len() - 1].tokens.end;
            let message = part[0].message.map(|index| &conversation.messages[index]);
            match message.and_then(|message| self.said.get(&message.to_json())) {
                Some(said) => tokens.extend_from_slice(said),
                None => tokens.extend_from_slice(&rendered.tokens[range]),
            }
        }
        Ok(Prompt { tokens, dropped: rendered.dropped })
    }

    /// Makes the cache one from which `prompt` can go on, and keeps in mind where an answer to the user begins.
    pub(crate) fn settle(&mut self, prompt: &[TokenId], answers_user: bool) {
        let shared = shared(self.cache.tokens(), prompt);
        let is_forgotten = shared < self.cache.len() && shared < self.cache.least_truncation();
        if is_forgotten
            && matches!(&self.base, Base::Kept(base) if prompt.starts_with(base.tokens()))
            && let Base::Kept(base) = std::mem::replace(&mut self.base, Base::NotNeeded)
        {
            self.cache = *base;
        }
        if answers_user || prompt.len() < self.anchor {
            self.anchor = prompt.len();
            self.base = Base::NotNeeded;
        }
        // What a tool said may be longer than what can be cut off again.
        if self.pause_at().is_some_and(|length| prompt.len() >= length) && self.cache.len() >= self.anchor {
            self.keep_base();
        }
    }

    /// The length at which the cache must be copied before it grows further.
    pub(crate) fn pause_at(&self) -> Option<usize> {
        // Drafts look further ahead than the length tells, by less than a quarter of a chunk.
        let reach = self.cache.chunk() - self.cache.chunk() / 4;
        (matches!(self.base, Base::NotNeeded) && !self.holds_all).then_some(self.anchor + reach)
    }

    /// Copies the cache as it was where the answer began.
    pub(crate) fn keep_base(&mut self) {
        let mut base = self.cache.clone();
        self.base = match base.truncate(self.anchor) {
            Ok(()) => Base::Kept(Box::new(base)),
            Err(_) => Base::Lost,
        };
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.said.clear();
        self.cache.clear();
        self.base = Base::NotNeeded;
        self.anchor = 0;
    }

    /// Keeps the tokens of the messages that were said well: `tokens` followed a prompt that ended with `start`, the
    /// beginning of a message.
    pub(crate) fn remember(
        &mut self,
        encoding: &Encoding,
        start: &[TokenId],
        tokens: &[TokenId],
        parsed: &Parsed,
    ) {
        let (end, returned) =
            (encoding.marker_id(SpecialToken::End), encoding.marker_id(SpecialToken::Return));
        for (index, message) in parsed.messages.iter().enumerate() {
            let is_repaired = parsed.diagnostics.iter().any(|diagnostic| diagnostic.message == Some(index));
            let mut spans = parsed.spans.iter().filter(|span| span.owner == Owner::Message(index));
            let (Some(span), None, false, Status::Complete(_)) =
                (spans.next(), spans.next(), is_repaired, message.status)
            else {
                continue;
            };
            let mut said = if span.tokens.start == 0 { start.to_vec() } else { Vec::new() };
            said.extend_from_slice(&tokens[span.tokens.clone()]);
            // An answer ends a turn when it is said, and a message when it is history.
            if let (Some(last), Some(end)) = (said.last_mut(), end)
                && Some(*last) == returned
            {
                *last = end;
            }
            self.said.insert(message.message.to_json(), said);
        }
    }
}

/// How many tokens two texts begin with.
fn shared(a: &[TokenId], b: &[TokenId]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
