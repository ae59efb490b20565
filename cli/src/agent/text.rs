//! What programs write, as text that a model is told.

use super::process::Kept;

/// The text of a stream: what is no UTF-8 is replaced, and what was left out is said.
///
/// It is data from here on: markers of the format that it spells are rendered as ordinary text.
pub(crate) fn told(kept: &Kept) -> String {
    let left_out = kept.total - kept.bytes.len() as u64;
    let bytes = if left_out > 0 { whole_characters(&kept.bytes) } else { &kept.bytes };
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    if left_out > 0 {
        text += &note(kept.total - bytes.len() as u64);
    }
    text
}

/// A text that is not longer than `most` bytes; what was left out is said.
pub(crate) fn cut(text: String, most: usize) -> String {
    if text.len() <= most {
        return text;
    }
    let end = (0..=most).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    format!("{}{}", &text[..end], note((text.len() - end) as u64))
}

/// What is said of bytes that were left out.
pub(crate) fn note(left_out: u64) -> String {
    format!("\n[output cut: {left_out} more bytes]")
}

/// The number of bytes that a text in base64 stands for.
#[cfg_attr(
    not(any(feature = "mcp", feature = "python")),
    allow(dead_code, reason = "no other tool has images")
)]
pub(crate) fn decoded_length(base64: &str) -> usize {
    let digits = base64.bytes().filter(|byte| !byte.is_ascii_whitespace() && *byte != b'=').count();
    digits * 3 / 4
}

/// The bytes without a character that is cut in two at their end.
fn whole_characters(bytes: &[u8]) -> &[u8] {
    let from = bytes.len().saturating_sub(3);
    for at in (from..bytes.len()).rev() {
        let needed = match bytes[at] {
            0x80..=0xbf => continue,
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0.. => 4,
            _ => 1,
        };
        return if bytes.len() - at < needed { &bytes[..at] } else { bytes };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], total: u64, expected: &str) {
        assert_eq!(told(&Kept { bytes: bytes.to_vec(), total }), expected);
    }

    #[test]
    fn text_is_told_as_it_is() {
        check("grüß\n".as_bytes(), 7, "grüß\n");
        check(b"<|end|>\x1b[2J", 11, "<|end|>\x1b[2J");
        check(b"a\xffb", 3, "a\u{fffd}b");
    }

    #[test]
    fn what_is_cut_is_said_and_cut_between_characters() {
        check(b"abc", 1_000_003, "abc\n[output cut: 1000000 more bytes]");
        check(&"aß".as_bytes()[..2], 3, "a\n[output cut: 2 more bytes]");
        check(&"a€".as_bytes()[..3], 4, "a\n[output cut: 3 more bytes]");
        check(&"a😀".as_bytes()[..4], 5, "a\n[output cut: 4 more bytes]");
        check("a€".as_bytes(), 5, "a€\n[output cut: 1 more bytes]");
        assert_eq!(cut("a€b".to_owned(), 3), "a\n[output cut: 4 more bytes]");
        assert_eq!(cut("a€b".to_owned(), 5), "a€b");
    }
}
