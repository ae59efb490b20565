//! One line of text with a caret under the place that an error is about.

use std::ops::Range;

/// A line and the bytes of it to point at; an empty range points at what should stand there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Excerpt {
    line: String,
    span: Range<usize>,
}

/// Columns shown of a long line.
const WIDTH: usize = 76;
/// Columns shown before the place in a long line.
const BEFORE: usize = 40;

impl Excerpt {
    /// Points at bytes of a line. Places outside of it are moved to its end.
    pub(crate) fn new(line: impl Into<String>, span: Range<usize>) -> Self {
        Self { line: line.into(), span }
    }

    /// Points at bytes of a text with many lines; the part in the first line counts.
    /// Of a long line only what is around the place is taken.
    pub(crate) fn of_text(text: &str, span: Range<usize>) -> Self {
        const AROUND: usize = 4096;
        let at = floor(text, span.start);
        let from = floor(text, at.saturating_sub(AROUND));
        let to = floor(text, at + AROUND);
        let start = text[from..at].rfind('\n').map_or(from, |newline| from + newline + 1);
        let end = text[at..to].find('\n').map_or(to, |newline| at + newline);
        Self::new(&text[start..end], at - start..span.end.clamp(at, end) - start)
    }

    /// Line and column, both from 1, the column in bytes, of a byte of a text.
    pub(crate) fn place(text: &str, at: usize) -> (usize, usize) {
        let before = &text.as_bytes()[..at.min(text.len())];
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        (line, at - start + 1)
    }

    /// The line, cut around the place, and the carets below it.
    pub(crate) fn render(&self) -> (String, String) {
        let start = floor(&self.line, self.span.start);
        let end = floor(&self.line, self.span.end.max(start));
        // Whole characters before the place, as many as fit.
        let from = backwards(&self.line[..start], BEFORE);
        let (mut shown, mut carets) = (String::new(), String::new());
        if from > 0 {
            shown.push('…');
            carets.push(' ');
        }
        let mut columns = usize::from(from > 0);
        let mut cut = false;
        for (at, c) in self.line[from..].char_indices() {
            let at = from + at;
            let c = printable(c);
            if columns + width(c) > WIDTH {
                cut = true;
                break;
            }
            columns += width(c);
            shown.push(c);
            let mark = if at < start {
                " "
            } else if at < end.max(start + 1) {
                "^"
            } else {
                ""
            };
            carets.push_str(&mark.repeat(width(c)));
        }
        if cut {
            shown.push('…');
        }
        if !carets.contains('^') {
            carets.push('^');
        }
        (shown, carets)
    }
}

/// The lines of a text, for the places of many bytes of it.
pub(crate) struct LineStarts(Vec<usize>);

impl LineStarts {
    pub(crate) fn of(text: &str) -> Self {
        let after = text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n').map(|(at, _)| at + 1);
        Self(std::iter::once(0).chain(after).collect())
    }

    /// As [`Excerpt::place`], for a byte that is in the text.
    pub(crate) fn place(&self, at: usize) -> (usize, usize) {
        let line = self.0.partition_point(|&start| start <= at);
        (line, at - self.0[line - 1] + 1)
    }
}

/// Where the last `columns` columns of a text begin.
fn backwards(text: &str, columns: usize) -> usize {
    let mut left = columns;
    for (at, c) in text.char_indices().rev() {
        match left.checked_sub(width(printable(c))) {
            Some(less) => left = less,
            None => return at + c.len_utf8(),
        }
    }
    0
}

/// The nearest character boundary at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// The character, or a picture of it where it would move the cursor.
pub(crate) fn printable(c: char) -> char {
    match c {
        '\t' => ' ',
        '\u{7f}' => '\u{2421}',
        // The control pictures stand in the order of the control characters.
        c if c < ' ' => char::from_u32(0x2400 + u32::from(c)).unwrap_or(' '),
        c if c.is_control() || is_format(c) => '\u{fffd}',
        c => c,
    }
}

/// Characters that reorder or hide what is shown around them.
const fn is_format(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Columns of a character on a terminal: 0 for combining marks, 2 for East Asian wide ones and most emoji.
pub(crate) const fn width(c: char) -> usize {
    match c {
        '\u{300}'..='\u{36f}' | '\u{fe00}'..='\u{fe0f}' | '\u{20d0}'..='\u{20ff}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{303e}'
        | '\u{3041}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1f64f}'
        | '\u{1f680}'..='\u{1f6ff}'
        | '\u{1f900}'..='\u{1f9ff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, span: Range<usize>, expected: [&str; 2]) {
        let (shown, carets) = Excerpt::new(line, span).render();
        assert_eq!([shown.as_str(), carets.as_str()], expected);
    }

    #[test]
    fn carets_stand_under_the_span() {
        check("role: robot", 6..11, ["role: robot", "      ^^^^^"]);
        check("{", 1..1, ["{", " ^"]);
        check("", 0..0, ["", "^"]);
    }

    #[test]
    fn wide_and_combining_characters_keep_the_carets_in_place() {
        check("東京x", 6..7, ["東京x", "    ^"]);
        check("e\u{301}x", 3..4, ["e\u{301}x", " ^"]);
    }

    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        check("a\u{1b}[2Jb", 1..2, ["a␛[2Jb", " ^"]);
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let line = format!("{}X{}", "a".repeat(10_000), "b".repeat(10_000));
        let (shown, carets) = Excerpt::new(line, 10_000..10_001).render();
        assert!(shown.starts_with('…') && shown.ends_with('…'));
        assert_eq!(shown.chars().count(), WIDTH + 1);
        let column = carets.find('^').unwrap();
        assert_eq!(shown.chars().nth(column), Some('X'));
    }

    #[test]
    fn a_span_inside_a_character_points_at_it() {
        check("日", 1..2, ["日", "^^"]);
    }

    #[test]
    fn a_place_in_a_text_has_line_and_column() {
        assert_eq!(Excerpt::place("a\nbc", 3), (2, 2));
        let text = "a\n\nbc\n";
        for at in 0..=text.len() {
            assert_eq!(LineStarts::of(text).place(at), Excerpt::place(text, at), "{at}");
        }
        assert_eq!(Excerpt::of_text("a\nbc\nd", 3..4), Excerpt::new("bc", 1..2));
    }
}
