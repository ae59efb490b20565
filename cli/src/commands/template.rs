//! `gptoss template`: a chat template against this renderer.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use harmony_format::convert::{self, Format, Options, ReasoningField};
use harmony_format::{Conversation, DropPolicy, RenderOptions, Role};
use serde_json::{Value, json};

use crate::color;
use crate::context::Context;
use crate::documents::{self, From};
use crate::error::{DIFFERENT, Error, Result};
use crate::input;
use crate::output::Output;
use crate::template::catalog::Kind;
use crate::template::compare::{Difference, compare};
use crate::template::{Moment, jinja};
use crate::token_text::shortened;

/// Compare a chat template with this renderer
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Diff(Diff),
}

/// Render a conversation with a chat template and here, and explain each difference
///
/// The exit code is 1 if the prompts differ. docs/template-diff.md lists the differences that are known.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
struct Diff {
    /// The conversation
    file: PathBuf,
    /// The template: a `chat_template.jinja`, or a `tokenizer_config.json` that has one
    #[arg(long, value_name = "FILE")]
    template: PathBuf,
    /// The format of the conversation
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    from: From,
    /// The date that the template's clock shows [default: today, UTC]
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = date)]
    date: Option<Moment>,
    /// Write the prompts, too: ours and the template's
    #[arg(long)]
    show: bool,
}

const EXAMPLE: &str = "Example:
  gptoss template diff conversation.json --template chat_template.jinja";

fn date(text: &str) -> std::result::Result<Moment, String> {
    Moment::of_date(text).ok_or_else(|| "a date is written YYYY-MM-DD".to_owned())
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let Command::Diff(args) = &args.command;
    let encoding = context.encoding(None)?;
    let template = read_template(&args.template)?;
    let document = input::read_text(&args.file)?;
    let read =
        documents::read(&document.text, args.from).map_err(|error| error.in_file(document.name.as_str()))?;

    let options = RenderOptions::completion(Role::Assistant).drop(DropPolicy::Reference);
    let ours = encoding
        .render(&read.conversation, &options)
        .map_err(|error| Error::in_conversation(error, &document.text, 0).in_file(document.name.as_str()))?;
    let request = chat_request(&read.conversation, read.format, &document.text, context);
    let now = args.date.unwrap_or_else(Moment::now);
    let prompt = jinja::render(&template, &jinja::Input::of_chat(&request, now)).map_err(|error| {
        Error::input("H017", format!("the template fails: {error}")).in_file(args.template.display())
    })?;
    let theirs = encoding.encode_prompt(&prompt);
    let differences = compare(&encoding, &ours, &theirs);

    let mut output = context.stdout();
    let our_prompt = encoding.decode_lossy(&ours)?;
    if context.json {
        let unexplained = differences.iter().filter(|difference| difference.kind == Kind::Unknown).count();
        let mut report = json!({
            "schema": "gptoss.template-diff/1",
            "equal": differences.is_empty(),
            "tokens": { "ours": ours.len(), "template": theirs.len() },
            "unexplained": unexplained,
            "differences": differences,
        });
        if args.show {
            report["prompts"] = json!({ "ours": our_prompt, "template": prompt });
        }
        output.json(&report)?;
    } else {
        if args.show {
            writeln!(output, "ours:\n{our_prompt}\n\ntemplate:\n{prompt}\n")?;
        }
        print(&differences, [ours.len(), theirs.len()], &mut output)?;
    }
    output.finish()?;
    Ok(if differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) })
}

/// The template itself, or the one that a configuration of a tokenizer holds.
fn read_template(path: &Path) -> Result<String> {
    let document = input::read_text(path)?;
    if path.extension().is_none_or(|extension| extension != "json") {
        return Ok(document.text);
    }
    let config: Value = serde_json::from_str(&document.text)
        .map_err(|error| Error::in_document(error.into(), &document.text).in_file(document.name.as_str()))?;
    config["chat_template"].as_str().map(str::to_owned).ok_or_else(|| {
        Error::input("H001", "a tokenizer configuration needs a `chat_template` that is a string")
            .in_file(document.name.as_str())
    })
}

/// What an engine would give to the template: the Chat request itself, or the conversation as one.
fn chat_request(conversation: &Conversation, format: Format, text: &str, context: &Context) -> Value {
    if format == Format::Chat
        && let Ok(request) = serde_json::from_str::<Value>(text)
    {
        return if request.is_array() { json!({ "messages": request }) } else { request };
    }
    let options = Options { reasoning_field: ReasoningField::Thinking, ..Options::default() };
    let converted = convert::write_with(conversation, Format::Chat, &options);
    for warning in documents::warnings(&converted.losses) {
        context.warn(format_args!("a template cannot be told {warning}"));
    }
    converted.value
}

fn print(differences: &[Difference], tokens: [usize; 2], output: &mut Output) -> Result<()> {
    let paint = output.paint;
    let [ours, theirs] = tokens;
    if differences.is_empty() {
        writeln!(output, "the prompts are equal, {ours} tokens")?;
        return Ok(());
    }
    let mut kinds: Vec<Kind> = differences.iter().map(|difference| difference.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    for kind in kinds {
        let entry = kind.entry();
        let of_kind: Vec<&Difference> =
            differences.iter().filter(|difference| difference.kind == kind).collect();
        let style = if kind == Kind::Unknown { color::ERROR } else { color::WARNING };
        writeln!(output, "{} {}", paint.paint(style, entry.code), paint.paint(color::BOLD, entry.name))?;
        writeln!(output, "  {} {}", entry.what, paint.paint(color::DIM, entry.effect))?;
        for difference in of_kind {
            let side = |text: &str| if text.is_empty() { "nothing".to_owned() } else { shortened(text, 88) };
            writeln!(output, "  message {}", difference.message)?;
            writeln!(output, "    ours:     {}", side(&difference.ours))?;
            writeln!(output, "    template: {}", side(&difference.template))?;
            if let Some([ours, theirs]) = &difference.tokens {
                writeln!(output, "    ids:      {ours:?} and {theirs:?}")?;
            }
        }
        writeln!(output)?;
    }
    let unknown = differences.iter().filter(|difference| difference.kind == Kind::Unknown).count();
    writeln!(
        output,
        "{} differences, {unknown} of them unexplained; {ours} tokens here, {theirs} by the template",
        differences.len()
    )?;
    Ok(())
}
