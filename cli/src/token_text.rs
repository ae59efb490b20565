//! Tokens and other text as they can be shown on one line.

use harmony_format::{Encoding, TokenId};

use crate::excerpt::{printable, width};

/// A token in quotes, a special token bare; bytes that are no characters as `\xNN`.
pub(crate) fn shown(encoding: &Encoding, token: TokenId) -> String {
    let bytes = encoding.token_bytes(token).unwrap_or_default();
    if encoding.is_special(token) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let mut shown = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' | '\\' | '\n' | '\r' | '\t' => shown.extend(c.escape_default()),
                c => shown.push(printable(c)),
            }
        }
        for byte in chunk.invalid() {
            shown += &format!("\\x{byte:02x}");
        }
    }
    shown.push('"');
    shown
}

/// As [`shown`], filled or cut to a number of columns.
pub(crate) fn padded(encoding: &Encoding, token: TokenId, columns: usize) -> String {
    let mut text = cut(&shown(encoding, token), columns);
    let used: usize = text.chars().map(width).sum();
    text.extend(std::iter::repeat_n(' ', columns.saturating_sub(used)));
    text
}

/// Text on one line, cut to a number of columns.
pub(crate) fn shortened(text: &str, columns: usize) -> String {
    let line: String =
        text.chars().take(columns + 1).map(|c| if c == '\n' { '⏎' } else { printable(c) }).collect();
    cut(&line, columns)
}

/// Cuts a line to a number of columns; `…` stands for what is missing.
fn cut(line: &str, columns: usize) -> String {
    if line.chars().map(width).sum::<usize>() <= columns {
        return line.to_owned();
    }
    let mut left = columns.saturating_sub(1);
    let mut short = String::new();
    for c in line.chars() {
        match left.checked_sub(width(c)) {
            Some(less) => left = less,
            None => break,
        }
        short.push(c);
    }
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_shown_on_one_line() {
        let encoding = Encoding::o200k_harmony();
        let show = |text: &str| -> Vec<String> {
            encoding.encode_prompt(text).into_iter().map(|token| shown(&encoding, token)).collect()
        };
        assert_eq!(show("<|end|>hi\n"), ["<|end|>", "\"hi\"", "\"\\n\""]);
        assert!(show("\u{1F9FF}").iter().any(|shown| shown.contains("\\x")), "an emoji is split into bytes");
    }

    #[test]
    fn text_is_cut_to_its_columns() {
        assert_eq!(shortened("one\ntwo", 20), "one⏎two");
        assert_eq!(shortened("東京東京", 5), "東京…");
        assert_eq!(shortened("abcdef", 4), "abc…");
    }
}
