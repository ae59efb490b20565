//! Rules over turns: reasoning that should be gone, reasoning that should be there, and answers.

use super::context::{Context, is_on};
use super::rule::{Example, Report, Rule, Severity};
use crate::{Message, Role, channel};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "L301",
        name: "stale-reasoning",
        severity: Severity::Info,
        what: "The conversation holds reasoning of an earlier turn.",
        why: "The model was trained without it, and it costs context. Rendering drops it, but a program that \
              renders with a chat template, or keeps everything, does not.",
        example: Example::Messages {
            before: r#"{"role": "user", "content": "2 + 2?"}
{"role": "assistant", "channel": "analysis", "content": "Simple."}
{"role": "assistant", "channel": "final", "content": "4"}
{"role": "user", "content": "3 + 3?"}"#,
            after: r#"{"role": "user", "content": "2 + 2?"}
{"role": "assistant", "channel": "final", "content": "4"}
{"role": "user", "content": "3 + 3?"}"#,
        },
        fix: None,
        sources: &["vllm#35907", "vllm#27653"],
        check: stale_reasoning,
    },
    Rule {
        code: "L302",
        name: "stale-reasoning-kept",
        severity: Severity::Warning,
        what: "The conversation holds reasoning of an earlier turn that the official library does not drop.",
        why: "Its rule drops only what stands before the first final message, and nothing while a later turn is in \
              progress. Render with the drop policy `last-final`.",
        example: Example::Messages {
            before: r#"{"role": "user", "content": "2 + 2?"}
{"role": "assistant", "channel": "analysis", "content": "Simple."}
{"role": "assistant", "channel": "final", "content": "4"}
{"role": "user", "content": "3 + 3?"}
{"role": "assistant", "channel": "analysis", "content": "Simple, too."}"#,
            after: r#"{"role": "user", "content": "2 + 2?"}
{"role": "assistant", "channel": "final", "content": "4"}
{"role": "user", "content": "3 + 3?"}
{"role": "assistant", "channel": "analysis", "content": "Simple, too."}"#,
        },
        fix: None,
        sources: &["vllm#45048"],
        check: stale_reasoning_kept,
    },
    Rule {
        code: "L303",
        name: "reasoning-lost",
        severity: Severity::Warning,
        what: "A turn with a call goes on, but the reasoning before the call is gone.",
        why: "Until the final message the model needs its own reasoning to know why it called. Without it, it starts \
              again, and often makes the same call again.",
        example: Example::Messages {
            before: r#"{"role": "user", "content": "What time is it?"}
{"role": "assistant", "recipient": "functions.now", "channel": "commentary", "content": "{}"}
{"role": "tool", "name": "functions.now", "recipient": "assistant", "channel": "commentary", "content": "12:00"}"#,
            after: r#"{"role": "user", "content": "What time is it?"}
{"role": "assistant", "channel": "analysis", "content": "I should look at the clock."}
{"role": "assistant", "recipient": "functions.now", "channel": "commentary", "content": "{}"}
{"role": "tool", "name": "functions.now", "recipient": "assistant", "channel": "commentary", "content": "12:00"}"#,
        },
        fix: None,
        sources: &["vllm#45048"],
        check: reasoning_lost,
    },
    Rule {
        code: "L304",
        name: "final-empty",
        severity: Severity::Warning,
        what: "A final message says nothing.",
        why: "The user sees no answer. It comes of generation that was cut off, or of an answer that was taken for \
              reasoning.",
        example: Example::Messages {
            before: r#"{"role": "assistant", "channel": "final", "content": ""}"#,
            after: r#"{"role": "assistant", "channel": "final", "content": "4"}"#,
        },
        fix: None,
        sources: &[],
        check: final_empty,
    },
    Rule {
        code: "L305",
        name: "after-final",
        severity: Severity::Warning,
        what: "The assistant goes on after its final message.",
        why: "A final message ends the turn. Two answers in a row come of retries that were both kept, or of a user \
              message that got lost.",
        example: Example::Messages {
            before: r#"{"role": "assistant", "channel": "final", "content": "4"}
{"role": "assistant", "channel": "final", "content": "It is 4."}"#,
            after: r#"{"role": "assistant", "channel": "final", "content": "It is 4."}"#,
        },
        fix: None,
        sources: &[],
        check: after_final,
    },
];

/// Whether this is an answer.
fn is_final(message: &Message) -> bool {
    message.author.role == Role::Assistant && is_on(message, channel::FINAL)
}

/// The reasoning of earlier turns: what is on the analysis channel before an answer that a user has replied to.
fn stale<'c>(context: &'c Context<'_>) -> impl Iterator<Item = usize> + use<'c> {
    let messages = &context.messages;
    let reply = messages.iter().rposition(|message| message.author.role == Role::User).unwrap_or(0);
    let answer = messages[..reply].iter().rposition(|message| is_final(message)).unwrap_or(0);
    (0..answer).filter(|&index| {
        let role = messages[index].author.role;
        matches!(role, Role::Assistant | Role::Tool) && is_on(messages[index], channel::ANALYSIS)
    })
}

/// The first message that the official library keeps for certain: it drops reasoning before the first answer,
/// and only where the last message of the assistant is an answer. What is in a transcript has been kept.
fn first_kept(context: &Context<'_>) -> usize {
    let messages = &context.messages;
    let is_answered = messages
        .iter()
        .rfind(|message| message.author.role == Role::Assistant)
        .is_some_and(|message| is_on(message, channel::FINAL));
    match messages.iter().position(|message| is_on(message, channel::FINAL)) {
        Some(first) if is_answered && context.parsed.is_none() => first,
        _ => 0,
    }
}

fn stale_reasoning(context: &Context<'_>, report: &mut Report<'_>) {
    let kept = first_kept(context);
    for index in stale(context).filter(|&index| index < kept) {
        report.message(index, "reasoning of an earlier turn, left out when it is rendered");
    }
}

fn stale_reasoning_kept(context: &Context<'_>, report: &mut Report<'_>) {
    let kept = first_kept(context);
    for index in stale(context).filter(|&index| index >= kept) {
        report.message(index, "reasoning of an earlier turn, which the official library keeps");
    }
}

fn reasoning_lost(context: &Context<'_>, report: &mut Report<'_>) {
    let messages = &context.messages;
    let Some(user) = messages.iter().rposition(|message| message.author.role == Role::User) else { return };
    if messages[user..].iter().any(|message| is_final(message)) {
        return;
    }
    let Some((call, ..)) = context.calls().find(|&(index, ..)| index > user) else { return };
    let is_reasoning = |message: &&Message| {
        message.author.role == Role::Assistant
            && is_on(message, channel::ANALYSIS)
            && message.recipient.is_none()
    };
    if context.pairs.result_of[call].is_some() && !messages[user..call].iter().any(is_reasoning) {
        report.message(call, "a call without the reasoning that led to it, in a turn that goes on");
    }
}

fn final_empty(context: &Context<'_>, report: &mut Report<'_>) {
    for (index, message) in context.indexed().filter(|(_, message)| is_final(message)) {
        if message.text().trim().is_empty() {
            report.field(index, "content", "the final message is empty");
        }
    }
}

fn after_final(context: &Context<'_>, report: &mut Report<'_>) {
    for (index, pair) in context.messages.windows(2).enumerate() {
        if is_final(pair[0]) && pair[1].author.role == Role::Assistant {
            report.message(index + 1, format!("the final message {index} ended the turn"));
        }
    }
}
