//! A header that no `<|message|>` ended: its fields as far as they are certain, and the rest as content, byte for byte.

use nom::bytes::complete::{tag, take_while, take_while1};
use nom::character::complete::{alpha1, multispace0, multispace1};
use nom::combinator::{not, peek};
use nom::sequence::{preceded, terminated};
use nom::{IResult, Parser as _};

use crate::{Header, Repair, Role, SpecialToken, channel};

use super::header::{Context, Finding, Resolved, is_known};
use super::parts::{LooseHeader, Part, Start};

const CHANNELS: [&str; 3] = [channel::ANALYSIS, channel::COMMENTARY, channel::FINAL];

/// `R03` if there is a channel or a recipient, else `R04`.
pub(super) fn read(loose: &LooseHeader, context: &Context<'_>) -> Resolved {
    let mut cursor = Cursor::new(loose);
    let mut findings = cursor.findings(loose);
    let start = if loose.has_start() { Start::Marker } else { loose.start };

    let written = cursor.role(start);
    let role = written.or(context.preset.filter(|_| start == Start::Preset)).unwrap_or(Role::Assistant);
    let mut find = |repair, found: &str, note: &str| {
        findings.push(Finding {
            repair,
            tokens: loose.units(),
            found: found.to_owned(),
            note: note.to_owned(),
        });
    };
    match start {
        Start::Missing => find(Repair::MissingStart, &loose.text(), "a message begins here all the same"),
        Start::Marker if written.is_none() => find(Repair::MissingRole, "", "read as the assistant's"),
        Start::Marker | Start::Preset => {}
    }
    let mut recipient = cursor.take(recipient).map(str::to_owned);
    let channel = cursor.channel().map(str::to_owned);
    recipient = recipient.or_else(|| cursor.take(recipient_or_none).map(str::to_owned));
    let content_type = cursor.content_type(recipient.is_some());
    let content = cursor.rest();

    if channel.is_some() || recipient.is_some() || content.trim().is_empty() {
        let found = loose.text();
        find(Repair::MissingMessage, &found, "the content begins after what a header can say");
    } else {
        find(Repair::BareText, &content, "the content of a message without channel");
    }
    if let Some(name) = &recipient
        && !context.tools.is_empty()
        && crate::stream::is_tool(name)
        && !is_known(name, context.tools)
    {
        find(Repair::UnknownTool, name, "no tool of this name was given");
    }
    let header = Header { author: role.into(), recipient, channel, content_type };
    Resolved { header, content, findings }
}

/// The parts of a header, as far as they are not yet read.
struct Cursor {
    parts: Vec<Piece>,
    /// The part at which reading stands, and the byte in its text.
    part: usize,
    byte: usize,
}

enum Piece {
    Marker(SpecialToken),
    Text(String),
}

impl Cursor {
    fn new(loose: &LooseHeader) -> Self {
        let parts = loose.parts.iter().map(|part| match part {
            Part::Marker(marker, _) => Piece::Marker(*marker),
            Part::Unknown(_) => Piece::Text(char::REPLACEMENT_CHARACTER.to_string()),
            Part::Text(text) => Piece::Text(text.to_string()),
        });
        Self { parts: parts.collect(), part: 0, byte: 0 }
    }

    /// `R21`, `R13` and `R23`.
    fn findings(&self, loose: &LooseHeader) -> Vec<Finding> {
        let mut preset = loose.start == Start::Preset;
        let mut findings = Vec::new();
        for part in &loose.parts {
            let (repair, tokens, found, note) = match part {
                Part::Marker(marker @ SpecialToken::Start, at) if std::mem::take(&mut preset) => {
                    (Repair::RepeatedPrompt, at, marker.as_str(), "the prompt's last tokens again")
                }
                Part::Marker(marker @ SpecialToken::Start, at) => {
                    (Repair::DoubledStart, at, marker.as_str(), "the header begins anew, collapsed")
                }
                Part::Unknown(at) => {
                    (Repair::UnknownToken, at, "unknown token", "not in the vocabulary, U+FFFD")
                }
                Part::Marker(..) | Part::Text(_) => continue,
            };
            let (tokens, found, note) = (tokens.clone(), found.to_owned(), note.to_owned());
            findings.push(Finding { repair, tokens, found, note });
        }
        findings
    }

    fn text(&self) -> Option<&str> {
        match self.parts.get(self.part)? {
            Piece::Text(text) => Some(&text[self.byte..]),
            Piece::Marker(_) => None,
        }
    }

    /// Whether a marker or the end follows the text that is left here, `text` of it read.
    fn take<'a, T>(&'a mut self, parser: impl Fn(&'a str) -> IResult<&'a str, T>) -> Option<T> {
        let Piece::Text(text) = self.parts.get(self.part)? else { return None };
        let (rest, value) = parser(&text[self.byte..]).ok()?;
        self.byte = text.len() - rest.len();
        if rest.is_empty() {
            (self.part, self.byte) = (self.part + 1, 0);
        }
        Some(value)
    }

    fn take_marker(&mut self, marker: SpecialToken) -> bool {
        let (part, byte) = (self.part, self.byte);
        if self.text().is_some_and(|text| text.trim().is_empty()) {
            (self.part, self.byte) = (self.part + 1, 0);
        }
        if matches!(self.parts.get(self.part), Some(Piece::Marker(found)) if *found == marker) {
            (self.part, self.byte) = (self.part + 1, 0);
            return true;
        }
        (self.part, self.byte) = (part, byte);
        false
    }

    /// The last role before the fields begin. Without a `<|start|>` a role must be all that the text says,
    /// so that prose which begins with such a word stays whole.
    fn role(&mut self, start: Start) -> Option<Role> {
        let mut found = None;
        loop {
            while self.take_marker(SpecialToken::Start) {}
            let Some((role, len)) = self.text().and_then(role_word) else { return found };
            let rest = self.text().map_or("", |text| &text[len..]);
            if start != Start::Marker && !rest.trim().is_empty() && recipient(rest).is_err() {
                return found;
            }
            if rest.is_empty() {
                (self.part, self.byte) = (self.part + 1, 0);
            } else {
                self.byte += len;
            }
            found = Some(role);
        }
    }

    /// A known channel after its marker, or nothing where the input ended in the name; any other name stays content.
    fn channel(&mut self) -> Option<&str> {
        if !self.take_marker(SpecialToken::Channel) {
            return None;
        }
        if self.text().is_some_and(|text| known_channel(text).is_ok()) {
            return self.take(known_channel);
        }
        let last = self.part + 1 == self.parts.len();
        if last && self.text().is_some_and(|text| CHANNELS.iter().any(|name| name.starts_with(text))) {
            (self.part, self.byte) = (self.part + 1, 0);
        }
        None
    }

    /// `<|constrain|>` and its word; after a recipient also a bare `json`.
    fn content_type(&mut self, called: bool) -> Option<String> {
        if self.take_marker(SpecialToken::Constrain) {
            let word = self.take(preceded_word).unwrap_or("");
            return Some(format!("{}{word}", SpecialToken::Constrain));
        }
        called.then(|| self.take(bare_type)).flatten().map(str::to_owned)
    }

    fn rest(&self) -> String {
        let mut content = self.text().unwrap_or("").to_owned();
        let next = self.part + usize::from(self.text().is_some());
        for part in self.parts.iter().skip(next) {
            match part {
                Piece::Marker(marker) => content.push_str(marker.as_str()),
                Piece::Text(text) => content.push_str(text),
            }
        }
        content
    }
}

/// A role word at the beginning of a text, and the bytes to skip for it.
fn role_word(text: &str) -> Option<(Role, usize)> {
    let trimmed = text.trim_start();
    let role = Role::ALL.into_iter().find(|role| {
        trimmed.strip_prefix(role.as_str()).is_some_and(|rest| {
            !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
                || role_word(rest).is_some()
        })
    })?;
    Some((role, text.len() - trimmed.len() + role.as_str().len()))
}

/// ` to=NAME`.
fn recipient(text: &str) -> IResult<&str, &str> {
    let name = take_while1(|c: char| c.is_alphanumeric() || "_-.:/".contains(c));
    preceded((multispace0, tag("to=")), name).parse(text)
}

/// Like [`recipient`], after the channel.
fn recipient_or_none(text: &str) -> IResult<&str, &str> {
    recipient(text)
}

/// The name of a known channel that no longer word continues.
fn known_channel(text: &str) -> IResult<&str, &str> {
    let [analysis, commentary, answer] = CHANNELS.map(tag);
    let name = nom::branch::alt((analysis, commentary, answer));
    terminated(name, not(nom::character::complete::satisfy(continues))).parse(text)
}

/// Whether a character makes a longer word of the word before it; a capital begins a new one.
fn continues(c: char) -> bool {
    c.is_lowercase() || c.is_numeric() || c == '_'
}

fn preceded_word(text: &str) -> IResult<&str, &str> {
    preceded(multispace0, alpha1).parse(text)
}

/// ` json` before a JSON value.
fn bare_type(text: &str) -> IResult<&str, &str> {
    let value = peek((take_while(|c: char| c.is_whitespace()), nom::character::complete::one_of("{[")));
    terminated(preceded(multispace1, tag("json")), value).parse(text)
}
