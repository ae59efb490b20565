//! `gptoss view`: a conversation to read.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anstyle::Style;
use clap::ValueEnum;
use harmony_format::{Encoding, ParseOptions, Role, TokenId};

use crate::color;
use crate::context::Context;
use crate::documents;
use crate::error::{Error, Result};
use crate::excerpt::printable;
use crate::html;
use crate::ids;
use crate::input::{self, Document};
use crate::output::Output;
use crate::transcript::{Block, End, Transcript, Turn};

/// Show a conversation or a model's output, channels in colour
///
/// Takes a conversation as JSON, text in which markers are spelled out, or a JSON array of token ids.
/// What is malformed is shown with the code of its repair; no token is left out.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The file to show; `-` is standard input
    file: PathBuf,
    /// What the file holds
    #[arg(long, value_enum, default_value_t)]
    from: From,
    /// Who writes the first message of text or ids: a role, or `none` if its header says so [default: as it looks]
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// Write a self-contained page instead
    #[arg(long, value_name = "OUT.html")]
    html: Option<PathBuf>,
    /// The vocabulary: `o200k_harmony` or a tokenizer.json
    #[arg(long, value_name = "NAME|FILE")]
    tokenizer: Option<PathBuf>,
}

const EXAMPLES: &str = "Examples:
  gptoss view conversation.json
  gptoss view conversation.json --html conversation.html
  echo '<|channel|>final<|message|>Hello!<|return|>' | gptoss view -";

/// What a file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum From {
    /// Whichever it looks like
    #[default]
    Auto,
    /// A Harmony conversation
    Harmony,
    /// A Chat document
    Chat,
    /// A Responses document
    Responses,
    /// Text with markers spelled out
    Text,
    /// A JSON array of token ids
    Ids,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    if context.json {
        return Err(Error::usage("`view` is for people, it has no JSON").help("use `render` or `parse`"));
    }
    let encoding = context.encoding(args.tokenizer.as_deref())?;
    let document = input::read_text(&args.file)?;
    let transcript = read(&encoding, &document.text, args, context)
        .map_err(|error| error.in_file(document.name.as_str()))?;
    match &args.html {
        Some(path) => {
            let page = html::page(&title(&args.file, &document), &transcript);
            write_page(path, &page)?;
            if !input::is_stdin(path) {
                context.tell(format_args!("wrote {} ({} KiB)", path.display(), page.len().div_ceil(1024)));
            }
        }
        None => {
            let mut output = context.stdout();
            print(&transcript, &mut output)?;
            output.finish()?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn title(file: &Path, document: &Document) -> String {
    file.file_name()
        .filter(|_| !input::is_stdin(file))
        .map_or_else(|| document.name.clone(), |name| name.to_string_lossy().into_owned())
}

fn write_page(path: &Path, page: &str) -> Result<()> {
    if input::is_stdin(path) {
        std::io::stdout().write_all(page.as_bytes())?;
        return Ok(());
    }
    std::fs::write(path, page).map_err(|error| Error::io(format!("cannot write {}: {error}", path.display())))
}

/// Reads what the file holds.
fn read(encoding: &Encoding, text: &str, args: &Args, context: &Context) -> Result<Transcript> {
    let from = if args.from == From::Auto { detect(text) } else { args.from };
    match from {
        From::Auto => conversation(encoding, text, documents::From::Auto, context),
        From::Harmony => conversation(encoding, text, documents::From::Harmony, context),
        From::Chat => conversation(encoding, text, documents::From::Chat, context),
        From::Responses => conversation(encoding, text, documents::From::Responses, context),
        From::Text => {
            // The line feed at the end of a file is the editor's, not the model's.
            let text = text.strip_suffix('\n').unwrap_or(text);
            parsed(encoding, &encoding.encode_prompt(text), args.role.as_deref())
        }
        From::Ids => {
            let tokens = ids::read(text)?;
            parsed(encoding, &tokens, args.role.as_deref())
        }
    }
}

fn conversation(
    encoding: &Encoding,
    text: &str,
    from: documents::From,
    context: &Context,
) -> Result<Transcript> {
    let read = documents::read(text, from)?;
    for warning in read.warnings() {
        context.warn(warning);
    }
    let transcript = Transcript::of_conversation(encoding, &read.conversation)
        .map_err(|error| Error::in_conversation(error, text, 0))?;
    Ok(match &read.tape {
        Some(tape) => transcript.with_record(tape),
        None => transcript,
    })
}

/// What a text looks like; `Auto` is JSON of a conversation, whichever format.
fn detect(text: &str) -> From {
    let text = text.trim_start();
    if text.starts_with('[') && text[1..].trim_start().starts_with(|c: char| c.is_ascii_digit() || c == ']') {
        From::Ids
    } else if text.starts_with(['{', '['])
        && serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok()
    {
        From::Auto
    } else if text.contains("<|") || !text.starts_with('{') {
        From::Text
    } else {
        From::Auto
    }
}

fn parsed(encoding: &Encoding, tokens: &[TokenId], role: Option<&str>) -> Result<Transcript> {
    let begins_with_start =
        tokens.first() == encoding.marker_id(harmony_format::SpecialToken::Start).as_ref();
    let role = match role {
        Some("none") => None,
        Some(word) => Some(word.parse()?),
        None => (!begins_with_start).then_some(Role::Assistant),
    };
    let parsed = encoding.parse(tokens, &ParseOptions::recover().role(role))?;
    Ok(Transcript::of_parsed(encoding, tokens, &parsed))
}

/// Writes a transcript for a terminal.
fn print(transcript: &Transcript, output: &mut Output) -> Result<()> {
    let paint = output.paint;
    for (name, value) in &transcript.facts {
        writeln!(output, "{}", paint.paint(color::DIM, format!("{name}: {}", safe(value))))?;
    }
    if !transcript.facts.is_empty() {
        writeln!(output)?;
    }
    for (place, block) in transcript.blocks.iter().enumerate() {
        if place > 0 {
            writeln!(output)?;
        }
        match block {
            Block::Turn(turn) => {
                head(turn, output)?;
                for note in turn.notes.iter().filter_map(|&note| transcript.notes.get(note)) {
                    let line = format!("  {} {}: {}", note.code, note.name, safe(&note.text));
                    writeln!(output, "{}", paint.paint(color::DIM, line))?;
                }
                let style =
                    if turn.end == End::Whole || turn.end == End::Cut { Style::new() } else { color::DIM };
                indented(&turn.content.text, style, output)?;
                for (citation, _) in &turn.sources {
                    let line = format!("  {}", safe(&citation.to_string()));
                    writeln!(output, "{}", paint.paint(color::DIM, line))?;
                }
            }
            Block::Raw { run, note } => {
                if let Some(note) = transcript.notes.get(*note) {
                    let line = format!("{} {}: {}", note.code, note.name, safe(&note.text));
                    writeln!(output, "{}", paint.paint(color::DIM, line))?;
                }
                indented(&run.text, color::DIM, output)?;
            }
        }
    }
    Ok(())
}

/// The line above a message: who, to whom, channel, content type, state.
fn head(turn: &Turn, output: &mut Output) -> Result<()> {
    let paint = output.paint;
    let style = color::channel(turn.channel.as_deref(), turn.role.as_str());
    let mut line = paint.paint(style.bold(), safe(&turn.author())).to_string();
    if let Some(to) = &turn.recipient {
        line += &paint.paint(style, format!(" → {}", safe(to))).to_string();
    }
    if let Some(channel) = &turn.channel {
        line += &paint.paint(style, format!(" · {}", safe(channel))).to_string();
    }
    if let Some(content_type) = &turn.content_type {
        line += &paint.paint(color::DIM, format!(" · {}", safe(content_type))).to_string();
    }
    if let Some(seconds) = turn.seconds {
        line += &paint.paint(color::DIM, format!(" · {seconds:.2} s")).to_string();
    }
    if turn.has_failed {
        line += &paint.paint(color::WARNING, " · failed").to_string();
    }
    match turn.end {
        End::Whole => {}
        End::Cut => line += &paint.paint(color::WARNING, " · has no end").to_string(),
        End::Dropped { because_of } => {
            let text = format!(" · left out of the next prompt, message {because_of} is final");
            line += &paint.paint(color::DIM, text).to_string();
        }
    }
    writeln!(output, "{line}")?;
    Ok(())
}

fn indented(text: &str, style: Style, output: &mut Output) -> Result<()> {
    let paint = output.paint;
    for line in text.lines() {
        writeln!(output, "  {}", paint.paint(style, safe(line)))?;
    }
    Ok(())
}

/// Text that cannot steer the terminal.
fn safe(text: &str) -> String {
    text.chars().map(|c| if c == '\t' { c } else { printable(c) }).collect()
}
