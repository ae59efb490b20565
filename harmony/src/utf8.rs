//! Bytes in, complete characters out.

use std::str::from_utf8;

const REPLACEMENT: char = '\u{FFFD}';

/// Joins characters that are split over several tokens or pieces.
#[derive(Clone, Debug, Default)]
pub(crate) struct Utf8Stream {
    /// Bytes from `start` are not yet a character, or not yet looked at.
    waiting: Vec<u8>,
    start: usize,
    /// How many of them are done with.
    done: usize,
    /// Whether the last step ended with a replacement.
    replaced: bool,
}

impl Utf8Stream {
    /// Appends the characters that `bytes` complete to `text`; what is not UTF-8 becomes U+FFFD at once.
    pub(crate) fn push(&mut self, bytes: &[u8], text: &mut String) {
        if self.push_whole(bytes, text) {
            return;
        }
        while !self.is_empty() && self.step(text) {}
    }

    /// Like [`push`](Self::push) with the official library's rule: at most one U+FFFD a call, what follows it waits.
    pub(crate) fn push_reference(&mut self, bytes: &[u8], text: &mut String) {
        if self.push_whole(bytes, text) {
            return;
        }
        self.step(text);
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.done == self.waiting.len()
    }

    /// Whether the last call of [`push_reference`](Self::push_reference) replaced a sequence.
    pub(crate) fn just_replaced(&self) -> bool {
        self.replaced
    }

    /// The common case: nothing waits, and the bytes are whole characters. Otherwise the bytes join the waiting ones.
    fn push_whole(&mut self, bytes: &[u8], text: &mut String) -> bool {
        self.replaced = false;
        if self.is_empty()
            && let Ok(whole) = from_utf8(bytes)
        {
            text.push_str(whole);
            return true;
        }
        self.waiting.extend_from_slice(bytes);
        false
    }

    /// Moves the valid prefix and one invalid sequence after it; false if the rest is incomplete.
    fn step(&mut self, text: &mut String) -> bool {
        let waiting = &self.waiting[self.start..];
        let (used, invalid) = match from_utf8(waiting) {
            Ok(_) => (waiting.len(), None),
            Err(error) => (error.valid_up_to(), Some(error.error_len())),
        };
        text.push_str(from_utf8(&waiting[..used]).expect("valid up to here"));
        let replaced = invalid.flatten();
        if replaced.is_some() {
            text.push(REPLACEMENT);
        }
        self.replaced = replaced.is_some();
        self.skip(used + replaced.unwrap_or(0));
        invalid.is_none() || self.replaced
    }

    /// Forgets the first bytes. They are moved away only now and then: where every call replaces one sequence,
    /// what waits grows without end.
    fn skip(&mut self, bytes: usize) {
        self.start += bytes;
        if self.start >= self.waiting.len() / 2 {
            self.waiting.drain(..self.start);
            self.start = 0;
        }
    }

    /// The end: what still waits is decoded, with U+FFFD for what is not UTF-8.
    pub(crate) fn finish(&mut self, text: &mut String) {
        text.push_str(&String::from_utf8_lossy(&self.waiting[self.start..]));
        self.waiting.clear();
        self.start = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lossy_in_pieces(bytes: &[u8], size: usize) -> String {
        let mut stream = Utf8Stream::default();
        let mut text = String::new();
        for piece in bytes.chunks(size) {
            stream.push(piece, &mut text);
        }
        stream.finish(&mut text);
        text
    }

    #[test]
    fn pieces_of_any_size_decode_like_the_whole() {
        for bytes in [
            "aé€👋🏾z".as_bytes(),
            b"\xff\xfe ok \xf0\x9f\x91",
            b"\xe2\x82",
            b"\xf0\x9fabc\x80",
            b"\xed\xa0\x80",
        ] {
            for size in 1..=bytes.len() {
                assert_eq!(
                    lossy_in_pieces(bytes, size),
                    String::from_utf8_lossy(bytes),
                    "{bytes:?} by {size}"
                );
            }
        }
    }

    #[test]
    fn the_reference_rule_replaces_one_sequence_a_call() {
        let mut stream = Utf8Stream::default();
        let mut steps = Vec::new();
        for bytes in [&b"a\xff\xffb"[..], b"c", b"", b"\xe2", b"\x82\xac"] {
            let mut text = String::new();
            stream.push_reference(bytes, &mut text);
            steps.push(text);
        }
        assert_eq!(steps, ["a\u{FFFD}", "\u{FFFD}", "bc", "", "€"]);
    }

    #[test]
    fn what_waits_under_the_reference_rule_costs_linear_time() {
        let mut stream = Utf8Stream::default();
        let mut text = String::new();
        for _ in 0..400_000 {
            stream.push_reference(&[0xff; 3], &mut text);
        }
        assert_eq!(text.chars().count(), 400_000);
        stream.finish(&mut text);
        assert_eq!(text.chars().count(), 1_200_000);
    }
}
