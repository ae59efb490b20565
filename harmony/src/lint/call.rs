//! Rules over calls: the assistant's messages to tools.

use serde_json::Value;

use super::Edit;
use super::context::{BUILT_IN, CHANNELS, Context, Kind, is_clean, is_on, text_pointer};
use super::rule::{Example, Report, Rule, Severity};
use crate::{Content, Message, Role, arguments, channel};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "L101",
        name: "built-in-recipient",
        severity: Severity::Error,
        what: "A call of a built-in tool names none that exists: they are `browser.search`, `browser.open`, \
               `browser.find` and `python`.",
        why: "No tool answers to that name. `browser` alone and `python.exec` are common inventions.",
        example: Example::Messages {
            before: r#"{"role": "assistant", "recipient": "python.exec", "channel": "analysis", "content": "print(1)"}"#,
            after: r#"{"role": "assistant", "recipient": "python", "channel": "analysis", "content": "print(1)"}"#,
        },
        fix: None,
        sources: &[],
        check: built_in_recipient,
    },
    Rule {
        code: "L102",
        name: "built-in-off-analysis",
        severity: Severity::Warning,
        what: "A call of a built-in tool is not on the channel `analysis`.",
        why: "The model was trained to use the browser and Python within its reasoning.",
        example: Example::Messages {
            before: r#"{"role": "assistant", "recipient": "python", "channel": "commentary", "content": "print(1)"}"#,
            after: r#"{"role": "assistant", "recipient": "python", "channel": "analysis", "content": "print(1)"}"#,
        },
        fix: Some("the channel becomes `analysis`, the only one for these tools"),
        sources: &[],
        check: built_in_off_analysis,
    },
    Rule {
        code: "L103",
        name: "function-off-commentary",
        severity: Severity::Warning,
        what: "A call of a function is not on the channel `commentary`.",
        why: "The system message says that functions are called there. Programs that look for calls by channel miss \
              it, and a history with such calls teaches the model to make more.",
        example: Example::Messages {
            before: r#"{"role": "assistant", "recipient": "functions.now", "channel": "analysis", "content": "{}"}"#,
            after: r#"{"role": "assistant", "recipient": "functions.now", "channel": "commentary", "content": "{}"}"#,
        },
        fix: Some("the channel becomes `commentary`, the only one for functions"),
        sources: &["vllm#28139", "vllm#24954", "openai/harmony#81"],
        check: function_off_commentary,
    },
    Rule {
        code: "L104",
        name: "unknown-tool",
        severity: Severity::Error,
        what: "A call names no tool that is declared.",
        why: "The model made the tool up, or its declaration was left out; nobody can answer.",
        example: Example::Messages {
            before: r#"{"role": "developer", "content": [{"type": "developer_content", "tools": {"functions": {"name": "functions", "tools": [{"name": "now", "description": "The time."}]}}}]}
{"role": "assistant", "recipient": "functions.today", "channel": "commentary", "content": "{}"}"#,
            after: r#"{"role": "developer", "content": [{"type": "developer_content", "tools": {"functions": {"name": "functions", "tools": [{"name": "now", "description": "The time."}]}}}]}
{"role": "assistant", "recipient": "functions.now", "channel": "commentary", "content": "{}"}"#,
        },
        fix: None,
        sources: &["llama.cpp#15158"],
        check: unknown_tool,
    },
    Rule {
        code: "L105",
        name: "bare-recipient",
        severity: Severity::Warning,
        what: "A call names a declared tool without its namespace.",
        why: "The rendered tools are `functions.now`, and the model calls them so.",
        example: Example::Messages {
            before: r#"{"role": "developer", "content": [{"type": "developer_content", "tools": {"functions": {"name": "functions", "tools": [{"name": "now", "description": "The time."}]}}}]}
{"role": "assistant", "recipient": "now", "channel": "commentary", "content": "{}"}"#,
            after: r#"{"role": "developer", "content": [{"type": "developer_content", "tools": {"functions": {"name": "functions", "tools": [{"name": "now", "description": "The time."}]}}}]}
{"role": "assistant", "recipient": "functions.now", "channel": "commentary", "content": "{}"}"#,
        },
        fix: Some("the namespace is put before it, if only one declares a tool of that name"),
        sources: &[],
        check: bare_recipient,
    },
    Rule {
        code: "L106",
        name: "assistant-to-role",
        severity: Severity::Warning,
        what: "The assistant addresses a role instead of a tool.",
        why: "Messages to the user have no recipient. With one, the message ends in `<|call|>`, and programs look for \
              a tool of that name.",
        example: Example::Messages {
            before: r#"{"role": "assistant", "recipient": "user", "channel": "final", "content": "4"}"#,
            after: r#"{"role": "assistant", "channel": "final", "content": "4"}"#,
        },
        fix: Some("the recipient `user` goes, because that is what no recipient means; any other role stays"),
        sources: &["llama.cpp#27720"],
        check: assistant_to_role,
    },
    Rule {
        code: "L107",
        name: "arguments-not-json",
        severity: Severity::Error,
        what: "The arguments of a function are not JSON.",
        why: "Servers answer with an error when they read the history, and the model sees that broken calls are fine.",
        example: Example::Messages {
            before: r#"{"role": "assistant", "recipient": "functions.wait", "channel": "commentary", "content": "{\"seconds\": 3"}"#,
            after: r#"{"role": "assistant", "recipient": "functions.wait", "channel": "commentary", "content": "{\"seconds\": 3}"}"#,
        },
        fix: None,
        sources: &["ollama#17638", "ollama#12884", "ollama#11704"],
        check: arguments_not_json,
    },
    Rule {
        code: "L108",
        name: "arguments-misfit",
        severity: Severity::Error,
        what: "The arguments of a call do not fit the schema of the tool.",
        why: "The tool fails, or worse, works with something else than what was meant.",
        example: Example::Messages {
            before: r#"{"role": "developer", "content": [{"type": "developer_content", "tools": {"functions": {"name": "functions", "tools": [{"name": "wait", "description": "Waits.", "parameters": {"type": "object", "properties": {"seconds": {"type": "number"}}}}]}}}]}
{"role": "assistant", "recipient": "functions.wait", "channel": "commentary", "content": "{\"seconds\": \"3\"}"}"#,
            after: r#"{"role": "developer", "content": [{"type": "developer_content", "tools": {"functions": {"name": "functions", "tools": [{"name": "wait", "description": "Waits.", "parameters": {"type": "object", "properties": {"seconds": {"type": "number"}}}}]}}}]}
{"role": "assistant", "recipient": "functions.wait", "channel": "commentary", "content": "{\"seconds\": 3}"}"#,
        },
        fix: None,
        sources: &["ollama#17642"],
        check: arguments_misfit,
    },
    Rule {
        code: "L109",
        name: "call-without-content-type",
        severity: Severity::Info,
        what: "A call of a function with JSON arguments has no content type.",
        why: "The model writes `<|constrain|>json` in its calls, and learns from a history without it to leave it out.",
        example: Example::Messages {
            before: r#"{"role": "assistant", "recipient": "functions.now", "channel": "commentary", "content": "{}"}"#,
            after: r#"{"role": "assistant", "recipient": "functions.now", "channel": "commentary", "content_type": "<|constrain|>json", "content": "{}"}"#,
        },
        fix: Some("`<|constrain|>json`, because the arguments are a JSON object"),
        sources: &["openai/harmony#91"],
        check: without_content_type,
    },
];

fn built_in_recipient(context: &Context<'_>, report: &mut Report<'_>) {
    /// A finding is one line.
    const MOST: usize = 8;
    const TOOLS: [&str; 4] = ["browser.search", "browser.open", "browser.find", "python"];
    for (index, _, recipient) in context.calls() {
        let (namespace, _) = recipient.split_once('.').unwrap_or((recipient, ""));
        if !BUILT_IN.contains(&namespace) || context.tool(recipient).is_some() {
            continue;
        }
        let mut declared = context.tools.of_namespace(namespace).map(|tool| tool.name.as_str()).peekable();
        let mut known: Vec<&str> = if declared.peek().is_none() {
            TOOLS.into_iter().filter(|name| name.starts_with(namespace)).collect()
        } else {
            declared.by_ref().take(MOST).collect()
        };
        if declared.next().is_some() {
            known.push("…");
        }
        if !known.contains(&recipient) {
            let text = format!("{namespace} is called as {}, found {recipient:?}", known.join(", "));
            report.field(index, "recipient", text);
        }
    }
}

fn off_channel(context: &Context<'_>, report: &mut Report<'_>, kind: Kind, channel: &str) {
    for (index, message, recipient) in context.calls() {
        if context.kind(recipient) == kind
            && let Some(found) =
                message.channel.as_deref().filter(|found| *found != channel && CHANNELS.contains(found))
        {
            report
                .field(
                    index,
                    "channel",
                    format!("a call of {recipient:?} belongs on the channel {channel:?}, found {found:?}"),
                )
                .fix([Edit::set(index, "channel", channel)]);
        }
    }
}

fn built_in_off_analysis(context: &Context<'_>, report: &mut Report<'_>) {
    off_channel(context, report, Kind::BuiltIn, channel::ANALYSIS);
}

fn function_off_commentary(context: &Context<'_>, report: &mut Report<'_>) {
    off_channel(context, report, Kind::Function, channel::COMMENTARY);
}

fn unknown_tool(context: &Context<'_>, report: &mut Report<'_>) {
    if context.tools.is_empty() {
        return;
    }
    for (index, _, recipient) in context.calls() {
        let (namespace, _) = recipient.split_once('.').unwrap_or((recipient, ""));
        // A bare name, a wrong part of a built-in namespace and a marker have rules of their own.
        let is_bare = context.tools.of_short_name(recipient).next().is_some();
        if context.tool(recipient).is_some()
            || is_bare
            || BUILT_IN.contains(&namespace)
            || !is_clean(recipient)
        {
            continue;
        }
        let glued = context.tools.that_begins(recipient).map(|tool| &tool.name);
        let text = match glued {
            Some(name) => format!("no tool is named {recipient:?}; it begins like {name:?}"),
            None => format!("no tool is named {recipient:?}"),
        };
        report.field(index, "recipient", text);
    }
}

fn bare_recipient(context: &Context<'_>, report: &mut Report<'_>) {
    for (index, _, recipient) in context.calls().filter(|(.., recipient)| context.tool(recipient).is_none()) {
        let mut full = context.tools.of_short_name(recipient).map(|tool| tool.name.as_str());
        if let Some(first) = full.next() {
            let added = report.field(
                index,
                "recipient",
                format!("the tool's name is {first:?}, the call has {recipient:?}"),
            );
            if full.next().is_none() {
                added.fix([Edit::set(index, "recipient", first)]);
            }
        }
    }
}

fn assistant_to_role(context: &Context<'_>, report: &mut Report<'_>) {
    for (index, message) in context.indexed().filter(|(_, message)| message.author.role == Role::Assistant) {
        let Some(role) = message.recipient.as_deref().and_then(|recipient| recipient.parse::<Role>().ok())
        else {
            continue;
        };
        // A tool that is declared without a namespace may have any name.
        if context.tool(role.as_str()).is_some() {
            continue;
        }
        let added = report.field(index, "recipient", format!("{role} is a role, not a tool"));
        if role == Role::User {
            added.fix([Edit::unset(index, "recipient")]);
        }
    }
}

/// The calls whose content is JSON: all but those of tools that take something else, as `python` does.
fn json_calls<'a>(context: &Context<'a>) -> impl Iterator<Item = (usize, &'a Message, &'a str)> {
    context.calls().filter(|(_, message, recipient)| {
        let says_json = message.content_type.as_deref().is_some_and(|kind| kind.ends_with("json"));
        says_json
            || context.kind(recipient) == Kind::Function
            || context.tool(recipient).is_some_and(|tool| tool.parameters.is_some())
    })
}

/// The pointer to the arguments, and whether bytes of the text count from its beginning.
fn arguments_pointer(index: usize, message: &Message) -> (String, bool) {
    match message.content.as_slice() {
        [Content::Text(_)] => (text_pointer(index, message, 0), true),
        _ => (format!("/messages/{index}/content"), false),
    }
}

fn arguments_not_json(context: &Context<'_>, report: &mut Report<'_>) {
    for (index, message, _) in json_calls(context) {
        let text = message.text();
        // A tool without parameters is called with nothing, too.
        if text.trim().is_empty() {
            continue;
        }
        if let Err(error) = serde_json::from_str::<Value>(&text) {
            let (pointer, is_whole) = arguments_pointer(index, message);
            let at = byte_of(&text, error.line(), error.column());
            report
                .add(index, pointer, format!("the arguments are not JSON: {error}"))
                .bytes(is_whole.then_some(at..text.len()));
        }
    }
}

/// The byte at a line and column, both from 1.
fn byte_of(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let at = (start + column.saturating_sub(1)).min(text.len());
    (0..=at).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

fn arguments_misfit(context: &Context<'_>, report: &mut Report<'_>) {
    for (index, message, recipient) in context.calls() {
        let Some(schema) = context.tool(recipient).and_then(|tool| tool.parameters) else { continue };
        let text = message.text();
        // No text at all is no arguments.
        let json = if text.trim().is_empty() { "{}" } else { &text };
        let Ok(value) = serde_json::from_str::<Value>(json) else { continue };
        let mut locator = arguments::Locator::new(&text);
        for misfit in arguments::check(schema, &value) {
            let (pointer, is_whole) = arguments_pointer(index, message);
            let bytes = if is_whole { locator.locate(&misfit.pointer) } else { None };
            let place = if misfit.pointer.is_empty() { "the arguments" } else { misfit.pointer.as_str() };
            report.add(index, pointer, format!("{place} {}", misfit.text)).bytes(bytes);
        }
    }
}

fn without_content_type(context: &Context<'_>, report: &mut Report<'_>) {
    for (index, message, recipient) in context.calls() {
        let is_object =
            || serde_json::from_str::<Value>(&message.text()).is_ok_and(|value| value.is_object());
        if message.content_type.is_none()
            && context.kind(recipient) == Kind::Function
            && is_on(message, channel::COMMENTARY)
            && is_object()
        {
            report.message(index, "the call has JSON arguments, but no content type").fix([Edit::set(
                index,
                "content_type",
                "<|constrain|>json",
            )]);
        }
    }
}
