//! Mode `recover`: no error, no lost token.

use std::ops::Range;

use crate::stream::{Core, Input, Piece, Stage};
use crate::utf8::Utf8Stream;
use crate::{Diagnostic, Event, Owner, Repair, SpecialToken, Status};

use super::header::{self, Context, Resolved};
use super::parts::{LooseHeader, Start};

impl Core {
    pub(crate) fn step_recover(&mut self, input: &Input<'_>) {
        match self.stage {
            Stage::Content(_) => self.content(input),
            Stage::Loose(_) => self.header(input),
            Stage::Start | Stage::Header(_) => self.between(input),
        }
    }

    pub(crate) fn finish_recover(&mut self, at: usize) {
        match &self.stage {
            Stage::Content(_) => {
                self.unfinished(at..at, "");
                self.end(Status::Incomplete, at);
            }
            Stage::Loose(header) if header.start == Start::Preset && header.parts.is_empty() => {}
            Stage::Loose(header)
                if header.is_blank() && header.start != Start::Marker && !header.restarted =>
            {
                self.stray_text(at);
            }
            Stage::Loose(header) if header.is_role(self.role) => {
                let (from, found) = (header.from, header.text());
                self.set_aside(Repair::Unfinished, from..at, found, "the input ended in this header");
                self.close();
            }
            Stage::Loose(_) => {
                self.unfinished(at..at, "");
                self.header_is_all(Status::Incomplete, at);
            }
            Stage::Start | Stage::Header(_) => {}
        }
    }

    /// `R17`: a marker was spelled as text.
    pub(crate) fn spelled_marker(&mut self, marker: SpecialToken, at: &Range<usize>) {
        self.add_diagnostic(
            Repair::SpelledMarker,
            at.clone(),
            None,
            marker.to_string(),
            "read as the marker",
        );
    }

    /// Between two messages.
    fn between(&mut self, input: &Input<'_>) {
        let at = input.at.clone();
        match input.piece {
            Piece::Marker(SpecialToken::Start) => {
                self.stage = Stage::Loose(LooseHeader::new(Start::Marker, at.start));
            }
            Piece::Marker(marker) if stops(marker) => self.stray_stop(marker, at),
            Piece::Marker(SpecialToken::StartOfText) => {
                let found = SpecialToken::StartOfText.to_string();
                self.set_aside(Repair::StrayMarker, at, found, "no part of a conversation, set aside");
            }
            Piece::Unknown(token) => {
                let found = format!("token {token}");
                self.set_aside(Repair::UnknownToken, at, found, "not in the vocabulary, set aside");
            }
            Piece::Marker(_) | Piece::Text(_) => {
                let mut header = LooseHeader::new(Start::Missing, at.start);
                header.push(input);
                self.stage = Stage::Loose(header);
            }
        }
    }

    fn header(&mut self, input: &Input<'_>) {
        let Stage::Loose(header) = &mut self.stage else { return };
        let at = input.at.clone();
        match input.piece {
            Piece::Marker(SpecialToken::Message) => self.open(),
            Piece::Marker(marker) if stops(marker) => {
                if header.is_blank() && header.start != Start::Marker && !header.restarted {
                    if !header.parts.is_empty() {
                        self.stray_text(at.start);
                    }
                    self.stray_stop(marker, at);
                } else if header.is_blank() {
                    let (from, found) = (header.from, header.text());
                    let found = format!("{}{found}{marker}", SpecialToken::Start);
                    self.set_aside(Repair::StrayText, from..at.end, found, "says nothing, set aside");
                    self.close();
                } else if marker == SpecialToken::EndOfText {
                    self.unfinished(at.clone(), marker.as_str());
                    self.header_is_all(Status::Incomplete, at.end);
                } else {
                    self.header_is_all(Status::Complete(marker), at.end);
                }
            }
            Piece::Marker(SpecialToken::Start) => {
                if header.start == Start::Missing && !header.restarted && header.is_blank() {
                    self.stray_text(at.start);
                    self.stage = Stage::Loose(LooseHeader::new(Start::Marker, at.start));
                } else if header.is_blank() || header.is_role(self.role) {
                    header.push(input);
                } else {
                    self.missing_end(at.clone(), SpecialToken::Start);
                    self.header_is_all(Status::Incomplete, at.start);
                    self.stage = Stage::Loose(LooseHeader::new(Start::Marker, at.start));
                }
            }
            Piece::Marker(_) | Piece::Text(_) | Piece::Unknown(_) => header.push(input),
        }
    }

    fn content(&mut self, input: &Input<'_>) {
        self.delta = None;
        let at = input.at.clone();
        match input.piece {
            Piece::Text(bytes) => self.say(|utf8, text| utf8.push(bytes, text)),
            Piece::Unknown(token) => {
                self.report(
                    Repair::UnknownToken,
                    at,
                    format!("token {token}"),
                    "not in the vocabulary, U+FFFD",
                );
                self.say(|utf8, text| {
                    utf8.finish(text);
                    text.push(char::REPLACEMENT_CHARACTER);
                });
            }
            Piece::Marker(SpecialToken::EndOfText) => {
                self.unfinished(at.clone(), SpecialToken::EndOfText.as_str());
                self.end(Status::Incomplete, at.end);
            }
            Piece::Marker(marker) if marker.is_stop() => self.end(Status::Complete(marker), at.end),
            Piece::Marker(marker @ (SpecialToken::Start | SpecialToken::Channel)) => {
                self.missing_end(at.clone(), marker);
                self.end(Status::Incomplete, at.start);
                self.between(input);
            }
            Piece::Marker(marker) => self.stray_marker(marker, at),
        }
    }

    /// Adds to the content of the message.
    fn say(&mut self, write: impl FnOnce(&mut Utf8Stream, &mut String)) {
        let Stage::Content(body) = &mut self.stage else { return };
        self.delta = body.read(&[], |utf8, _, text| write(utf8, text));
        if let Some(delta) = &self.delta {
            self.events.push(Event::Delta(body.content[delta.clone()].to_owned()));
        }
    }

    /// `<|message|>`: the header is complete.
    fn open(&mut self) {
        let Stage::Loose(loose) = std::mem::replace(&mut self.stage, Stage::Start) else { return };
        let resolved = header::read(&loose, &self.context());
        let header = self.report_all(resolved).0;
        self.begin(header, loose.from);
    }

    /// The header was not ended by `<|message|>`: what it does not need is the content.
    fn header_is_all(&mut self, status: Status, to: usize) {
        let Stage::Loose(loose) = std::mem::replace(&mut self.stage, Stage::Start) else { return };
        for section in super::content::read(&loose, &self.context()) {
            let (header, content) = self.report_all(section.resolved);
            match section.next {
                Some(at) => {
                    self.missing_end(at, SpecialToken::Channel);
                    self.whole(header, content, Status::Incomplete, section.units);
                }
                None => self.whole(header, content, status, section.units.start..to),
            }
        }
    }

    fn context(&self) -> Context<'_> {
        Context { preset: self.role, tools: &self.tools }
    }

    fn report_all(&mut self, resolved: Resolved) -> (crate::Header, String) {
        for finding in resolved.findings {
            self.report(finding.repair, finding.tokens, finding.found, &finding.note);
        }
        (resolved.header, resolved.content)
    }

    /// `R01`: a stop token where no message is open.
    fn stray_stop(&mut self, marker: SpecialToken, at: Range<usize>) {
        self.set_aside(Repair::StrayStop, at, marker.to_string(), "no message is open here, set aside");
    }

    /// `R16`: no stop token ended the message.
    fn unfinished(&mut self, at: Range<usize>, found: &str) {
        self.report(Repair::Unfinished, at, found.to_owned(), "no stop token, the message is incomplete");
    }

    /// `R18`: another message begins in the content.
    fn missing_end(&mut self, at: Range<usize>, marker: SpecialToken) {
        self.report(
            Repair::MissingEnd,
            at,
            marker.to_string(),
            "another message begins here, this one is incomplete",
        );
    }

    /// `R24`: a marker that means nothing where it stands.
    fn stray_marker(&mut self, marker: SpecialToken, at: Range<usize>) {
        let Stage::Content(body) = &self.stage else { return };
        let doubled = marker == SpecialToken::Message && body.content.is_empty() && body.utf8.is_empty();
        let note = if doubled { "doubled, dropped" } else { "kept as text" };
        self.report(Repair::StrayMarker, at, marker.to_string(), note);
        if !doubled {
            self.say(|utf8, text| utf8.push(marker.as_str().as_bytes(), text));
        }
    }

    /// `R25`: white space where no message is open, up to unit `to`.
    fn stray_text(&mut self, to: usize) {
        let Stage::Loose(header) = &self.stage else { return };
        let (from, found) = (header.from, header.text());
        self.set_aside(Repair::StrayText, from..to, found, "white space between messages, set aside");
        self.close();
    }

    /// Leaves a header without a message; a preset role stays so.
    fn close(&mut self) {
        self.stage = match &self.stage {
            Stage::Loose(LooseHeader { start: Start::Preset, .. }) if self.role.is_some() => {
                Stage::Loose(LooseHeader::preset())
            }
            _ => Stage::Start,
        };
    }

    /// Reports a repair of the message that is being read.
    fn report(&mut self, repair: Repair, tokens: Range<usize>, found: String, note: &str) {
        self.add_diagnostic(repair, tokens, Some(self.messages.len()), found, note);
    }

    /// Gives tokens to a diagnostic.
    fn set_aside(&mut self, repair: Repair, tokens: Range<usize>, found: String, note: &str) {
        self.claim(tokens.clone(), Owner::Diagnostic(self.diagnostics.len()));
        self.add_diagnostic(repair, tokens, None, found, note);
    }

    fn add_diagnostic(
        &mut self,
        repair: Repair,
        tokens: Range<usize>,
        message: Option<usize>,
        found: String,
        note: &str,
    ) {
        let diagnostic = Diagnostic { repair, tokens, message, found, note: note.to_owned() };
        self.diagnostics.push(diagnostic.clone());
        self.events.push(Event::Repair(diagnostic));
    }
}

/// Whether a model's output ends a message here.
fn stops(marker: SpecialToken) -> bool {
    marker.is_stop() || marker == SpecialToken::EndOfText
}
