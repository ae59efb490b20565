//! A header that no `<|message|>` ended: its fields as far as they are certain, and the rest as content, byte for byte.

use nom::bytes::complete::{tag, take_while, take_while1};
use nom::character::complete::{alpha1, multispace0, multispace1};
use nom::combinator::{not, peek};
use nom::sequence::{preceded, terminated};
use nom::{IResult, Parser as _};

use std::ops::Range;

use crate::stream::is_tool;
use crate::{Header, Repair, Role, SpecialToken, channel};

use super::header::{Context, Finding, Resolved};
use super::parts::{LooseHeader, Part, Start};

const CHANNELS: [&str; 3] = [channel::ANALYSIS, channel::COMMENTARY, channel::FINAL];

/// A message that was read from a header.
pub(super) struct Section {
    pub(super) resolved: Resolved,
    /// Its units, up to the `<|channel|>` of the next, if there is one.
    pub(super) units: Range<usize>,
    pub(super) next: Option<Range<usize>>,
}

/// The messages in a header, at least one: a `<|channel|>` in the content begins another.
pub(super) fn read(loose: &LooseHeader, context: &Context<'_>) -> Vec<Section> {
    let mut cursor = Cursor::new(loose);
    let mut sections = Vec::new();
    let mut start = loose.start;
    let mut from = loose.from;
    loop {
        let first = cursor.part;
        let mut section = cursor.section(start, from, context);
        let parts = &cursor.parts[first..cursor.part];
        section.resolved.findings.splice(..0, markers(parts, start));
        let next = section.next.clone();
        sections.push(section);
        match next {
            Some(at) => (start, from) = (Start::Missing, at.start),
            None => return sections,
        }
    }
}

/// `R21`, `R13`, `R23` and `R24`: what in the parts is neither text nor a part of a header.
fn markers(parts: &[Piece], start: Start) -> Vec<Finding> {
    let mut preset = start == Start::Preset;
    let mut findings = Vec::new();
    for part in parts {
        let (repair, found, note) = match part.kind {
            Kind::Marker(marker @ SpecialToken::Start) if std::mem::take(&mut preset) => {
                (Repair::RepeatedPrompt, marker.as_str(), "the prompt's last tokens again")
            }
            Kind::Marker(marker @ SpecialToken::Start) => {
                (Repair::DoubledStart, marker.as_str(), "the header begins anew, collapsed")
            }
            Kind::Marker(marker) if part.in_content => (Repair::StrayMarker, marker.as_str(), "kept as text"),
            Kind::Unknown => (Repair::UnknownToken, "unknown token", "not in the vocabulary, U+FFFD"),
            Kind::Marker(_) | Kind::Text => continue,
        };
        let (tokens, found, note) = (part.at.clone(), found.to_owned(), note.to_owned());
        findings.push(Finding { repair, tokens, found, note });
    }
    findings
}

/// The parts of a header, as far as they are not yet read.
struct Cursor {
    parts: Vec<Piece>,
    /// The part at which reading stands, and the byte in its text.
    part: usize,
    byte: usize,
}

struct Piece {
    kind: Kind,
    /// Markers spelled out.
    text: String,
    at: Range<usize>,
    /// Whether it was read as content.
    in_content: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Marker(SpecialToken),
    Unknown,
    Text,
}

impl Cursor {
    fn new(loose: &LooseHeader) -> Self {
        let parts = loose.parts.iter().map(|part| {
            let (kind, text, at) = match part {
                Part::Marker(marker, at) => (Kind::Marker(*marker), marker.to_string(), at.clone()),
                Part::Unknown(at) => (Kind::Unknown, char::REPLACEMENT_CHARACTER.to_string(), at.clone()),
                Part::Text(text) => (Kind::Text, text.to_string(), text.all_units()),
            };
            Piece { kind, text, at, in_content: false }
        });
        Self { parts: parts.collect(), part: 0, byte: 0 }
    }

    /// Reads one message; `R03` if it has a channel or a recipient, else `R04`.
    fn section(&mut self, start: Start, from: usize, context: &Context<'_>) -> Section {
        let first = self.part;
        let written = self.role(start);
        let restarted =
            self.parts[first..self.part].iter().any(|part| part.kind == Kind::Marker(SpecialToken::Start));
        let start = if restarted { Start::Marker } else { start };
        let preset = context.preset.filter(|_| start == Start::Preset);
        let mut recipient = self.take(recipient).map(str::to_owned);
        let (channel, doubled) = self.channels();
        recipient = recipient.or_else(|| self.take(recipient_after).map(str::to_owned));
        let content_type = self.content_type(recipient.is_some());
        let content = self.rest();

        let next = self.parts.get(self.part).map(|part| part.at.clone());
        let end = match &next {
            Some(at) => at.start,
            None => self.parts.last().map_or(from, |part| part.at.end),
        };
        let units = from..end.max(from);
        let text: String = self.parts[first..self.part].iter().map(|part| part.text.as_str()).collect();
        let mut findings = Vec::new();
        let mut find = |repair, found: &str, note: &str| {
            let (found, note) = (found.to_owned(), note.to_owned());
            findings.push(Finding { repair, tokens: units.clone(), found, note });
        };
        match start {
            Start::Missing => find(Repair::MissingStart, &text, "a message begins here all the same"),
            Start::Marker if written.is_none() => find(Repair::MissingRole, "", "read as the assistant's"),
            Start::Marker | Start::Preset => {}
        }
        if doubled {
            find(Repair::StrayChannel, &text, "the last channel counts");
        }
        if channel.is_some() || recipient.is_some() || content.trim().is_empty() {
            find(Repair::MissingMessage, &text, "the content begins after what a header can say");
        } else {
            find(Repair::BareText, &text, "the content of a message without channel");
        }
        if let Some(name) = &recipient
            && !context.tools.is_empty()
            && is_tool(name)
            && !context.tools.has(name)
        {
            find(Repair::UnknownTool, name, "no tool of this name was given");
        }
        let author = written.or(preset).unwrap_or(Role::Assistant).into();
        let header = Header { author, recipient, channel, content_type };
        Section { resolved: Resolved { header, content, findings }, units, next }
    }

    fn text(&self) -> Option<&str> {
        let part = self.parts.get(self.part)?;
        (part.kind == Kind::Text).then(|| &part.text[self.byte..])
    }

    /// What a parser reads from the text that is left here.
    fn take<'a, T>(&'a mut self, parser: impl Fn(&'a str) -> IResult<&'a str, T>) -> Option<T> {
        let part = self.parts.get(self.part).filter(|part| part.kind == Kind::Text)?;
        let text = part.text.as_str();
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
        if self.parts.get(self.part).is_some_and(|part| part.kind == Kind::Marker(marker)) {
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

    /// The last of the channels that follow each other, and whether there was more than one.
    fn channels(&mut self) -> (Option<String>, bool) {
        let mut channel = self.channel().map(str::to_owned);
        let mut doubled = false;
        while let (part, byte) = (self.part, self.byte)
            && self.take_marker(SpecialToken::Channel)
        {
            (self.part, self.byte) = (part, byte);
            channel = self.channel().map(str::to_owned).or(channel);
            doubled = true;
        }
        (channel, doubled)
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

    /// Everything up to the next `<|channel|>`.
    fn rest(&mut self) -> String {
        let mut content = String::new();
        while let Some(part) = self.parts.get_mut(self.part) {
            if part.kind == Kind::Marker(SpecialToken::Channel) {
                break;
            }
            part.in_content = true;
            content.push_str(&part.text[self.byte..]);
            (self.part, self.byte) = (self.part + 1, 0);
        }
        content
    }
}

/// A role word at the beginning of a text, and the bytes to skip for it.
fn role_word(text: &str) -> Option<(Role, usize)> {
    let trimmed = text.trim_start();
    let role = Role::ALL.into_iter().find(|role| {
        trimmed.strip_prefix(role.as_str()).is_some_and(|rest| {
            !rest.starts_with(|c: char| continues(c) || c == ':')
                || Role::ALL.into_iter().any(|role| rest.starts_with(role.as_str()))
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
fn recipient_after(text: &str) -> IResult<&str, &str> {
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
