//! `gptoss convert`: Chat, Responses and Harmony.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use harmony_format::convert::{self, Converted, Format, Options, ReasoningField, Severity, SystemText};
use serde_json::{Value, json};

use crate::context::Context;
use crate::documents::{self, From};
use crate::error::{DIFFERENT, Error, Result};
use crate::lines::{self, Answer, Input};

/// Convert between Chat, Responses and Harmony
///
/// What the target cannot hold is named on standard error, each loss with its code and place.
/// With JSON Lines, each line is answered by one line.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The document, or one document a line
    file: PathBuf,
    /// The format of the document
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    from: From,
    /// The format to write
    #[arg(long, value_enum, value_name = "FORMAT")]
    to: To,
    /// Where the text of a `system` message goes in Harmony
    #[arg(long, value_enum, default_value_t, value_name = "PLACE")]
    system_text: Place,
    /// The field of a Chat message that reasoning is written to
    #[arg(long, value_enum, default_value_t, value_name = "FIELD")]
    reasoning_field: Field,
    /// Exit with code 1 if something was lost that matters to the model
    #[arg(long)]
    fail_on_loss: bool,
    /// Read one document a line
    #[arg(long)]
    jsonl: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum To {
    Harmony,
    Chat,
    Responses,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Place {
    /// Into the instructions of a developer message, as the official chat template does
    #[default]
    Instructions,
    /// Into the model identity, if it is the first message
    Identity,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Field {
    #[default]
    ReasoningContent,
    Reasoning,
    Thinking,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    // Notes are for those who ask.
    let shows = |severity| severity == Severity::Warning || context.verbose;
    match lines::open(&args.file, args.jsonl)? {
        Input::Document(document) => {
            let (from, converted) =
                convert_text(&document.text, args).map_err(|error| error.in_file(&document.name))?;
            let mut out = context.stdout();
            if context.json {
                out.json(&object(from, args, &converted))?;
            } else {
                serde_json::to_writer_pretty(&mut out, &converted.value).map_err(std::io::Error::from)?;
                out.write_all(b"\n")?;
                for loss in converted.losses.iter().filter(|loss| shows(loss.kind.severity())) {
                    match loss.kind.severity() {
                        Severity::Warning => context.warn(loss),
                        Severity::Note => context.note(loss),
                    }
                }
            }
            out.finish()?;
            Ok(ExitCode::from(exit(&converted, args)))
        }
        Input::Lines(lines) => lines.answer(context, |text, _| {
            let (from, converted) = convert_text(text, args)?;
            let mut answer = if context.json {
                Answer::json(&object(from, args, &converted))?
            } else {
                let mut answer = Answer::json(&converted.value)?;
                let losses = converted.losses.iter().filter(|loss| shows(loss.kind.severity()));
                answer.warnings = losses.map(ToString::to_string).collect();
                answer
            };
            answer.exit = exit(&converted, args);
            Ok(answer)
        }),
    }
}

fn convert_text(text: &str, args: &Args) -> Result<(Format, Converted<Value>)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let value = documents::value(text)?;
    let from = match args.from {
        // Who converts messages that could be either has Chat, unless that is what they shall become.
        From::Auto if convert::is_ambiguous(&value) && !matches!(args.to, To::Chat) => Format::Chat,
        from => documents::format(&value, text, from)?,
    };
    let to = match args.to {
        To::Harmony => Format::Harmony,
        To::Chat => Format::Chat,
        To::Responses => Format::Responses,
    };
    let options = Options {
        system_text: match args.system_text {
            Place::Instructions => SystemText::Instructions,
            Place::Identity => SystemText::Identity,
        },
        reasoning_field: match args.reasoning_field {
            Field::ReasoningContent => ReasoningField::ReasoningContent,
            Field::Reasoning => ReasoningField::Reasoning,
            Field::Thinking => ReasoningField::Thinking,
        },
        ..Options::default()
    };
    let converted =
        convert::convert_with(&value, from, to, &options).map_err(|error| Error::in_document(error, text))?;
    Ok((from, converted))
}

fn object(from: Format, args: &Args, converted: &Converted<Value>) -> Value {
    let to = match args.to {
        To::Harmony => "harmony",
        To::Chat => "chat",
        To::Responses => "responses",
    };
    json!({
        "schema": "gptoss.convert/1",
        "from": from.as_str(),
        "to": to,
        "document": converted.value,
        "losses": converted.losses,
    })
}

fn exit(converted: &Converted<Value>, args: &Args) -> u8 {
    if args.fail_on_loss && !converted.is_faithful() { DIFFERENT } else { 0 }
}
