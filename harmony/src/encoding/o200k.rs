//! The embedded vocabulary `o200k_harmony`: 199,998 ranks of o200k_base and 1,091 special tokens.
//!
//! The build script writes the tables; they are read where they lie in the binary.

mod layout;
mod merge;
mod radix;
mod split;
mod tables;
#[cfg(test)]
pub(super) mod tests;

use super::TokenId;
use layout::{ORDINARY, VOCABULARY};

pub(super) const VOCAB_SIZE: usize = VOCABULARY as usize;

/// Longest spelling of a special token, in bytes.
const LONGEST_SPECIAL: usize = "<|reserved_200000|>".len();

/// Appends the tokens of a text in which no special token is meant.
pub(super) fn encode(text: &str, tokens: &mut Vec<TokenId>) {
    for piece in split::pieces(text) {
        match tables::whole(text.as_bytes(), piece.clone()) {
            Some(token) => tokens.push(token),
            None => merge::encode(&text.as_bytes()[piece], tokens),
        }
    }
}

#[inline]
pub(super) fn token_bytes(token: TokenId) -> Option<&'static [u8]> {
    tables::bytes(token)
}

#[inline]
pub(super) fn is_special(token: TokenId) -> bool {
    (ORDINARY..VOCABULARY).contains(&token)
}

pub(super) fn special_id(spelling: &str) -> Option<TokenId> {
    let id = match spelling {
        "<|startoftext|>" => 199_998,
        "<|endoftext|>" => 199_999,
        "<|return|>" => 200_002,
        "<|constrain|>" => 200_003,
        "<|channel|>" => 200_005,
        "<|start|>" => 200_006,
        "<|end|>" => 200_007,
        "<|message|>" => 200_008,
        "<|call|>" => 200_012,
        _ => spelling.strip_prefix("<|reserved_")?.strip_suffix("|>")?.parse().ok()?,
    };
    // A reserved name is one only with the id of a token that has no other.
    (is_special(id) && token_bytes(id)? == spelling.as_bytes()).then_some(id)
}

/// The special token that `text` begins with: the length of its spelling and its id.
pub(super) fn special_at(text: &[u8]) -> Option<(usize, TokenId)> {
    let window = &text[..text.len().min(LONGEST_SPECIAL)];
    if !window.starts_with(b"<|") {
        return None;
    }
    let end = 2 + window[2..].windows(2).position(|bytes| bytes == b"|>")? + 2;
    let spelling = std::str::from_utf8(&window[..end]).ok()?;
    Some((end, special_id(spelling)?))
}

pub(super) fn special_tokens() -> Vec<(TokenId, String)> {
    (ORDINARY..VOCABULARY)
        .filter_map(|id| Some((id, String::from_utf8_lossy(token_bytes(id)?).into_owned())))
        .collect()
}
