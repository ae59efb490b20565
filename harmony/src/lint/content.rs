//! Rules over what messages say: spelled markers, several items, and answers that must have a form.

use serde_json::Value;

use super::Edit;
use super::context::{Context, is_on, text_pointer};
use super::rule::{Example, Report, Rule, Severity};
use crate::{Content, ResponseFormat, Role, arguments, channel, lexeme};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "L601",
        name: "marker-in-content",
        severity: Severity::Info,
        what: "A marker is spelled in a text.",
        why: "Rendered here it stays text. Programs that fill a text template and tokenize the result turn it into a \
              real marker: prompt injection, or output of a broken parser that was stored.",
        example: Example::Messages {
            before: r#"{"role": "user", "content": "What does <|end|> mean?"}"#,
            after: r#"{"role": "user", "content": "What does the end marker mean?"}"#,
        },
        fix: None,
        sources: &["unsloth#5162", "openai/harmony#72"],
        check: marker_in_content,
    },
    Rule {
        code: "L602",
        name: "several-texts",
        severity: Severity::Info,
        what: "A message has several text items.",
        why: "They are rendered without anything between them, so words can grow together, and parsing gives one item.",
        example: Example::Messages {
            before: r#"{"role": "user", "content": [{"type": "text", "text": "first"}, {"type": "text", "text": "second"}]}"#,
            after: r#"{"role": "user", "content": "firstsecond"}"#,
        },
        fix: Some("texts in a row become one, which is the same text when rendered"),
        sources: &[],
        check: several_texts,
    },
    Rule {
        code: "L603",
        name: "user-empty",
        severity: Severity::Warning,
        what: "A user message says nothing.",
        why: "The model answers to nothing; as a rule a part of another kind, such as an image, was lost.",
        example: Example::Messages {
            before: r#"{"role": "user", "content": []}"#,
            after: r#"{"role": "user", "content": "What is in the picture?"}"#,
        },
        fix: None,
        sources: &[],
        check: user_empty,
    },
    Rule {
        code: "L604",
        name: "final-not-json",
        severity: Severity::Error,
        what: "The developer message asks for a response format, but the final message is not JSON.",
        why: "The program that reads the answer fails. A Markdown fence around the JSON is the most common case.",
        example: Example::Messages {
            before: r#"{"role": "developer", "content": [{"type": "developer_content", "response_formats": [{"name": "sum", "schema": {"type": "integer"}}]}]}
{"role": "assistant", "channel": "final", "content": "It is 4."}"#,
            after: r#"{"role": "developer", "content": [{"type": "developer_content", "response_formats": [{"name": "sum", "schema": {"type": "integer"}}]}]}
{"role": "assistant", "channel": "final", "content": "4"}"#,
        },
        fix: None,
        sources: &["openai/harmony#58", "vllm#23120"],
        check: final_not_json,
    },
    Rule {
        code: "L605",
        name: "final-misfit",
        severity: Severity::Error,
        what: "The final message is JSON, but fits none of the response formats.",
        why: "The program that reads the answer fails, and as history it teaches the model to ignore the format.",
        example: Example::Messages {
            before: r#"{"role": "developer", "content": [{"type": "developer_content", "response_formats": [{"name": "sum", "schema": {"type": "integer"}}]}]}
{"role": "assistant", "channel": "final", "content": "\"4\""}"#,
            after: r#"{"role": "developer", "content": [{"type": "developer_content", "response_formats": [{"name": "sum", "schema": {"type": "integer"}}]}]}
{"role": "assistant", "channel": "final", "content": "4"}"#,
        },
        fix: None,
        sources: &["openai/harmony#58"],
        check: final_misfit,
    },
];

fn marker_in_content(context: &Context<'_>, report: &mut Report<'_>) {
    for (index, message) in context.indexed() {
        for (item, text) in message.content.iter().enumerate() {
            let Some(text) = text.as_text() else { continue };
            let Some((at, marker)) = lexeme::find_marker(text) else { continue };
            let end = at + marker.as_str().len();
            let more = if lexeme::find_marker(&text[end..]).is_some() { ", and more" } else { "" };
            report
                .add(index, text_pointer(index, message, item), format!("the text spells `{marker}`{more}"))
                .bytes(at..end);
        }
    }
}

fn several_texts(context: &Context<'_>, report: &mut Report<'_>) {
    for (index, message) in context.indexed() {
        let is_all_text = message.content.iter().all(|content| matches!(content, Content::Text(_)));
        if is_all_text && message.content.len() > 1 {
            let text = format!("{} texts are rendered as one", message.content.len());
            report.field(index, "content", text).fix([Edit::set(index, "content", message.text())]);
        }
    }
}

fn user_empty(context: &Context<'_>, report: &mut Report<'_>) {
    for (index, message) in context.indexed() {
        let is_silent =
            || message.content.iter().all(|it| it.as_text().is_some_and(|it| it.trim().is_empty()));
        if message.author.role == Role::User && is_silent() {
            report.field(index, "content", "the user message is empty");
        }
    }
}

/// The answers that must have a form: index, text, the schemas of which it must fit one.
fn formatted<'a>(context: &Context<'a>) -> Vec<(usize, String, Vec<&'a Value>)> {
    let mut found = Vec::new();
    let mut formats: &[ResponseFormat] = &[];
    for (index, message) in context.indexed() {
        match message.author.role {
            Role::Assistant if is_on(message, channel::FINAL) && !formats.is_empty() => {
                found.push((index, message.text(), formats.iter().map(|format| &format.schema).collect()));
            }
            // The last developer message before the answer counts.
            Role::Developer => {
                let mut developers = message.content.iter().filter_map(|content| match content {
                    Content::Developer(developer) => developer.response_formats.as_deref(),
                    Content::Text(_) | Content::System(_) => None,
                });
                formats = developers.next_back().unwrap_or(formats);
            }
            _ => {}
        }
    }
    found
}

fn final_not_json(context: &Context<'_>, report: &mut Report<'_>) {
    for (index, text, _) in formatted(context) {
        // An empty answer has a rule of its own.
        if text.trim().is_empty() {
            continue;
        }
        if let Err(error) = serde_json::from_str::<Value>(&text) {
            let text = if text.trim_start().starts_with("```") {
                "the answer is in a Markdown fence, not plain JSON".to_owned()
            } else {
                format!("the answer is not JSON: {error}")
            };
            report.field(index, "content", text);
        }
    }
}

fn final_misfit(context: &Context<'_>, report: &mut Report<'_>) {
    for (index, text, schemas) in formatted(context) {
        let Ok(value) = serde_json::from_str::<Value>(&text) else { continue };
        let misfits: Vec<_> = schemas.iter().map(|schema| arguments::check(schema, &value)).collect();
        // Several formats: what the closest one lacks says most.
        let Some(closest) = misfits.iter().min_by_key(|misfits| misfits.len()) else { continue };
        let is_whole = matches!(context.messages[index].content[..], [Content::Text(_)]);
        let mut locator = arguments::Locator::new(&text);
        for misfit in closest {
            let place = if misfit.pointer.is_empty() { "the answer" } else { misfit.pointer.as_str() };
            let bytes = if is_whole { locator.locate(&misfit.pointer) } else { None };
            report.field(index, "content", format!("{place} {}", misfit.text)).bytes(bytes);
        }
    }
}
