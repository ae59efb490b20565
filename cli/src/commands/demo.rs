//! `gptoss demo`: an example conversation rendered, and a model's answer parsed back.

use std::io::Write;
use std::process::ExitCode;

use anstyle::Style;
use harmony_format::{
    Conversation, Encoding, Event, Lexeme, ParseOptions, RenderOptions, Role, SchemaStyle, lex,
};
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::Result;
use crate::excerpt::width;
use crate::output::Output;
use crate::{color, pretty};

/// Show an example conversation rendered, and a model's answer parsed back
///
/// The answer is a recorded example: no model runs.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

const CONVERSATION: &str = include_str!("demo/conversation.json");
/// A call whose header names the channel twice, as models write it now and then.
const ANSWER: &str = include_str!("demo/answer.txt");

pub(crate) fn run(_args: &Args, context: &Context) -> Result<ExitCode> {
    let encoding = Encoding::o200k_harmony();
    let conversation = Conversation::from_json(CONVERSATION)?;
    let options = RenderOptions::completion(Role::Assistant).schema_style(SchemaStyle::Typed);
    let answer = encoding.encode_prompt(ANSWER);
    let mut stream =
        encoding.stream(ParseOptions::recover().role(Role::Assistant).tools(["functions.get_weather"]));

    let mut out = context.stdout();
    if context.json {
        let prompt = encoding.render_text(&conversation, &options)?;
        let parsed = encoding.parse(&answer, &ParseOptions::recover().role(Role::Assistant))?;
        out.json(&json!({"schema": "gptoss.demo/1", "prompt": prompt, "answer": ANSWER, "parsed": parsed}))?;
        out.finish()?;
        return Ok(ExitCode::SUCCESS);
    }
    prompt(&conversation, &encoding, &options, &mut out)?;
    let paint = out.paint;
    title(&mut out, &format!("The answer, {} tokens: a recorded example, no model runs", answer.len()))?;
    let pieces = lex(ANSWER).map(|(_, lexeme)| match lexeme {
        Lexeme::Text(text) => (Style::new(), text.to_owned()),
        Lexeme::Special(marker) => (color::MARKER, marker.as_str().to_owned()),
    });
    flow(pieces, &mut out)?;

    title(&mut out, "The same, read token by token")?;
    for &token in &answer {
        for event in stream.push(token)? {
            match event {
                Event::Repair(diagnostic) => pretty::repair(&mut out, paint, &diagnostic)?,
                Event::End(parsed) => {
                    pretty::header(&mut out, paint, &parsed.message, parsed.status.as_str())?;
                    pretty::content(&mut out, paint, &parsed.message)?;
                }
                Event::Start(_) | Event::Delta(_) => {}
            }
        }
    }
    stream.finish()?;

    title(&mut out, "The call as JSON")?;
    if let Some(parsed) = stream.messages().last() {
        json_lines(&serde_json::to_value(&parsed.message).map_err(std::io::Error::from)?, &mut out)?;
    }
    writeln!(
        out,
        "\n{}",
        paint.paint(color::DIM, "Your own: gptoss render FILE, gptoss parse FILE; gptoss --help lists all.")
    )?;
    out.finish()?;
    Ok(ExitCode::SUCCESS)
}

fn title(out: &mut Output, text: &str) -> Result<()> {
    let text = out.paint.paint(color::BOLD, text);
    Ok(writeln!(out, "\n{text}")?)
}

/// Writes the prompt, each message in the colour of its channel or role.
fn prompt(
    conversation: &Conversation,
    encoding: &Encoding,
    options: &RenderOptions,
    out: &mut Output,
) -> Result<()> {
    let rendered = encoding.render_detailed(conversation, options)?;
    let count = rendered.tokens.len();
    let text =
        out.paint.paint(color::BOLD, format!("The prompt, {count} tokens; empty lines are left out here"));
    writeln!(out, "{text}")?;
    let mut pieces = Vec::new();
    for segment in &rendered.segments {
        let tokens = &rendered.tokens[segment.tokens.clone()];
        let is_marker = tokens.first().is_some_and(|&token| encoding.is_special(token));
        let style = match segment.message.map(|index| &conversation.messages[index]) {
            _ if is_marker => color::MARKER,
            Some(message) => color::channel(message.channel.as_deref(), message.author.role.as_str()),
            None => color::BOLD,
        };
        pieces.push((style, encoding.decode_lossy(tokens)?));
    }
    flow(pieces.into_iter(), out)
}

/// Columns of a line.
const COLUMNS: usize = 78;

/// Writes an object as JSON, lines broken between its members.
fn json_lines(object: &Value, out: &mut Output) -> Result<()> {
    let members = object.as_object().into_iter().flatten();
    let members: Vec<_> = members.map(|(key, value)| format!("{}: {value}", json!(key))).collect();
    let mut line = String::from("{");
    for (index, member) in members.iter().enumerate() {
        let end = if index + 1 == members.len() { "}" } else { ", " };
        if line.len() + member.len() + end.len() > COLUMNS {
            writeln!(out, "{}", line.trim_end())?;
            line = String::from(" ");
        }
        line += &format!("{member}{end}");
    }
    Ok(writeln!(out, "{line}")?)
}

/// Writes pieces of text one after the other: wrapped, without empty lines, a line for each `<|start|>`.
fn flow(pieces: impl Iterator<Item = (Style, String)>, out: &mut Output) -> Result<()> {
    let paint = out.paint;
    // Columns used, and spaces that are written only if a word follows on the line.
    let (mut used, mut gap) = (0, 0);
    for (style, text) in pieces {
        if text == "<|start|>" && used > 0 {
            writeln!(out)?;
            (used, gap) = (0, 0);
        }
        for (index, line) in text.split('\n').enumerate() {
            if index > 0 && used > 0 {
                writeln!(out)?;
                (used, gap) = (0, 0);
            }
            for word in line.split_inclusive(' ') {
                let bare = word.trim_end_matches(' ');
                let columns: usize = bare.chars().map(width).sum();
                if used > 0 && used + gap + columns > COLUMNS {
                    writeln!(out)?;
                    (used, gap) = (0, 0);
                }
                if columns > 0 {
                    write!(out, "{:gap$}{}", "", paint.paint(style, bare))?;
                    used += gap + columns;
                    gap = 0;
                }
                gap += word.len() - bare.len();
            }
        }
    }
    if used > 0 {
        writeln!(out)?;
    }
    Ok(())
}
