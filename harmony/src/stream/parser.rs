//! The parser itself: tokens or text in, events out.

use crate::{
    Diagnostic, Encoding, Error, Event, Mode, ParseOptions, Parsed, ParsedMessage, Position, Result, Role,
    SpecialToken, State, TokenId,
};

use super::machine::{Core, Input, Piece, Stage};
use super::scan::{Scanned, Scanner};

/// Reads a model's output token by token, or a text piece by piece.
///
/// Get one from [`Encoding::stream`]. A stream is tokens or text; where both are pushed, positions count units of both.
///
/// # Examples
///
/// ```
/// use harmony_format::{Encoding, Event, ParseOptions, Role};
///
/// let encoding = Encoding::o200k_harmony();
/// let tokens = encoding.encode_prompt("<|channel|>final<|message|>4<|return|>");
/// let mut stream = encoding.stream(ParseOptions::strict().role(Role::Assistant));
/// let mut answer = String::new();
/// for token in tokens {
///     for event in stream.push(token)? {
///         match event {
///             Event::Start(header) => assert_eq!(header.channel.as_deref(), Some("final")),
///             Event::Delta(text) => answer.push_str(&text),
///             Event::End(parsed) => assert_eq!(parsed.status.as_str(), "return"),
///             Event::Repair(diagnostic) => panic!("{diagnostic:?}"),
///         }
///     }
/// }
/// stream.finish()?;
/// assert_eq!(answer, "4");
/// # Ok::<(), harmony_format::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct StreamParser {
    encoding: Encoding,
    markers: Markers,
    /// Whether tokens go through the scanner, too.
    textual: bool,
    scanner: Scanner,
    tokens: Vec<TokenId>,
    /// Tokens and bytes of text that were read.
    units: usize,
    /// Line and column after the text that was read, from 1.
    line: usize,
    column: usize,
    pub(super) core: Core,
}

/// The events of one step; see [`StreamParser::push`].
pub type Events<'a> = std::vec::Drain<'a, Event>;

impl Encoding {
    /// A parser at the beginning of a stream.
    #[must_use]
    pub fn stream(&self, options: ParseOptions) -> StreamParser {
        StreamParser {
            markers: Markers::new(self),
            textual: options.mode == Mode::Recover && options.textual_markers,
            scanner: Scanner::default(),
            tokens: Vec::new(),
            units: 0,
            line: 1,
            column: 1,
            core: Core::new(options, self.required(SpecialToken::Start)),
            encoding: self.clone(),
        }
    }

    /// Parses a whole list of tokens: the stream run to its end.
    ///
    /// # Errors
    ///
    /// The first error of [`StreamParser::push`] or [`StreamParser::finish`]; in [`Mode::Recover`] there is none.
    ///
    /// # Examples
    ///
    /// ```
    /// use harmony_format::{Encoding, ParseOptions, Role};
    ///
    /// let encoding = Encoding::o200k_harmony();
    /// // A stop token too many: the official library refuses it, `recover` sets it aside.
    /// let tokens = encoding.encode_prompt("<|channel|>final<|message|>4<|end|><|return|>");
    /// let options = ParseOptions::recover().role(Role::Assistant);
    /// let parsed = encoding.parse(&tokens, &options)?;
    /// assert_eq!(parsed.messages[0].message.text(), "4");
    /// assert_eq!(parsed.diagnostics[0].repair.code(), "R01");
    /// # Ok::<(), harmony_format::Error>(())
    /// ```
    pub fn parse(&self, tokens: &[TokenId], options: &ParseOptions) -> Result<Parsed> {
        let mut stream = self.stream(options.clone());
        for &token in tokens {
            stream.push(token)?;
        }
        stream.finish()?;
        Ok(stream.into_parsed())
    }

    /// Parses text in which the spellings of the markers are the markers. Spans and ranges count bytes.
    ///
    /// # Errors
    ///
    /// As [`parse`](Encoding::parse).
    ///
    /// # Examples
    ///
    /// ```
    /// use harmony_format::{Encoding, ParseOptions};
    ///
    /// let text = "<|start|>assistant<|channel|>final<|message|>4<|return|>";
    /// let parsed = Encoding::o200k_harmony().parse_text(text, &ParseOptions::strict())?;
    /// assert_eq!(parsed.messages[0].message.channel.as_deref(), Some("final"));
    /// # Ok::<(), harmony_format::Error>(())
    /// ```
    pub fn parse_text(&self, text: &str, options: &ParseOptions) -> Result<Parsed> {
        let mut stream = self.stream(options.clone());
        stream.push_text(text)?;
        stream.finish()?;
        Ok(stream.into_parsed())
    }
}

impl StreamParser {
    /// Reads one token.
    ///
    /// # Errors
    ///
    /// In [`Mode::Strict`] and [`Mode::Lenient`] where the official library has one.
    /// Reading may go on; the parser is then in the state in which the official library would be.
    pub fn push(&mut self, token: TokenId) -> Result<Events<'_>> {
        self.tokens.push(token);
        self.core.tokens_read = self.tokens.len();
        let at = self.units;
        self.units += 1;
        let piece = piece(&self.encoding, &self.markers, token);
        let core = &mut self.core;
        match piece {
            Piece::Text(bytes) if self.textual => self.scanner.push(
                bytes,
                |_| at,
                |piece, at| {
                    if let Scanned::Marker(marker) = piece {
                        core.spelled_marker(marker, &at);
                    }
                    core.step(&Input { piece: piece.into(), at, token: None })
                },
            )?,
            piece => {
                if self.textual {
                    flush(&mut self.scanner, core)?;
                }
                core.step(&Input { piece, at: at..at + 1, token: Some(token) })?;
            }
        }
        Ok(self.core.events.drain(..))
    }

    /// Reads a piece of text in which the spellings of the markers are the markers; a piece may end anywhere.
    ///
    /// What may be the beginning of a marker is held back until more text, or the end, settles it.
    ///
    /// # Errors
    ///
    /// As [`push`](StreamParser::push). All of the piece is read, the first error is returned,
    /// and the events of this piece come with those of the next call.
    pub fn push_text(&mut self, text: &str) -> Result<Events<'_>> {
        let from = self.units;
        self.units += text.len();
        let core = &mut self.core;
        let result = self.scanner.push(
            text.as_bytes(),
            |byte| from + byte,
            |piece, at| core.step(&Input { piece: piece.into(), at, token: None }),
        );
        let result = result.map_err(|error| self.place(error, from, text));
        for c in text.chars() {
            (self.line, self.column) =
                if c == '\n' { (self.line + 1, 1) } else { (self.line, self.column + c.len_utf8()) };
        }
        result?;
        Ok(self.core.events.drain(..))
    }

    /// The end of the input. Reading may go on after it.
    ///
    /// # Errors
    ///
    /// In [`Mode::Strict`] and [`Mode::Lenient`] if the input ended in a header.
    pub fn finish(&mut self) -> Result<Events<'_>> {
        let result = flush(&mut self.scanner, &mut self.core);
        let from = self.units;
        result.map_err(|error| self.place(error, from, ""))?;
        self.core.finish(self.units)?;
        Ok(self.core.events.drain(..))
    }

    /// An error at a byte of `text`, which begins at unit `from`, gets its line and column.
    fn place(&self, error: Error, from: usize, text: &str) -> Error {
        let Some(&Position::Token(at)) = error.position() else { return error };
        if self.tokens.len() == self.units {
            return error;
        }
        let before = &text[..at.saturating_sub(from)];
        let held = from.saturating_sub(at);
        let (line, column) = match before.rfind('\n') {
            Some(end) => (self.line + before.matches('\n').count(), before.len() - end),
            // A marker that was held back has no line break in it.
            None => (self.line, self.column + before.len() - held.min(self.column - 1)),
        };
        error.at(Position::Input { line, column })
    }

    /// All that was read; a message that is not complete is left out, see [`finish`](StreamParser::finish).
    #[must_use]
    pub fn into_parsed(self) -> Parsed {
        let Core { messages, diagnostics, spans, .. } = self.core;
        Parsed { messages, diagnostics, spans }
    }

    /// Where the parser is.
    #[must_use]
    pub fn state(&self) -> State {
        match self.core.stage {
            Stage::Start => State::ExpectStart,
            Stage::Header(_) | Stage::Loose(_) => State::Header,
            Stage::Content(_) => State::Content,
        }
    }

    /// The messages that are complete.
    #[must_use]
    pub fn messages(&self) -> &[ParsedMessage] {
        &self.core.messages
    }

    /// The repairs so far.
    #[must_use]
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.core.diagnostics
    }

    /// All tokens that were read, those that failed included; text adds none.
    #[must_use]
    pub fn tokens(&self) -> &[TokenId] {
        &self.tokens
    }

    /// The encoding that the parser reads with.
    #[must_use]
    pub fn encoding(&self) -> &Encoding {
        &self.encoding
    }

    /// The content of the message that is being read, empty outside one. Costs nothing.
    #[must_use]
    pub fn current_content(&self) -> &str {
        self.core.body().map_or("", |body| &body.content)
    }

    /// What the last step added to the content, by the rule of the official library:
    /// the rest of a character that the end of a message cuts off is in no delta here, though it is in an [`Event::Delta`].
    #[must_use]
    pub fn last_content_delta(&self) -> Option<&str> {
        Some(&self.core.body()?.content[self.core.delta.clone()?])
    }

    /// The role of the message that is being read, or the one that was preset for the next.
    #[must_use]
    pub fn current_role(&self) -> Option<Role> {
        self.core.body().map_or(self.core.role, |body| Some(body.header.author.role))
    }

    /// The channel of the message that is being read.
    #[must_use]
    pub fn current_channel(&self) -> Option<&str> {
        self.core.body()?.header.channel.as_deref()
    }

    /// The recipient of the message that is being read.
    #[must_use]
    pub fn current_recipient(&self) -> Option<&str> {
        self.core.body()?.header.recipient.as_deref()
    }

    /// The content type of the message that is being read.
    #[must_use]
    pub fn current_content_type(&self) -> Option<&str> {
        self.core.body()?.header.content_type.as_deref()
    }
}

fn piece<'a>(encoding: &'a Encoding, markers: &Markers, token: TokenId) -> Piece<'a> {
    match markers.get(token) {
        Some(marker) => Piece::Marker(marker),
        None => match encoding.token_bytes(token) {
            Some(bytes) => Piece::Text(bytes),
            None => Piece::Unknown(token),
        },
    }
}

fn flush(scanner: &mut Scanner, core: &mut Core) -> Result<()> {
    match scanner.take() {
        Some((bytes, at)) => core.step(&Input { piece: Piece::Text(&bytes), at, token: None }),
        None => Ok(()),
    }
}

impl<'a> From<Scanned<'a>> for Piece<'a> {
    fn from(piece: Scanned<'a>) -> Self {
        match piece {
            Scanned::Marker(marker) => Self::Marker(marker),
            Scanned::Text(bytes) => Self::Text(bytes),
        }
    }
}

/// The ids of the markers, beside each other.
#[derive(Clone, Debug)]
struct Markers {
    ids: [Option<TokenId>; SpecialToken::ALL.len()],
    first: TokenId,
    last: TokenId,
}

impl Markers {
    fn new(encoding: &Encoding) -> Self {
        let ids = SpecialToken::ALL.map(|marker| encoding.marker_id(marker));
        let known = || ids.iter().copied().flatten();
        Self { ids, first: known().min().unwrap_or(0), last: known().max().unwrap_or(0) }
    }

    fn get(&self, token: TokenId) -> Option<SpecialToken> {
        if !(self.first..=self.last).contains(&token) {
            return None;
        }
        let slot = self.ids.iter().position(|&id| id == Some(token))?;
        Some(SpecialToken::ALL[slot])
    }
}
