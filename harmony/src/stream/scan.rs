//! Finds markers that are spelled as text, however the text is cut.

use std::ops::Range;

use crate::SpecialToken;

/// Holds back what may be the beginning of a marker until that is settled.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scanner {
    held: Vec<u8>,
    /// The unit that each held byte belongs to.
    units: Vec<usize>,
}

/// A piece of scanned text.
pub(crate) enum Scanned<'a> {
    Marker(SpecialToken),
    Text(&'a [u8]),
}

impl Scanner {
    /// Reads bytes; `unit` tells to which unit the byte with an index belongs, `see` gets the settled pieces.
    pub(crate) fn push<E>(
        &mut self,
        bytes: &[u8],
        unit: impl Fn(usize) -> usize,
        mut see: impl FnMut(Scanned<'_>, Range<usize>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut first_error = Ok(());
        let mut see = |piece: Scanned<'_>, at| {
            let result = see(piece, at);
            if first_error.is_ok() {
                first_error = result;
            }
        };
        let mut bytes = bytes;
        let mut offset = 0;
        // What is held and the new bytes meet only in a marker's spelling: settle that byte by byte.
        while !self.held.is_empty() && !bytes.is_empty() {
            self.held.push(bytes[0]);
            self.units.push(unit(offset));
            (bytes, offset) = (&bytes[1..], offset + 1);
            self.settle(&mut see);
        }
        while !bytes.is_empty() {
            let (len, found) = next(bytes);
            if len > 0 {
                see(Scanned::Text(&bytes[..len]), unit(offset)..unit(offset + len - 1) + 1);
            }
            (bytes, offset) = (&bytes[len..], offset + len);
            match found {
                Some(marker) => {
                    let len = marker.as_str().len();
                    see(Scanned::Marker(marker), unit(offset)..unit(offset + len - 1) + 1);
                    (bytes, offset) = (&bytes[len..], offset + len);
                }
                None => {
                    self.held.extend_from_slice(bytes);
                    self.units.extend((offset..offset + bytes.len()).map(&unit));
                    bytes = &[];
                }
            }
        }
        first_error
    }

    /// Emits what of the held bytes is settled.
    fn settle(&mut self, see: &mut impl FnMut(Scanned<'_>, Range<usize>)) {
        let (len, found) = next(&self.held);
        if len > 0 {
            see(Scanned::Text(&self.held[..len]), self.units[0]..self.units[len - 1] + 1);
        }
        let marker_len = found.map_or(0, |marker| marker.as_str().len());
        if let Some(marker) = found {
            see(Scanned::Marker(marker), self.units[len]..self.units[len + marker_len - 1] + 1);
        }
        self.held.drain(..len + marker_len);
        self.units.drain(..len + marker_len);
    }

    /// Takes what is held; it is text after all.
    pub(crate) fn take(&mut self) -> Option<(Vec<u8>, Range<usize>)> {
        let at = *self.units.first()?..self.units.last()? + 1;
        self.units.clear();
        Some((std::mem::take(&mut self.held), at))
    }
}

/// The length of the text before the next marker or before what may become one, and the marker.
fn next(bytes: &[u8]) -> (usize, Option<SpecialToken>) {
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|&byte| byte == b'<') {
        let at = from + at;
        let rest = &bytes[at..];
        for marker in SpecialToken::ALL {
            let spelling = marker.as_str().as_bytes();
            if rest.starts_with(spelling) {
                return (at, Some(marker));
            }
            if spelling.starts_with(rest) {
                return (at, None);
            }
        }
        from = at + 1;
    }
    (bytes.len(), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(text: &str, size: usize) -> Vec<(String, Range<usize>)> {
        let mut scanner = Scanner::default();
        let mut pieces: Vec<(String, Range<usize>)> = Vec::new();
        let mut see = |piece: Scanned<'_>, at: Range<usize>| {
            match piece {
                Scanned::Marker(marker) => pieces.push((format!("[{marker}]"), at)),
                Scanned::Text(bytes) => {
                    let text = String::from_utf8(bytes.to_vec()).unwrap();
                    match pieces.last_mut() {
                        Some((last, range)) if !last.starts_with('[') => {
                            last.push_str(&text);
                            range.end = at.end;
                        }
                        _ => pieces.push((text, at)),
                    }
                }
            }
            Ok::<(), ()>(())
        };
        for (index, piece) in text.as_bytes().chunks(size).enumerate() {
            scanner.push(piece, |byte| index * size + byte, &mut see).unwrap();
        }
        if let Some((bytes, at)) = scanner.take() {
            see(Scanned::Text(&bytes), at).unwrap();
        }
        pieces
    }

    #[test]
    fn a_cut_anywhere_changes_nothing() {
        let text = "a<<|start|>b<|<|end|><|strat|>|><|channel|><|mess";
        let whole = scan(text, text.len());
        assert_eq!(whole[1], ("[<|start|>]".to_owned(), 2..11));
        assert_eq!(whole.last().unwrap().0, "<|mess");
        for size in 1..text.len() {
            assert_eq!(scan(text, size), whole, "pieces of {size}");
        }
    }
}
