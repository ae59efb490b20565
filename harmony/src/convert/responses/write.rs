//! Harmony to Responses.

use serde_json::{Map, Value, json};

use super::built_in;
use crate::convert::front::Front;
use crate::convert::loss::{LossKind, Losses};
use crate::convert::steps::{Act, Step, first_instructions, steps};
use crate::convert::tools::{write_format, write_function};
use crate::convert::{Converted, Options};
use crate::{Conversation, Role, ToolDescription, ToolNamespace};

pub(in crate::convert) fn write(conversation: &Conversation, options: &Options) -> Converted<Value> {
    let mut losses = Losses::default();
    let mut front = Front::new(conversation, options, &mut losses);
    let mut body = Map::new();

    if let Some((_, pointer)) = front.identity.take() {
        let why = "a request has no field for it, servers state their own";
        losses.add(LossKind::SystemContent, pointer, "model_identity", why);
    }
    if let Some(instructions) = &front.instructions {
        if let Some(name) = &instructions.name {
            let pointer = format!("/messages/{}/name", instructions.index);
            losses.add(LossKind::Name, pointer, format!("the name {name:?}"), "Responses has no names");
        }
        body.insert("instructions".to_owned(), instructions.text.clone().into());
    }
    let steps = steps(std::mem::take(&mut front.body), &mut losses);
    let first = first_instructions(&steps);
    let items = write_items(steps, None, &mut losses);
    front.report_merge(items.first(), first, &mut losses);
    body.insert("input".to_owned(), items.into());

    if let Some(effort) = front.effort {
        body.insert("reasoning".to_owned(), json!({"effort": effort.as_str()}));
    }
    let tools = write_tools(&front, &mut losses);
    if !tools.is_empty() {
        body.insert("tools".to_owned(), tools.into());
    }
    for (place, (format, pointer)) in front.formats.iter().enumerate() {
        if place == 0 {
            let mut fields = write_format(format);
            fields.shift_insert(0, "type".to_owned(), "json_schema".into());
            body.insert("text".to_owned(), json!({"format": fields}));
        } else {
            let what = format!("the response format {:?}", format.name);
            losses.add(LossKind::ResponseFormat, pointer, what, "a request has one; the first is taken");
        }
    }
    Converted { value: body.into(), losses: losses.0 }
}

/// The answer of a model as `output` items, with ids and states.
pub(in crate::convert) fn write_output(steps: Vec<Step>, complete: bool, losses: &mut Losses) -> Value {
    write_items(steps, Some(complete), losses).into()
}

fn write_tools(front: &Front<'_>, losses: &mut Losses) -> Vec<Value> {
    let mut tools: Vec<_> = front.built_in.iter().map(|(name, _)| built_in::tool(name)).collect();
    for (namespace, pointer) in &front.tools {
        let functions = namespace.tools.iter().map(write_tool);
        if namespace.name == ToolNamespace::FUNCTIONS {
            if namespace.tools.is_empty() {
                losses.add(LossKind::Empty, pointer, "a namespace without tools", "it is left out");
            }
            if namespace.description.is_some() {
                let what = "the description of the namespace";
                let why = "functions have no namespace in Responses";
                losses.add(LossKind::ToolDetail, format!("{pointer}/description"), what, why);
            }
            tools.extend(functions);
        } else {
            let mut tool = json!({"type": "namespace", "name": namespace.name});
            if let Some(description) = &namespace.description {
                tool["description"] = description.clone().into();
            }
            tool["tools"] = functions.collect();
            tools.push(tool);
        }
    }
    tools
}

fn write_tool(tool: &ToolDescription) -> Value {
    let mut function = write_function(tool, &tool.name);
    function.shift_insert(0, "type".to_owned(), "function".into());
    // A request must have both fields.
    function.entry("parameters").or_insert(Value::Null);
    function.insert("strict".to_owned(), false.into());
    function.into()
}

/// Writes items; `output` is none for input, else whether the answer is complete.
fn write_items(steps: Vec<Step>, output: Option<bool>, losses: &mut Losses) -> Vec<Value> {
    let mut items: Vec<Value> = Vec::new();
    // Place of the item and index of the step of the last call of python.
    let mut python: Option<usize> = None;
    let mut reasonings = 0;
    let last = steps.len().saturating_sub(1);
    for (place, step) in steps.into_iter().enumerate() {
        let Step { index, name, text, act } = step;
        if let Some(name) = name {
            let pointer = format!("/messages/{index}/name");
            losses.add(LossKind::Name, pointer, format!("the name {name:?}"), "Responses has no names");
        }
        let pending = python.take();
        let mut item = match act {
            Act::Instructions(role) => message(role, "input_text", &text),
            Act::User => message(Role::User, "input_text", &text),
            Act::Preamble | Act::Final => {
                let mut item = message(Role::Assistant, "output_text", &text);
                item["phase"] = if act == Act::Preamble { "commentary" } else { "final_answer" }.into();
                item
            }
            Act::Reasoning => {
                let id = format!("rs_{reasonings}");
                reasonings += 1;
                let content = json!([{"type": "reasoning_text", "text": text}]);
                json!({"type": "reasoning", "id": id, "summary": [], "content": content})
            }
            Act::Call { namespace, tool, id } => {
                let mut item =
                    json!({"type": "function_call", "call_id": id, "name": tool, "arguments": text});
                if let Some(namespace) = namespace {
                    item["namespace"] = namespace.into();
                }
                item
            }
            Act::Result { namespace, tool, id, linked } => {
                let mut item = json!({"type": "function_call_output", "call_id": id, "output": text});
                if !linked {
                    // Says which tool it was, for lack of a call that does.
                    item["name"] = tool.into();
                    if let Some(namespace) = namespace {
                        item["namespace"] = namespace.into();
                    }
                }
                item
            }
            Act::BuiltInCall(tool) => {
                let Some(item) = built_in::call(&tool, &text, items.len(), index, losses) else { continue };
                if tool == "python" {
                    python = Some(items.len());
                }
                item
            }
            Act::BuiltInResult(tool) => {
                built_in::result(&tool, &text, pending.map(|place| &mut items[place]), index, losses);
                continue;
            }
        };
        if let Some(complete) = output {
            let status = if complete || place < last { "completed" } else { "incomplete" };
            as_output(&mut item, items.len(), status);
        }
        items.push(item);
    }
    items
}

fn message(role: Role, part: &str, text: &str) -> Value {
    json!({"type": "message", "role": role.as_str(), "content": [{"type": part, "text": text}]})
}

/// Adds what an item of a response has besides.
fn as_output(item: &mut Value, place: usize, status: &str) {
    let prefix = match item["type"].as_str() {
        Some("message") => {
            item["content"][0]["annotations"] = json!([]);
            "msg"
        }
        Some("function_call") => "fc",
        _ => "",
    };
    if !prefix.is_empty() {
        item["id"] = format!("{prefix}_{place}").into();
    }
    item["status"] = status.into();
}
