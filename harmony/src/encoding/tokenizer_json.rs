//! Any `tokenizer.json`, through the `tokenizers` library.

#[cfg(test)]
mod tests;
mod token;

use std::collections::HashMap;

use serde::Deserialize;
use tokenizers::{AddedVocabulary, Model, PostProcessorWrapper, Tokenizer};

use super::TokenId;
use crate::{Error, ErrorKind, Position, Result, SpecialToken};

/// A tokenizer that knows text only; its added tokens are kept apart.
pub(super) struct TokenizerJson {
    tokenizer: Tokenizer,
    tokens: HashMap<TokenId, Box<[u8]>>,
    vocab_size: usize,
    /// Special tokens by ascending id.
    specials: Vec<(TokenId, String)>,
    special_ids: HashMap<Box<[u8]>, TokenId>,
    /// The lengths that spellings of special tokens have, greatest first.
    special_lengths: Vec<usize>,
    /// Whether a special token begins with this byte.
    special_starts: Box<[bool; 256]>,
}

/// What the library reads but does not tell.
#[derive(Deserialize)]
struct Unknown {
    model: UnknownModel,
}

#[derive(Deserialize)]
struct UnknownModel {
    unk_token: Option<String>,
    unk_id: Option<TokenId>,
}

impl TokenizerJson {
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(unreadable)?;
        let added = tokenizer.get_added_tokens_decoder();

        let mut tokens = HashMap::new();
        for (text, id) in tokenizer.get_vocab(false) {
            tokens.insert(id, token::bytes(text, tokenizer.get_decoder()));
        }
        for (&id, token) in &added {
            tokens.insert(id, token.content.as_bytes().into());
        }
        let vocab_size = tokens.keys().max().map_or(0, |&id| id as usize + 1);

        // What unknown text becomes is no special token: text yields it.
        let unknown = serde_json::from_slice(bytes).ok().and_then(|Unknown { model }| {
            model.unk_id.or_else(|| tokenizer.get_model().token_to_id(&model.unk_token?))
        });
        let mut specials: Vec<_> = added
            .into_iter()
            .filter(|(_, token)| !token.content.is_empty())
            .filter(|(id, token)| {
                SpecialToken::from_spelling(&token.content).is_some() || token.special && Some(*id) != unknown
            })
            .map(|(id, token)| (id, token.content))
            .collect();
        specials.sort_unstable();

        // No spelling of an added token is more than text, no text is cut off, nothing is put around it.
        tokenizer.with_added_vocabulary(AddedVocabulary::new());
        tokenizer.with_post_processor(None::<PostProcessorWrapper>);
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(unreadable)?;

        let mut special_starts = Box::new([false; 256]);
        let mut special_lengths: Vec<_> = specials.iter().map(|(_, spelling)| spelling.len()).collect();
        special_lengths.sort_unstable_by(|a, b| b.cmp(a));
        special_lengths.dedup();
        let mut special_ids = HashMap::new();
        for (id, spelling) in &specials {
            special_starts[usize::from(spelling.as_bytes()[0])] = true;
            special_ids.insert(spelling.as_bytes().into(), *id);
        }
        Ok(Self { tokenizer, tokens, vocab_size, specials, special_ids, special_lengths, special_starts })
    }

    /// Appends the tokens of a text; what the vocabulary cannot hold and has no token for is left out.
    pub(super) fn encode(&self, text: &str, tokens: &mut Vec<TokenId>) {
        if text.is_empty() {
            return;
        }
        match self.tokenizer.encode_fast(text, false) {
            Ok(encoding) if !encoding.get_ids().iter().any(|&id| self.is_special(id)) => {
                tokens.extend_from_slice(encoding.get_ids());
            }
            // Some vocabularies have the special tokens among the ordinary ones, too, and find them in text.
            // Cut often enough, the spelling falls apart.
            _ => {
                if let Some(middle) = middle(text) {
                    self.encode(&text[..middle], tokens);
                    self.encode(&text[middle..], tokens);
                }
            }
        }
    }

    pub(super) fn token_bytes(&self, token: TokenId) -> Option<&[u8]> {
        self.tokens.get(&token).map(|bytes| &**bytes)
    }

    pub(super) fn special_id(&self, spelling: &str) -> Option<TokenId> {
        self.special_ids.get(spelling.as_bytes()).copied()
    }

    pub(super) fn may_start_special(&self, byte: u8) -> bool {
        self.special_starts[usize::from(byte)]
    }

    /// The special token that `text` begins with, the longest: the length of its spelling and its id.
    pub(super) fn special_at(&self, text: &[u8]) -> Option<(usize, TokenId)> {
        self.special_lengths
            .iter()
            .find_map(|&length| Some((length, *self.special_ids.get(text.get(..length)?)?)))
    }

    pub(super) fn is_special(&self, token: TokenId) -> bool {
        self.specials.binary_search_by_key(&token, |&(id, _)| id).is_ok()
    }

    pub(super) fn special_tokens(&self) -> Vec<(TokenId, String)> {
        self.specials.clone()
    }

    pub(super) fn vocab_size(&self) -> usize {
        self.vocab_size
    }
}

/// The boundary between characters that is nearest below or above the middle; `None` for a single character.
fn middle(text: &str) -> Option<usize> {
    let middle = text.len() / 2;
    let boundary = |at: &usize| text.is_char_boundary(*at);
    (1..=middle).rev().find(boundary).or_else(|| (middle + 1..text.len()).find(boundary))
}

/// The error of the library, with line and column if it is about JSON.
fn unreadable(error: tokenizers::Error) -> Error {
    let place = error.downcast_ref::<serde_json::Error>().map(|error| (error.line(), error.column()));
    let text = error.to_string();
    let (line, column) = place.unwrap_or_default();
    // The place is kept apart from the text.
    let text = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text);
    let this = Error::new(ErrorKind::Tokenizer, format!("the tokenizer.json cannot be read: {text}"));
    let this = if line > 0 { this.at(Position::Input { line, column: column.max(1) }) } else { this };
    this.caused_by(error)
}
