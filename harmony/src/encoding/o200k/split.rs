//! Splits text into the pieces within which tokens lie.
//!
//! A hand-written matcher for the pattern of o200k_base, one alternative after the other:
//!
//! ```text
//! 1  [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?
//! 2  [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?
//! 3  \p{N}{1,3}
//! 4   ?[^\s\p{L}\p{N}]+[\r\n/]*
//! 5  \s*[\r\n]+
//! 6  \s+(?!\S)
//! 7  \s+
//! ```
//!
//! No character is looked at more than a few times, so the time is linear in the length of the text.

use std::ops::Range;

use super::layout::{CASELESS, LOWER, MARK, NEWLINE, NUMBER, OTHER, SPACE, UPPER};
use super::tables::class;

/// The first set of alternatives 1 and 2.
const HEAD: u8 = UPPER | CASELESS | MARK;
/// The second set of alternatives 1 and 2.
const TAIL: u8 = LOWER | CASELESS | MARK;
/// What alternative 4 consists of.
const SYMBOL: u8 = MARK | OTHER;
const WHITE: u8 = SPACE | NEWLINE;

/// The pieces of a text: nothing is left out, none is empty.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = Range<usize>> {
    let text = Text(text.as_bytes());
    let mut start = 0;
    std::iter::from_fn(move || {
        let end = text.piece(start)?;
        Some(std::mem::replace(&mut start, end)..end)
    })
}

/// The bytes of a valid text.
#[derive(Clone, Copy)]
struct Text<'a>(&'a [u8]);

impl<'a> Text<'a> {
    /// The class of the character at `at` and where it ends; class 0 at the end of the text.
    #[inline]
    fn at(self, at: usize) -> (u8, usize) {
        match self.0.get(at) {
            Some(&byte) if byte < 0x80 => (class(byte.into()), at + 1),
            Some(&byte) => self.wide(at, byte),
            None => (0, at),
        }
    }

    /// [`at`](Text::at) for a character of two to four bytes.
    fn wide(self, at: usize, lead: u8) -> (u8, usize) {
        let low = |offset| u32::from(self.0.get(at + offset).copied().unwrap_or(0) & 0x3f);
        let lead = u32::from(lead);
        match lead {
            ..0xe0 => (class((lead & 0x1f) << 6 | low(1)), at + 2),
            0xe0..0xf0 => (class((lead & 0x0f) << 12 | low(1) << 6 | low(2)), at + 3),
            _ => (class((lead & 0x07) << 18 | low(1) << 12 | low(2) << 6 | low(3)), at + 4),
        }
    }

    /// Where the run of characters of these classes ends that begins at `at`.
    #[inline]
    fn run(self, mut at: usize, classes: u8) -> usize {
        loop {
            let (class, next) = self.at(at);
            if class & classes == 0 {
                return at;
            }
            at = next;
        }
    }

    /// The end of the piece that begins at `start`; `None` at the end of the text.
    #[inline]
    fn piece(self, start: usize) -> Option<usize> {
        let (class, next) = self.at(start);
        let end = match class {
            0 => return None,
            NUMBER => self.number(next),
            UPPER | CASELESS | LOWER => self.word(start).unwrap_or(next),
            MARK => match self.cased_word(next) {
                Some(end) => self.contraction(end),
                // The mark is the word.
                None => self.contraction(next),
            },
            NEWLINE => self.white(start),
            // `SPACE` and `OTHER`.
            _ => match self.word(next) {
                Some(end) => end,
                None if class == OTHER => self.symbols(next),
                // Of white space only the space itself may stand before symbols.
                None if self.0[start] == b' ' && self.at(next).0 & SYMBOL != 0 => self.symbols(next),
                None => self.white(start),
            },
        };
        Some(end)
    }

    /// Alternatives 1 and 2 without what may stand before.
    #[inline]
    fn word(self, start: usize) -> Option<usize> {
        let end = self.cased_word(start).or_else(|| {
            // Without any of the second set the whole run is of the first.
            let end = self.run(start, HEAD);
            (end > start).then_some(end)
        })?;
        Some(self.contraction(end))
    }

    /// Alternative 1 without what may stand before and after.
    #[inline]
    fn cased_word(self, start: usize) -> Option<usize> {
        let mut at = start;
        // Where the last character ends that is in both sets.
        let mut last = None;
        loop {
            let (class, next) = self.at(at);
            match class {
                UPPER => {}
                CASELESS | MARK => last = Some(next),
                LOWER => return Some(self.run(next, TAIL)),
                // The second set needs a character: the first gives its own back down to one in both.
                _ => return last,
            }
            at = next;
        }
    }

    /// `(?i:'s|'t|'re|'ve|'m|'ll|'d)?`
    #[inline]
    fn contraction(self, at: usize) -> usize {
        if self.0.get(at) != Some(&b'\'') {
            return at;
        }
        let length = match self.0.get(at + 1..).unwrap_or(&[]) {
            [b's' | b'S' | b't' | b'T' | b'm' | b'M' | b'd' | b'D', ..] => 2,
            // U+017F, which is an `s` without regard to case.
            [0xc5, 0xbf, ..] => 3,
            [b'r' | b'R' | b'v' | b'V', b'e' | b'E', ..] | [b'l' | b'L', b'l' | b'L', ..] => 3,
            _ => 0,
        };
        at + length
    }

    /// Alternative 3 after its first character.
    fn number(self, mut at: usize) -> usize {
        for _ in 0..2 {
            match self.at(at) {
                (NUMBER, next) => at = next,
                _ => break,
            }
        }
        at
    }

    /// Alternative 4 from within its symbols.
    fn symbols(self, at: usize) -> usize {
        let mut end = self.run(at, SYMBOL);
        while let Some(b'\r' | b'\n' | b'/') = self.0.get(end) {
            end += 1;
        }
        end
    }

    /// Alternatives 5 to 7.
    fn white(self, start: usize) -> usize {
        let mut at = start;
        let mut last = start;
        let mut newline = None;
        let end = loop {
            let (class, next) = self.at(at);
            if class & WHITE == 0 {
                break at;
            }
            if class == NEWLINE {
                newline = Some(next);
            }
            last = at;
            at = next;
        };
        match newline {
            Some(newline) => newline,
            // White space at the end of the text stays together; elsewhere its last character
            // is left for the word that follows, unless it is the only one.
            None if end < self.0.len() && last > start => last,
            None => end,
        }
    }
}
