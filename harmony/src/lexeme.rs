//! Lexemes: a prompt as markers and text, and the lexer from prompt text.

use std::ops::Range;

use crate::SpecialToken;

/// A piece of a prompt: a marker, or text between two markers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lexeme<'a> {
    /// A marker of the format.
    Special(SpecialToken),
    /// Text. Where a marker's spelling stands in here, it is text and no marker.
    Text(&'a str),
}

/// Splits prompt text at the spellings of the markers; every byte is in exactly one lexeme.
///
/// This is for text that a trusted renderer wrote, or that an engine printed with its markers spelled out.
/// The content of a message must never go through here: see [`Encoding::encode_ordinary`](crate::Encoding::encode_ordinary).
///
/// ```
/// use harmony_format::{Lexeme, SpecialToken, lex};
///
/// let lexemes: Vec<_> = lex("<|start|>user<|message|>").map(|(_, lexeme)| lexeme).collect();
/// assert_eq!(lexemes, [
///     Lexeme::Special(SpecialToken::Start),
///     Lexeme::Text("user"),
///     Lexeme::Special(SpecialToken::Message),
/// ]);
/// ```
pub fn lex(text: &str) -> impl Iterator<Item = (Range<usize>, Lexeme<'_>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = &text[at..];
        if rest.is_empty() {
            return None;
        }
        let (len, lexeme) = match find_marker(rest) {
            Some((0, token)) => (token.as_str().len(), Lexeme::Special(token)),
            Some((start, _)) => (start, Lexeme::Text(&rest[..start])),
            None => (rest.len(), Lexeme::Text(rest)),
        };
        let range = at..at + len;
        at += len;
        Some((range, lexeme))
    })
}

/// The first marker spelled in `text` and its byte offset.
pub(crate) fn find_marker(text: &str) -> Option<(usize, SpecialToken)> {
    text.match_indices("<|").find_map(|(at, _)| {
        let rest = &text[at..];
        let token = SpecialToken::ALL.into_iter().find(|token| rest.starts_with(token.as_str()))?;
        Some((at, token))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_in_one_lexeme() {
        let text = "a<|<|start|><|strat|>|><|end|>";
        let mut at = 0;
        for (range, _) in lex(text) {
            assert_eq!(range.start, at);
            at = range.end;
        }
        assert_eq!(at, text.len());
        let specials = lex(text).filter(|(_, lexeme)| matches!(lexeme, Lexeme::Special(_))).count();
        assert_eq!(specials, 2);
    }
}
