//! Where rendered lexemes go: tokens, text, or tokens with their parts.

use super::{Part, Rendered, Segment};
use crate::{Encoding, Lexeme, TokenId};

/// What a lexeme is part of.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) message: Option<usize>,
    pub(super) part: Part,
}

pub(super) trait Sink {
    fn write(&mut self, place: Place, lexeme: Lexeme<'_>);
}

pub(super) struct Tokens<'a> {
    pub(super) encoding: &'a Encoding,
    pub(super) tokens: Vec<TokenId>,
}

impl Sink for Tokens<'_> {
    fn write(&mut self, _: Place, lexeme: Lexeme<'_>) {
        append(self.encoding, lexeme, &mut self.tokens);
    }
}

pub(super) struct Text(pub(super) String);

impl Sink for Text {
    fn write(&mut self, _: Place, lexeme: Lexeme<'_>) {
        self.0.push_str(match lexeme {
            Lexeme::Special(marker) => marker.as_str(),
            Lexeme::Text(text) => text,
        });
    }
}

pub(super) struct Detailed<'a> {
    pub(super) encoding: &'a Encoding,
    pub(super) rendered: Rendered,
}

impl Sink for Detailed<'_> {
    fn write(&mut self, place: Place, lexeme: Lexeme<'_>) {
        let start = self.rendered.tokens.len();
        append(self.encoding, lexeme, &mut self.rendered.tokens);
        let tokens = start..self.rendered.tokens.len();
        if !tokens.is_empty() {
            self.rendered.segments.push(Segment { tokens, message: place.message, part: place.part });
        }
    }
}

fn append(encoding: &Encoding, lexeme: Lexeme<'_>, tokens: &mut Vec<TokenId>) {
    match lexeme {
        Lexeme::Special(marker) => tokens.push(encoding.required(marker)),
        Lexeme::Text(text) => encoding.encode_ordinary_into(text, tokens),
    }
}
