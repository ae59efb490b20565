//! Harmony to Chat.

use serde_json::{Map, Value, json};

use crate::convert::front::{Front, Instructions};
use crate::convert::loss::{LossKind, Losses};
use crate::convert::steps::{Act, Step, first_instructions, steps};
use crate::convert::tools::{write_format, write_function};
use crate::convert::{Converted, Options, SystemText};
use crate::{Conversation, Role, ToolNamespace};

pub(in crate::convert) fn write(conversation: &Conversation, options: &Options) -> Converted<Value> {
    let mut losses = Losses::default();
    let mut front = Front::new(conversation, options, &mut losses);
    let mut messages = Vec::new();
    let mut body = Map::new();

    let mut template = Map::new();
    if let Some((identity, _)) = front.identity {
        match options.system_text {
            SystemText::Identity => messages.push(json!({"role": "system", "content": identity})),
            SystemText::Instructions => {
                template.insert("model_identity".to_owned(), identity.into());
            }
        }
    }
    if !front.built_in.is_empty() {
        let names: Vec<_> = front.built_in.iter().map(|(name, _)| *name).collect();
        template.insert("builtin_tools".to_owned(), names.into());
    }
    if let Some(instructions) = &front.instructions {
        messages.push(instruct(instructions, options));
    }
    let steps = steps(std::mem::take(&mut front.body), &mut losses);
    let instructions = first_instructions(&steps);
    let written = write_messages(steps, options, &mut losses);
    front.report_merge(written.first(), instructions, &mut losses);
    messages.extend(written);
    body.insert("messages".to_owned(), messages.into());

    if let Some(effort) = front.effort {
        body.insert("reasoning_effort".to_owned(), effort.as_str().into());
    }
    let tools = write_tools(&front, &mut losses);
    if !tools.is_empty() {
        body.insert("tools".to_owned(), tools.into());
    }
    for (place, (format, pointer)) in front.formats.iter().enumerate() {
        if place == 0 {
            let schema = write_format(format);
            let schema = json!({"type": "json_schema", "json_schema": schema});
            body.insert("response_format".to_owned(), schema);
        } else {
            let what = format!("the response format {:?}", format.name);
            losses.add(LossKind::ResponseFormat, pointer, what, "a request has one; the first is taken");
        }
    }
    if !template.is_empty() {
        body.insert("chat_template_kwargs".to_owned(), template.into());
    }
    Converted { value: body.into(), losses: losses.0 }
}

/// Instructions as a message. `system` is the role that every server knows.
fn instruct(instructions: &Instructions, options: &Options) -> Value {
    let role = match options.system_text {
        SystemText::Instructions => Role::System,
        SystemText::Identity => Role::Developer,
    };
    said(role.as_str(), instructions.name.as_deref(), &instructions.text)
}

fn said(role: &str, name: Option<&str>, text: &str) -> Value {
    let mut message = Map::new();
    message.insert("role".to_owned(), role.into());
    message.insert("content".to_owned(), text.into());
    if let Some(name) = name {
        message.insert("name".to_owned(), name.into());
    }
    message.into()
}

fn write_tools(front: &Front<'_>, losses: &mut Losses) -> Vec<Value> {
    let mut tools = Vec::new();
    for (namespace, pointer) in &front.tools {
        let is_functions = namespace.name == ToolNamespace::FUNCTIONS;
        if !is_functions {
            let what = format!("the namespace {:?}", namespace.name);
            let why = "Chat has functions only; its tools become functions with the namespace in their names";
            losses.add(LossKind::Tool, pointer, what, why);
        } else if namespace.tools.is_empty() {
            losses.add(LossKind::Empty, pointer, "a namespace without tools", "it is left out");
        }
        if namespace.description.is_some() {
            let what = "the description of the namespace";
            losses.add(
                LossKind::ToolDetail,
                format!("{pointer}/description"),
                what,
                "Chat has no field for it",
            );
        }
        for tool in &namespace.tools {
            let name = match is_functions {
                true => tool.name.clone(),
                false => format!("{}.{}", namespace.name, tool.name),
            };
            tools.push(json!({"type": "function", "function": write_function(tool, &name)}));
        }
    }
    tools
}

/// A message of the assistant that is being put together.
#[derive(Default)]
struct Turn {
    name: Option<String>,
    reasoning: Option<String>,
    /// Text, whether it is a preamble, and its place.
    content: Option<(String, bool, usize)>,
    calls: Vec<Value>,
}

impl Turn {
    fn is_empty(&self) -> bool {
        self.reasoning.is_none() && self.content.is_none() && self.calls.is_empty()
    }

    /// Whether this can still be said without changing the order in which it reads back.
    fn takes(&self, act: &Act) -> bool {
        let is_final = self.content.as_ref().is_some_and(|(_, preamble, _)| !preamble);
        match act {
            Act::Reasoning => self.is_empty(),
            Act::Preamble | Act::Final => self.content.is_none() && self.calls.is_empty(),
            _ => !is_final,
        }
    }

    fn write(mut self, options: &Options, losses: &mut Losses) -> Option<Value> {
        if let Some((text, true, index)) = &self.content {
            let pointer = format!("/messages/{index}");
            if self.calls.is_empty() {
                let why = "content without calls reads back as the answer";
                losses.add(LossKind::Channel, format!("{pointer}/channel"), "that this is commentary", why);
            } else if text.is_empty() {
                losses.add(LossKind::Empty, pointer, "an empty preamble", "it is left out");
                self.content = None;
            }
        }
        if self.is_empty() {
            return None;
        }
        let mut message = Map::new();
        message.insert("role".to_owned(), Role::Assistant.as_str().into());
        message.insert("content".to_owned(), self.content.map(|(text, ..)| text).into());
        if let Some(name) = self.name {
            message.insert("name".to_owned(), name.into());
        }
        if let Some(reasoning) = self.reasoning {
            message.insert(options.reasoning_field.as_str().to_owned(), reasoning.into());
        }
        if !self.calls.is_empty() {
            message.insert("tool_calls".to_owned(), self.calls.into());
        }
        Some(message.into())
    }
}

fn write_messages(steps: Vec<Step>, options: &Options, losses: &mut Losses) -> Vec<Value> {
    let mut messages = Vec::new();
    let mut turn = Turn::default();
    for step in steps {
        let Step { index, name, text, act } = step;
        let of_turn = matches!(act, Act::Reasoning | Act::Preamble | Act::Final | Act::Call { .. });
        if !of_turn || !turn.takes(&act) || (turn.name != name && !turn.is_empty()) {
            messages.extend(std::mem::take(&mut turn).write(options, losses));
        }
        if of_turn {
            turn.name.clone_from(&name);
        }
        match act {
            Act::Instructions(role) => {
                messages.push(instruct(&Instructions { index, role, name, text }, options));
            }
            Act::User => messages.push(said("user", name.as_deref(), &text)),
            Act::Reasoning if text.is_empty() => {
                losses.add(
                    LossKind::Empty,
                    format!("/messages/{index}"),
                    "empty reasoning",
                    "it is left out",
                );
            }
            Act::Reasoning => turn.reasoning = Some(text),
            Act::Preamble => turn.content = Some((text, true, index)),
            Act::Final => turn.content = Some((text, false, index)),
            Act::Call { namespace, tool, id } => {
                let tool = function_name(namespace.as_deref(), &tool, index, losses);
                turn.calls.push(call(&id, &tool, &text));
            }
            Act::Result { namespace, tool, id, linked } => {
                let mut message = json!({"role": "tool", "tool_call_id": id, "content": text});
                if !linked {
                    message["name"] = flat_name(namespace.as_deref(), &tool).into();
                }
                messages.push(message);
            }
            Act::BuiltInCall(tool) | Act::BuiltInResult(tool) => {
                let what = format!("a call of {tool}, or its result");
                let why = "Chat has calls of functions only; it is left out";
                losses.add(LossKind::BuiltInCall, format!("/messages/{index}"), what, why);
            }
        }
    }
    messages.extend(turn.write(options, losses));
    messages
}

fn call(id: &str, tool: &str, arguments: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": tool, "arguments": arguments}})
}

fn flat_name(namespace: Option<&str>, tool: &str) -> String {
    match namespace {
        None => tool.to_owned(),
        Some(namespace) => format!("{namespace}.{tool}"),
    }
}

fn function_name(namespace: Option<&str>, tool: &str, index: usize, losses: &mut Losses) -> String {
    if let Some(namespace) = namespace {
        let what = format!("the namespace {namespace:?}");
        let why = "Chat has functions only; the namespace becomes part of the name";
        losses.add(LossKind::Recipient, format!("/messages/{index}/recipient"), what, why);
    }
    flat_name(namespace, tool)
}

/// An answer as one choice. Several texts are joined by line breaks.
pub(in crate::convert) fn write_choice(
    steps: Vec<Step>,
    complete: bool,
    options: &Options,
    losses: &mut Losses,
) -> Value {
    let mut parts: [Vec<String>; 2] = Default::default();
    let mut calls = Vec::new();
    for step in steps {
        let Step { index, text, act, .. } = step;
        let pointer = format!("/messages/{index}");
        match act {
            Act::Reasoning => join(&mut parts[0], text, &pointer, losses),
            Act::Preamble | Act::Final => join(&mut parts[1], text, &pointer, losses),
            Act::Call { namespace, tool, id } => {
                let tool = function_name(namespace.as_deref(), &tool, index, losses);
                calls.push(call(&id, &tool, &text));
            }
            Act::BuiltInCall(tool) => {
                let what = format!("a call of {tool}");
                let why = "Chat has calls of functions only; it is left out";
                losses.add(LossKind::BuiltInCall, pointer, what, why);
            }
            Act::Instructions(_) | Act::User | Act::Result { .. } | Act::BuiltInResult(_) => {
                let why = "an answer is the assistant's alone; it is left out";
                losses.add(LossKind::Item, pointer, "a message of another role", why);
            }
        }
    }
    let joined = |texts: &[String]| (!texts.is_empty()).then(|| texts.join("\n"));
    let reason = match (complete, calls.is_empty()) {
        (false, _) => "length",
        (true, false) => "tool_calls",
        (true, true) => "stop",
    };
    let mut message = json!({"role": "assistant", "content": joined(&parts[1])});
    if let Some(reasoning) = joined(&parts[0]) {
        message[options.reasoning_field.as_str()] = reasoning.into();
    }
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    json!({"index": 0, "message": message, "finish_reason": reason})
}

fn join(texts: &mut Vec<String>, text: String, pointer: &str, losses: &mut Losses) {
    if !texts.is_empty() {
        let why = "an answer in Chat is one message; the texts are joined by a line break";
        losses.add(LossKind::Position, pointer, "that this text stands apart", why);
    }
    texts.push(text);
}
