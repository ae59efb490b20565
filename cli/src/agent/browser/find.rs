//! Exact matches in a page, as a page.

use super::page::Page;
use super::{url, wrap};

/// Matches that are shown.
const MOST: usize = 50;
/// Lines of a match.
const LINES: usize = 4;

/// The matches of a pattern, whatever its case, in the lines of a page without its links.
pub(super) fn find(pattern: &str, page: &Page) -> Page {
    let pattern = pattern.to_lowercase();
    let text = without_links(&wrap::lines(&page.text).join("\n"));
    let lines: Vec<&str> = text.split('\n').collect();
    let mut chunks = Vec::new();
    let mut places = Vec::new();
    let mut at = 0;
    while at < lines.len() && chunks.len() < MOST {
        if !lines[at].to_lowercase().contains(&pattern) {
            at += 1;
            continue;
        }
        let passage = lines[at..lines.len().min(at + LINES)].join("\n");
        chunks.push(format!("# 【{}†match at L{at}】\n{passage}", chunks.len()));
        places.push(Some(at));
        at += LINES;
    }
    let text = match chunks.is_empty() {
        true => format!("No `find` results for pattern: `{pattern}`"),
        false => chunks.join("\n\n"),
    };
    Page {
        url: format!("{}/find?pattern={}", page.url, url::quote(&pattern)),
        title: format!("Find results for text: `{}` in `{}`", super::page::line(&pattern), page.title),
        text,
        links: vec![page.url.clone(); places.len()],
        passages: Some(places),
    }
}

/// A text with what links say in place of the links; of one that is cut off at an end, too.
fn without_links(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = cut_off_at_start(text);
    while let Some(start) = rest.find('【') {
        let (before, link) = rest.split_at(start);
        out += before;
        let inside = &link['【'.len_utf8()..];
        let digits = inside.len() - inside.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        match content(&inside[digits..]) {
            Some((said, after)) if digits > 0 => {
                out += said;
                rest = after;
            }
            _ => {
                out.push('【');
                rest = inside;
            }
        }
    }
    out + rest
}

/// What stands behind the number of a link, and what follows the link; all of the rest where the link is cut off.
fn content(link: &str) -> Option<(&str, &str)> {
    let Some(said) = link.strip_prefix('†') else { return link.is_empty().then_some(("", "")) };
    let part = |text: &str| text.find(['†', '】']).unwrap_or(text.len());
    let end = part(said);
    let (said, mut rest) = said.split_at(end);
    if let Some(domain) = rest.strip_prefix('†') {
        let end = part(domain);
        if end == 0 && !domain.is_empty() {
            return None;
        }
        rest = &domain[end..];
    }
    match rest.strip_prefix('】') {
        Some(after) if !said.is_empty() => Some((said, after)),
        None if rest.is_empty() => Some((said, "")),
        _ => None,
    }
}

/// The text behind the end of a link whose start is missing.
fn cut_off_at_start(text: &str) -> &str {
    match text.find(['【', '】']) {
        Some(at) if text[at..].starts_with('】') => &text[at + '】'.len_utf8()..],
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_become_what_they_say() {
        for (text, expected) in [
            ("a 【0†b】 c", "a b c"),
            ("a 【12†b†c.org】 d 【3†e】", "a b d e"),
            ("b†c】 d", " d"),
            ("a 【0†b", "a b"),
            ("a 【0†b†c.or", "a b"),
            ("a 【7", "a "),
            ("a 【x†b】【†c】", "a 【x†b】【†c】"),
        ] {
            assert_eq!(without_links(text), expected, "{text}");
        }
    }

    #[test]
    fn matches_do_not_overlap_and_end_at_fifty() {
        let page = Page::new("a.md", "A", &"needle\n".repeat(300), Vec::new());
        let found = find("NEEDLE", &page);
        assert_eq!(found.links.len(), 50);
        assert!(
            found
                .text
                .starts_with("# 【0†match at L2】\nneedle\nneedle\nneedle\nneedle\n\n# 【1†match at L6】")
        );
        assert_eq!(found.url, "a.md/find?pattern=needle");
        let found = find("x`y", &page);
        assert_eq!(found.text, "No `find` results for pattern: `x`y`");
        assert_eq!(found.passages, Some(vec![]));
    }
}
