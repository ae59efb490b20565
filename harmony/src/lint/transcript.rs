//! Rules over what was parsed and no conversation shows: stop tokens and repairs.

use super::context::{Context, call};
use super::rule::{Example, Report, Rule, Severity};
use crate::{ParsedMessage, Repair, Role, SpecialToken, Status};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "L701",
        name: "return-in-history",
        severity: Severity::Error,
        what: "A message that is not the last ends in `<|return|>`.",
        why: "`<|return|>` says that decoding is over. In the history of a prompt the answer ends in `<|end|>`; \
              otherwise the model sees a conversation that ended and goes on.",
        example: Example::Transcript {
            before: "<|start|>assistant<|channel|>final<|message|>4<|return|><|start|>user<|message|>And 3 + 3?<|end|>",
            after: "<|start|>assistant<|channel|>final<|message|>4<|end|><|start|>user<|message|>And 3 + 3?<|end|>",
        },
        fix: None,
        sources: &[],
        check: return_in_history,
    },
    Rule {
        code: "L702",
        name: "call-without-call-stop",
        severity: Severity::Warning,
        what: "A call of a tool does not end in `<|call|>`.",
        why: "The model stops at `<|call|>` to wait for the tool; a call that ends otherwise was cut off, or a program \
              put the wrong marker back.",
        example: Example::Transcript {
            before: "<|start|>assistant<|channel|>commentary to=functions.now <|constrain|>json<|message|>{}<|end|>",
            after: "<|start|>assistant<|channel|>commentary to=functions.now <|constrain|>json<|message|>{}<|call|>",
        },
        fix: None,
        sources: &["vllm#37072"],
        check: call_without_call_stop,
    },
    Rule {
        code: "L703",
        name: "call-stop-without-call",
        severity: Severity::Warning,
        what: "A message without a tool as its recipient ends in `<|call|>`.",
        why: "There is nobody to call, and the model waits for a result that no tool gives.",
        example: Example::Transcript {
            before: "<|start|>assistant<|channel|>commentary<|message|>I look at the clock.<|call|>",
            after: "<|start|>assistant<|channel|>commentary<|message|>I look at the clock.<|end|>",
        },
        fix: None,
        sources: &[],
        check: call_stop_without_call,
    },
    Rule {
        code: "L704",
        name: "message-incomplete",
        severity: Severity::Warning,
        what: "A message has no stop token.",
        why: "It was cut off by a length limit, or an engine took its stop token away: its content may lack its end, \
              and rendered again it looks complete.",
        example: Example::Transcript {
            before: "<|start|>assistant<|channel|>final<|message|>The answer is",
            after: "<|start|>assistant<|channel|>final<|message|>The answer is 4.<|return|>",
        },
        fix: None,
        sources: &["mlx-openai-server#156"],
        check: message_incomplete,
    },
    Rule {
        code: "L705",
        name: "repaired",
        severity: Severity::Warning,
        what: "The parser had to repair something.",
        why: "The output is malformed; strict parsers, the official library's among them, fail on it.",
        example: Example::Transcript {
            before: "<|start|>assistant<|channel|>final<|message|>4<|end|><|return|>",
            after: "<|start|>assistant<|channel|>final<|message|>4<|return|>",
        },
        fix: None,
        sources: &["vllm#37072", "openai/harmony#38"],
        check: repaired,
    },
];

/// The messages of a transcript that ended, each with its stop token.
fn stops<'a>(
    context: &Context<'a>,
) -> impl Iterator<Item = (usize, &'a ParsedMessage, Option<SpecialToken>)> + use<'a> {
    let messages = context.parsed.map_or(&[][..], |parsed| &parsed.messages);
    messages.iter().enumerate().map(|(index, parsed)| match parsed.status {
        Status::Complete(stop) => (index, parsed, Some(stop)),
        Status::Incomplete => (index, parsed, None),
    })
}

fn return_in_history(context: &Context<'_>, report: &mut Report<'_>) {
    for (index, _, stop) in stops(context) {
        if stop == Some(SpecialToken::Return) && index + 1 < context.messages.len() {
            report.message(index, "`<|return|>` ends a message of the history, where `<|end|>` belongs");
        }
    }
}

fn call_without_call_stop(context: &Context<'_>, report: &mut Report<'_>) {
    for (index, parsed, stop) in stops(context) {
        if let (Some(recipient), Some(stop)) = (call(&parsed.message), stop)
            && stop != SpecialToken::Call
        {
            report.message(index, format!("the call of {recipient:?} ends in `{stop}`, not in `<|call|>`"));
        }
    }
}

fn call_stop_without_call(context: &Context<'_>, report: &mut Report<'_>) {
    for (index, parsed, stop) in stops(context) {
        if stop == Some(SpecialToken::Call) && call(&parsed.message).is_none() {
            let text = match (parsed.message.author.role, &parsed.message.recipient) {
                (Role::Assistant, None) => "`<|call|>` ends a message that goes to no tool".to_owned(),
                (Role::Assistant, Some(recipient)) => {
                    format!("`<|call|>` ends a message to {recipient:?}, which is no tool")
                }
                (role, _) => format!("`<|call|>` ends a {role} message"),
            };
            report.message(index, text);
        }
    }
}

fn message_incomplete(context: &Context<'_>, report: &mut Report<'_>) {
    for (index, _, stop) in stops(context) {
        if stop.is_none() {
            report.message(index, "the message has no stop token");
        }
    }
}

fn repaired(context: &Context<'_>, report: &mut Report<'_>) {
    for diagnostic in context.parsed.map_or(&[][..], |parsed| &parsed.diagnostics) {
        // A missing stop token has a rule of its own.
        if diagnostic.repair == Repair::Unfinished {
            continue;
        }
        let pointer = diagnostic.message.map_or_else(String::new, |index| format!("/messages/{index}"));
        report.add(diagnostic.message, pointer, diagnostic.note.clone()).tokens(diagnostic.tokens.clone());
    }
}
