//! Lines of a page: at most [`WIDTH`] characters, broken as Python's `textwrap` breaks them with its spaces kept.
//!
//! Models count in these lines when they cite, so they are the same as those of the official tool.

/// Characters of a line.
const WIDTH: usize = 80;

/// The lines of a text.
pub(super) fn lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.split('\n') {
        wrap(line, &mut lines);
    }
    lines
}

fn wrap(line: &str, lines: &mut Vec<String>) {
    if line.len() <= WIDTH && !line.contains('\t') {
        lines.push(line.to_owned());
        return;
    }
    let characters = without_tabs(line);
    let mut current = Vec::with_capacity(WIDTH);
    let mut start = 0;
    while start < characters.len() {
        let end = chunk_end(&characters, start);
        let mut chunk = &characters[start..end];
        start = end;
        if current.len() + chunk.len() <= WIDTH {
            current.extend_from_slice(chunk);
            continue;
        }
        while chunk.len() > WIDTH {
            let room = WIDTH - current.len();
            let (here, rest) = chunk.split_at(break_within(&chunk[..room]));
            current.extend_from_slice(here);
            lines.push(current.drain(..).collect());
            chunk = rest;
        }
        if current.len() + chunk.len() > WIDTH {
            lines.push(current.drain(..).collect());
        }
        current.extend_from_slice(chunk);
    }
    if !current.is_empty() {
        lines.push(current.iter().collect());
    }
}

/// Characters with tabs as spaces up to the next column that 8 divides.
fn without_tabs(line: &str) -> Vec<char> {
    let mut characters = Vec::with_capacity(line.len());
    let mut column = 0;
    for c in line.chars() {
        match c {
            '\t' => {
                let spaces = 8 - column % 8;
                characters.extend(std::iter::repeat_n(' ', spaces));
                column += spaces;
            }
            '\r' => {
                characters.push(c);
                column = 0;
            }
            _ => {
                characters.push(c);
                column += 1;
            }
        }
    }
    characters
}

/// Where a word that no line has room for is broken: behind its last hyphen, if something else stands before that.
fn break_within(room: &[char]) -> usize {
    let Some(hyphen) = room.iter().rposition(|&c| c == '-') else { return room.len() };
    match room[..hyphen].iter().any(|&c| c != '-') {
        true => hyphen + 1,
        false => room.len(),
    }
}

fn is_space(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\u{b}' | '\u{c}' | '\r' | ' ')
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn is_letter(c: char) -> bool {
    is_word(c) && !c.is_numeric()
}

/// What may stand before a dash between words.
fn ends_word(c: char) -> bool {
    is_word(c) || matches!(c, '!' | '"' | '\'' | '&' | '.' | ',' | '?')
}

/// The end of what is not broken: spaces, a dash between words, a word or a part of it up to a hyphen.
fn chunk_end(text: &[char], start: usize) -> usize {
    let is = |at: usize, test: fn(char) -> bool| text.get(at).is_some_and(|&c| test(c));
    let run = |from: usize, test: fn(char) -> bool| (from..).find(|&at| !is(at, test)).unwrap_or(from);
    if is(start, is_space) {
        return run(start, is_space);
    }
    // Two or more dashes with a word behind them.
    let dash_end = |from: usize| {
        let end = run(from, |c| c == '-');
        (end >= from + 2 && is(end, is_word)).then_some(end)
    };
    if start > 0
        && is(start - 1, ends_word)
        && let Some(end) = dash_end(start)
    {
        return end;
    }
    for end in start + 1.. {
        if end >= text.len() || is_space(text[end]) {
            return end.min(text.len());
        }
        if text[end] != '-' {
            continue;
        }
        let before = |back: usize, test: fn(char) -> bool| end >= back && is(end - back, test);
        let joins =
            before(1, is_letter) && (before(2, is_letter) || before(2, |c| c == '-') && before(3, is_letter));
        let goes_on = is(end + 1, is_letter)
            && (is(end + 2, is_letter) || is(end + 2, |c| c == '-') && is(end + 3, is_letter));
        if joins && goes_on {
            return end + 1;
        }
        if before(1, ends_word) && dash_end(end).is_some() {
            return end;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(lines(text), expected);
    }

    #[test]
    fn short_lines_stay() {
        check("", &[""]);
        check("a\n\n b \n", &["a", "", " b ", ""]);
        check("a\tb", &["a       b"]);
        check(&"x".repeat(80), &["x".repeat(80).as_str()]);
    }

    #[test]
    fn spaces_are_kept_where_they_stand() {
        let word = "x".repeat(79);
        check(&format!("{word} yy z"), &[&format!("{word} "), "yy z"]);
        check(&format!("{word}x yy"), &[&format!("{word}x"), " yy"]);
        check(&format!("{word}   yy"), &[&word, "   yy"]);
    }

    #[test]
    fn long_words_are_broken_at_a_hyphen_or_anywhere() {
        let word = "x".repeat(100);
        check(&format!("ab {word}"), &[&format!("ab {}", "x".repeat(77)), &"x".repeat(23)]);
        check(&format!("1-{word}"), &["1-", &"x".repeat(80), &"x".repeat(20)]);
        check(&format!("-{word}"), &[&format!("-{}", "x".repeat(79)), &"x".repeat(21)]);
    }

    #[test]
    fn words_are_broken_at_hyphens_between_letters() {
        let filler = "y".repeat(72);
        check(&format!("{filler} well-known"), &[&format!("{filler} well-"), "known"]);
        check(&format!("{filler} 2024-11-26"), &[&format!("{filler} "), "2024-11-26"]);
        check(&format!("{filler} yes--really"), &[&format!("{filler} yes--"), "really"]);
    }

    #[test]
    fn a_long_line_takes_time_in_proportion() {
        let dashes = "-".repeat(2_000_000);
        assert_eq!(lines(&dashes).len(), 25_000);
        assert_eq!(lines(&"a--b ".repeat(400_000)).len(), 25_000);
    }
}
