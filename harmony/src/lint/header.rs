//! Rules over what stands in a header: names, recipients, channels, content types.

use super::context::{CHANNELS, Context, Kind, call, is_clean};
use super::rule::{Example, Report, Rule, Severity};
use super::{Edit, context::is_on};
use crate::{Content, Message, Role, SpecialToken, channel};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "L001",
        name: "marker-in-header",
        severity: Severity::Error,
        what: "A marker is spelled in a name, a recipient, a channel or a content type.",
        why: "It leaked from malformed output. Sent back as history it is text where the model expects a name, \
              and the model repeats it.",
        example: Example::Messages {
            before: r#"{"role": "assistant", "recipient": "functions.get_weather<|channel|>commentary", "channel": "commentary", "content": "{}"}"#,
            after: r#"{"role": "assistant", "recipient": "functions.get_weather", "channel": "commentary", "content": "{}"}"#,
        },
        fix: Some(
            "cut before the marker, if what is left is a declared tool, `assistant` or a known channel: \
             then it is the word that was meant",
        ),
        sources: &["vllm#31677", "vllm#35906", "vllm#32633", "ollama#12132"],
        check: marker_in_header,
    },
    Rule {
        code: "L002",
        name: "space-in-header",
        severity: Severity::Error,
        what: "White space stands in a name, a recipient or a channel.",
        why: "Parsers split a header at white space; the official library fails with \
              \"unexpected tokens remaining in message header\".",
        example: Example::Messages {
            before: r#"{"role": "assistant", "recipient": "functions.get weather", "channel": "commentary", "content": "{}"}"#,
            after: r#"{"role": "assistant", "recipient": "functions.get_weather", "channel": "commentary", "content": "{}"}"#,
        },
        fix: Some("white space at the ends goes: it cannot be part of a word in a header"),
        sources: &["openai/harmony#38", "vllm#23567"],
        check: space_in_header,
    },
    Rule {
        code: "L003",
        name: "empty-header-field",
        severity: Severity::Error,
        what: "A name, a recipient, a channel or a content type is there and empty.",
        why: "It is rendered as a marker or a separator with nothing after it; the official library cannot parse \
              an empty channel.",
        example: Example::Messages {
            before: r#"{"role": "assistant", "channel": "final", "content_type": "", "content": "4"}"#,
            after: r#"{"role": "assistant", "channel": "final", "content": "4"}"#,
        },
        fix: Some(
            "the field goes, because it says nothing; not a tool's name, which is needed, and not an assistant's \
             recipient, which makes the message end in `<|call|>`",
        ),
        sources: &["vllm#43408"],
        check: empty_header_field,
    },
    Rule {
        code: "L004",
        name: "recipient-all",
        severity: Severity::Warning,
        what: "The recipient is `all`.",
        why: "It is everybody and is not rendered, but the official library still ends an assistant's message \
              with `<|call|>`, and parsing loses the recipient.",
        example: Example::Messages {
            before: r#"{"role": "assistant", "recipient": "all", "channel": "final", "content": "4"}"#,
            after: r#"{"role": "assistant", "channel": "final", "content": "4"}"#,
        },
        fix: Some("the recipient goes: no recipient is everybody"),
        sources: &[],
        check: recipient_all,
    },
    Rule {
        code: "L005",
        name: "content-type-form",
        severity: Severity::Error,
        what: "A content type has white space, or `<|constrain|>` elsewhere than at its beginning.",
        why: "Only a `<|constrain|>` at the very beginning becomes the marker, and the official library cannot \
              parse a content type of two words. Its guide writes `<|constrain|> json` all the same.",
        example: Example::Messages {
            before: r#"{"role": "assistant", "recipient": "functions.now", "channel": "commentary", "content_type": "<|constrain|> json", "content": "{}"}"#,
            after: r#"{"role": "assistant", "recipient": "functions.now", "channel": "commentary", "content_type": "<|constrain|>json", "content": "{}"}"#,
        },
        fix: Some(
            "the marker, if there is one, moves to the front and white space goes, if one word is left",
        ),
        sources: &["openai/harmony#38"],
        check: content_type_form,
    },
    Rule {
        code: "L006",
        name: "content-type-unmarked",
        severity: Severity::Warning,
        what: "A call of a function has the content type `json` without `<|constrain|>`.",
        why: "The guide has `<|constrain|>json`; chat templates that write `json` feed the model a form of call \
              that it was not trained to make.",
        example: Example::Messages {
            before: r#"{"role": "assistant", "recipient": "functions.now", "channel": "commentary", "content_type": "json", "content": "{}"}"#,
            after: r#"{"role": "assistant", "recipient": "functions.now", "channel": "commentary", "content_type": "<|constrain|>json", "content": "{}"}"#,
        },
        fix: Some("`<|constrain|>` is put before it: the meaning is the same"),
        sources: &["openai/harmony#91"],
        check: content_type_unmarked,
    },
    Rule {
        code: "L007",
        name: "content-type-alone",
        severity: Severity::Warning,
        what: "A message has a content type but no recipient.",
        why: "The official library parses a content type that stands alone as the recipient.",
        example: Example::Messages {
            before: r#"{"role": "assistant", "channel": "final", "content_type": "<|constrain|>json", "content": "[]"}"#,
            after: r#"{"role": "assistant", "channel": "final", "content": "[]"}"#,
        },
        fix: None,
        sources: &["openai/harmony#144", "vllm#45570"],
        check: content_type_alone,
    },
    Rule {
        code: "L008",
        name: "named-author",
        severity: Severity::Error,
        what: "A message of a role other than tool has a name.",
        why: "It is rendered as `user:bob`, which the model was not trained on and the official library cannot \
              parse.",
        example: Example::Messages {
            before: r#"{"role": "user", "name": "bob", "content": "Hello"}"#,
            after: r#"{"role": "user", "content": "Bob says: Hello"}"#,
        },
        fix: None,
        sources: &[],
        check: named_author,
    },
    Rule {
        code: "L009",
        name: "unknown-channel",
        severity: Severity::Error,
        what: "The channel is none of `analysis`, `commentary` and `final`.",
        why: "The model was trained on these three; programs that sort messages by channel drop or show the \
              wrong ones.",
        example: Example::Messages {
            before: r#"{"role": "assistant", "channel": "Final", "content": "4"}"#,
            after: r#"{"role": "assistant", "channel": "final", "content": "4"}"#,
        },
        fix: Some("a channel that differs only in case is written in lower case"),
        sources: &["llama.cpp#27720"],
        check: unknown_channel,
    },
    Rule {
        code: "L010",
        name: "channel-missing",
        severity: Severity::Error,
        what: "A message of the assistant has no channel.",
        why: "Every message of the model has one. Without it, reasoning cannot be told from the answer, and it is \
              not dropped when it should be.",
        example: Example::Messages {
            before: r#"{"role": "assistant", "content": "4"}"#,
            after: r#"{"role": "assistant", "channel": "final", "content": "4"}"#,
        },
        fix: Some(
            "a call gets the channel of its tool: `commentary` for functions, `analysis` for built-in tools",
        ),
        sources: &["openai/harmony#80"],
        check: channel_missing,
    },
    Rule {
        code: "L011",
        name: "channel-on-input",
        severity: Severity::Warning,
        what: "A system, developer or user message has a channel.",
        why: "Channels are the assistant's and the tools'. It is rendered, the model has not seen such a message, \
              and one on `analysis` is dropped as reasoning.",
        example: Example::Messages {
            before: r#"{"role": "user", "channel": "final", "content": "Hello"}"#,
            after: r#"{"role": "user", "content": "Hello"}"#,
        },
        fix: Some("the channel goes: these roles have none in the format"),
        sources: &[],
        check: channel_on_input,
    },
    Rule {
        code: "L012",
        name: "channel-not-announced",
        severity: Severity::Warning,
        what: "A message is on a channel that the system message does not list as valid.",
        why: "The model is told one thing and shown another.",
        example: Example::Messages {
            before: r#"{"role": "system", "content": [{"type": "system_content", "channel_config": {"valid_channels": ["final"], "channel_required": true}}]}
{"role": "assistant", "channel": "analysis", "content": "Simple."}"#,
            after: r#"{"role": "system", "content": [{"type": "system_content", "channel_config": {"valid_channels": ["analysis", "final"], "channel_required": true}}]}
{"role": "assistant", "channel": "analysis", "content": "Simple."}"#,
        },
        fix: None,
        sources: &["vllm#23167"],
        check: channel_not_announced,
    },
];

/// The fields of a header that are there, by their names in JSON.
fn fields(message: &Message) -> impl Iterator<Item = (&'static str, &str)> {
    [
        ("name", &message.author.name),
        ("recipient", &message.recipient),
        ("channel", &message.channel),
        ("content_type", &message.content_type),
    ]
    .into_iter()
    .filter_map(|(field, value)| Some((field, value.as_deref()?)))
}

fn marker_in_header(context: &Context<'_>, report: &mut Report<'_>) {
    const CONSTRAIN: &str = SpecialToken::Constrain.as_str();
    for (index, message) in context.indexed() {
        for (field, value) in fields(message) {
            // Any `<|constrain|>` of a content type is the business of its form.
            let text = if field == "content_type" { value.replace(CONSTRAIN, "") } else { value.to_owned() };
            let Some((at, marker)) = crate::lexeme::find_marker(&text) else { continue };
            let bytes = (text.len() == value.len()).then(|| at..at + marker.as_str().len());
            let added = report.field(index, field, format!("a marker in a header: {value:?}")).bytes(bytes);
            let rest = value[..if field == "content_type" { 0 } else { at }].trim();
            let is_known = match field {
                "channel" => CHANNELS.contains(&rest),
                _ => rest == "assistant" || context.tool(rest).is_some(),
            };
            if is_known {
                added.fix([Edit::set(index, field, rest)]);
            }
        }
    }
}

fn space_in_header(context: &Context<'_>, report: &mut Report<'_>) {
    for (index, message) in context.indexed() {
        for (field, value) in fields(message).filter(|(field, _)| *field != "content_type") {
            let Some(at) = value.find(char::is_whitespace) else { continue };
            let added = report
                .field(index, field, format!("white space in a header: {value:?}"))
                .bytes(at..at + value[at..].chars().next().map_or(0, char::len_utf8));
            let trimmed = value.trim();
            if is_clean(trimmed) {
                added.fix([Edit::set(index, field, trimmed)]);
            }
        }
    }
}

fn empty_header_field(context: &Context<'_>, report: &mut Report<'_>) {
    for (index, message) in context.indexed() {
        for (field, _) in fields(message).filter(|(_, value)| value.is_empty()) {
            let added = report.field(index, field, format!("an empty {}", field.replace('_', " ")));
            let is_needed = match field {
                "name" => message.author.role == Role::Tool,
                "recipient" => message.author.role == Role::Assistant,
                _ => false,
            };
            if !is_needed {
                added.fix([Edit::unset(index, field)]);
            }
        }
    }
}

fn recipient_all(context: &Context<'_>, report: &mut Report<'_>) {
    for (index, message) in context.indexed() {
        if message.recipient.as_deref() == Some("all") {
            report
                .field(index, "recipient", "the recipient is everybody, which is said by having none")
                .fix([Edit::unset(index, "recipient")]);
        }
    }
}

fn content_type_form(context: &Context<'_>, report: &mut Report<'_>) {
    const CONSTRAIN: &str = SpecialToken::Constrain.as_str();
    for (index, message) in context.indexed() {
        let Some(content_type) = message.content_type.as_deref() else { continue };
        let plain = content_type.strip_prefix(CONSTRAIN).unwrap_or(content_type);
        if !plain.contains(CONSTRAIN) && !plain.contains(char::is_whitespace) {
            continue;
        }
        let word = content_type.replacen(CONSTRAIN, "", 1);
        let word = word.trim();
        let added = report.field(
            index,
            "content_type",
            format!(
                "a content type is one word, with `{CONSTRAIN}` before it or not, found {content_type:?}"
            ),
        );
        if is_clean(word) {
            let marker = if content_type.contains(CONSTRAIN) { CONSTRAIN } else { "" };
            added.fix([Edit::set(index, "content_type", format!("{marker}{word}"))]);
        }
    }
}

fn content_type_unmarked(context: &Context<'_>, report: &mut Report<'_>) {
    for (index, message, recipient) in context.calls() {
        if message.content_type.as_deref() == Some("json") && context.kind(recipient) == Kind::Function {
            report
                .field(index, "content_type", "the content type `json` lacks its marker `<|constrain|>`")
                .fix([Edit::set(index, "content_type", "<|constrain|>json")]);
        }
    }
}

fn content_type_alone(context: &Context<'_>, report: &mut Report<'_>) {
    for (index, message) in context.indexed() {
        let is_alone = matches!(message.recipient.as_deref(), None | Some("all" | ""));
        if let Some(content_type) = message.content_type.as_deref().filter(|it| is_alone && !it.is_empty()) {
            report.field(
                index,
                "content_type",
                format!("the content type {content_type:?} without a recipient is read as the recipient"),
            );
        }
    }
}

fn named_author(context: &Context<'_>, report: &mut Report<'_>) {
    for (index, message) in context.indexed() {
        let role = message.author.role;
        if let Some(name) =
            message.author.name.as_deref().filter(|name| role != Role::Tool && !name.is_empty())
        {
            report.field(index, "name", format!("only tools have a name, found the {role} {name:?}"));
        }
    }
}

fn unknown_channel(context: &Context<'_>, report: &mut Report<'_>) {
    for (index, message) in context.indexed() {
        let Some(channel) = message.channel.as_deref().filter(|channel| is_clean(channel)) else {
            continue;
        };
        if CHANNELS.contains(&channel) {
            continue;
        }
        let text = format!("the channels are analysis, commentary and final, found {channel:?}");
        let added = report.field(index, "channel", text);
        let lower = channel.to_ascii_lowercase();
        if CHANNELS.contains(&lower.as_str()) {
            added.fix([Edit::set(index, "channel", lower)]);
        }
    }
}

fn channel_missing(context: &Context<'_>, report: &mut Report<'_>) {
    for (index, message) in context.indexed() {
        if message.author.role != Role::Assistant || message.channel.is_some() {
            continue;
        }
        let added = report.message(index, "a message of the assistant needs a channel");
        let channel = match call(message).map(|recipient| context.kind(recipient)) {
            Some(Kind::Function) => channel::COMMENTARY,
            Some(Kind::BuiltIn) => channel::ANALYSIS,
            Some(Kind::Unknown) | None => continue,
        };
        added.fix([Edit::set(index, "channel", channel)]);
    }
}

fn channel_on_input(context: &Context<'_>, report: &mut Report<'_>) {
    for (index, message) in context.indexed() {
        let role = message.author.role;
        if matches!(role, Role::System | Role::Developer | Role::User)
            && let Some(channel) = message.channel.as_deref().filter(|channel| !channel.is_empty())
        {
            report
                .field(index, "channel", format!("a {role} message has no channel, found {channel:?}"))
                .fix([Edit::unset(index, "channel")]);
        }
    }
}

fn channel_not_announced(context: &Context<'_>, report: &mut Report<'_>) {
    let announced = context.messages.iter().flat_map(|message| &message.content).find_map(|content| {
        let Content::System(system) = content else { return None };
        system.channel_config.as_ref().map(|config| &config.valid_channels)
    });
    let Some(announced) = announced.filter(|channels| !channels.is_empty()) else { return };
    for channel in CHANNELS.into_iter().filter(|&channel| !announced.iter().any(|one| one == channel)) {
        let used = context
            .indexed()
            .find(|(_, message)| message.author.role == Role::Assistant && is_on(message, channel));
        if let Some((index, _)) = used {
            let text =
                format!("the system message lists {} as channels, not {channel:?}", announced.join(", "));
            report.field(index, "channel", text);
        }
    }
}
