//! `gptoss tools`: tool definitions and calls.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use harmony_format::{SchemaStyle, ToolDescription, arguments, render_tools};
use serde_json::{Value, json};

use crate::calls::{self, Call};
use crate::context::Context;
use crate::error::{DIFFERENT, Result};
use crate::toolset::{self, Tools};
use crate::{color, input, token_text};

/// Render tool definitions, or check a call against them
///
/// A file of tools is a Harmony conversation or its tools, a list of function tools of the Chat or the Responses API,
/// a request with such a list, or a list of MCP tools.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Write the section `# Tools` that a model reads
    Render {
        /// The tools
        file: PathBuf,
        /// How schemas become TypeScript
        #[arg(long, value_enum, default_value_t, value_name = "STYLE")]
        schema_style: Style,
    },
    /// Check that the arguments of calls fit the tools; exit code 1 where they do not
    Check {
        /// The call: a Harmony or Chat message, a Responses item, an object with name and arguments, or a list of them
        #[arg(value_name = "CALL")]
        call: PathBuf,
        /// The tools
        #[arg(long, value_name = "FILE")]
        tools: PathBuf,
    },
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Style {
    /// As the official library, its losses included
    #[default]
    Reference,
    /// $ref, anyOf, allOf and const keep their types
    Typed,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    match &args.action {
        Action::Render { file, schema_style } => {
            let tools = toolset::read(file)?;
            let style = match schema_style {
                Style::Reference => SchemaStyle::Reference,
                Style::Typed => SchemaStyle::Typed,
            };
            let text = render_tools(&tools, style);
            let mut out = context.stdout();
            if context.json {
                out.json(
                    &json!({"schema": "gptoss.tools/1", "tools": toolset::names(&tools), "text": text}),
                )?;
            } else {
                writeln!(out, "{text}")?;
            }
            out.finish()?;
            Ok(ExitCode::SUCCESS)
        }
        Action::Check { call, tools } => {
            let tools = toolset::read(tools)?;
            let document = input::read_text(call)?;
            let calls = calls::read(&document.text).map_err(|error| error.in_file(&document.name))?;
            report(&calls, &tools, context)
        }
    }
}

/// What is wrong with a call.
struct Finding {
    pointer: String,
    rule: &'static str,
    text: String,
}

fn report(calls: &[Call], tools: &Tools, context: &Context) -> Result<ExitCode> {
    let mut out = context.stdout();
    let mut is_fine = true;
    let mut list = Vec::new();
    for call in calls {
        let findings = check(call, tools);
        is_fine &= findings.is_empty();
        if context.json {
            let misfits: Vec<_> = findings
                .iter()
                .map(
                    |finding| json!({"pointer": finding.pointer, "rule": finding.rule, "text": finding.text}),
                )
                .collect();
            list.push(json!({"tool": call.tool, "arguments": call.arguments, "misfits": misfits}));
            continue;
        }
        let tool = out.paint.paint(color::BOLD, token_text::shortened(&call.tool, 80));
        if findings.is_empty() {
            writeln!(out, "{tool}: {}", out.paint.paint(color::GOOD, "fits"))?;
        }
        for finding in findings {
            let rule = out.paint.paint(color::ERROR, finding.rule);
            let at = if finding.pointer.is_empty() { String::new() } else { format!(" {}", finding.pointer) };
            writeln!(
                out,
                "{tool}{}: {rule}: {}",
                token_text::shortened(&at, 200),
                token_text::shortened(&finding.text, 400)
            )?;
        }
    }
    if context.json {
        out.json(&json!({"schema": "gptoss.tools-check/1", "calls": list}))?;
    } else if calls.is_empty() {
        writeln!(out, "no calls")?;
    }
    out.finish()?;
    Ok(ExitCode::from(if is_fine { 0 } else { DIFFERENT }))
}

fn check(call: &Call, tools: &Tools) -> Vec<Finding> {
    let one = |rule, text| vec![Finding { pointer: String::new(), rule, text }];
    let Some(found) = find(&call.tool, tools) else {
        let names = toolset::names(tools).join(", ");
        let names = if names.is_empty() { "none".to_owned() } else { names };
        return one("unknown-tool", format!("there is no such tool; there are: {names}"));
    };
    // A namespace that is a tool itself, such as `python`, takes any text.
    let Some(tool) = found else { return Vec::new() };
    let value: Value = match serde_json::from_str(&call.arguments) {
        Ok(value) => value,
        Err(error) => return one("json", format!("arguments must be JSON: {error}")),
    };
    let schema = tool.parameters.clone().unwrap_or_else(|| json!({"type": ["object", "null"]}));
    arguments::check(&schema, &value)
        .into_iter()
        .map(|misfit| Finding { pointer: misfit.pointer, rule: misfit.rule, text: misfit.text })
        .collect()
}

/// The tool with this name; the namespace `functions` need not be said. `Some(None)` is a tool without a schema.
fn find<'a>(name: &str, tools: &'a Tools) -> Option<Option<&'a ToolDescription>> {
    tools.values().find_map(|namespace| {
        if namespace.tools.is_empty() {
            return (namespace.name == name).then_some(None);
        }
        let short = match name.strip_prefix(&namespace.name).and_then(|rest| rest.strip_prefix('.')) {
            Some(short) => short,
            None if namespace.name == "functions" => name,
            None => return None,
        };
        namespace.tools.iter().find(|tool| tool.name == short).map(Some)
    })
}
