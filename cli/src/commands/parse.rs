//! `gptoss parse`: what a model said, as messages.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use harmony_format::{
    Encoding, Event, Mode, ParseOptions, Parsed, Position, Role, SpecialToken, State, StreamParser, lex,
};
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::error::{Error, REPAIRED, Result};
use crate::lines::{self, Answer, Input};
use crate::output::Output;
use crate::{ids, input, pretty, toolset};

/// Parse what a model said into messages
///
/// With JSON Lines, a line is a JSON string with text, an array of token ids, or an object with `text` or `ids`,
/// and is answered by one line.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What a model said
    file: PathBuf,
    /// What the file holds
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    from: From,
    /// The role whose header stood at the end of the prompt
    /// [default: assistant, and none if the input begins with <|start|>]
    #[arg(long, value_enum, value_name = "ROLE", hide_possible_values = true)]
    role: Option<FirstRole>,
    /// How much is put up with [default: strict, and recover with --fail-on-repair]
    #[arg(long, value_enum, value_name = "MODE")]
    mode: Option<ModeName>,
    /// What to write [default: pretty on a terminal, else json]
    #[arg(long, value_enum, value_name = "WHAT", conflicts_with = "ndjson")]
    emit: Option<Emit>,
    /// The same as --emit ndjson
    #[arg(long)]
    ndjson: bool,
    /// Exit with code 6 if something had to be repaired
    #[arg(long)]
    fail_on_repair: bool,
    /// The tools that exist; repairs of recipients match against them
    #[arg(long, value_name = "FILE")]
    tools: Option<PathBuf>,
    /// The vocabulary: o200k_harmony or a tokenizer.json
    #[arg(long, value_name = "FILE", env = "GPTOSS_TOKENIZER", hide_env = true)]
    tokenizer: Option<PathBuf>,
    /// Read one answer of a model a line
    #[arg(long)]
    jsonl: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum From {
    /// Text in which the spellings of the markers are the markers
    #[default]
    Text,
    /// Token ids: a JSON array, or numbers with white space between them
    Ids,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FirstRole {
    Assistant,
    None,
    User,
    System,
    Developer,
    Tool,
}

impl FirstRole {
    const fn role(self) -> Option<Role> {
        match self {
            Self::Assistant => Some(Role::Assistant),
            Self::None => None,
            Self::User => Some(Role::User),
            Self::System => Some(Role::System),
            Self::Developer => Some(Role::Developer),
            Self::Tool => Some(Role::Tool),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ModeName {
    /// As the official library: what is malformed is an error
    Strict,
    /// As the official library with strict off: the first message may lack its <|message|>
    Lenient,
    /// Never an error: what is malformed is repaired, and each repair is reported
    Recover,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Emit {
    /// An object with messages, how they ended, repairs and spans
    Json,
    /// One event a line, while the input is read
    Ndjson,
    /// For reading, channels in colour
    Pretty,
}

/// What all answers have in common.
struct Settings {
    encoding: Encoding,
    mode: Mode,
    tools: Vec<String>,
    role: Option<FirstRole>,
    fails_on_repair: bool,
}

impl Settings {
    fn options(&self, begins_with_start: bool) -> ParseOptions {
        let role = match self.role {
            Some(role) => role.role(),
            None if begins_with_start => None,
            None => Some(Role::Assistant),
        };
        ParseOptions { mode: self.mode, ..ParseOptions::default() }
            .role(role)
            .tools(self.tools.iter().cloned())
    }

    fn exit(&self, repairs: usize) -> u8 {
        if self.fails_on_repair && repairs > 0 { REPAIRED } else { 0 }
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let settings = settings(args, context)?;
    let chosen = if args.ndjson { Some(Emit::Ndjson) } else { args.emit };
    let automatic = if context.json || !Output::is_terminal() { Emit::Json } else { Emit::Pretty };
    let emit = chosen.unwrap_or(automatic);
    if emit == Emit::Ndjson && args.from == From::Text && !args.jsonl && !lines::has_extension(&args.file) {
        return stream(&args.file, &settings, context);
    }
    let input = match args.from {
        From::Ids => lines::open(&args.file, args.jsonl)?,
        From::Text => lines::open_by_name(&args.file, args.jsonl)?,
    };
    match input {
        Input::Document(document) => {
            let said = match args.from {
                From::Text => Said::Text(without_line_end(&document.text).to_owned()),
                From::Ids => {
                    Said::Ids(ids::read(&document.text).map_err(|error| error.in_file(&document.name))?)
                }
            };
            let place = |error: harmony_format::Error| {
                let error = match (&said, error.position()) {
                    (Said::Ids(_), Some(Position::Token(_))) => ids::locate(error, &document.text),
                    (Said::Text(text), _) => Error::in_document(error, text),
                    (Said::Ids(_), _) => Error::from(error),
                };
                help(error, settings.mode).in_file(&document.name)
            };
            let mut out = context.stdout();
            let repairs = if emit == Emit::Ndjson {
                let written = events(&said, &settings, &mut out, place);
                out.flush()?;
                written?
            } else {
                let parsed = said.parse(&settings).map_err(place)?;
                match emit {
                    Emit::Pretty => write_pretty(&parsed, &mut out)?,
                    Emit::Json | Emit::Ndjson => out.json(&Object::new(&said, &parsed, &settings))?,
                }
                parsed.diagnostics.len()
            };
            out.finish()?;
            Ok(ExitCode::from(settings.exit(repairs)))
        }
        Input::Lines(_) if chosen.is_some_and(|emit| emit != Emit::Json) => {
            Err(Error::usage("JSON Lines are answered by one object a line").help("pass --emit json"))
        }
        Input::Lines(lines) => lines.answer(context, |line, _| {
            let said: Said = serde_json::from_str(line)
                .map_err(|error| Error::in_document(error.into(), line))
                .map_err(|error| {
                    error.or_help(
                        "a line is a JSON string, an array of token ids, or an object with `text` or `ids`",
                    )
                })?;
            let parsed = said.parse(&settings).map_err(|error| help(Error::from(error), settings.mode))?;
            let mut answer = Answer::json(&Object::new(&said, &parsed, &settings))?;
            answer.exit = settings.exit(parsed.diagnostics.len());
            Ok(answer)
        }),
    }
}

fn settings(args: &Args, context: &Context) -> Result<Settings> {
    let mode = match args.mode {
        Some(ModeName::Strict | ModeName::Lenient) if args.fail_on_repair => {
            return Err(Error::usage(
                "--fail-on-repair goes with --mode recover: only there something is repaired",
            ));
        }
        Some(ModeName::Strict) => Mode::Strict,
        Some(ModeName::Lenient) => Mode::Lenient,
        Some(ModeName::Recover) => Mode::Recover,
        None if args.fail_on_repair => Mode::Recover,
        None => Mode::Strict,
    };
    let tools = match &args.tools {
        Some(path) => toolset::names(&toolset::read(path)?),
        None => Vec::new(),
    };
    Ok(Settings {
        encoding: context.encoding(args.tokenizer.as_deref())?,
        mode,
        tools,
        role: args.role,
        fails_on_repair: args.fail_on_repair,
    })
}

/// What a model said, as a line of JSON Lines holds it.
#[derive(Deserialize)]
#[serde(from = "Line")]
enum Said {
    Text(String),
    Ids(Vec<u32>),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected text or token ids")]
enum Line {
    Text(String),
    Ids(Vec<u32>),
    Object(Named),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Named {
    Text(String),
    #[serde(alias = "tokens")]
    Ids(Vec<u32>),
}

impl std::convert::From<Line> for Said {
    fn from(line: Line) -> Self {
        match line {
            Line::Text(text) | Line::Object(Named::Text(text)) => Self::Text(text),
            Line::Ids(ids) | Line::Object(Named::Ids(ids)) => Self::Ids(ids),
        }
    }
}

impl Said {
    fn options(&self, settings: &Settings) -> ParseOptions {
        settings.options(match self {
            Self::Text(text) => text.starts_with(SpecialToken::Start.as_str()),
            Self::Ids(ids) => {
                ids.first().and_then(|&id| settings.encoding.marker(id)) == Some(SpecialToken::Start)
            }
        })
    }

    fn parse(&self, settings: &Settings) -> harmony_format::Result<Parsed> {
        let options = self.options(settings);
        match self {
            Self::Text(text) => settings.encoding.parse_text(text, &options),
            Self::Ids(ids) => settings.encoding.parse(ids, &options),
        }
    }
}

/// The answer of `--emit json`.
#[derive(Serialize)]
struct Object<'a> {
    schema: &'static str,
    encoding: &'static str,
    /// What spans and ranges count.
    unit: &'static str,
    #[serde(flatten)]
    parsed: &'a Parsed,
}

impl<'a> Object<'a> {
    fn new(said: &Said, parsed: &'a Parsed, settings: &Settings) -> Self {
        let unit = match said {
            Said::Text(_) => "byte",
            Said::Ids(_) => "token",
        };
        Self { schema: "gptoss.parse/1", encoding: settings.encoding.name(), unit, parsed }
    }
}

/// The text without the line end that an editor puts behind the last marker.
fn without_line_end(text: &str) -> &str {
    let is_stopped =
        |text: &str| ["<|end|>", "<|return|>", "<|call|>"].into_iter().any(|marker| text.ends_with(marker));
    let line = text.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    line.filter(|line| is_stopped(line)).unwrap_or(text)
}

fn help(error: Error, mode: Mode) -> Error {
    match mode {
        Mode::Strict | Mode::Lenient if error.code() != Some("H007") => {
            error.or_help("--mode recover repairs what is malformed and says how")
        }
        _ => error,
    }
}

fn write_pretty(parsed: &Parsed, out: &mut Output) -> Result<()> {
    let paint = out.paint;
    let mut diagnostics = parsed.diagnostics.iter().peekable();
    for (index, message) in parsed.messages.iter().enumerate() {
        while let Some(diagnostic) =
            diagnostics.next_if(|diagnostic| diagnostic.message.is_some_and(|about| about <= index))
        {
            pretty::repair(out, paint, diagnostic)?;
        }
        pretty::header(out, paint, &message.message, message.status.as_str())?;
        pretty::content(out, paint, &message.message)?;
    }
    for diagnostic in diagnostics {
        pretty::repair(out, paint, diagnostic)?;
    }
    Ok(())
}

/// Writes the events of a whole input and returns how many of them were repairs.
fn events(
    said: &Said,
    settings: &Settings,
    out: &mut Output,
    place: impl Fn(harmony_format::Error) -> Error,
) -> Result<usize> {
    let mut stream = settings.encoding.stream(said.options(settings));
    let mut repairs = 0;
    match said {
        Said::Text(text) => repairs += push_text(&mut stream, text, out, &place)?,
        Said::Ids(ids) => {
            for &id in ids {
                repairs += write_events(stream.push(id).map_err(&place)?, out)?;
            }
        }
    }
    Ok(repairs + write_events(stream.finish().map_err(place)?, out)?)
}

/// Reads text piece by piece, so that the events before an error are written, and returns how many were repairs.
fn push_text(
    stream: &mut StreamParser,
    text: &str,
    out: &mut Output,
    place: impl Fn(harmony_format::Error) -> Error,
) -> Result<usize> {
    let mut repairs = 0;
    for (bytes, _) in lex(text) {
        repairs += write_events(stream.push_text(&text[bytes]).map_err(&place)?, out)?;
    }
    Ok(repairs)
}

/// Writes events and returns how many of them were repairs.
fn write_events(events: impl Iterator<Item = Event>, out: &mut Output) -> Result<usize> {
    let mut repairs = 0;
    for event in events {
        repairs += usize::from(matches!(event, Event::Repair(_)));
        out.json(&event)?;
    }
    Ok(repairs)
}

/// Writes the events of a text while it is read.
fn stream(path: &Path, settings: &Settings, context: &Context) -> Result<ExitCode> {
    let mut from = input::open(path)?;
    let mut out = context.stdout();
    let mut unread = Vec::new();
    let mut offset = 0;
    let mut parser = None;
    let mut repairs = 0;
    loop {
        let bytes = from.fill_buf().map_err(|error| input::cannot_read(path, &error))?;
        let is_end = bytes.is_empty();
        let length = bytes.len();
        unread.extend_from_slice(bytes);
        from.consume(length);
        // A character may be cut in two; what is no character is an error.
        let whole = match std::str::from_utf8(&unread) {
            Ok(text) => text.len(),
            Err(error) if error.error_len().is_none() && !is_end => error.valid_up_to(),
            Err(error) => {
                let at = offset + error.valid_up_to();
                let rule = format!("text must be UTF-8, the byte at offset {at} is not");
                out.finish()?;
                return Err(Error::input("H008", rule).in_file(input::name(path)));
            }
        };
        // A line end at the end counts only if more follows or a message is open.
        let line_end = ["\r\n", "\n"].into_iter().find(|end| unread[..whole].ends_with(end.as_bytes()));
        let is_between =
            parser.as_ref().is_some_and(|parser: &StreamParser| parser.state() == State::ExpectStart);
        let whole = match line_end {
            Some(end) if !is_end || (is_between && whole == end.len()) => whole - end.len(),
            _ => whole,
        };
        // The first marker tells the role, so enough for it must be there.
        let start = SpecialToken::Start.as_str();
        if parser.is_none() && !is_end && unread.len() < start.len() && start.as_bytes().starts_with(&unread)
        {
            continue;
        }
        let parser = parser.get_or_insert_with(|| {
            settings.encoding.stream(settings.options(unread.starts_with(start.as_bytes())))
        });
        let text = std::str::from_utf8(&unread[..whole]).unwrap_or_default();
        let failed =
            |error: harmony_format::Error| help(Error::from(error), settings.mode).in_file(input::name(path));
        let result = push_text(parser, text, &mut out, failed);
        let result = result.and_then(|count| {
            repairs += count;
            if is_end { write_events(parser.finish().map_err(failed)?, &mut out) } else { Ok(0) }
        });
        out.flush()?;
        repairs += result?;
        if is_end {
            return Ok(ExitCode::from(settings.exit(repairs)));
        }
        offset += whole;
        unread.drain(..whole);
    }
}
