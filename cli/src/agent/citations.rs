//! Marks in an answer, as `【6†L9-L11】`, and what they stand for.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A view of a page that a model was shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shown {
    /// The number by which the model cites it.
    pub(crate) cursor: u64,
    pub(crate) url: String,
    pub(crate) title: String,
    /// The lines that were shown, both with the ends.
    pub(crate) first_line: u64,
    pub(crate) last_line: u64,
}

impl Shown {
    /// What the model was shown of it where the view, of `length` bytes, was told as `text`, which may be cut; none if no
    /// whole line is left.
    pub(crate) fn left_by(self, length: usize, text: &str) -> Option<Self> {
        if text.len() == length { Some(self) } else { self.within(text) }
    }

    /// The view with the lines that are in a text that was cut off; none if there is no whole line.
    fn within(self, text: &str) -> Option<Self> {
        let body = text.split_once("**\n\n").map_or("", |(_, body)| body);
        let whole = body.matches('\n').count() as u64;
        let last_line = self.last_line.min(self.first_line.checked_add(whole)?.checked_sub(1)?);
        (whole > 0 && last_line >= self.first_line).then_some(Self { last_line, ..self })
    }
}

/// A mark of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Citation {
    /// The mark as the model wrote it.
    pub(crate) mark: String,
    /// Where it stands in the answer: characters (code points) from its start on.
    pub(crate) start: usize,
    /// The first character behind it.
    pub(crate) end: usize,
    pub(crate) cursor: u64,
    /// The lines that are cited, both with the ends; none where the mark names no lines.
    pub(crate) lines: Option<(u64, u64)>,
    #[serde(flatten)]
    pub(crate) source: Source,
}

/// What a mark stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Source {
    /// A page of which the model was shown these lines.
    Page { url: String, title: String },
    /// Why it stands for nothing.
    Unresolved(&'static str),
}

impl fmt::Display for Citation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.mark)?;
        match &self.source {
            Source::Page { url, title } if url.is_empty() => write!(f, "is the search for {title:?}"),
            Source::Page { url, title } => write!(f, "is {title} ({url})"),
            Source::Unresolved(why) => write!(f, "is no source: {why}"),
        }?;
        match (&self.source, self.lines) {
            (Source::Page { .. }, Some((first, last))) if first == last => write!(f, ", line {first}"),
            (Source::Page { .. }, Some((first, last))) => write!(f, ", lines {first} to {last}"),
            _ => Ok(()),
        }
    }
}

/// The marks of an answer, resolved to what the model was shown.
pub(crate) fn resolve(answer: &str, shown: &[Shown]) -> Vec<Citation> {
    let mut citations = Vec::new();
    let mut characters = 0;
    let mut rest = answer;
    while let Some(at) = rest.find('【') {
        characters += rest[..at].chars().count();
        rest = &rest[at..];
        let Some(mark) = Mark::read(rest) else {
            characters += 1;
            rest = &rest['【'.len_utf8()..];
            continue;
        };
        let length = mark.text.chars().count();
        citations.push(Citation {
            mark: mark.text.to_owned(),
            start: characters,
            end: characters + length,
            cursor: mark.cursor,
            lines: mark.lines,
            source: source(&mark, shown),
        });
        characters += length;
        rest = &rest[mark.text.len()..];
    }
    citations
}

fn source(mark: &Mark<'_>, shown: &[Shown]) -> Source {
    let of_cursor = || shown.iter().filter(|page| page.cursor == mark.cursor);
    // A cursor is shown once; a conversation that goes on may count from the start again.
    let Some(page) = of_cursor().next_back() else {
        return Source::Unresolved("no page has this number");
    };
    match mark.lines {
        None => {}
        Some((first, last)) if first > last => return Source::Unresolved("the lines end before they start"),
        Some((first, last)) if page.first_line > first || page.last_line < last => {
            return Source::Unresolved("these lines were not shown");
        }
        Some(_) => {}
    }
    Source::Page { url: page.url.clone(), title: page.title.clone() }
}

/// A mark as it is written.
struct Mark<'a> {
    text: &'a str,
    cursor: u64,
    lines: Option<(u64, u64)>,
}

impl<'a> Mark<'a> {
    /// Reads the mark that a text begins with: `【`, a number, `†`, something, `】`.
    fn read(text: &'a str) -> Option<Self> {
        let inside = text.strip_prefix('【')?;
        let end = inside.find(['】', '【', '\n'])?;
        if !inside[end..].starts_with('】') {
            return None;
        }
        let length = '【'.len_utf8() + end + '】'.len_utf8();
        let (cursor, rest) = inside[..end].split_once('†')?;
        let said = rest.split('†').next().unwrap_or(rest).trim();
        Some(Self { text: &text[..length], cursor: number(cursor.trim())?, lines: lines(said) })
    }
}

/// `L9-L11`, `L9-11` or `L9`.
fn lines(said: &str) -> Option<(u64, u64)> {
    let line = |text: &str| number(text.strip_prefix(['L', 'l']).unwrap_or(text));
    said.strip_prefix(['L', 'l'])?;
    match said.split_once(['-', '–']) {
        Some((first, last)) => Some((line(first.trim())?, line(last.trim())?)),
        None => line(said).map(|only| (only, only)),
    }
}

fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(cursor: u64, first_line: u64, last_line: u64) -> Shown {
        let (url, title) = (format!("p{cursor}.md"), format!("P {cursor}"));
        Shown { cursor, url, title, first_line, last_line }
    }

    /// The lines of the text that were shown of a page with these lines.
    fn display(lines: std::ops::RangeInclusive<u64>) -> String {
        let lines: Vec<String> = lines.map(|line| format!("L{line}: x")).collect();
        format!("[0] T\n**viewing lines [0 - 9] of 9**\n\n{}", lines.join("\n"))
    }

    #[track_caller]
    fn check(answer: &str, expected: &[&str]) {
        let pages = [shown(6, 0, 20), shown(8, 3, 3), shown(7, 0, 4)];
        let told: Vec<String> = resolve(answer, &pages).iter().map(Citation::to_string).collect();
        assert_eq!(told, expected, "{answer}");
    }

    #[test]
    fn marks_are_resolved_to_pages_and_lines() {
        check("So it is【6†L9-L11】.", &["【6†L9-L11】 is P 6 (p6.md), lines 9 to 11"]);
        check("So it is【8†L3】.", &["【8†L3】 is P 8 (p8.md), line 3"]);
        check("【7†L0-4】", &["【7†L0-4】 is P 7 (p7.md), lines 0 to 4"]);
        check("【 7 † L0 – L4 】", &["【 7 † L0 – L4 】 is P 7 (p7.md), lines 0 to 4"]);
        check("【6†L1-L2†a.org】", &["【6†L1-L2†a.org】 is P 6 (p6.md), lines 1 to 2"]);
        check("【7†Oslo】", &["【7†Oslo】 is P 7 (p7.md)"]);
        check(
            "One【6†L1】 and【7†L2】【8†L3】.",
            &[
                "【6†L1】 is P 6 (p6.md), line 1",
                "【7†L2】 is P 7 (p7.md), line 2",
                "【8†L3】 is P 8 (p8.md), line 3",
            ],
        );
    }

    #[test]
    fn what_was_not_shown_is_no_source() {
        check("【5†L1】", &["【5†L1】 is no source: no page has this number"]);
        check("【8†L2-L3】", &["【8†L2-L3】 is no source: these lines were not shown"]);
        check("【8†L3-L4】", &["【8†L3-L4】 is no source: these lines were not shown"]);
        check("【6†L9-L7】", &["【6†L9-L7】 is no source: the lines end before they start"]);
        check(
            "【99999999999999999999†L1】",
            &["【99999999999999999999†L1】 is no source: no page has this number"],
        );
        check(
            "【6†L99999999999999999999】",
            &["【6†L99999999999999999999】 is no source: these lines were not shown"],
        );
    }

    #[test]
    fn other_brackets_are_text() {
        for text in
            ["", "【】", "【6】", "【†L1】", "【a†L1】", "【6†L1", "【6\n†L1】", "[6†L1]", "【-6†L1】"]
        {
            check(text, &[]);
        }
        check("【6†【7†L1】", &["【7†L1】 is P 7 (p7.md), line 1"]);
    }

    #[test]
    fn what_is_written_fits_its_schema() {
        let definitions: serde_json::Value =
            serde_json::from_str(include_str!("../schemas/definitions.json")).unwrap();
        let check = |name: &str, value: serde_json::Value| {
            let schema = serde_json::json!({"$ref": format!("#/$defs/{name}"), "$defs": definitions});
            jsonschema::validate(&schema, &value).unwrap_or_else(|error| panic!("{value}: {error}"));
        };
        for citation in resolve("【6†L9-L11】【6†x】【9†L1】", &[shown(6, 0, 20)]) {
            check("citation", serde_json::to_value(citation).unwrap());
        }
        check("shown", serde_json::to_value(shown(6, 0, 20)).unwrap());
    }

    #[test]
    fn places_count_characters() {
        let citations = resolve("Größe【x】 ist【6†L1】", &[shown(6, 0, 9)]);
        assert_eq!((citations[0].start, citations[0].end), (12, 18));
    }

    #[test]
    fn the_newest_page_of_a_number_counts() {
        let pages = [Shown { title: "old".to_owned(), ..shown(0, 0, 9) }, shown(0, 0, 2)];
        assert_eq!(resolve("【0†L2】", &pages)[0].to_string(), "【0†L2】 is P 0 (p0.md), line 2");
    }

    #[test]
    fn lines_that_were_cut_off_were_not_shown() {
        let page = shown(0, 5, 9);
        assert_eq!(
            page.clone().within(&format!("{}\nL8: x[output cut]", display(5..=7))),
            Some(shown(0, 5, 7))
        );
        assert_eq!(page.clone().within(&format!("{}\n[output cut]", display(5..=5))), Some(shown(0, 5, 5)));
        assert_eq!(page.clone().within("[0] T\n**view"), None);
        assert_eq!(page.within("[0] T\n**viewing lines [5 - 9] of 9**\n\nL5: x"), None);
    }
}
