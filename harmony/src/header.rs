//! Message headers: everything between `<|start|>` and `<|message|>`, by the rules of the official library.

use std::borrow::Cow;
use std::ops::Range;

use nom::bytes::complete::{tag, take_until, take_while};
use nom::{IResult, Parser as _};

use crate::{Author, Error, ErrorKind, Header, Position, Result, Role, SpecialToken};

/// Reads a whole header, markers spelled out in `text`; a role that is preset is the author's.
///
/// `message` is the index of the message, for errors.
pub(crate) fn parse(text: &str, preset: Option<Role>, message: usize) -> Result<Header> {
    let fail = |error: Error, span: Range<usize>| {
        Err(error.at(Position::Header { message, text: text.to_owned(), span }))
    };
    let layout = match Layout::new(text) {
        Ok(layout) => layout,
        Err(at) => return fail(empty_channel(), at..at),
    };
    let mut words = layout.words();
    let author = match author(&mut words, preset) {
        Ok(author) => author,
        Err(None) => return fail(missing_role(), 0..0),
        Err(Some(word)) => return fail(unknown_role(word.text), layout.original(&word.span)),
    };

    let alone = words.len() == 1;
    let (mut recipient, mut content_type) = (None, None);
    if let Some(last) = words.pop() {
        match last.text.strip_prefix("to=") {
            Some(name) => recipient = Some(name.to_owned()),
            // A lone word is a recipient, a content type too.
            None if alone => recipient = Some(last.text.to_owned()),
            None => {
                content_type = Some(last.text.to_owned());
                recipient = words.pop().map(|word| without_prefix(word.text).to_owned());
            }
        }
    }
    if let (Some(first), Some(last)) = (words.first(), words.last()) {
        let span = layout.original(&(first.span.start..last.span.end));
        return fail(leftover(&join(&words)), span);
    }
    Ok(Header { author, recipient, channel: layout.channel.map(str::to_owned), content_type })
}

/// Reads a header that a stop token ended: only role and channel, the remaining words are the content.
pub(crate) fn parse_content(text: &str, role: Role, message: usize) -> Result<(Header, String)> {
    let layout = Layout::new(text).map_err(|at| {
        empty_channel().at(Position::Header { message, text: text.to_owned(), span: at..at })
    })?;
    let mut words = layout.words();
    if words.first().is_some_and(|word| word.text == role.as_str()) {
        words.remove(0);
    }
    let channel = layout.channel.map(str::to_owned);
    let header = Header { author: role.into(), recipient: None, channel, content_type: None };
    Ok((header, join(&words)))
}

/// Takes the role from the words; `Err` has the word that is none.
fn author<'a>(words: &mut Vec<Word<'a>>, preset: Option<Role>) -> Result<Author, Option<Word<'a>>> {
    let mut name = None;
    let role = match preset {
        Some(role) => role,
        None => {
            let first = words.first().ok_or(None)?.clone();
            match first.text.parse() {
                Ok(role) => {
                    name = (role == Role::Tool).then(|| first.text.to_owned());
                    role
                }
                // Any other word is a tool's name, if more follows.
                Err(_) if words.len() > 1 || first.text.starts_with("to=") => {
                    words.remove(0);
                    name = Some(first.text.to_owned());
                    Role::Tool
                }
                Err(_) => return Err(Some(first)),
            }
        }
    };
    if words.first().is_some_and(|word| word.text == role.as_str()) {
        words.remove(0);
    }
    Ok(Author { role, name })
}

/// A header without its channel section.
struct Layout<'a> {
    channel: Option<&'a str>,
    /// What stands before and after the channel section, joined.
    rest: Cow<'a, str>,
    /// The channel section in the header.
    cut: Range<usize>,
}

#[derive(Clone)]
struct Word<'a> {
    text: &'a str,
    /// In [`Layout::rest`].
    span: Range<usize>,
}

impl<'a> Layout<'a> {
    /// `Err` has the byte at which the channel's name is missing.
    fn new(text: &'a str) -> Result<Self, usize> {
        let Ok((after, (before, channel))) = channel_section(text) else {
            return Ok(Self { channel: None, rest: Cow::Borrowed(text), cut: text.len()..text.len() });
        };
        let end = text.len() - after.len();
        if channel.is_empty() {
            return Err(end);
        }
        Ok(Self {
            channel: Some(channel),
            rest: Cow::Owned(format!("{before}{after}")),
            cut: before.len()..end,
        })
    }

    /// The words; each `<|constrain|>` begins one.
    fn words(&self) -> Vec<Word<'_>> {
        let constrain = SpecialToken::Constrain.as_str();
        let trimmed = self.rest.trim();
        let offset = self.rest.len() - self.rest.trim_start().len();
        let mut words = Vec::new();
        for text in trimmed.split_ascii_whitespace() {
            let start = offset + (text.as_ptr() as usize - trimmed.as_ptr() as usize);
            let mut from = 0;
            let cuts = text.match_indices(constrain).map(|(at, _)| at).filter(|&at| at > 0);
            for to in cuts.chain([text.len()]) {
                words.push(Word { text: &text[from..to], span: start + from..start + to });
                from = to;
            }
        }
        words
    }

    /// A span of the rest as a span of the header.
    fn original(&self, span: &Range<usize>) -> Range<usize> {
        let place = |at: usize| if at < self.cut.start { at } else { at + self.cut.len() };
        place(span.start)..place(span.end.max(1) - 1) + 1
    }
}

/// Text, the first `<|channel|>`, and the name after it.
fn channel_section(text: &str) -> IResult<&str, (&str, &str)> {
    let marker = SpecialToken::Channel.as_str();
    let name = take_while(|c: char| !c.is_whitespace() && c != '<');
    let (rest, (before, _, name)) = (take_until(marker), tag(marker), name).parse(text)?;
    Ok((rest, (before, name)))
}

fn without_prefix(word: &str) -> &str {
    word.strip_prefix("to=").unwrap_or(word)
}

fn join(words: &[Word<'_>]) -> String {
    words.iter().map(|word| word.text).collect::<Vec<_>>().join(" ")
}

fn empty_channel() -> Error {
    Error::new(ErrorKind::Header, "a channel must be named after <|channel|>")
        .reference("channel marker present but no channel value found in header")
}

fn missing_role() -> Error {
    Error::new(ErrorKind::Header, "a message header must begin with a role, this one has none")
        .reference("message header did not contain a role")
}

fn unknown_role(word: &str) -> Error {
    let rule = "a message header must begin with a role, or with a tool's name before a recipient";
    Error::new(ErrorKind::UnknownRole, format!("{rule}, found {word:?}"))
        .reference(format!("Unknown role: {word}"))
}

fn leftover(words: &str) -> Error {
    let rule = "a message header must end after role, recipient, channel and content type";
    Error::new(ErrorKind::Header, format!("{rule}, found {words:?} besides"))
        .reference(format!("unexpected tokens remaining in message header: {:?}", Some(words)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str, preset: Option<Role>) -> [String; 5] {
        let header = parse(text, preset, 0).unwrap();
        let field = |field: Option<String>| field.unwrap_or_else(|| "-".to_owned());
        [
            header.author.role.to_string(),
            field(header.author.name),
            field(header.recipient),
            field(header.channel),
            field(header.content_type),
        ]
    }

    #[test]
    fn fields_are_those_of_the_official_library() {
        for (text, preset, expected) in [
            ("user", None, ["user", "-", "-", "-", "-"]),
            ("tool", None, ["tool", "tool", "-", "-", "-"]),
            ("to=x", None, ["tool", "to=x", "-", "-", "-"]),
            (
                "assistant to=X<|channel|>C <|constrain|>json",
                None,
                ["assistant", "-", "X", "C", "<|constrain|>json"],
            ),
            (
                "<|channel|>C to=X<|constrain|>json",
                Some(Role::Assistant),
                ["assistant", "-", "X", "C", "<|constrain|>json"],
            ),
            (
                "functions.f to=assistant<|channel|>commentary",
                None,
                ["tool", "functions.f", "assistant", "commentary", "-"],
            ),
            ("assistant json", None, ["assistant", "-", "json", "-", "-"]),
        ] {
            assert_eq!(fields(text, preset), expected, "{text:?}");
        }
    }

    #[test]
    fn an_error_points_at_the_words() {
        for (text, wording, found) in [
            ("functions.x", "Unknown role: functions.x", "functions.x"),
            ("", "message header did not contain a role", ""),
            ("user<|channel|> x", "channel marker present but no channel value found in header", ""),
            (
                "assistant a b<|channel|>final c d",
                r#"unexpected tokens remaining in message header: Some("a b")"#,
                "a b",
            ),
        ] {
            let error = parse(text, None, 3).unwrap_err();
            assert_eq!(error.reference_message(), wording);
            let Some(Position::Header { message: 3, text: header, span }) = error.position() else {
                panic!("{error:?}");
            };
            assert_eq!(&header[span.clone()], found);
        }
    }
}
