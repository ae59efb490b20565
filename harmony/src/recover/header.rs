//! Any header as fields: what strict mode reads stays so, the rest is repaired, one function a repair.

use std::collections::VecDeque;
use std::ops::Range;

use crate::stream::is_tool;
use crate::{Author, Header, Repair, Role, SpecialToken};

use super::parts::{LooseHeader, Part, Start};
use super::words::{
    Item, Tools, Word, first_word, is_channel, is_name, is_type, named_author, repeated_role,
    role_and_channel, words,
};

/// What is known beside the header.
pub(super) struct Context<'a> {
    pub(super) preset: Option<Role>,
    pub(super) tools: &'a Tools,
}

/// A repair before it has its message.
pub(super) struct Finding {
    pub(super) repair: Repair,
    pub(super) tokens: Range<usize>,
    pub(super) found: String,
    pub(super) note: String,
}

pub(super) struct Resolved {
    pub(super) header: Header,
    pub(super) content: String,
    pub(super) findings: Vec<Finding>,
}

/// Reads a header that ended with `<|message|>`.
pub(super) fn read(loose: &LooseHeader, context: &Context<'_>) -> Resolved {
    let mut reader = Reader { context, findings: Vec::new(), from: loose.from };
    let mut items = reader.items(loose);
    let restarted = reader.collapse_starts(loose, &mut items);
    let author = reader.author(loose, restarted, &mut items);
    let mut fields = Fields::default();
    reader.collect(items, &mut fields);
    reader.choose_channel(&author, &mut fields);
    reader.choose_recipient(&mut fields);
    reader.assign_bare_words(author.role, &mut fields);
    reader.split_glued_type(&mut fields);
    reader.type_without_recipient(&fields);
    reader.check_tool(&author, &fields);
    let header = Header {
        author,
        recipient: fields.recipient.map(|word| word.text),
        channel: fields.channel,
        content_type: fields.content_type.map(|word| word.text),
    };
    Resolved { header, content: String::new(), findings: reader.findings }
}

/// What was found in a header, before it is settled what is what.
#[derive(Default)]
struct Fields {
    /// Each channel's name, if it has one, and place.
    channels: Vec<(Option<String>, Range<usize>)>,
    /// Each `to=`, and how many channels stood before it.
    recipients: Vec<(Word, usize)>,
    /// Words that nothing introduces, and how many channels stood before them.
    bare: Vec<(Word, usize)>,
    recipient: Option<Word>,
    channel: Option<String>,
    content_type: Option<Word>,
}

struct Reader<'a> {
    context: &'a Context<'a>,
    findings: Vec<Finding>,
    /// The unit at which the header begins.
    from: usize,
}

impl Reader<'_> {
    fn find(&mut self, repair: Repair, tokens: Range<usize>, found: &str, note: impl Into<String>) {
        self.findings.push(Finding { repair, tokens, found: found.to_owned(), note: note.into() });
    }

    /// Words and markers in order; `R23` for unknown tokens, `R22` for bytes that are no text, `R24` for markers without use.
    fn items(&mut self, loose: &LooseHeader) -> VecDeque<Item> {
        let mut items = VecDeque::new();
        for part in &loose.parts {
            match part {
                Part::Marker(SpecialToken::StartOfText, at) => {
                    let found = SpecialToken::StartOfText.as_str();
                    self.find(Repair::StrayMarker, at.clone(), found, "no part of a header, ignored");
                }
                Part::Marker(marker, at) => items.push_back(Item::Marker(*marker, at.clone())),
                Part::Unknown(at) => self.find(
                    Repair::UnknownToken,
                    at.clone(),
                    "unknown token",
                    "not in the vocabulary, ignored in the header",
                ),
                Part::Text(text) => {
                    let string = text.to_string();
                    for (range, word) in words(&string) {
                        if word.contains(char::REPLACEMENT_CHARACTER) {
                            let note = "bytes that are not UTF-8 became U+FFFD";
                            self.find(Repair::UnreadableHeader, text.units(&range), word, note);
                        }
                        let glued = range.start == 0;
                        let at = text.units(&range);
                        items.push_back(Item::Word(Word { text: word.to_owned(), at, glued }));
                    }
                }
            }
        }
        items
    }

    /// `R21` and `R13`: more than one `<|start|>`. Whether there was one after the header's beginning.
    fn collapse_starts(&mut self, loose: &LooseHeader, items: &mut VecDeque<Item>) -> bool {
        let mut preset = loose.start == Start::Preset;
        let mut restarted = false;
        items.retain(|item| {
            let Item::Marker(SpecialToken::Start, at) = item else { return true };
            let (repair, note) = match std::mem::take(&mut preset) {
                true => {
                    (Repair::RepeatedPrompt, "the prompt's last tokens again, read as the header's beginning")
                }
                false => (Repair::DoubledStart, "the header begins anew, collapsed"),
            };
            let found = SpecialToken::Start.to_string();
            self.findings.push(Finding { repair, tokens: at.clone(), found, note: note.to_owned() });
            restarted = true;
            false
        });
        restarted
    }

    /// The author; `R02`, `R13` and `R26` where role or beginning are not as they should be.
    fn author(&mut self, loose: &LooseHeader, restarted: bool, items: &mut VecDeque<Item>) -> Author {
        let start = if restarted { Start::Marker } else { loose.start };
        if start == Start::Missing {
            let found = loose.text();
            self.find(
                Repair::MissingStart,
                self.from..self.from,
                &found,
                "a message begins here all the same",
            );
        }
        let author = match (start, self.context.preset) {
            (Start::Preset, Some(role)) => {
                let named = first_word(items).and_then(named_author).filter(|author| author.role == role);
                let doubled =
                    first_word(items).filter(|word| repeated_role(&word.text) == Some(role)).cloned();
                if named.is_some() || doubled.is_some() {
                    items.pop_front();
                }
                if let Some(word) = doubled {
                    self.find(Repair::DoubledStart, word.at, &word.text, "the role is doubled, collapsed");
                }
                named.unwrap_or_else(|| {
                    take_role(role, items);
                    role.into()
                })
            }
            _ => self.written_author(start, items),
        };
        while author.role != Role::Tool && author.name.is_none() && take_role(author.role, items) {
            if !restarted {
                let (found, at) = (author.role.as_str(), self.from..self.from);
                self.find(Repair::DoubledStart, at, found, "the role is doubled, collapsed");
            }
        }
        author
    }

    /// The author that the header itself names.
    fn written_author(&mut self, start: Start, items: &mut VecDeque<Item>) -> Author {
        let Some(word) = first_word(items).cloned() else {
            return self.missing_role(start);
        };
        if let Ok(role) = word.text.parse::<Role>() {
            items.pop_front();
            let name = (role == Role::Tool).then(|| word.text.clone());
            return Author { role, name };
        }
        if let Some(author) = named_author(&word) {
            items.pop_front();
            return author;
        }
        if let Some(role) = repeated_role(&word.text) {
            items.pop_front();
            self.find(Repair::DoubledStart, word.at, &word.text, "the role is doubled, collapsed");
            return role.into();
        }
        if let Some((role, name)) = role_and_channel(&word.text) {
            self.find(
                Repair::EmptyChannel,
                word.at.clone(),
                &word.text,
                "<|channel|> is missing before the name",
            );
            let at = word.at.clone();
            items[0] = Item::Word(Word { text: name.to_owned(), glued: true, ..word });
            items.push_front(Item::Marker(SpecialToken::Channel, at));
            return role.into();
        }
        let answers = matches!(items.get(1), Some(Item::Word(next)) if next.text.starts_with("to="));
        // A tool may be called like a channel or a type, if a recipient follows.
        let other = is_channel(&word.text) || (is_type(&word.text) && !word.text.contains('/'));
        let names_tool = !word.text.starts_with("to=") && (answers || !other);
        if names_tool && (start == Start::Marker || (answers && !other && is_name(&word.text))) {
            items.pop_front();
            take_role(Role::Tool, items);
            return Author::new(Role::Tool, word.text);
        }
        self.missing_role(start)
    }

    /// `R26`: nothing says who speaks.
    fn missing_role(&mut self, start: Start) -> Author {
        if start == Start::Marker {
            self.find(Repair::MissingRole, self.from..self.from, "", "read as the assistant's");
        }
        Role::Assistant.into()
    }

    /// Sorts what follows the author; `R06` and `R12` on the way.
    fn collect(&mut self, mut items: VecDeque<Item>, fields: &mut Fields) {
        while let Some(item) = items.pop_front() {
            match item {
                Item::Marker(SpecialToken::Channel, at) => {
                    let name = self.channel_name(&at, &mut items);
                    fields.channels.push((name, at));
                }
                Item::Marker(marker, at) => {
                    let word = self.constrained(marker, at, &mut items);
                    match fields.content_type {
                        None => fields.content_type = Some(word),
                        Some(_) => self.find(
                            Repair::UnreadableHeader,
                            word.at,
                            &word.text,
                            "a second content type, ignored",
                        ),
                    }
                }
                Item::Word(word) => match word.text.strip_prefix("to=") {
                    Some(name) => {
                        let word = Word { text: name.to_owned(), ..word };
                        fields.recipients.push((word, fields.channels.len()));
                    }
                    None => fields.bare.push((word, fields.channels.len())),
                },
            }
        }
    }

    /// `R12` where a channel has no name, or one after white space; `R11` where the name is no name.
    fn channel_name(&mut self, at: &Range<usize>, items: &mut VecDeque<Item>) -> Option<String> {
        let marker = SpecialToken::Channel.as_str();
        let word = match first_word(items) {
            Some(word) if word.glued => word.clone(),
            Some(word) if is_channel(&word.text) => {
                let word = word.clone();
                items.pop_front();
                self.find(Repair::EmptyChannel, at.clone(), marker, "the name stands after white space");
                return Some(word.text);
            }
            _ => {
                self.find(Repair::EmptyChannel, at.clone(), marker, "no name, read as no channel");
                return None;
            }
        };
        items.pop_front();
        let end = word.text.find(|c: char| c.is_whitespace() || c == '<').unwrap_or(word.text.len());
        let (name, rest) = word.text.split_at(end);
        let rest = rest.trim();
        if rest.starts_with('<') && !is_type(rest) {
            self.find(
                Repair::StrayChannel,
                word.at.clone(),
                &word.text,
                format!("the name ends before {rest:?}"),
            );
        } else if !rest.is_empty() {
            let (text, at) = (rest.to_owned(), word.at.clone());
            items.push_front(Item::Word(Word { text, at, glued: true }));
        }
        self.clean_channel(name, &word.at)
    }

    /// `R11`: `commentary?` is `commentary`, `??` is nothing.
    fn clean_channel(&mut self, name: &str, at: &Range<usize>) -> Option<String> {
        let clean = name.trim_matches(|c: char| !c.is_alphanumeric());
        if clean.is_empty() {
            self.find(Repair::StrayChannel, at.clone(), name, "no channel's name, read as no channel");
            return None;
        }
        if clean != name && is_channel(clean) {
            self.find(Repair::StrayChannel, at.clone(), name, format!("read as channel {clean}"));
            return Some(clean.to_owned());
        }
        Some(name.to_owned())
    }

    /// `R06`: `<|constrain|>` and its word, white space between them or not.
    fn constrained(&mut self, marker: SpecialToken, at: Range<usize>, items: &mut VecDeque<Item>) -> Word {
        let mut word = Word { text: marker.to_string(), at, glued: true };
        let next = first_word(items).cloned();
        if let Some(next) = next.filter(|next| next.glued || !next.text.starts_with("to=")) {
            items.pop_front();
            word.text.push_str(&next.text);
            word.at.end = next.at.end;
            if !next.glued {
                let found = format!("{marker} {}", next.text);
                self.find(Repair::SpacedConstrain, word.at.clone(), &found, format!("read as {}", word.text));
            }
        }
        word
    }

    /// `R08` and `R11`: more than one channel.
    fn choose_channel(&mut self, author: &Author, fields: &mut Fields) {
        let [first, .., last] = fields.channels.as_slice() else {
            fields.channel = fields.channels.pop().and_then(|(name, _)| name);
            return;
        };
        let (first, last) = (first.clone(), last.clone());
        // A bare word before the second channel names a tool like `to=` does.
        if fields.recipients.is_empty()
            && let Some(index) = fields.bare.iter().position(|(word, before)| {
                *before == 1 && is_name(&word.text) && !is_type(&word.text) && !is_channel(&word.text)
            })
        {
            let word = fields.bare.remove(index);
            fields.recipients.push(word);
        }
        let found = fields.channels[1..].iter().fold(String::new(), |found, (name, _)| {
            found + SpecialToken::Channel.as_str() + name.as_deref().unwrap_or("")
        });
        let at = fields.channels[1].1.start..last.1.end;
        let calls = fields.recipients.iter().any(|(word, before)| *before < 2 && is_tool(&word.text));
        if calls {
            fields.channel = first.0;
            self.find(
                Repair::SecondChannel,
                at,
                &found,
                "the recipient ends before it, the first channel stays",
            );
            return;
        }
        let named = fields.channels.iter().rev().find_map(|(name, _)| name.clone());
        let note = format!("the last channel counts: {}", named.as_deref().unwrap_or("none"));
        self.find(Repair::StrayChannel, at, &found, note);
        fields.channel = named;
        if author.role == Role::Assistant {
            let last = fields.channels.len();
            fields
                .recipients
                .retain(|(word, before)| *before == last || word.text != Role::Assistant.as_str());
        }
    }

    /// `R07`: more than one recipient.
    fn choose_recipient(&mut self, fields: &mut Fields) {
        let mut recipients = std::mem::take(&mut fields.recipients).into_iter().map(|(word, _)| word);
        fields.recipient = recipients.next();
        for other in recipients {
            let note = match &fields.recipient {
                Some(first) if first.text == other.text => "said twice, collapsed".to_owned(),
                Some(first) => format!("the first recipient counts: {}", first.text),
                None => continue,
            };
            self.find(Repair::RepeatedRecipient, other.at.clone(), &format!("to={}", other.text), note);
        }
    }

    /// Words that nothing introduces: a channel, a recipient, a content type, or `R22`.
    fn assign_bare_words(&mut self, role: Role, fields: &mut Fields) {
        let mut bare: Vec<Word> =
            std::mem::take(&mut fields.bare).into_iter().map(|(word, _)| word).collect();
        if bare.first().is_some_and(|word| word.text == role.as_str()) {
            let word = bare.remove(0);
            self.find(Repair::DoubledStart, word.at, &word.text, "the role is doubled, collapsed");
        }
        if fields.channels.is_empty() && bare.first().is_some_and(|word| is_channel(&word.text)) {
            let word = bare.remove(0);
            self.find(Repair::EmptyChannel, word.at, &word.text, "<|channel|> is missing before the name");
            fields.channel = Some(word.text);
        }

        let known = |word: &Word| self.context.tools.has(&word.text);
        match (&fields.recipient, &fields.content_type, bare.as_slice()) {
            (Some(_), None, [_]) => fields.content_type = bare.pop(),
            (None, None, [word]) if is_type(&word.text) && !known(word) => fields.content_type = bare.pop(),
            (None, None, [word]) if is_name(&word.text) => fields.recipient = bare.pop(),
            // `functions.f <|constrain|>json`, in this order.
            (None, Some(kind), [word])
                if is_name(&word.text) && !is_type(&word.text) && word.at.start < kind.at.start =>
            {
                fields.recipient = bare.pop();
            }
            (None, None, [name, kind])
                if is_name(&name.text) && (is_type(&kind.text) || name.text.contains('.') || known(name)) =>
            {
                fields.content_type = bare.pop();
                fields.recipient = bare.pop();
            }
            _ => {
                if fields.content_type.is_none()
                    && let Some(index) = bare.iter().position(|word| is_type(&word.text))
                {
                    fields.content_type = Some(bare.remove(index));
                }
            }
        }
        self.leftover(&bare);
    }

    /// `R22`: words that mean nothing in a header.
    fn leftover(&mut self, words: &[Word]) {
        if let (Some(first), Some(last)) = (words.first(), words.last()) {
            let found = words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
            let at = first.at.start..last.at.end;
            self.find(Repair::UnreadableHeader, at, &found, "no part of a header, the message is kept");
        }
    }

    /// `R14`: `functions.fjson` is `functions.f` with content type `json`, if that tool exists.
    fn split_glued_type(&mut self, fields: &mut Fields) {
        let Some(word) = &mut fields.recipient else { return };
        if self.context.tools.has(&word.text) {
            return;
        }
        let split = ["json", "code"].into_iter().find_map(|kind| {
            let name = word.text.strip_suffix(kind)?;
            self.context.tools.has(name).then(|| (name.to_owned(), kind))
        });
        if let Some((name, kind)) = split {
            let found = std::mem::replace(&mut word.text, name);
            let (note, at) = (format!("read as {} {kind}", word.text), word.at.clone());
            fields.content_type.get_or_insert_with(|| Word {
                text: kind.to_owned(),
                at: at.clone(),
                glued: true,
            });
            self.find(Repair::GluedType, at, &found, note);
        }
    }

    /// `R05`: a content type stands alone; strict mode takes it for the recipient.
    fn type_without_recipient(&mut self, fields: &Fields) {
        if let (None, Some(word)) = (&fields.recipient, &fields.content_type) {
            self.find(Repair::LoneType, word.at.clone(), &word.text, "read as the content type");
        }
    }

    /// `R20`: the recipient is no tool that exists.
    fn check_tool(&mut self, author: &Author, fields: &Fields) {
        let tools = self.context.tools;
        if let Some(word) = &fields.recipient
            && author.role == Role::Assistant
            && !tools.is_empty()
            && is_tool(&word.text)
            && !tools.has(&word.text)
        {
            self.find(Repair::UnknownTool, word.at.clone(), &word.text, "no tool of this name was given");
        }
    }
}

/// Drops a word that repeats the role.
fn take_role(role: Role, items: &mut VecDeque<Item>) -> bool {
    let same = first_word(items).is_some_and(|word| word.text == role.as_str());
    if same {
        items.pop_front();
    }
    same
}
