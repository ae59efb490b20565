//! What is shown of a page: a heading, where in the page the view is, and numbered lines.

use harmony_format::Encoding;

use super::page::{Page, truncate};
use super::{url, wrap};
use crate::agent::citations::Shown;

/// Tokens of a view where the model does not say how many lines it wants.
const VIEW_TOKENS: usize = 1024;
/// Characters of the longest token of the vocabulary.
const LONGEST_TOKEN: usize = 128;
/// Characters that are shown of a URL.
const URL_CHARACTERS: usize = 1024;

/// A part of a page as the model is told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    pub(super) text: String,
    pub(super) shown: Shown,
}

/// Shows a page from the line `start` on: `count` lines, or what fits a view; at most `most` bytes of lines.
///
/// # Errors
///
/// If the page has no such line.
pub(super) fn view(
    page: &Page,
    cursor: usize,
    start: usize,
    count: Option<usize>,
    most: usize,
    encoding: &Encoding,
) -> Result<View, String> {
    let lines = wrap::lines(&page.text);
    let last = lines.len() - 1;
    if start > last {
        return Err(format!("Invalid location parameter: `{start}`. Cannot exceed page maximum of {last}."));
    }
    let numbered = || lines.iter().enumerate().skip(start).map(|(number, line)| format!("L{number}: {line}"));
    let count = count.unwrap_or_else(|| fitting(numbered(), encoding));
    let mut bytes = 0;
    let fits = |line: &String| {
        bytes += line.len() + 1;
        bytes <= most
    };
    let mut body: Vec<String> = numbered().take(count.max(1)).take_while(fits).collect();
    if body.is_empty() {
        body.extend(numbered().next());
    }
    let end = start + body.len() - 1;
    let shown_url = truncate(&url::unquote(&page.url), URL_CHARACTERS);
    let mut heading = page.title.clone();
    if !shown_url.is_empty() {
        heading += &format!(" ({shown_url})");
    }
    let text =
        format!("[{cursor}] {heading}\n**viewing lines [{start} - {end}] of {last}**\n\n{}", body.join("\n"));
    let shown = Shown {
        cursor: cursor as u64,
        url: page.origin().to_owned(),
        title: page.title.clone(),
        first_line: start as u64,
        last_line: end as u64,
    };
    Ok(View { text, shown })
}

/// The number of lines with the tokens of a view, the last one rounded up.
fn fitting(lines: impl Iterator<Item = String>, encoding: &Encoding) -> usize {
    let most = (VIEW_TOKENS + 1) * LONGEST_TOKEN;
    let mut text = String::new();
    let mut characters = 0;
    let mut is_whole = true;
    for line in lines {
        if !text.is_empty() {
            text.push('\n');
            characters += 1;
        }
        characters += line.chars().count();
        text += &line;
        if characters >= most {
            is_whole = false;
            break;
        }
    }
    if is_whole && characters <= VIEW_TOKENS {
        return usize::MAX;
    }
    if let Some((end, _)) = text.char_indices().nth(most) {
        text.truncate(end);
    }
    let tokens = encoding.encode_ordinary(&text);
    if tokens.len() <= VIEW_TOKENS {
        return usize::MAX;
    }
    // Tokens are counted in characters, and one that ends within a character counts it as a whole.
    let length = |&token| {
        encoding.decode_bytes(&[token]).map_or(1, |bytes| String::from_utf8_lossy(&bytes).chars().count())
    };
    let end: usize = tokens[..VIEW_TOKENS].iter().map(length).sum();
    text.chars().take(end).filter(|&c| c == '\n').count() + 1
}
