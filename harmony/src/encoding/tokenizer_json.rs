//! Any `tokenizer.json`, through the `tokenizers` library.

use super::TokenId;
use crate::{Error, ErrorKind, Result};

pub(super) struct TokenizerJson;

impl TokenizerJson {
    pub(super) fn from_bytes(_bytes: &[u8]) -> Result<Self> {
        Err(Error::new(ErrorKind::Tokenizer, "unsupported"))
    }
    pub(super) fn encode(&self, _text: &str, _tokens: &mut Vec<TokenId>) {}
    pub(super) fn token_bytes(&self, _token: TokenId) -> Option<&[u8]> {
        None
    }
    pub(super) fn special_id(&self, _spelling: &str) -> Option<TokenId> {
        None
    }
    pub(super) fn may_start_special(&self, _byte: u8) -> bool {
        false
    }
    pub(super) fn special_at(&self, _text: &[u8]) -> Option<(usize, TokenId)> {
        None
    }
    pub(super) fn is_special(&self, _token: TokenId) -> bool {
        false
    }
    pub(super) fn special_tokens(&self) -> Vec<(TokenId, String)> {
        Vec::new()
    }
    pub(super) fn vocab_size(&self) -> usize {
        0
    }
}
