//! The machine behind the parser: its stages, and what all modes do alike.

use std::ops::Range;

use crate::utf8::Utf8Stream;
use crate::{
    Diagnostic, Event, Header, Message, Mode, Owner, ParseOptions, ParsedMessage, Result, Role, Span,
    SpecialToken, Status, TokenId,
};

use super::reference::RawHeader;
use crate::recover::{LooseHeader, Tools};

/// One piece of input: a token, or text between two markers.
pub(crate) struct Input<'a> {
    pub(crate) piece: Piece<'a>,
    /// The tokens, or bytes of the text, that it is made of.
    pub(crate) at: Range<usize>,
    /// Its id, if it is one token.
    pub(crate) token: Option<TokenId>,
}

#[derive(Clone, Copy)]
pub(crate) enum Piece<'a> {
    Marker(SpecialToken),
    /// Not always whole characters.
    Text(&'a [u8]),
    /// A token that the vocabulary does not have.
    Unknown(TokenId),
}

#[derive(Clone, Debug)]
pub(crate) enum Stage {
    Start,
    Header(RawHeader),
    /// Only in [`Mode::Recover`], which keeps markers and text apart.
    Loose(LooseHeader),
    Content(Body),
}

/// A message whose content is being read.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    pub(crate) header: Header,
    pub(crate) content: String,
    pub(crate) utf8: Utf8Stream,
    /// An unknown token was read; the official library gives up on the rest.
    pub(crate) poisoned: bool,
    /// The unit at which the header began.
    pub(crate) from: usize,
    /// The number of tokens before the content.
    pub(crate) tokens_before: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Core {
    pub(crate) options: ParseOptions,
    /// The tools of the options.
    pub(crate) tools: Tools,
    /// The role that is preset for the next message.
    pub(crate) role: Option<Role>,
    pub(crate) stage: Stage,
    pub(crate) events: Vec<Event>,
    pub(crate) messages: Vec<ParsedMessage>,
    pub(crate) diagnostics: Vec<Diagnostic>,
    pub(crate) spans: Vec<Span>,
    /// Where in the content the last step's addition lies.
    pub(crate) delta: Option<Range<usize>>,
    /// The id of `<|start|>`, for an error that names it.
    pub(crate) start_id: TokenId,
    /// The number of tokens read, this one included.
    pub(crate) tokens_read: usize,
}

impl Core {
    pub(crate) fn new(options: ParseOptions, start_id: TokenId) -> Self {
        let role = options.role;
        let stage = match (options.mode, role) {
            (_, None) => Stage::Start,
            (Mode::Recover, Some(_)) => Stage::Loose(LooseHeader::preset()),
            (_, Some(_)) => Stage::Header(RawHeader::default()),
        };
        Self {
            tools: Tools::new(&options.tools),
            options,
            role,
            stage,
            events: Vec::new(),
            messages: Vec::new(),
            diagnostics: Vec::new(),
            spans: Vec::new(),
            delta: None,
            start_id,
            tokens_read: 0,
        }
    }

    pub(crate) fn step(&mut self, input: &Input<'_>) -> Result<()> {
        match self.options.mode {
            Mode::Strict | Mode::Lenient => self.step_reference(input),
            Mode::Recover => {
                self.step_recover(input);
                Ok(())
            }
        }
    }

    /// The end of the input, `at` units from its beginning.
    pub(crate) fn finish(&mut self, at: usize) -> Result<()> {
        match self.options.mode {
            Mode::Strict | Mode::Lenient => self.finish_reference(at),
            Mode::Recover => {
                self.finish_recover(at);
                Ok(())
            }
        }
    }

    pub(crate) fn body(&self) -> Option<&Body> {
        match &self.stage {
            Stage::Content(body) => Some(body),
            _ => None,
        }
    }

    /// Begins the content of a message whose header began at unit `from`.
    pub(crate) fn begin(&mut self, header: Header, from: usize) {
        self.role = None;
        self.events.push(Event::Start(header.clone()));
        self.stage = Stage::Content(Body {
            header,
            content: String::new(),
            utf8: Utf8Stream::default(),
            poisoned: false,
            from,
            tokens_before: self.tokens_read,
        });
    }

    /// Ends the message that is being read before unit `to`.
    pub(crate) fn end(&mut self, status: Status, to: usize) {
        let Stage::Content(mut body) = std::mem::replace(&mut self.stage, Stage::Start) else { return };
        let tail = body.content.len();
        if body.poisoned {
            body.content.push(char::REPLACEMENT_CHARACTER);
        }
        body.utf8.finish(&mut body.content);
        if body.content.len() > tail {
            self.events.push(Event::Delta(body.content[tail..].to_owned()));
        }
        self.delta = None;
        self.add(body.header, body.content, status, body.from..to);
    }

    /// Adds a message that is complete in itself, with all its events but the end.
    pub(crate) fn whole(&mut self, header: Header, content: String, status: Status, at: Range<usize>) {
        self.role = None;
        self.events.push(Event::Start(header.clone()));
        if !content.is_empty() {
            self.events.push(Event::Delta(content.clone()));
        }
        self.add(header, content, status, at);
    }

    fn add(&mut self, header: Header, content: String, status: Status, at: Range<usize>) {
        let Header { author, recipient, channel, content_type } = header;
        let message = Message { author, recipient, content: vec![content.into()], channel, content_type };
        let parsed = ParsedMessage { message, status };
        self.claim(at, Owner::Message(self.messages.len()));
        self.messages.push(parsed.clone());
        self.events.push(Event::End(parsed));
    }

    /// Gives units to an owner; a unit that has one keeps it.
    pub(crate) fn claim(&mut self, at: Range<usize>, owner: Owner) {
        let start = at.start.max(self.spans.last().map_or(0, |span| span.tokens.end));
        if start < at.end {
            self.spans.push(Span { tokens: start..at.end, owner });
        }
    }
}

impl Body {
    /// Reads content through `decode`; the range that it added, if any.
    pub(crate) fn read(
        &mut self,
        bytes: &[u8],
        decode: impl FnOnce(&mut Utf8Stream, &[u8], &mut String),
    ) -> Option<Range<usize>> {
        let from = self.content.len();
        decode(&mut self.utf8, bytes, &mut self.content);
        (self.content.len() > from).then_some(from..self.content.len())
    }
}
