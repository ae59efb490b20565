//! What each message of a conversation does, in terms that Chat and Responses share.

use super::address::{Address, Calls};
use super::draft::{CODE, JSON_ARGUMENTS};
use super::front::{Instructions, Part};
use super::loss::{LossKind, Losses};
use crate::{Content, Message, Role, ToolNamespace, channel};

/// One message, understood.
pub(super) struct Step {
    pub(super) index: usize,
    /// The author's name; for a result it is the tool, which [`Act::Result`] has.
    pub(super) name: Option<String>,
    pub(super) text: String,
    pub(super) act: Act,
}

/// What a message does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Instructions(Role),
    User,
    Reasoning,
    /// What the user may see before calls.
    Preamble,
    Final,
    /// A call; the namespace `functions` is none.
    Call {
        namespace: Option<String>,
        tool: String,
        id: String,
    },
    /// A result; `linked` if a call waited for it.
    Result {
        namespace: Option<String>,
        tool: String,
        id: String,
        linked: bool,
    },
    /// A call of a built-in tool by its recipient.
    BuiltInCall(String),
    /// The result of a built-in tool by its name.
    BuiltInResult(String),
}

/// Reports header fields that are not what the target implies: recipient, channel, content type.
pub(super) fn expect(losses: &mut Losses, index: usize, message: &Message, expected: [Option<&str>; 3]) {
    let [recipient, channel, content_type] = expected;
    for (kind, field, found, expected) in [
        (LossKind::Recipient, "recipient", &message.recipient, recipient),
        (LossKind::Channel, "channel", &message.channel, channel),
        (LossKind::ContentType, "content_type", &message.content_type, content_type),
    ] {
        if found.as_deref() == expected {
            continue;
        }
        let what = match found {
            Some(found) => format!("the {} {found:?}", field.replace('_', " ")),
            None => format!("that there is no {}", field.replace('_', " ")),
        };
        let why = match expected {
            Some(expected) => format!("{expected:?} is implied"),
            None => "none is implied".to_owned(),
        };
        losses.add(kind, format!("/messages/{index}/{field}"), what, why);
    }
}

/// Where the first instructions stand.
pub(super) fn first_instructions(steps: &[Step]) -> Option<usize> {
    steps.iter().find(|step| matches!(step.act, Act::Instructions(_))).map(|step| step.index)
}

/// Understands the messages of a conversation, in order.
pub(super) fn steps(parts: Vec<Part<'_>>, losses: &mut Losses) -> Vec<Step> {
    let mut calls = Calls::default();
    let mut steps = Vec::new();
    for part in parts {
        match part {
            Part::Instructions(Instructions { index, role, name, text }) => {
                steps.push(Step { index, name, text, act: Act::Instructions(role) });
            }
            Part::Message(index, message) => steps.extend(step(index, message, &mut calls, losses)),
        }
    }
    steps
}

fn step(index: usize, message: &Message, calls: &mut Calls, losses: &mut Losses) -> Option<Step> {
    for (item, content) in message.content.iter().enumerate() {
        if matches!(content, Content::System(_) | Content::Developer(_)) {
            let what = format!("content that does not belong into a message of role {}", message.author.role);
            losses.add(LossKind::Item, format!("/messages/{index}/content/{item}"), what, "it is left out");
        }
    }
    let name = message.author.name.clone();
    let act = match message.author.role {
        Role::Assistant => assistant(index, message, calls, losses),
        Role::Tool => return result(index, message, calls, losses),
        Role::User | Role::System | Role::Developer => {
            expect(losses, index, message, [None, None, None]);
            Act::User
        }
    };
    Some(Step { index, name, text: message.text(), act })
}

fn assistant(index: usize, message: &Message, calls: &mut Calls, losses: &mut Losses) -> Act {
    let recipient = message.recipient.as_deref();
    let (namespace, tool) = match recipient.map(Address::of) {
        None | Some(Address::Other) => return text(index, message, losses),
        Some(Address::Python | Address::Browser(_)) => {
            expect(losses, index, message, [recipient, Some(channel::ANALYSIS), Some(CODE)]);
            return Act::BuiltInCall(recipient.unwrap_or_default().to_owned());
        }
        Some(Address::Function { name, .. }) => (None, name),
        Some(Address::Namespaced { namespace, name }) => (Some(namespace), name),
    };
    let full = full(namespace, tool);
    expect(losses, index, message, [Some(&full), Some(channel::COMMENTARY), Some(JSON_ARGUMENTS)]);
    let id = calls.next_id();
    calls.add(&id, &full);
    Act::Call { namespace: namespace.map(str::to_owned), tool: tool.to_owned(), id }
}

fn full(namespace: Option<&str>, tool: &str) -> String {
    format!("{}.{tool}", namespace.unwrap_or(ToolNamespace::FUNCTIONS))
}

fn text(index: usize, message: &Message, losses: &mut Losses) -> Act {
    let (channel, act) = match message.channel.as_deref() {
        Some(channel::ANALYSIS) => (channel::ANALYSIS, Act::Reasoning),
        Some(channel::COMMENTARY) => (channel::COMMENTARY, Act::Preamble),
        _ => (channel::FINAL, Act::Final),
    };
    expect(losses, index, message, [None, Some(channel), None]);
    act
}

fn result(index: usize, message: &Message, calls: &mut Calls, losses: &mut Losses) -> Option<Step> {
    let tool = message.author.name.as_deref().unwrap_or_default();
    let assistant = Some(Role::Assistant.as_str());
    let (namespace, name) = match Address::of(tool) {
        Address::Other => {
            let why = "no call can be found for it; it is left out";
            losses.add(
                LossKind::Orphan,
                format!("/messages/{index}"),
                "a result without the name of a tool",
                why,
            );
            return None;
        }
        Address::Python | Address::Browser(_) => {
            expect(losses, index, message, [assistant, Some(channel::ANALYSIS), None]);
            let act = Act::BuiltInResult(tool.to_owned());
            return Some(Step { index, name: None, text: message.text(), act });
        }
        Address::Function { name, .. } => (None, name),
        Address::Namespaced { namespace, name } => (Some(namespace), name),
    };
    let full = full(namespace, name);
    if full != tool {
        let why = format!("{full:?} is implied");
        losses.add(LossKind::Name, format!("/messages/{index}/name"), format!("the name {tool:?}"), why);
    }
    expect(losses, index, message, [assistant, Some(channel::COMMENTARY), None]);
    let answered = calls.answer(&full);
    let linked = answered.is_some();
    if !linked {
        let what = format!("the call of {full} that this result answers");
        losses.add(LossKind::Orphan, format!("/messages/{index}"), what, "there is none that waits");
    }
    let act = Act::Result {
        namespace: namespace.map(str::to_owned),
        tool: name.to_owned(),
        id: answered.unwrap_or_else(|| calls.next_id()),
        linked,
    };
    Some(Step { index, name: None, text: message.text(), act })
}
