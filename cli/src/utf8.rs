//! Bytes in, complete characters out.

/// Holds back the beginning of a character until the rest is there.
#[derive(Debug, Default)]
pub(crate) struct Characters {
    held: Vec<u8>,
}

impl Characters {
    /// The characters that are complete now; what can be none is U+FFFD.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        self.held.extend_from_slice(bytes);
        let mut text = String::new();
        let mut done = 0;
        for chunk in self.held.utf8_chunks() {
            text.push_str(chunk.valid());
            done += chunk.valid().len();
            let invalid = chunk.invalid();
            // The last chunk may be the beginning of a character.
            let is_open = done + invalid.len() == self.held.len()
                && std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
            if !invalid.is_empty() && !is_open {
                text.push('\u{fffd}');
                done += invalid.len();
            }
        }
        self.held.drain(..done);
        text
    }

    /// What is left when no more bytes come.
    pub(crate) fn finish(&mut self) -> String {
        if self.held.is_empty() {
            return String::new();
        }
        self.held.clear();
        '\u{fffd}'.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_bytes_are_cut_the_characters_are_those_of_the_whole() {
        for bytes in ["héllo 👋🏾 世界".as_bytes(), b"a\xffb", b"\xe4\xb8x\xf0\x9f\x91", b"\xc3\xc3\xa9", b""]
        {
            let whole = String::from_utf8_lossy(bytes);
            for size in 1..=bytes.len().max(1) {
                let mut characters = Characters::default();
                let mut text: String = bytes.chunks(size).map(|piece| characters.push(piece)).collect();
                text += &characters.finish();
                assert_eq!(text, whole, "{size}");
            }
        }
    }
}
