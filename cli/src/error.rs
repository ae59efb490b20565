//! Errors as a person reads them: one line with rule and place, a caret line, a help line; or the same as JSON.

mod runtime;

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use harmony_format::Position;
use serde_json::{Map, Value, json};

use crate::color::{self, Paint};
use crate::excerpt::Excerpt;

/// A shorthand for results of this program.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Checked and found different.
pub(crate) const DIFFERENT: u8 = 1;
/// Wrong arguments.
pub(crate) const USAGE: u8 = 2;
/// Bad input.
pub(crate) const BAD_INPUT: u8 = 3;
/// A model that is missing, corrupt or unsupported.
pub(crate) const MODEL: u8 = 4;
/// Does not fit, or a limit was reached.
pub(crate) const LIMIT: u8 = 5;
/// Repaired, where `--fail-on-repair` asked.
pub(crate) const REPAIRED: u8 = 6;
/// Interrupted by the user.
pub(crate) const INTERRUPTED: u8 = 130;

/// An error that ends a command, or that is reported for one line of many.
#[derive(Debug)]
pub(crate) struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    exit: u8,
    code: Option<&'static str>,
    rule: String,
    file: Option<String>,
    line: Option<(usize, usize)>,
    position: Option<Position>,
    excerpt: Option<Excerpt>,
    /// Lines that show what the rule says.
    below: Vec<String>,
    help: Option<String>,
    is_closed_pipe: bool,
}

impl Error {
    fn new(exit: u8, code: Option<&'static str>, rule: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            exit,
            code,
            rule: rule.into(),
            file: None,
            line: None,
            position: None,
            excerpt: None,
            below: Vec::new(),
            help: None,
            is_closed_pipe: false,
        }))
    }

    /// Arguments that do not go together.
    pub(crate) fn usage(rule: impl Into<String>) -> Self {
        Self::new(USAGE, None, rule)
    }

    /// Bad input, with a code of the library.
    pub(crate) fn input(code: &'static str, rule: impl Into<String>) -> Self {
        Self::new(BAD_INPUT, Some(code), rule)
    }

    /// A file of a model that cannot be read.
    pub(crate) fn from_read(path: &std::path::Path, error: &io::Error) -> Self {
        Self::new(MODEL, Some("M001"), format!("cannot be read: {error}")).in_file(path.display())
    }

    /// A model that cannot be used with what it is given.
    pub(crate) fn model(rule: impl Into<String>) -> Self {
        Self::new(MODEL, Some("M017"), rule)
    }

    /// What was checked and does not fit.
    pub(crate) fn different(rule: impl Into<String>) -> Self {
        Self::new(DIFFERENT, Some("M020"), rule)
    }

    /// A replay that went otherwise than its record.
    pub(crate) fn changed(rule: impl Into<String>) -> Self {
        Self::new(DIFFERENT, Some("T003"), rule)
    }

    /// An answer that came to a limit.
    pub(crate) fn cut_off(rule: impl Into<String>) -> Self {
        Self::new(LIMIT, Some("M018"), rule)
    }

    /// The user pressed Ctrl-C.
    pub(crate) fn interrupted() -> Self {
        Self::new(INTERRUPTED, Some("M015"), "interrupted")
    }

    /// A file that cannot be read or written.
    pub(crate) fn io(rule: impl Into<String>) -> Self {
        Self::input("H005", rule)
    }

    /// A document past a limit.
    pub(crate) fn limit(rule: impl Into<String>) -> Self {
        Self::input("H016", rule)
    }

    /// What was asked for is larger than the place for it.
    pub(crate) fn does_not_fit(rule: impl Into<String>) -> Self {
        Self::new(LIMIT, Some("M022"), rule)
    }

    /// Names the file.
    pub(crate) fn in_file(mut self, name: impl fmt::Display) -> Self {
        self.0.file = Some(name.to_string());
        self
    }

    /// Names the file, unless one is named.
    pub(crate) fn or_file(self, path: &std::path::Path) -> Self {
        if self.0.file.is_none() { self.in_file(path.display()) } else { self }
    }

    /// Gives line and column, both from 1.
    pub(crate) fn at_line(mut self, line: usize, column: usize) -> Self {
        self.0.line = Some((line, column));
        self
    }

    /// Moves the place by lines: the input was line `line` of a file.
    pub(crate) fn on_line(mut self, line: usize) -> Self {
        let column = self.0.line.map_or(1, |(_, column)| column);
        self.0.line = Some((line, column));
        self
    }

    /// Shows the text at the place.
    pub(crate) fn excerpt(mut self, excerpt: Excerpt) -> Self {
        self.0.excerpt = Some(excerpt);
        self
    }

    /// Shows lines below the rule.
    pub(crate) fn below(mut self, lines: Vec<String>) -> Self {
        self.0.below = lines;
        self
    }

    /// Says what to do.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.0.help = Some(help.into());
        self
    }

    /// Says what to do, unless that is already said.
    pub(crate) fn or_help(self, help: impl Into<String>) -> Self {
        if self.0.help.is_none() { self.help(help) } else { self }
    }

    /// The exit code.
    pub(crate) fn exit(&self) -> u8 {
        self.0.exit
    }

    /// Whether the reader of standard output has gone away.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        self.0.is_closed_pipe
    }

    /// The code of the rule, `H001` and so on.
    pub(crate) fn code(&self) -> Option<&'static str> {
        self.0.code
    }

    /// An error in a document, with the text at its place.
    pub(crate) fn in_document(error: harmony_format::Error, text: &str) -> Self {
        let this = Self::from(error);
        let span = match &this.0.position {
            Some(Position::Input { line, column }) => {
                byte_at(text, *line, *column).map(|at| named_value(text, said(text, at), &this.0.rule))
            }
            Some(Position::Pointer(pointer)) => harmony_format::arguments::locate(text, pointer),
            _ => None,
        };
        this.point_at(text, span)
    }

    /// An error of a conversation that was read from a JSON document, with the text at its place.
    ///
    /// `added` messages were put before those of the document.
    pub(crate) fn in_conversation(error: harmony_format::Error, text: &str, added: usize) -> Self {
        let mut this = Self::from(error);
        let Some(Position::Message(index)) = &mut this.0.position else { return this };
        *index = index.saturating_sub(added);
        let pointer = format!("/messages/{index}");
        let span = harmony_format::arguments::locate(text, &pointer);
        this.point_at(text, span)
    }

    /// Points at bytes of the text of the input, if they are known.
    pub(crate) fn point_at(self, text: &str, span: Option<std::ops::Range<usize>>) -> Self {
        let Some(span) = span else { return self };
        let (line, column) = Excerpt::place(text, span.start);
        self.at_line(line, column).excerpt(Excerpt::of_text(text, span))
    }

    fn place(&self) -> String {
        let position =
            self.0.position.as_ref().filter(|position| !matches!(position, Position::Input { .. }));
        let line = self.0.line.map(|(line, column)| format!("line {line} column {column}"));
        let parts = [self.0.file.clone(), position.map(ToString::to_string), line];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    /// Writes the error to standard error and returns its exit code.
    pub(crate) fn report(&self, as_json: bool, in_color: bool) -> ExitCode {
        if self.0.is_closed_pipe {
            return ExitCode::SUCCESS;
        }
        let text = if as_json { format!("{}\n", self.to_json()) } else { self.to_text(Paint(in_color)) };
        // Nobody is left to tell that standard error is closed.
        let _ = io::stderr().write_all(text.as_bytes());
        ExitCode::from(self.0.exit)
    }

    fn to_text(&self, paint: Paint) -> String {
        let code = self.0.code.map_or_else(String::new, |code| format!("[{code}]"));
        let label = paint.paint(color::ERROR, format!("error{code}:"));
        let place = self.place();
        let place = if place.is_empty() { place } else { format!(" ({place})") };
        let mut text = format!("{label} {}{place}\n", one_line(&self.0.rule));
        if let Some(excerpt) = &self.0.excerpt {
            let (line, carets) = excerpt.render();
            let bar = paint.paint(color::DIM, "|");
            text += &format!("  {bar} {line}\n  {bar} {}\n", paint.paint(color::ERROR, carets));
        }
        for line in &self.0.below {
            text += &format!("  {bar} {}\n", one_line(line), bar = paint.paint(color::DIM, "|"));
        }
        if let Some(help) = &self.0.help {
            text += &format!("{} {help}\n", paint.paint(color::HELP, "help:"));
        }
        text
    }

    /// The error as an object.
    pub(crate) fn to_json(&self) -> Value {
        let mut place = Map::new();
        if let Some(file) = &self.0.file {
            place.insert("file".into(), json!(file));
        }
        if let Some((line, column)) = self.0.line {
            place.insert("line".into(), json!(line));
            place.insert("column".into(), json!(column));
        }
        match &self.0.position {
            Some(Position::Message(index)) => drop(place.insert("message".into(), json!(index))),
            Some(Position::Token(index)) => drop(place.insert("token".into(), json!(index))),
            Some(Position::Pointer(pointer)) => drop(place.insert("pointer".into(), json!(pointer))),
            Some(Position::Header { message, text, span }) => {
                place.insert("message".into(), json!(message));
                place.insert("header".into(), json!(text));
                place.insert("span".into(), json!([span.start, span.end]));
            }
            _ => {}
        }
        let mut object = Map::new();
        object.insert("schema".into(), json!("gptoss.error/1"));
        object.insert("code".into(), json!(self.0.code.unwrap_or("usage")));
        object.insert("rule".into(), json!(self.0.rule));
        object.insert("place".into(), Value::Object(place));
        if !self.0.below.is_empty() {
            object.insert("below".into(), json!(self.0.below));
        }
        if let Some(help) = &self.0.help {
            object.insert("help".into(), json!(help));
        }
        Value::Object(object)
    }
}

/// The byte of a text at line and column, both from 1.
fn byte_at(text: &str, line: usize, column: usize) -> Option<usize> {
    let mut start = 0;
    for _ in 1..line {
        start += text[start..].find('\n')? + 1;
    }
    Some((start + column.saturating_sub(1)).min(text.len()))
}

/// A place behind all that a text says is moved to the end of it: there is nothing to point at on an empty line.
fn said(text: &str, at: usize) -> usize {
    at.min(text.trim_ascii_end().len())
}

/// The string that an error about an unknown word names, if it stands where the error was found.
fn named_value(text: &str, at: usize, rule: &str) -> std::ops::Range<usize> {
    let quoted = |word: &str| {
        let end = at + 1;
        let start = end.checked_sub(word.len() + 2)?;
        (text.get(start..end)? == format!("\"{word}\"")).then_some(start..end)
    };
    rule.strip_prefix("unknown ").and_then(|rest| rest.split('`').nth(1)).and_then(quoted).unwrap_or(at..at)
}

/// A rule quotes input; it stays one line and cannot steer the terminal.
fn one_line(rule: &str) -> String {
    rule.chars().map(crate::excerpt::printable).collect()
}

impl From<harmony_format::Error> for Error {
    fn from(error: harmony_format::Error) -> Self {
        let mut this = Self::input(error.code(), error.message());
        this.0.position = error.position().cloned();
        match error.position() {
            Some(Position::Header { text, span, .. }) => {
                this.0.excerpt = Some(Excerpt::of_text(text, span.clone()));
            }
            Some(&Position::Input { line, column }) => this.0.line = Some((line, column)),
            _ => {}
        }
        match help_for(&error) {
            Some(help) => this.help(help),
            None => this,
        }
    }
}

fn help_for(error: &harmony_format::Error) -> Option<String> {
    use harmony_format::ErrorKind;
    Some(match error.kind() {
        ErrorKind::Json => {
            let word = error.message().strip_prefix("unknown variant `")?.split('`').next()?;
            let lower = word.to_lowercase();
            let is_listed = error.message().contains(&format!(", `{lower}`"))
                || error.message().contains(&format!("expected one of `{lower}`"));
            return (is_listed && lower != word).then(|| format!("write `{lower}`"));
        }
        ErrorKind::MissingToolName => r#"add `"name": "functions.NAME"` to the message"#.into(),
        ErrorKind::UnknownRole => {
            "roles are user, assistant, system, developer and tool, in lower case".into()
        }
        ErrorKind::Tokenizer => "take the tokenizer.json of gpt-oss, or leave --tokenizer out".into(),
        _ => return None,
    })
}

impl From<io::Error> for Error {
    /// An error of writing results.
    fn from(error: io::Error) -> Self {
        let mut this = Self::io(format!("cannot write the result: {error}"));
        this.0.is_closed_pipe = error.kind() == io::ErrorKind::BrokenPipe;
        this
    }
}
