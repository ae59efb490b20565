//! Rules over system and developer messages: how many, where, and whether they carry what belongs there.

use super::Edit;
use super::context::{BUILT_IN, Context};
use super::rule::{Example, Report, Rule, Severity};
use crate::arguments::push_key;
use crate::{Content, DeveloperContent, Message, Role, SystemContent, ToolNamespace};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "L401",
        name: "system-missing",
        severity: Severity::Info,
        what: "The conversation has no system message.",
        why: "The model was trained with one: it tells the channels, the date and the reasoning effort. Without it \
              answers come on the wrong channel more often.",
        example: Example::Messages {
            before: r#"{"role": "user", "content": "Hello"}"#,
            after: r#"{"role": "system", "content": [{"type": "system_content", "reasoning_effort": "Medium"}]}
{"role": "user", "content": "Hello"}"#,
        },
        fix: None,
        sources: &[],
        check: system_missing,
    },
    Rule {
        code: "L402",
        name: "two-systems",
        severity: Severity::Warning,
        what: "There is more than one system message.",
        why: "The format has one. What the model makes of two is undefined, and programs differ in which they keep.",
        example: Example::Messages {
            before: r#"{"role": "system", "content": [{"type": "system_content", "reasoning_effort": "Low"}]}
{"role": "system", "content": [{"type": "system_content", "reasoning_effort": "High"}]}"#,
            after: r#"{"role": "system", "content": [{"type": "system_content", "reasoning_effort": "High"}]}"#,
        },
        fix: None,
        sources: &["vllm#34951", "lmstudio#2264"],
        check: two_systems,
    },
    Rule {
        code: "L403",
        name: "two-developers",
        severity: Severity::Warning,
        what: "There is more than one developer message.",
        why: "The format has one. The tools of the second are a second `# Tools` section, and programs differ in \
              which message they keep.",
        example: Example::Messages {
            before: r#"{"role": "developer", "content": [{"type": "developer_content", "instructions": "Be brief."}]}
{"role": "developer", "content": [{"type": "developer_content", "instructions": "Be kind."}]}"#,
            after: r#"{"role": "developer", "content": [{"type": "developer_content", "instructions": "Be brief. Be kind."}]}"#,
        },
        fix: None,
        sources: &["vllm#34951", "lmstudio#2264"],
        check: two_developers,
    },
    Rule {
        code: "L404",
        name: "system-not-first",
        severity: Severity::Warning,
        what: "The system message is not the first one.",
        why: "The model was trained with it in front; what comes before is read without channels and date.",
        example: Example::Messages {
            before: r#"{"role": "developer", "content": [{"type": "developer_content", "instructions": "Be brief."}]}
{"role": "system", "content": [{"type": "system_content", "reasoning_effort": "Low"}]}"#,
            after: r#"{"role": "system", "content": [{"type": "system_content", "reasoning_effort": "Low"}]}
{"role": "developer", "content": [{"type": "developer_content", "instructions": "Be brief."}]}"#,
        },
        fix: Some(
            "it moves to the front, if it is the only one and only developer messages stand before it: \
             their order has no other meaning",
        ),
        sources: &[],
        check: system_not_first,
    },
    Rule {
        code: "L405",
        name: "functions-in-system",
        severity: Severity::Error,
        what: "The system message declares the namespace `functions`.",
        why: "Functions belong in the developer message. From the system message they are rendered, but the line that \
              sends their calls to the channel `commentary` is missing.",
        example: Example::Messages {
            before: r#"{"role": "system", "content": [{"type": "system_content", "tools": {"functions": {"name": "functions", "tools": [{"name": "now", "description": "The time."}]}}}]}
{"role": "developer", "content": [{"type": "developer_content", "instructions": "Be brief."}]}"#,
            after: r#"{"role": "system", "content": [{"type": "system_content"}]}
{"role": "developer", "content": [{"type": "developer_content", "instructions": "Be brief.", "tools": {"functions": {"name": "functions", "tools": [{"name": "now", "description": "The time."}]}}}]}"#,
        },
        fix: Some("they move to the developer message, if there is exactly one and it declares none"),
        sources: &[],
        check: functions_in_system,
    },
    Rule {
        code: "L406",
        name: "built-in-in-developer",
        severity: Severity::Warning,
        what: "The developer message declares the namespace `browser` or `python`.",
        why: "The model knows these as built-in tools of the system message, with fixed functions, on the channel \
              `analysis`. A function of yours needs another name.",
        example: Example::Messages {
            before: r#"{"role": "developer", "content": [{"type": "developer_content", "tools": {"python": {"name": "python", "description": "Runs Python.", "tools": []}}}]}"#,
            after: r#"{"role": "system", "content": [{"type": "system_content", "tools": {"python": {"name": "python", "description": "Runs Python.", "tools": []}}}]}"#,
        },
        fix: None,
        sources: &[],
        check: built_in_in_developer,
    },
    Rule {
        code: "L407",
        name: "prompt-in-system",
        severity: Severity::Warning,
        what: "The system message is plain text that names no channels.",
        why: "What other formats call the system prompt is the developer message here. In the system message it \
              replaces the identity, the date, the reasoning effort and the channels.",
        example: Example::Messages {
            before: r#"{"role": "system", "content": "You are a pirate."}"#,
            after: r#"{"role": "system", "content": [{"type": "system_content", "reasoning_effort": "Medium"}]}
{"role": "developer", "content": [{"type": "developer_content", "instructions": "You are a pirate."}]}"#,
        },
        fix: None,
        sources: &["vllm#34951"],
        check: prompt_in_system,
    },
    Rule {
        code: "L408",
        name: "developer-without-heading",
        severity: Severity::Warning,
        what: "The developer message is plain text without the heading `# Instructions`.",
        why: "The model was trained on developer messages that begin with it.",
        example: Example::Messages {
            before: r#"{"role": "developer", "content": "Be brief."}"#,
            after: r#"{"role": "developer", "content": [{"type": "developer_content", "instructions": "Be brief."}]}"#,
        },
        fix: Some(
            "the text becomes the instructions, if it has no heading of its own: they are rendered under it",
        ),
        sources: &[],
        check: developer_without_heading,
    },
    Rule {
        code: "L409",
        name: "misplaced-content",
        severity: Severity::Error,
        what: "System content stands outside a system message, or developer content outside a developer message.",
        why: "It cannot be rendered.",
        example: Example::Messages {
            before: r#"{"role": "system", "content": [{"type": "developer_content", "instructions": "Be brief."}]}"#,
            after: r#"{"role": "developer", "content": [{"type": "developer_content", "instructions": "Be brief."}]}"#,
        },
        fix: None,
        sources: &[],
        check: misplaced_content,
    },
];

/// The messages of a role.
fn of_role<'a>(context: &Context<'a>, role: Role) -> impl Iterator<Item = (usize, &'a Message)> {
    context.indexed().filter(move |(_, message)| message.author.role == role)
}

/// The system contents, each with its message and item.
pub(super) fn systems<'a>(context: &Context<'a>) -> impl Iterator<Item = (usize, usize, &'a SystemContent)> {
    of_role(context, Role::System).flat_map(|(index, message)| {
        message.content.iter().enumerate().filter_map(move |(item, content)| match content {
            Content::System(system) => Some((index, item, system)),
            Content::Text(_) | Content::Developer(_) => None,
        })
    })
}

/// The developer contents, each with its message and item.
pub(super) fn developers<'a>(
    context: &Context<'a>,
) -> impl Iterator<Item = (usize, usize, &'a DeveloperContent)> {
    of_role(context, Role::Developer).flat_map(|(index, message)| {
        message.content.iter().enumerate().filter_map(move |(item, content)| match content {
            Content::Developer(developer) => Some((index, item, developer)),
            Content::Text(_) | Content::System(_) => None,
        })
    })
}

fn system_missing(context: &Context<'_>, report: &mut Report<'_>) {
    // A transcript may be what a model said after the prompt.
    if context.parsed.is_none() && of_role(context, Role::System).next().is_none() {
        report.add(None, String::new(), "the conversation has no system message");
    }
}

fn second(context: &Context<'_>, report: &mut Report<'_>, role: Role) {
    let mut messages = of_role(context, role);
    let Some((first, _)) = messages.next() else { return };
    for (index, _) in messages {
        report.message(index, format!("another {role} message after message {first}"));
    }
}

fn two_systems(context: &Context<'_>, report: &mut Report<'_>) {
    second(context, report, Role::System);
}

fn two_developers(context: &Context<'_>, report: &mut Report<'_>) {
    second(context, report, Role::Developer);
}

fn system_not_first(context: &Context<'_>, report: &mut Report<'_>) {
    let mut systems = of_role(context, Role::System);
    let Some((index, _)) = systems.next().filter(|(index, _)| *index > 0) else { return };
    let added = report.message(index, "the system message belongs in front");
    let is_movable = systems.next().is_none()
        && context.messages[..index].iter().all(|message| message.author.role == Role::Developer);
    if is_movable {
        added.fix([Edit::Move { from: format!("/messages/{index}"), path: "/messages/0".to_owned() }]);
    }
}

fn functions_in_system(context: &Context<'_>, report: &mut Report<'_>) {
    let developers: Vec<_> = developers(context).collect();
    for (index, item, system) in systems(context) {
        let Some(tools) = &system.tools else { continue };
        for (key, _) in tools.iter().filter(|(_, namespace)| namespace.name == ToolNamespace::FUNCTIONS) {
            let mut pointer = format!("/messages/{index}/content/{item}/tools");
            push_key(&mut pointer, key);
            let added = report.add(index, pointer.clone(), "functions belong in the developer message");
            if let [(home, home_item, developer)] = developers[..]
                && !developer.tools.as_ref().is_some_and(|tools| tools.contains_key(ToolNamespace::FUNCTIONS))
            {
                let home = format!("/messages/{home}/content/{home_item}/tools");
                let make = developer
                    .tools
                    .is_none()
                    .then(|| Edit::Add { path: home.clone(), value: serde_json::json!({}) });
                let path = format!("{home}/{}", ToolNamespace::FUNCTIONS);
                added.fix(make.into_iter().chain([Edit::Move { from: pointer, path }]));
            }
        }
    }
}

fn built_in_in_developer(context: &Context<'_>, report: &mut Report<'_>) {
    for (index, item, developer) in developers(context) {
        for (key, namespace) in developer.tools.iter().flatten() {
            if BUILT_IN.contains(&namespace.name.as_str()) {
                let mut pointer = format!("/messages/{index}/content/{item}/tools");
                push_key(&mut pointer, key);
                let text = format!("the built-in {} belongs in the system message", namespace.name);
                report.add(index, pointer, text);
            }
        }
    }
}

fn prompt_in_system(context: &Context<'_>, report: &mut Report<'_>) {
    for (index, message) in of_role(context, Role::System) {
        let text = message.text();
        let is_plain = message.content.iter().all(|content| matches!(content, Content::Text(_)));
        if is_plain && !text.trim().is_empty() && !text.contains("# Valid channels") {
            report.field(
                index,
                "content",
                "a system message that names no channels: a prompt that belongs in the developer message?",
            );
        }
    }
}

fn developer_without_heading(context: &Context<'_>, report: &mut Report<'_>) {
    const HEADINGS: [&str; 3] = ["# Instructions", "# Tools", "# Response Formats"];
    for (index, message) in of_role(context, Role::Developer) {
        let text = message.text();
        let is_plain = message.content.iter().all(|content| matches!(content, Content::Text(_)));
        if is_plain && !text.trim().is_empty() && !HEADINGS.iter().any(|heading| text.starts_with(heading)) {
            let added = report.field(index, "content", "a developer message without `# Instructions`");
            if !HEADINGS.iter().any(|heading| text.contains(heading)) {
                let content = serde_json::json!([{"type": "developer_content", "instructions": text}]);
                added.fix([Edit::set(index, "content", content)]);
            }
        }
    }
}

fn misplaced_content(context: &Context<'_>, report: &mut Report<'_>) {
    for (index, message) in context.indexed() {
        for (item, content) in message.content.iter().enumerate() {
            let (what, home) = match content {
                Content::System(_) => ("system content", Role::System),
                Content::Developer(_) => ("developer content", Role::Developer),
                Content::Text(_) => continue,
            };
            if message.author.role != home {
                let text = format!("{what} in a message of role {}", message.author.role);
                report.add(index, format!("/messages/{index}/content/{item}"), text);
            }
        }
    }
}
