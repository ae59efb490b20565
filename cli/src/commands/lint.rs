//! `gptoss lint`: rules over conversations and transcripts.

mod fix;
mod report;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use harmony_format::convert::Format;
use harmony_format::lint::{self, Finding, LintOptions, Severity};
use harmony_format::{Encoding, ParseOptions, Role, SpecialToken};
use serde_json::json;

use crate::context::Context;
use crate::documents;
use crate::error::{DIFFERENT, Error, Result};
use crate::lines::{self, Answer, Input};
use crate::toolset;
use report::Source;

/// Check conversations and transcripts against rules
///
/// A selector is a code (L202), the beginning of one (L2), or a name (result-not-to-assistant).
/// The exit code is 1 if there is a finding that is a warning or an error.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Conversations, transcripts, or JSON Lines of conversations
    #[arg(required_unless_present = "rules")]
    files: Vec<PathBuf>,
    /// The format of the files
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    from: From,
    /// Mend what can be mended with certainty, and write the files back
    #[arg(long)]
    fix: bool,
    /// Apply these rules only
    #[arg(long, value_delimiter = ',', value_name = "SELECTORS")]
    only: Vec<String>,
    /// Leave these rules out
    #[arg(long, value_delimiter = ',', value_name = "SELECTORS")]
    allow: Vec<String>,
    /// Count the findings of these rules as errors
    #[arg(long, value_delimiter = ',', value_name = "SELECTORS")]
    deny: Vec<String>,
    /// Tools that exist besides those that a conversation declares
    #[arg(long, value_name = "FILE")]
    tools: Option<PathBuf>,
    /// List the rules
    #[arg(long)]
    rules: bool,
    /// Read one conversation a line
    #[arg(long)]
    jsonl: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum From {
    /// JSON is a conversation, anything else a transcript
    #[default]
    Auto,
    /// Harmony conversations
    Harmony,
    /// Chat documents
    Chat,
    /// Responses documents
    Responses,
    /// A conversation in whichever format it looks like
    Conversation,
    /// What a model read and said, as text with its markers spelled out
    Transcript,
}

impl From {
    const fn of_document(self) -> documents::From {
        match self {
            Self::Auto | Self::Conversation | Self::Transcript => documents::From::Auto,
            Self::Harmony => documents::From::Harmony,
            Self::Chat => documents::From::Chat,
            Self::Responses => documents::From::Responses,
        }
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let options = options(args)?;
    if args.rules {
        return list_rules(context);
    }
    let mut exit = 0;
    let mut found = Found::default();
    for path in &args.files {
        let result = if args.fix {
            fix::file(path, args, &options, context).and_then(|fixed| {
                found.fixed += fixed;
                // What went to standard output is checked there.
                if crate::input::is_stdin(path) {
                    Ok(0)
                } else {
                    file(path, args, &options, context, &mut found)
                }
            })
        } else {
            file(path, args, &options, context, &mut found)
        };
        match result {
            Ok(code) => exit = exit.max(code),
            Err(error) if error.is_closed_pipe() => return Err(error),
            Err(error) => {
                context.report(&error);
                exit = exit.max(error.exit());
            }
        }
    }
    found.tell(args, context);
    Ok(ExitCode::from(exit))
}

fn options(args: &Args) -> Result<LintOptions> {
    let tools = match &args.tools {
        Some(path) => toolset::read(path)?.into_values().collect(),
        None => Vec::new(),
    };
    let options =
        LintOptions { allow: args.allow.clone(), deny: args.deny.clone(), only: args.only.clone(), tools };
    match options.unknown_selectors().first() {
        Some(selector) => Err(Error::usage(format!("no rule has the code or name {selector:?}"))
            .help("`gptoss lint --rules` lists them")),
        None => Ok(options),
    }
}

/// How much was found in all files.
#[derive(Default)]
struct Found {
    findings: usize,
    fixable: usize,
    fixed: usize,
}

impl Found {
    fn count(&mut self, findings: &[Finding]) {
        self.findings += findings.len();
        self.fixable += findings.iter().filter(|finding| !finding.fix.is_empty()).count();
    }

    fn tell(&self, args: &Args, context: &Context) {
        if context.quiet || context.json {
            return;
        }
        let mut text = if args.fix { format!("{} mended, ", self.fixed) } else { String::new() };
        text += &match self.findings {
            0 => "no findings".to_owned(),
            1 => "1 finding".to_owned(),
            n => format!("{n} findings"),
        };
        if self.fixable > 0 && !args.fix {
            text += &format!(", --fix mends {}", self.fixable);
        }
        context.tell(text);
    }
}

/// Checks a file and returns its exit code.
fn file(path: &Path, args: &Args, options: &LintOptions, context: &Context, found: &mut Found) -> Result<u8> {
    let input = match args.from {
        From::Transcript => lines::open_by_name(path, args.jsonl)?,
        _ => lines::open(path, args.jsonl)?,
    };
    match input {
        Input::Document(document) => {
            let (findings, mut source) =
                check(&document.text, args.from, options).map_err(|error| error.in_file(&document.name))?;
            found.count(&findings);
            let mut out = context.stdout();
            if context.json {
                out.json(&report::object(&document.name, None, &findings, &mut source))?;
            } else {
                let paint = out.paint;
                for finding in &findings {
                    out.write_all(
                        report::text(&document.name, None, finding, &mut source, paint).as_bytes(),
                    )?;
                }
            }
            out.finish()?;
            Ok(exit(&findings))
        }
        Input::Lines(_) if args.from == From::Transcript => {
            Err(Error::usage("a line of JSON Lines is a conversation, no transcript"))
        }
        Input::Lines(lines) => {
            // A line is JSON, whatever it looks like.
            let from = if args.from == From::Auto { From::Conversation } else { args.from };
            let lines = if context.json { lines } else { lines.for_reading() };
            let name = lines.name().to_owned();
            let paint = context.stdout().paint;
            let counted = std::sync::Mutex::new(Found::default());
            let code = lines.answer_to(Box::new(std::io::stdout()), context, |text, number| {
                let (findings, mut source) = check(text, from, options)?;
                if let Ok(mut counted) = counted.lock() {
                    counted.count(&findings);
                }
                let mut answer = if context.json {
                    Answer::json(&report::object(&name, Some(number), &findings, &mut source))?
                } else {
                    let text = findings
                        .iter()
                        .map(|finding| report::text(&name, Some(number), finding, &mut source, paint));
                    Answer { out: text.collect::<String>().into_bytes(), ..Answer::default() }
                };
                answer.exit = exit(&findings);
                Ok(answer)
            })?;
            if let Ok(counted) = counted.into_inner() {
                found.findings += counted.findings;
                found.fixable += counted.fixable;
            }
            Ok(code)
        }
    }
}

/// Only what a model or a parser stumbles over makes the check fail.
fn exit(findings: &[Finding]) -> u8 {
    if findings.iter().any(|finding| finding.severity >= Severity::Warning) { DIFFERENT } else { 0 }
}

/// Checks a document or a transcript.
fn check<'a>(text: &'a str, from: From, options: &LintOptions) -> Result<(Vec<Finding>, Source<'a>)> {
    let looks_like_json = text.trim_start().starts_with(['{', '[']) || text.trim_ascii().is_empty();
    if from == From::Transcript || (from == From::Auto && !looks_like_json) {
        let role = (!text.starts_with(SpecialToken::Start.as_str())).then_some(Role::Assistant);
        let parsed = Encoding::o200k_harmony().parse_text(text, &ParseOptions::recover().role(role))?;
        return Ok((lint::transcript(&parsed, options), Source::transcript(text)));
    }
    let read = documents::read(text, from.of_document())?;
    let findings = lint::conversation(&read.conversation, options);
    let source = if read.format == Format::Harmony { Source::harmony(text) } else { Source::other() };
    Ok((findings, source))
}

fn list_rules(context: &Context) -> Result<ExitCode> {
    let mut out = context.stdout();
    if context.json {
        out.json(&json!({"schema": "gptoss.lint-rules/1", "rules": lint::rules().collect::<Vec<_>>()}))?;
    } else {
        for rule in lint::rules() {
            let fix = if rule.fix.is_some() { "fix" } else { "" };
            writeln!(
                out,
                "{} {:<7} {fix:<3} {:<32} {}",
                rule.code,
                rule.severity.to_string(),
                rule.name,
                rule.what
            )?;
        }
    }
    out.finish()?;
    Ok(ExitCode::SUCCESS)
}
