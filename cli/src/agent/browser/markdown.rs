//! Links of Markdown as numbered links.

use super::html;
use super::page::line;
use super::url;

/// A document of Markdown: its first heading, and its text with numbered links.
pub(super) struct Markdown {
    pub(super) title: Option<String>,
    pub(super) text: String,
    pub(super) links: Vec<String>,
}

/// Reads a document with the URL `base`. Nothing of it is changed but inline links: `[text](target)`.
pub(super) fn read(source: &str, base: &str) -> Markdown {
    let mut read = Markdown { title: None, text: String::with_capacity(source.len()), links: Vec::new() };
    let mut numbers = std::collections::HashMap::new();
    let mut fence: Option<&str> = None;
    for (index, text) in source.split('\n').enumerate() {
        if index > 0 {
            read.text.push('\n');
        }
        let said = text.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| said.starts_with(mark));
        match (fence, mark) {
            (None, Some(_)) => fence = mark,
            (Some(open), Some(mark)) if open == mark => fence = None,
            _ => {}
        }
        if fence.is_some() || mark.is_some() {
            read.text += text;
            continue;
        }
        if read.title.is_none()
            && let Some(title) = heading(said)
        {
            read.title = Some(title);
        }
        links(text, base, &mut read, &mut numbers);
    }
    read
}

/// What a heading says.
pub(super) fn heading(text: &str) -> Option<String> {
    let rest = text.trim_start_matches('#');
    let level = text.len() - rest.len();
    let title = rest.strip_prefix([' ', '\t'])?.trim().trim_end_matches('#').trim_end();
    ((1..=6).contains(&level) && !title.is_empty()).then(|| line(title))
}

/// Appends a line with its links numbered.
fn links(
    text: &str,
    base: &str,
    read: &mut Markdown,
    numbers: &mut std::collections::HashMap<String, usize>,
) {
    let mut rest = text;
    while let Some(at) = rest.find(['`', '[', '!', '\\']) {
        read.text += &rest[..at];
        rest = &rest[at..];
        let length = if let Some(code) = rest.strip_prefix('`') {
            code.find('`').map_or(1, |end| end + 2)
        } else if let Some(escaped) = rest.strip_prefix('\\') {
            1 + escaped.chars().next().map_or(0, char::len_utf8)
        } else if rest.starts_with("![") {
            // An image is no link.
            Link::read(&rest[1..]).map_or(1, |link| 1 + link.length)
        } else if let Some(link) = Link::read(rest)
            && let Some(target) =
                (!link.target.starts_with('#')).then(|| url::join(base, link.target)).flatten()
        {
            let next = read.links.len();
            let number = *numbers.entry(target.clone()).or_insert(next);
            if number == next {
                read.links.push(target.clone());
            }
            read.text += &html::mark(number, &line(link.said).replace('†', "‡"), base, &target);
            rest = &rest[link.length..];
            continue;
        } else {
            1
        };
        read.text += &rest[..length];
        rest = &rest[length..];
    }
    read.text += rest;
}

/// A link at the start of a text.
struct Link<'a> {
    said: &'a str,
    target: &'a str,
    length: usize,
}

impl<'a> Link<'a> {
    fn read(text: &'a str) -> Option<Self> {
        /// Bytes of what a link says, and of its target.
        const MOST: (usize, usize) = (512, 2048);
        let mut depth = 0;
        let end = text.bytes().take(MOST.0).position(|byte| {
            depth += i32::from(byte == b'[') - i32::from(byte == b']');
            depth == 0
        })?;
        let said = text.get(1..end)?;
        let inside = text[end + 1..].strip_prefix('(')?;
        let mut depth = 1;
        let close = inside.bytes().take(MOST.1).position(|byte| {
            depth += i32::from(byte == b'(') - i32::from(byte == b')');
            depth == 0
        })?;
        let target = inside[..close].trim();
        // A title may stand behind the target.
        let target = match target.strip_prefix('<').and_then(|inner| inner.split_once('>')) {
            Some((target, _)) => target,
            None => target.split_whitespace().next()?,
        };
        (!said.trim().is_empty()).then_some(Self { said, target, length: end + 1 + 1 + close + 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_numbered_and_code_stays() {
        let source = "# The *title* #\n\nSee [B](b.md), [the *web*](<https://a.org/x> \"t\") and [again](b.md#part).\n\
            `[c](c.md)` ![image](i.png) [d](#d) \\[e](e.md) [f](mailto:f) [ ](g.md) [(h)](h_(1).md)\n\
            ```\n[i](i.md)\n```\n[j][1]";
        let read = read(source, "guide/a.md");
        assert_eq!(read.title.as_deref(), Some("The *title*"));
        assert_eq!(
            read.text,
            "# The *title* #\n\nSee 【0†B】, 【1†the *web*†a.org】 and 【0†again】.\n\
            `[c](c.md)` ![image](i.png) [d](#d) \\[e](e.md) [f](mailto:f) [ ](g.md) 【2†(h)】\n\
            ```\n[i](i.md)\n```\n[j][1]"
        );
        assert_eq!(read.links, ["guide/b.md", "https://a.org/x", "guide/h_(1).md"]);
    }

    #[test]
    fn brackets_without_end_take_no_time() {
        let source = "[".repeat(1_000_000);
        assert_eq!(read(&source, "").text, source);
    }
}
