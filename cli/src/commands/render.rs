//! `gptoss render`: conversations to prompts.

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use harmony_format::convert::Format;
use harmony_format::{
    Content, Conversation, DropPolicy, Dropped, Encoding, Message, Part, ReasoningEffort, RecipientPosition,
    RenderOptions, Rendered, Role, SchemaStyle, Segment, SystemContent, TokenId,
};
use serde::Serialize;

use crate::context::Context;
use crate::documents::{self, From};
use crate::error::{Error, Result};
use crate::lines::{self, Answer, Input};
use crate::output::Output;
use crate::{color, token_text};

/// Render a conversation to the prompt that a model reads
///
/// With JSON Lines, each line is answered by one line: a JSON string for `--emit text`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The conversation, or one conversation a line
    file: PathBuf,
    /// The format of the conversation
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    from: From,
    /// What the text is for: `completion` ends where the model goes on, `training` ends an answer with `<|return|>`
    #[arg(long = "for", value_enum, default_value_t, value_name = "PURPOSE")]
    purpose: For,
    /// The role that a completion goes on as
    #[arg(long, default_value = "assistant", value_name = "ROLE")]
    role: Role,
    /// Which reasoning is left out
    #[arg(long, value_enum, default_value_t, value_name = "POLICY")]
    drop: Drop,
    /// Where the recipient of an assistant's message stands
    #[arg(long, value_enum, default_value_t, value_name = "PLACE")]
    recipient: Recipient,
    /// How the schemas of tools become TypeScript
    #[arg(long, value_enum, default_value_t, value_name = "STYLE")]
    schema_style: Style,
    /// Sets the reasoning effort in the system message
    #[arg(long, value_enum, value_name = "EFFORT")]
    effort: Option<Effort>,
    /// Sets the date in the system message
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = date)]
    date: Option<String>,
    /// Say on standard error what was left out, and why
    #[arg(long)]
    explain: bool,
    /// What to write [default: text, and json with --json]
    #[arg(long, value_enum, value_name = "WHAT")]
    emit: Option<Emit>,
    /// The vocabulary: o200k_harmony or a tokenizer.json
    #[arg(long, value_name = "FILE", env = "GPTOSS_TOKENIZER", hide_env = true)]
    tokenizer: Option<PathBuf>,
    /// Read one conversation a line
    #[arg(long)]
    jsonl: bool,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum For {
    /// A prompt that the model goes on from
    #[default]
    Completion,
    /// A training example
    Training,
    /// The messages, nothing else
    Storage,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Drop {
    /// The rule of the official library: reasoning before the first final answer, if the last answer is final
    #[default]
    Reference,
    /// Reasoning before the last final answer
    LastFinal,
    /// Nothing
    None,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Recipient {
    /// As the official library renders
    #[default]
    BeforeChannel,
    /// As the models generate
    AfterChannel,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Style {
    /// As the official library, its losses included
    #[default]
    Reference,
    /// $ref, anyOf, allOf and const keep their types
    Typed,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Effort {
    Low,
    Medium,
    High,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Emit {
    /// The prompt as text, markers spelled out
    Text,
    /// The token ids, a JSON array
    Ids,
    /// A line for each token: id, text, message, part, and whether a model generates it
    Table,
    /// An object with ids, text, segments, loss mask and what was left out
    Json,
}

fn date(text: &str) -> std::result::Result<String, String> {
    let digits = |range: std::ops::Range<usize>| -> Option<u32> {
        let part = text.get(range)?;
        part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())?
    };
    let is_date = text.len() == 10
        && text.as_bytes()[4] == b'-'
        && text.as_bytes()[7] == b'-'
        && digits(0..4).is_some()
        && digits(5..7).is_some_and(|month| (1..=12).contains(&month))
        && digits(8..10).is_some_and(|day| (1..=31).contains(&day));
    if is_date { Ok(text.to_owned()) } else { Err("a date is written YYYY-MM-DD".into()) }
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let encoding = context.encoding(args.tokenizer.as_deref())?;
    let emit = args.emit.unwrap_or(if context.json { Emit::Json } else { Emit::Text });
    match lines::open(&args.file, args.jsonl)? {
        Input::Document(document) => {
            let rendered = render(&document.text, args, &encoding, emit)
                .map_err(|error| error.in_file(&document.name))?;
            for warning in &rendered.warnings {
                context.warn(warning);
            }
            if args.explain {
                explain(&rendered, &encoding, context);
            }
            let mut out = context.stdout();
            write(&rendered, &encoding, emit, &mut out)?;
            out.finish()?;
            Ok(ExitCode::SUCCESS)
        }
        Input::Lines(_) if emit == Emit::Table => {
            Err(Error::usage("--emit table shows one conversation, the input has one a line"))
        }
        Input::Lines(lines) => lines.answer(context, |text, _| {
            let rendered = render(text, args, &encoding, emit)?;
            let mut answer = match emit {
                Emit::Text => Answer::json(&rendered.text)?,
                Emit::Ids => Answer::json(&rendered.detail.tokens)?,
                Emit::Json | Emit::Table => Answer::json(&object(&rendered, &encoding))?,
            };
            answer.warnings = rendered.warnings;
            if args.explain {
                answer.warnings.extend(rendered.detail.dropped.iter().map(ToString::to_string));
            }
            Ok(answer)
        }),
    }
}

/// A rendered conversation as far as it is asked for.
struct Shown {
    conversation: Conversation,
    text: String,
    detail: Rendered,
    /// What was lost while reading.
    warnings: Vec<String>,
}

fn render(text: &str, args: &Args, encoding: &Encoding, emit: Emit) -> Result<Shown> {
    let read = documents::read(text, args.from)?;
    let warnings = read.warnings();
    let format = read.format;
    let mut conversation = read.conversation;
    let shift = settle_system(&mut conversation, args)?;
    let options = options(args);
    let place = |error: harmony_format::Error| match format {
        Format::Harmony => Error::in_conversation(error, text, shift),
        // Its messages are not those of the document.
        Format::Chat | Format::Responses => Error::from(error),
    };
    let mut result = Shown { conversation, text: String::new(), detail: Rendered::default(), warnings };
    match emit {
        Emit::Text => {
            result.text = encoding.render_text(&result.conversation, &options).map_err(place)?;
            result.detail.dropped = result.conversation.dropped(options.drop);
        }
        Emit::Ids => {
            result.detail.tokens = encoding.render(&result.conversation, &options).map_err(place)?;
            result.detail.dropped = result.conversation.dropped(options.drop);
        }
        Emit::Table | Emit::Json => {
            result.detail = encoding.render_detailed(&result.conversation, &options).map_err(place)?;
            result.text = encoding.decode_lossy(&result.detail.tokens)?;
        }
    }
    Ok(result)
}

fn options(args: &Args) -> RenderOptions {
    let options = match args.purpose {
        For::Completion => RenderOptions::completion(args.role),
        For::Training => RenderOptions::training(),
        For::Storage => RenderOptions::storage(),
    };
    options
        .drop(match args.drop {
            Drop::Reference => DropPolicy::Reference,
            Drop::LastFinal => DropPolicy::LastFinal,
            Drop::None => DropPolicy::None,
        })
        .recipient(match args.recipient {
            Recipient::BeforeChannel => RecipientPosition::BeforeChannel,
            Recipient::AfterChannel => RecipientPosition::AfterChannel,
        })
        .schema_style(match args.schema_style {
            Style::Reference => SchemaStyle::Reference,
            Style::Typed => SchemaStyle::Typed,
        })
}

/// Puts `--effort` and `--date` into the system message, or into a new one; returns how many messages were added.
fn settle_system(conversation: &mut Conversation, args: &Args) -> Result<usize> {
    if args.effort.is_none() && args.date.is_none() {
        return Ok(0);
    }
    let mut has_system = false;
    let mut is_settled = false;
    for message in conversation.messages.iter_mut().filter(|message| message.author.role == Role::System) {
        has_system = true;
        for content in &mut message.content {
            if let Content::System(system) = content {
                settle(system, args);
                is_settled = true;
            }
        }
    }
    if is_settled {
        return Ok(0);
    }
    if has_system {
        return Err(Error::usage(
            "--effort and --date need structured system content, this conversation has text",
        )
        .help("write the system message as an item of type `system_content`"));
    }
    let mut system = SystemContent::default();
    settle(&mut system, args);
    conversation.messages.insert(0, Message::new(Role::System, system));
    Ok(1)
}

fn settle(system: &mut SystemContent, args: &Args) {
    if let Some(effort) = args.effort {
        system.reasoning_effort = Some(match effort {
            Effort::Low => ReasoningEffort::Low,
            Effort::Medium => ReasoningEffort::Medium,
            Effort::High => ReasoningEffort::High,
        });
    }
    if let Some(date) = &args.date {
        system.conversation_start_date = Some(date.clone());
    }
}

fn write(rendered: &Shown, encoding: &Encoding, emit: Emit, out: &mut Output) -> Result<()> {
    match emit {
        Emit::Text => {
            out.write_all(rendered.text.as_bytes())?;
            // A prompt ends where the model goes on: only a terminal needs the line to end.
            if Output::is_terminal() {
                out.write_all(b"\n")?;
            }
        }
        Emit::Ids => out.json(&rendered.detail.tokens)?,
        Emit::Json => out.json(&object(rendered, encoding))?,
        Emit::Table => table(rendered, encoding, out)?,
    }
    Ok(())
}

/// The answer of `--emit json`.
#[derive(Serialize)]
struct Object<'a> {
    schema: &'static str,
    encoding: &'static str,
    ids: &'a [TokenId],
    text: &'a str,
    segments: Vec<SegmentObject>,
    loss_mask: &'a [bool],
    dropped: Vec<DroppedObject>,
}

#[derive(Serialize)]
struct SegmentObject {
    tokens: [usize; 2],
    message: Option<usize>,
    part: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<usize>,
}

#[derive(Serialize)]
struct DroppedObject {
    message: usize,
    because_of: usize,
    why: String,
}

fn object<'a>(rendered: &'a Shown, encoding: &Encoding) -> Object<'a> {
    let detail = &rendered.detail;
    let segment = |segment: &Segment| {
        let (part, item) = part_name(segment.part);
        let tokens = [segment.tokens.start, segment.tokens.end];
        SegmentObject { tokens, message: segment.message, part, item }
    };
    let dropped = |dropped: &Dropped| DroppedObject {
        message: dropped.message,
        because_of: dropped.because_of,
        why: dropped.to_string(),
    };
    Object {
        schema: "gptoss.render/1",
        encoding: encoding.name(),
        ids: &detail.tokens,
        text: &rendered.text,
        segments: detail.segments.iter().map(segment).collect(),
        loss_mask: &detail.loss_mask,
        dropped: detail.dropped.iter().map(dropped).collect(),
    }
}

/// The name of a part, and the index of the content item.
fn part_name(part: Part) -> (&'static str, Option<usize>) {
    match part {
        Part::Start => ("start", None),
        Part::Role => ("role", None),
        Part::Name => ("name", None),
        Part::Recipient => ("recipient", None),
        Part::ChannelMarker => ("channel_marker", None),
        Part::Channel => ("channel", None),
        Part::ContentType => ("content_type", None),
        Part::ConstrainMarker => ("constrain_marker", None),
        Part::MessageMarker => ("message_marker", None),
        Part::Content(item) => ("content", Some(item)),
        Part::Stop => ("stop", None),
        _ => ("other", None),
    }
}

fn table(rendered: &Shown, encoding: &Encoding, out: &mut Output) -> Result<()> {
    let paint = out.paint;
    let head = format!("{:>6} {:>7}  {:<24} {:>4}  {:<16} loss", "token", "id", "text", "msg", "part");
    writeln!(out, "{}", paint.paint(color::BOLD, head))?;
    let detail = &rendered.detail;
    for segment in &detail.segments {
        let (part, item) = part_name(segment.part);
        let mut part = part.to_owned();
        if let Some(item) = item.filter(|&item| item > 0) {
            let _ = write!(part, " {item}");
        }
        let message = segment.message.map_or_else(|| "next".into(), |index| index.to_string());
        let style = segment.message.map_or(color::DIM, |index| {
            let message = &rendered.conversation.messages[index];
            color::channel(message.channel.as_deref(), message.author.role.as_str())
        });
        for index in segment.tokens.clone() {
            let id: TokenId = detail.tokens[index];
            let shown = token_text::padded(encoding, id, 24);
            let style = if encoding.is_special(id) { color::MARKER } else { style };
            let loss = if detail.loss_mask[index] { "yes" } else { "-" };
            let shown = paint.paint(style, shown);
            writeln!(out, "{index:>6} {id:>7}  {shown} {message:>4}  {part:<16} {loss}")?;
        }
    }
    Ok(())
}

fn explain(rendered: &Shown, encoding: &Encoding, context: &Context) {
    let dropped = &rendered.detail.dropped;
    if dropped.is_empty() {
        context.tell("nothing was left out");
    }
    for dropped in dropped {
        let message = &rendered.conversation.messages[dropped.message];
        let tokens = encoding.encode_ordinary(&message.text()).len();
        let text = token_text::shortened(&message.text(), 60);
        context.tell(format_args!("{dropped}\n  {tokens} tokens: {text}"));
    }
}
