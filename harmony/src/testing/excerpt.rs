//! Some tokens as text in one line, with carets under those that matter.

use std::ops::Range;

use crate::{Encoding, TokenId};

/// How many tokens are shown before and after those that matter.
const CONTEXT: usize = 10;

/// The two lines that show `range` among `tokens`: a label and the text, and the carets.
pub(super) fn excerpt(label: &str, encoding: &Encoding, tokens: &[TokenId], range: Range<usize>) -> String {
    let from = range.start.saturating_sub(CONTEXT);
    let to = tokens.len().min(range.end + CONTEXT);
    let mut before = text(encoding, &tokens[from..range.start]);
    if from > 0 {
        before.insert(0, '…');
    }
    let marked = text(encoding, &tokens[range.clone()]);
    let mut after = text(encoding, &tokens[range.end..to]);
    if to < tokens.len() {
        after.push('…');
    }
    lines(label, &before, &marked, &after)
}

/// The two lines that show a part of a text.
pub(super) fn excerpt_of_text(label: &str, whole: &str, range: Range<usize>) -> String {
    const CONTEXT: usize = 60;
    let before: Vec<char> = whole[..range.start].chars().collect();
    let mut start = String::from_iter(&before[before.len().saturating_sub(CONTEXT)..]);
    if before.len() > CONTEXT {
        start.insert(0, '…');
    }
    let rest = &whole[range.end..];
    let mut end: String = rest.chars().take(CONTEXT).collect();
    if rest.chars().nth(CONTEXT).is_some() {
        end.push('…');
    }
    lines(label, &visible(&start), &visible(&whole[range]), &visible(&end))
}

fn lines(label: &str, before: &str, marked: &str, after: &str) -> String {
    let line = format!("  {label:8} {before}{marked}{after}");
    let indent = 11 + before.chars().count();
    let carets = "^".repeat(marked.chars().count().max(1));
    format!("{}\n{:indent$}{carets}\n", line.trim_end(), "")
}

/// The text of tokens, in one line.
pub(super) fn text(encoding: &Encoding, tokens: &[TokenId]) -> String {
    let mut bytes = Vec::new();
    for &token in tokens {
        match encoding.token_bytes(token) {
            Some(token) => bytes.extend_from_slice(token),
            None => bytes.extend_from_slice(format!("<unknown token {token}>").as_bytes()),
        }
    }
    visible(&String::from_utf8_lossy(&bytes))
}

/// The text with line breaks and other control characters escaped.
pub(super) fn visible(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            line.extend(c.escape_debug());
        } else {
            line.push(c);
        }
    }
    line
}
