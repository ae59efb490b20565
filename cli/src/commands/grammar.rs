//! `gptoss grammar`: what a model may answer.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use harmony_format::grammar::{self, ContentType, Grammar, Reasoning, ToolChoice};
use serde_json::json;

use crate::context::Context;
use crate::documents::{self, From};
use crate::error::Result;
use crate::{input, toolset};

/// Write the grammar of what a model may answer
///
/// It covers the whole turn after `<|start|>assistant`: reasoning, preambles, calls and the final answer.
/// What a schema says and the grammar does not hold the model to is told on standard error.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The conversation that is answered, with its tools and response format
    file: Option<PathBuf>,
    /// Tools that the model may call
    #[arg(long, value_name = "FILE")]
    tools: Option<PathBuf>,
    /// The JSON Schema of the final answer
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// The language of the grammar
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    /// Whether the model thinks before it answers
    #[arg(long, value_enum, default_value_t, value_name = "WHETHER")]
    reasoning: Thinking,
    /// Whether it calls tools: auto, none, required, or the full name of a tool
    #[arg(long, default_value = "auto", value_name = "CHOICE")]
    tool_choice: String,
    /// Allow several calls in a turn
    #[arg(long)]
    parallel_calls: bool,
    /// Allow the recipient before the channel, too
    #[arg(long)]
    both_header_orders: bool,
    /// Allow calls that do not say that their content is JSON
    #[arg(long)]
    loose_content_type: bool,
    /// Allow no other keys where a schema lists properties
    #[arg(long)]
    closed_objects: bool,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    /// The dialect of Lark that llguidance reads
    #[default]
    Lark,
    /// The grammars of llama.cpp
    Gbnf,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Thinking {
    #[default]
    Free,
    Required,
    Forbidden,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let grammar = grammar(args)?;
    let (format, text) = match args.format {
        Format::Lark => (grammar::Format::Lark, grammar.to_lark()?),
        Format::Gbnf => (grammar::Format::Gbnf, grammar.to_gbnf()?),
    };
    let notes: Vec<_> = grammar.notes(format)?.iter().map(ToString::to_string).collect();
    let mut out = context.stdout();
    if context.json {
        let name = match args.format {
            Format::Lark => "lark",
            Format::Gbnf => "gbnf",
        };
        out.json(&json!({"schema": "gptoss.grammar/1", "format": name, "grammar": text, "notes": notes}))?;
    } else {
        out.write_all(text.as_bytes())?;
        for note in notes {
            context.warn(note);
        }
    }
    out.finish()?;
    Ok(ExitCode::SUCCESS)
}

fn grammar(args: &Args) -> Result<Grammar> {
    let mut grammar = Grammar::new();
    if let Some(path) = &args.file {
        let document = input::read_text(path)?;
        let conversation = documents::conversation(&document.text, From::Auto)
            .map_err(|error| error.in_file(&document.name))?;
        grammar = Grammar::for_conversation(&conversation);
    }
    if let Some(path) = &args.tools {
        for namespace in toolset::read(path)?.into_values() {
            let is_built_in = ["browser", "python"].contains(&namespace.name.as_str());
            grammar = if is_built_in { grammar.built_in(namespace) } else { grammar.tools(namespace) };
        }
    }
    if let Some(path) = &args.schema {
        let document = input::read_text(path)?;
        let schema = documents::value(&document.text).map_err(|error| error.in_file(&document.name))?;
        grammar = grammar.response_schema(schema);
    }
    let mut content_types = vec![ContentType::Constrained, ContentType::Plain];
    if args.loose_content_type {
        content_types.push(ContentType::Absent);
    }
    Ok(grammar
        .reasoning(match args.reasoning {
            Thinking::Free => Reasoning::Free,
            Thinking::Required => Reasoning::Required,
            Thinking::Forbidden => Reasoning::Forbidden,
        })
        .tool_choice(match args.tool_choice.as_str() {
            "auto" => ToolChoice::Auto,
            "none" => ToolChoice::None,
            "required" => ToolChoice::Required,
            name => ToolChoice::Named(name.to_owned()),
        })
        .parallel_calls(args.parallel_calls)
        .both_header_orders(args.both_header_orders)
        .closed_objects(args.closed_objects)
        .content_types(content_types))
}
