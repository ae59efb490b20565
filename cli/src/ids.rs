//! Lists of token ids as files hold them: a JSON array, or numbers with white space or commas between them.

use std::ops::Range;

use harmony_format::{Position, TokenId};

use crate::error::{Error, Result};
use crate::excerpt::Excerpt;

/// Reads a list of token ids.
pub(crate) fn read(text: &str) -> Result<Vec<TokenId>> {
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(text).map_err(|error| {
            Error::in_document(error.into(), text).or_help("token ids are a JSON array of whole numbers")
        });
    }
    words(text)
        .map(|(span, word)| {
            word.parse().map_err(|_| {
                let (line, column) = Excerpt::place(text, span.start);
                Error::input("H001", format!("token ids are whole numbers, found {word:?}"))
                    .at_line(line, column)
                    .excerpt(Excerpt::of_text(text, span))
                    .help("text is read with `--from text` by `parse`, and by `tokens encode`")
            })
        })
        .collect()
}

/// Adds the place in the text to an error about one of the ids that it holds.
pub(crate) fn locate(error: harmony_format::Error, text: &str) -> Error {
    let span = match error.position() {
        Some(&Position::Token(index)) => span(text, index),
        _ => None,
    };
    let error = Error::from(error);
    match span {
        Some(span) => {
            let (line, column) = Excerpt::place(text, span.start);
            error.at_line(line, column).excerpt(Excerpt::of_text(text, span))
        }
        None => error,
    }
}

/// The bytes of the id with this index.
fn span(text: &str, index: usize) -> Option<Range<usize>> {
    if text.trim_start().starts_with('[') {
        return harmony_format::arguments::locate(text, &format!("/{index}"));
    }
    words(text).nth(index).map(|(span, _)| span)
}

fn words(text: &str) -> impl Iterator<Item = (Range<usize>, &str)> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let is_gap = |c: char| c.is_whitespace() || c == ',';
        let start = from + text[from..].find(|c| !is_gap(c))?;
        let end = text[start..].find(is_gap).map_or(text.len(), |gap| start + gap);
        from = end;
        Some((start..end, &text[start..end]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_from_json_and_from_words() {
        assert_eq!(read("[1, 2]\n").unwrap(), [1, 2]);
        assert_eq!(read(" 1 2,3\n4\n").unwrap(), [1, 2, 3, 4]);
        assert!(read("").unwrap().is_empty());
    }

    #[test]
    fn what_is_no_id_is_an_error() {
        for text in ["[1, -2]", "[1.5]", "[1", "1 two", "-1", "4294967296", "[\"1\"]"] {
            assert_eq!(read(text).unwrap_err().code(), Some("H001"), "{text}");
        }
    }

    #[test]
    fn ids_have_places() {
        assert_eq!(span("[7, 88]", 1), Some(4..6));
        assert_eq!(span("7 88", 1), Some(2..4));
        assert_eq!(span("7", 1), None);
    }
}
