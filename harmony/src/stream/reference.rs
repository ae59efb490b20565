//! Modes `strict` and `lenient`: the official library's machine, its states after errors included.

use std::str::from_utf8;

use crate::utf8::Utf8Stream;
use crate::{Error, ErrorKind, Event, Mode, Position, Result, SpecialToken, Status, TokenId, header};

use super::machine::{Core, Input, Piece, Stage};

/// A header that is being read: its text, markers spelled out.
#[derive(Clone, Debug, Default)]
pub(crate) struct RawHeader {
    bytes: Vec<u8>,
    /// The first token that the vocabulary does not have.
    unknown: Option<TokenId>,
    /// Its tokens, where it came as tokens.
    pub(crate) tokens: Vec<TokenId>,
    /// The unit of its `<|start|>`.
    from: usize,
}

impl RawHeader {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.unknown.is_none()
    }

    fn push(&mut self, input: &Input<'_>) {
        match input.piece {
            Piece::Marker(marker) => self.bytes.extend_from_slice(marker.as_str().as_bytes()),
            Piece::Text(bytes) => self.bytes.extend_from_slice(bytes),
            Piece::Unknown(token) => self.unknown = self.unknown.or(Some(token)),
        }
        self.tokens.extend(input.token);
    }

    /// The text, or why there is none; the error's reference wording is that of a bare decoding.
    fn decode(&self, message: usize) -> Result<&str> {
        let fail = |kind, rule: String, wording: String, at: usize| {
            let place = Position::Header { message, text: self.text(), span: at..at };
            Err(Error::new(kind, rule).at(place).reference(format!("Could not decode tokens: {wording}")))
        };
        if let Some(token) = self.unknown {
            let wording = format!("Invalid token error: Invalid token for decoding: {token}");
            let rule = format!("token ids must be in the vocabulary, {token} is not");
            return fail(ErrorKind::InvalidToken, rule, wording, 0);
        }
        match from_utf8(&self.bytes) {
            Ok(text) => Ok(text),
            Err(error) => {
                let rule = "a message header must be UTF-8".to_owned();
                let wording = format!("Invalid utf-8 sequence: {error}");
                fail(ErrorKind::InvalidUtf8, rule, wording, error.valid_up_to())
            }
        }
    }
}

impl Core {
    pub(crate) fn step_reference(&mut self, input: &Input<'_>) -> Result<()> {
        let decode =
            if self.options.mode == Mode::Recover { Utf8Stream::push } else { Utf8Stream::push_reference };
        match &mut self.stage {
            Stage::Content(body) => {
                let bytes = match input.piece {
                    Piece::Text(bytes) => bytes,
                    Piece::Marker(marker) if marker.is_stop() => {
                        self.end(Status::Complete(marker), input.at.end);
                        return Ok(());
                    }
                    Piece::Marker(marker) => marker.as_str().as_bytes(),
                    Piece::Unknown(_) => {
                        body.poisoned = true;
                        &[]
                    }
                };
                self.delta = if body.poisoned { None } else { body.read(bytes, decode) };
                if let Some(delta) = &self.delta {
                    self.events.push(Event::Delta(body.content[delta.clone()].to_owned()));
                }
                Ok(())
            }
            Stage::Header(header) => match input.piece {
                Piece::Marker(SpecialToken::Message) => self.read_header(),
                Piece::Marker(marker) if marker.is_stop() && self.options.mode == Mode::Lenient => {
                    self.read_header_as_content(marker, input.at.end)
                }
                _ => {
                    header.push(input);
                    Ok(())
                }
            },
            Stage::Start | Stage::Loose(_) => match input.piece {
                Piece::Marker(SpecialToken::Start) => {
                    self.stage = Stage::Header(RawHeader { from: input.at.start, ..RawHeader::default() });
                    Ok(())
                }
                _ => Err(self.unexpected(input)),
            },
        }
    }

    pub(super) fn finish_reference(&mut self, at: usize) -> Result<()> {
        match &self.stage {
            Stage::Start | Stage::Loose(_) => Ok(()),
            Stage::Content(_) => {
                self.end(Status::Incomplete, at);
                Ok(())
            }
            Stage::Header(header) => {
                let text = header.text();
                let span = text.len()..text.len();
                let rule = "a message header must end with <|message|>, the input ended before";
                Err(Error::new(ErrorKind::UnexpectedEnd, rule)
                    .at(Position::Header { message: self.messages.len(), text, span })
                    .reference("Unexpected EOS while waiting for message header to complete"))
            }
        }
    }

    /// After an error no header is open and a preset role stays preset.
    fn read_header(&mut self) -> Result<()> {
        let Stage::Header(raw) = std::mem::replace(&mut self.stage, Stage::Start) else { return Ok(()) };
        let message = self.messages.len();
        let text = raw.decode(message).map_err(|error| error.reference("could not decode header"))?;
        let header = header::parse(text, self.role, message)?;
        self.begin(header, raw.from);
        Ok(())
    }

    /// A stop token in a header: the first message's remaining words are its content, any other header is dropped.
    fn read_header_as_content(&mut self, stop: SpecialToken, end: usize) -> Result<()> {
        let Stage::Header(raw) = &self.stage else { return Ok(()) };
        if let Some(role) = self.role
            && !raw.is_empty()
        {
            let message = self.messages.len();
            let (header, content) = header::parse_content(raw.decode(message)?, role, message)?;
            let from = raw.from;
            self.whole(header, content, Status::Complete(stop), from..end);
        }
        self.role = None;
        self.stage = Stage::Start;
        Ok(())
    }

    fn unexpected(&self, input: &Input<'_>) -> Error {
        let found = match input.piece {
            Piece::Marker(marker) => marker.to_string(),
            Piece::Text(_) => "text".to_owned(),
            Piece::Unknown(_) => "an unknown token".to_owned(),
        };
        let rule = format!("a message must begin with <|start|>, found {found}");
        let error = Error::new(ErrorKind::UnexpectedToken, rule).at(Position::Token(input.at.start));
        match input.token {
            Some(token) => {
                let start = self.start_id;
                error.reference(format!("Unexpected token {token} while expecting start token {start}"))
            }
            None => error,
        }
    }
}
