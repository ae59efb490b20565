//! Messages as a person reads them: a line for the header, the content below it, in the colour of the channel.

use std::io::{self, Write};

use harmony_format::{Content, Diagnostic, Message};

use crate::color::{self, Paint};
use crate::excerpt::{printable, width};

/// Columns of a line of content.
const COLUMNS: usize = 78;

/// Writes who says it, to whom, on which channel, and how it ended.
pub(crate) fn header(out: &mut impl Write, paint: Paint, message: &Message, status: &str) -> io::Result<()> {
    let role = message.author.role.as_str();
    let style = color::channel(message.channel.as_deref(), role);
    let mut line = line(role);
    if let Some(name) = &message.author.name {
        line += &format!(" {}", self::line(name));
    }
    if let Some(recipient) = &message.recipient {
        line += &format!(" → {}", self::line(recipient));
    }
    if let Some(channel) = &message.channel {
        line += &format!(" · {}", self::line(channel));
    }
    let mut rest = String::new();
    if let Some(content_type) = &message.content_type {
        rest += &format!(" · {}", self::line(content_type));
    }
    if !status.is_empty() {
        rest += &format!(" · {status}");
    }
    writeln!(out, "{}{}", paint.paint(style.bold(), line), paint.paint(color::DIM, rest))
}

/// Writes the content, wrapped and indented, in the colour of the channel.
pub(crate) fn content(out: &mut impl Write, paint: Paint, message: &Message) -> io::Result<()> {
    let style = color::channel(message.channel.as_deref(), message.author.role.as_str());
    for item in &message.content {
        let text = match item {
            Content::Text(text) => text.clone(),
            Content::System(content) => serde_json::to_string_pretty(content)?,
            Content::Developer(content) => serde_json::to_string_pretty(content)?,
        };
        for line in wrap(&text) {
            writeln!(out, "  {}", paint.paint(style, line))?;
        }
    }
    Ok(())
}

/// Writes what was repaired.
pub(crate) fn repair(out: &mut impl Write, paint: Paint, diagnostic: &Diagnostic) -> io::Result<()> {
    let label = format!("repair {} {}:", diagnostic.repair.code(), diagnostic.repair.name());
    writeln!(out, "{} {}", paint.paint(color::WARNING, label), line(&diagnostic.note))?;
    if !diagnostic.found.is_empty() {
        let found = crate::token_text::shortened(&diagnostic.found, COLUMNS - 9);
        writeln!(out, "  {}", paint.paint(color::DIM, format!("found: {found}")))?;
    }
    Ok(())
}

/// Text on one line that cannot steer the terminal.
fn line(text: &str) -> String {
    text.chars().map(printable).collect()
}

/// The lines of a text, each at most [`COLUMNS`] less the indent, broken at spaces where there are some.
pub(crate) fn wrap(text: &str) -> Vec<String> {
    let room = COLUMNS - 2;
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        let mut used = 0;
        for word in paragraph.split_inclusive(' ') {
            let word: String = word.chars().map(printable).collect();
            let columns: usize = word.trim_end().chars().map(width).sum();
            if used > 0 && used + columns > room {
                lines.push(line.trim_end().to_owned());
                (line, used) = (String::new(), 0);
            }
            for c in word.chars() {
                if used + width(c) > room && c != ' ' {
                    lines.push(std::mem::take(&mut line));
                    used = 0;
                }
                line.push(c);
                used += width(c);
            }
        }
        lines.push(line.trim_end().to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_broken_at_spaces() {
        let text = "word ".repeat(40);
        let lines = wrap(&text);
        assert!(lines.iter().all(|line| line.len() <= COLUMNS - 2 && line.ends_with("word")), "{lines:?}");
        assert_eq!(lines.join(" ").split(' ').count(), 40);
    }

    #[test]
    fn a_word_longer_than_a_line_is_broken_and_lines_are_kept() {
        assert_eq!(wrap(&"x".repeat(100)).iter().map(String::len).collect::<Vec<_>>(), [76, 24]);
        assert_eq!(wrap("a\n\n  b"), ["a", "", "  b"]);
        assert_eq!(wrap("a\u{1b}[0m"), ["a␛[0m"]);
    }
}
