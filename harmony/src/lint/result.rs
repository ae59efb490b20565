//! Rules over results: the messages of tools.

use super::Edit;
use super::context::{Context, call};
use super::rule::{Example, Report, Rule, Severity};
use crate::{Message, Role, channel};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "L201",
        name: "result-without-name",
        severity: Severity::Error,
        what: "A tool message has no name, or an empty one.",
        why: "The name stands in the place of the role, so the message cannot be rendered.",
        example: Example::Messages {
            before: r#"{"role": "assistant", "recipient": "functions.now", "channel": "commentary", "content": "{}"}
{"role": "tool", "recipient": "assistant", "channel": "commentary", "content": "12:00"}"#,
            after: r#"{"role": "assistant", "recipient": "functions.now", "channel": "commentary", "content": "{}"}
{"role": "tool", "name": "functions.now", "recipient": "assistant", "channel": "commentary", "content": "12:00"}"#,
        },
        fix: Some("the name of the tool that was called, if all open calls are of one tool"),
        sources: &[],
        check: without_name,
    },
    Rule {
        code: "L202",
        name: "result-not-to-assistant",
        severity: Severity::Error,
        what: "A tool message does not go `to=assistant`.",
        why: "The model was trained on results with it, and without it the official library cannot parse the \
              header: `Unknown role: functions.now`.",
        example: Example::Messages {
            before: r#"{"role": "tool", "name": "functions.now", "channel": "commentary", "content": "12:00"}"#,
            after: r#"{"role": "tool", "name": "functions.now", "recipient": "assistant", "channel": "commentary", "content": "12:00"}"#,
        },
        fix: Some("the recipient becomes `assistant`: nobody else reads results"),
        sources: &["openai/harmony#62", "openai/harmony#63"],
        check: not_to_assistant,
    },
    Rule {
        code: "L203",
        name: "result-channel-differs",
        severity: Severity::Warning,
        what: "A result is on another channel than its call, or on none.",
        why: "The model was trained on results that come back on the channel of the call; on `analysis` they are \
              dropped with the reasoning, on `commentary` they are not.",
        example: Example::Messages {
            before: r#"{"role": "assistant", "recipient": "functions.now", "channel": "commentary", "content": "{}"}
{"role": "tool", "name": "functions.now", "recipient": "assistant", "content": "12:00"}"#,
            after: r#"{"role": "assistant", "recipient": "functions.now", "channel": "commentary", "content": "{}"}
{"role": "tool", "name": "functions.now", "recipient": "assistant", "channel": "commentary", "content": "12:00"}"#,
        },
        fix: Some("the channel of the call, if that is `analysis` or `commentary`"),
        sources: &[],
        check: channel_differs,
    },
    Rule {
        code: "L204",
        name: "result-without-call",
        severity: Severity::Error,
        what: "No call before a result names its tool.",
        why: "The model sees a result that it did not ask for, as a rule because the result has the short name \
              `now` and the call the full one, `functions.now`.",
        example: Example::Messages {
            before: r#"{"role": "assistant", "recipient": "functions.now", "channel": "commentary", "content": "{}"}
{"role": "tool", "name": "now", "recipient": "assistant", "channel": "commentary", "content": "12:00"}"#,
            after: r#"{"role": "assistant", "recipient": "functions.now", "channel": "commentary", "content": "{}"}
{"role": "tool", "name": "functions.now", "recipient": "assistant", "channel": "commentary", "content": "12:00"}"#,
        },
        fix: Some(
            "the full name, if only one tool with an open call has it and it differs only by its namespace",
        ),
        sources: &["openai/harmony#62"],
        check: without_call,
    },
    Rule {
        code: "L205",
        name: "call-without-result",
        severity: Severity::Warning,
        what: "The conversation goes on after a call, but its result never comes.",
        why: "After `<|call|>` the model waits for the tool. With the result left out it makes one up or calls again.",
        example: Example::Messages {
            before: r#"{"role": "assistant", "recipient": "functions.now", "channel": "commentary", "content": "{}"}
{"role": "user", "content": "Well?"}"#,
            after: r#"{"role": "assistant", "recipient": "functions.now", "channel": "commentary", "content": "{}"}
{"role": "tool", "name": "functions.now", "recipient": "assistant", "channel": "commentary", "content": "12:00"}
{"role": "user", "content": "Well?"}"#,
        },
        fix: None,
        sources: &[],
        check: never_comes,
    },
    Rule {
        code: "L206",
        name: "parallel-calls",
        severity: Severity::Info,
        what: "A call follows a call whose result has not come yet.",
        why: "The model stops at `<|call|>`, so it never makes two calls in a row itself. Put each result after its \
              own call.",
        example: Example::Messages {
            before: r#"{"role": "assistant", "recipient": "functions.now", "channel": "commentary", "content": "{}"}
{"role": "assistant", "recipient": "functions.here", "channel": "commentary", "content": "{}"}
{"role": "tool", "name": "functions.now", "recipient": "assistant", "channel": "commentary", "content": "12:00"}
{"role": "tool", "name": "functions.here", "recipient": "assistant", "channel": "commentary", "content": "Paris"}"#,
            after: r#"{"role": "assistant", "recipient": "functions.now", "channel": "commentary", "content": "{}"}
{"role": "tool", "name": "functions.now", "recipient": "assistant", "channel": "commentary", "content": "12:00"}
{"role": "assistant", "recipient": "functions.here", "channel": "commentary", "content": "{}"}
{"role": "tool", "name": "functions.here", "recipient": "assistant", "channel": "commentary", "content": "Paris"}"#,
        },
        fix: None,
        sources: &[],
        check: in_parallel,
    },
    Rule {
        code: "L207",
        name: "result-quoted",
        severity: Severity::Info,
        what: "The content of a result is a string in JSON quotes.",
        why: "The model was trained on the plain output. A chat template that quotes it, escapes included, makes it \
              harder to read and longer.",
        example: Example::Messages {
            before: r#"{"role": "tool", "name": "functions.now", "recipient": "assistant", "channel": "commentary", "content": "\"12:00\""}"#,
            after: r#"{"role": "tool", "name": "functions.now", "recipient": "assistant", "channel": "commentary", "content": "12:00"}"#,
        },
        fix: None,
        sources: &["openai/harmony#91", "llama.cpp#15242"],
        check: quoted,
    },
];

fn without_name(context: &Context<'_>, report: &mut Report<'_>) {
    for (index, message) in context.results() {
        if message.author.name.as_deref().is_some_and(|name| !name.is_empty()) {
            continue;
        }
        let added = report.message(index, "a tool message needs the name of its tool");
        if let Some(meant) = context.pairs.meant[index] {
            added.fix([Edit::set(index, "name", meant)]);
        }
    }
}

fn not_to_assistant(context: &Context<'_>, report: &mut Report<'_>) {
    for (index, message) in context.results() {
        let added = match message.recipient.as_deref() {
            Some("assistant") => continue,
            Some(other) => {
                report.field(index, "recipient", format!("a result goes to the assistant, found {other:?}"))
            }
            None => report.message(index, "a result needs the recipient `assistant`"),
        };
        added.fix([Edit::set(index, "recipient", "assistant")]);
    }
}

fn channel_differs(context: &Context<'_>, report: &mut Report<'_>) {
    for (index, message) in context.results() {
        let Some(wanted) =
            context.pairs.call_of[index].and_then(|call| context.messages[call].channel.as_deref())
        else {
            continue;
        };
        let added = match message.channel.as_deref() {
            Some(channel) if channel == wanted => continue,
            Some(channel) => report.field(
                index,
                "channel",
                format!("the call is on the channel {wanted:?}, its result on {channel:?}"),
            ),
            None => {
                report.message(index, format!("the call is on the channel {wanted:?}, its result on none"))
            }
        };
        if [channel::ANALYSIS, channel::COMMENTARY].contains(&wanted) {
            added.fix([Edit::set(index, "channel", wanted)]);
        }
    }
}

fn without_call(context: &Context<'_>, report: &mut Report<'_>) {
    for (index, message) in context.results() {
        let Some(name) = message.author.name.as_deref().filter(|name| !name.is_empty()) else { continue };
        if context.pairs.call_of[index].is_some() {
            continue;
        }
        let open = context.pairs.last_open[index].and_then(|open| call(context.messages[open]));
        let text = match open {
            Some(recipient) => format!("the open call is of {recipient:?}, the result of {name:?}"),
            None => format!("the result of {name:?} answers no call"),
        };
        let added = report.field(index, "name", text);
        if let Some(meant) = context.pairs.meant[index] {
            added.fix([Edit::set(index, "name", meant)]);
        }
    }
}

fn never_comes(context: &Context<'_>, report: &mut Report<'_>) {
    let goes_on =
        |later: &&Message| matches!(later.author.role, Role::User | Role::Assistant) && call(later).is_none();
    let Some(last) = context.messages.iter().rposition(goes_on) else { return };
    for (index, _, recipient) in context.calls().filter(|&(index, ..)| index < last) {
        if context.pairs.result_of[index].is_none() {
            report.field(index, "recipient", format!("the call of {recipient:?} has no result"));
        }
    }
}

fn in_parallel(context: &Context<'_>, report: &mut Report<'_>) {
    let calls: Vec<usize> = context.calls().map(|(index, ..)| index).collect();
    for pair in calls.windows(2) {
        let [first, second] = *pair else { continue };
        if context.pairs.result_of[first].is_none_or(|result| result > second)
            && context.messages[first..second].iter().all(|message| message.author.role == Role::Assistant)
        {
            let text = format!("the call in message {first} has no result yet");
            report.field(second, "recipient", text);
        }
    }
}

fn quoted(context: &Context<'_>, report: &mut Report<'_>) {
    for (index, message) in context.results() {
        let text = message.text();
        if text.starts_with('"') && serde_json::from_str::<String>(&text).is_ok() {
            report.field(index, "content", "the result is a string in JSON quotes");
        }
    }
}
