//! `python` and `browser` as Responses has them: `code_interpreter` and `web_search`.

use serde_json::{Value, json};

use crate::convert::draft::{CODE, Draft};
use crate::convert::loss::{LossKind, Losses};
use crate::convert::node::Node;
use crate::{Author, Content, Message, Result, Role, ToolNamespace, channel};

/// The tool of a request.
pub(super) fn tool(name: &str) -> Value {
    match name {
        "python" => json!({"type": "code_interpreter", "container": {"type": "auto"}}),
        _ => json!({"type": "web_search"}),
    }
}

/// Reads a tool of a request that is built in; whether it was one.
pub(super) fn read_tool(tool: &Node<'_>, draft: &mut Draft) -> bool {
    let (namespace, known): (_, &[&str]) = match tool.tag() {
        "web_search" | "web_search_preview" | "browser_search" => (ToolNamespace::browser(), &["type"]),
        tag if tag.starts_with("web_search_preview_") || tag.starts_with("web_search_2") => {
            (ToolNamespace::browser(), &["type"])
        }
        "code_interpreter" => (ToolNamespace::python(), &["type", "container"]),
        _ => return false,
    };
    if let Some(container) = tool.get("container")
        && container.value != &json!({"type": "auto"})
    {
        let what = format!("the container {}", container.value);
        draft.losses.add(LossKind::ToolDetail, container.pointer, what, "python has no options");
    }
    for (key, value) in tool.value.as_object().into_iter().flatten() {
        if !known.contains(&key.as_str()) && !value.is_null() {
            let what = format!("the option {key} {value}");
            draft.losses.add(LossKind::ToolDetail, tool.below(key), what, "a built-in tool has no options");
        }
    }
    draft.add_built_in(namespace);
    true
}

/// Writes a call, if Responses has an item for it.
pub(super) fn call(tool: &str, text: &str, place: usize, index: usize, losses: &mut Losses) -> Option<Value> {
    if tool == "python" {
        let id = format!("ci_{place}");
        return Some(
            json!({"type": "code_interpreter_call", "id": id, "status": "completed", "code": text, "outputs": null}),
        );
    }
    let pointer = format!("/messages/{index}");
    let arguments: Value = serde_json::from_str(text).unwrap_or_default();
    let (action, used) = match tool {
        "browser.search" => {
            (arguments["query"].as_str().map(|query| json!({"type": "search", "query": query})), "query")
        }
        "browser.open" => {
            (arguments["id"].as_str().map(|url| json!({"type": "open_page", "url": url})), "id")
        }
        _ => (None, ""),
    };
    let Some(action) = action else {
        let why = "no action of a web search says it; it is left out";
        losses.add(LossKind::BuiltInCall, pointer, format!("a call of {tool}"), why);
        return None;
    };
    for key in arguments.as_object().into_iter().flat_map(|arguments| arguments.keys()) {
        if key != used {
            let what = format!("the argument {key} of {tool}");
            losses.add(LossKind::BuiltInCall, pointer.clone(), what, "the action has no field for it");
        }
    }
    let spelling = arguments.to_string();
    if arguments.as_object().is_some_and(|arguments| arguments.len() == 1) && spelling != text {
        let why = "the action has the value alone";
        losses.add(LossKind::BuiltInCall, pointer, "how the arguments are spelled", why);
    }
    let id = format!("ws_{place}");
    Some(json!({"type": "web_search_call", "id": id, "status": "completed", "action": action}))
}

/// Adds the result of `python` to its call, which must be the item before.
pub(super) fn result(tool: &str, text: &str, call: Option<&mut Value>, index: usize, losses: &mut Losses) {
    let pointer = format!("/messages/{index}");
    match call {
        Some(call) if tool == "python" => {
            call["outputs"] = json!([{"type": "logs", "logs": text}]);
        }
        None if tool == "python" => {
            let what = "the result of a call of python that does not stand before it";
            losses.add(LossKind::Orphan, pointer, what, "it is left out");
        }
        _ => {
            let why = "a web search has no field for what was found; it is left out";
            losses.add(LossKind::BuiltInCall, pointer, format!("the result of {tool}"), why);
        }
    }
}

fn push_call(recipient: &str, text: &str, item: &Node<'_>, draft: &mut Draft) {
    let message = Message::new(Role::Assistant, text)
        .with_recipient(recipient)
        .with_channel(channel::ANALYSIS)
        .with_content_type(CODE);
    draft.push(message, item.pointer.clone());
}

/// Reads `code_interpreter_call`: the call, and its logs as the result.
pub(super) fn read_code(item: &Node<'_>, draft: &mut Draft) -> Result<()> {
    push_call("python", item.get_text("code")?.unwrap_or_default(), item, draft);
    let mut logs: Vec<Content> = Vec::new();
    for output in item.get("outputs").map(|outputs| outputs.items()).transpose()?.unwrap_or_default() {
        if output.tag() == "logs" {
            logs.push(output.need_text("logs")?.into());
            output.report_rest(&["type", "logs"], &[], &mut draft.losses);
        } else {
            let what = format!("an output of type {:?}", output.tag());
            draft.losses.add(LossKind::Media, output.pointer, what, "Harmony holds text only");
        }
    }
    if !logs.is_empty() {
        let mut message = Message::new(Author::new(Role::Tool, "python"), "")
            .with_recipient(Role::Assistant.as_str())
            .with_channel(channel::ANALYSIS);
        message.content = logs;
        draft.push(message, item.pointer.clone());
    }
    Ok(())
}

/// Reads `web_search_call`: the call alone.
pub(super) fn read_search(item: &Node<'_>, draft: &mut Draft) -> Result<()> {
    let Some(action) = item.get("action") else {
        let why = "nothing says what was searched for; it is left out";
        draft.losses.add(LossKind::BuiltInCall, item.pointer.clone(), "a web search without an action", why);
        return Ok(());
    };
    let (recipient, argument, field) = match action.tag() {
        "search" => ("browser.search", "query", "query"),
        "open_page" => ("browser.open", "id", "url"),
        "find" | "find_in_page" => ("browser.find", "pattern", "pattern"),
        other => {
            let what = format!("an action of type {other:?}");
            draft.losses.add(
                LossKind::BuiltInCall,
                action.pointer,
                what,
                "it has no counterpart; it is left out",
            );
            return Ok(());
        }
    };
    let Some(value) = action.get_text(field)? else {
        let why = format!("it has no {field}; it is left out");
        draft.losses.add(LossKind::BuiltInCall, action.pointer, "a web search", why);
        return Ok(());
    };
    push_call(recipient, &json!({argument: value}).to_string(), item, draft);
    for (key, value) in action.value.as_object().into_iter().flatten() {
        if !["type", field].contains(&key.as_str()) && !value.is_null() {
            let what = format!("{key} of the action");
            draft.losses.add(
                LossKind::BuiltInCall,
                action.below(key),
                what,
                "the browser has no argument for it",
            );
        }
    }
    Ok(())
}
