//! Responses to Harmony.

use serde_json::Value;

use super::built_in;
use crate::arguments::show;
use crate::convert::address::Address;
use crate::convert::draft::{Draft, Read, full_name};
use crate::convert::loss::{LossKind, Losses};
use crate::convert::node::{Minor, Node};
use crate::convert::parts::read_content;
use crate::convert::tools::{read_effort, read_format, read_function, report_choice};
use crate::convert::{Options, SystemText};
use crate::{Author, Content, DeveloperContent, Message, Result, Role, ToolNamespace, channel};

const NO_PART: &str = "it is no part of the conversation";

/// Fields of a request or response that are no part of the conversation.
pub(super) const MINOR: [Minor<'_>; 3] = [
    Minor {
        keys: &[
            "model",
            "temperature",
            "top_p",
            "top_logprobs",
            "presence_penalty",
            "frequency_penalty",
            "max_output_tokens",
            "max_tool_calls",
            "parallel_tool_calls",
            "stream",
            "stream_options",
            "store",
            "background",
            "include",
            "truncation",
            "context_management",
            "service_tier",
            "prompt_cache_key",
            "prompt_cache_options",
            "prompt_cache_retention",
            "safety_identifier",
            "user",
        ],
        kind: LossKind::Setting,
        why: "it is a setting of the request",
    },
    Minor {
        keys: &[
            "id",
            "object",
            "created_at",
            "completed_at",
            "status",
            "error",
            "incomplete_details",
            "usage",
            "metadata",
            "client_metadata",
            "billing",
            "moderation",
            "output_text",
        ],
        kind: LossKind::Metadata,
        why: NO_PART,
    },
    Minor {
        keys: &["previous_response_id", "conversation", "prompt"],
        kind: LossKind::Reference,
        why: "what it refers to is not in the document",
    },
];

/// Fields of an item that are no part of the conversation. Ids and states of items are not even noted.
const ITEM: [&str; 4] = ["type", "id", "status", "created_by"];

pub(in crate::convert) fn read(document: &Value, options: &Options) -> Result<Read> {
    let root = Node::root(document);
    let mut draft = Draft::default();
    if document.is_array() {
        read_items(&root, options, &mut draft)?;
        return Ok(draft.finish(options));
    }
    root.object()?;
    read_settings(&root, &mut draft)?;
    let (input, output) = (root.get("input"), root.get("output"));
    if input.is_none() && output.is_none() && root.get("instructions").is_none() {
        return Err(root.error("must have the field \"input\" or \"output\""));
    }
    if let Some(input) = input {
        match input.value {
            Value::String(text) => {
                draft.push(Message::new(Role::User, text.as_str()), input.pointer.clone());
            }
            _ => read_items(&input, options, &mut draft)?,
        }
    }
    if let Some(output) = output {
        read_items(&output, options, &mut draft)?;
    }
    Ok(draft.finish(options))
}

fn read_settings(root: &Node<'_>, draft: &mut Draft) -> Result<()> {
    let known = ["input", "output", "instructions", "tools", "tool_choice", "reasoning", "text"];
    root.report_rest(&known, &MINOR, &mut draft.losses);
    match root.get("instructions") {
        None => {}
        Some(instructions) => match instructions.value {
            Value::String(text) => draft.developer.instructions = Some(text.clone()),
            // A response repeats its instructions as the items that a prompt template gave.
            _ => {
                let what = "instructions that are a list of items";
                draft.losses.add(LossKind::Item, instructions.pointer, what, "only text can be said");
            }
        },
    }
    if let Some(reasoning) = root.get("reasoning") {
        if let Some(effort) = reasoning.get("effort") {
            read_effort(&effort, draft)?;
        }
        let minor = [Minor {
            keys: &["summary", "generate_summary", "context"],
            kind: LossKind::Setting,
            why: "it is a setting of the request",
        }];
        reasoning.report_rest(&["effort"], &minor, &mut draft.losses);
    }
    if let Some(tools) = root.get("tools") {
        for tool in tools.items()? {
            read_tool(&tool, draft)?;
        }
    }
    report_choice(root, "tool_choice", &mut draft.losses);
    if let Some(text) = root.get("text") {
        if let Some(format) = text.get("format") {
            read_format(&format, Some(&format), draft)?;
        }
        let minor =
            [Minor { keys: &["verbosity"], kind: LossKind::Setting, why: "it is a setting of the request" }];
        text.report_rest(&["format"], &minor, &mut draft.losses);
    }
    Ok(())
}

fn read_tool(tool: &Node<'_>, draft: &mut Draft) -> Result<()> {
    match tool.tag() {
        "function" => {
            let function = read_function(tool, &["type"], &mut draft.losses)?;
            draft.add_function(function);
        }
        "namespace" => {
            let name = tool.need_text("name")?;
            let description = tool.get_text("description")?.map(str::to_owned);
            tool.report_rest(&["type", "name", "description", "tools"], &[], &mut draft.losses);
            draft.add_namespace(name, description);
            for member in tool.need("tools")?.items()? {
                if member.tag() == "function" {
                    let function = read_function(&member, &["type"], &mut draft.losses)?;
                    draft.add_namespace(name, None).tools.push(function);
                } else {
                    report_tool(&member, &mut draft.losses);
                }
            }
        }
        _ if built_in::read_tool(tool, draft) => {}
        _ => report_tool(tool, &mut draft.losses),
    }
    Ok(())
}

fn report_tool(tool: &Node<'_>, losses: &mut Losses) {
    let name = tool.get("name").map(|name| format!(", {}", show(name.value))).unwrap_or_default();
    let what = format!("a tool of type {:?}{name}", tool.tag());
    losses.add(LossKind::Tool, tool.pointer.clone(), what, "it has no counterpart");
}

fn read_items(list: &Node<'_>, options: &Options, draft: &mut Draft) -> Result<()> {
    for item in list.items()? {
        item.object()?;
        read_item(&item, options, draft)?;
    }
    Ok(())
}

fn read_item(item: &Node<'_>, options: &Options, draft: &mut Draft) -> Result<()> {
    let known: &[&str] = match item.tag() {
        "message" | "" => {
            read_message(item, options, draft)?;
            &["role", "content", "phase"]
        }
        "reasoning" => {
            read_reasoning(item, draft)?;
            &["summary", "content", "encrypted_content"]
        }
        "function_call" => {
            read_call(item, draft)?;
            &["call_id", "name", "namespace", "arguments"]
        }
        "function_call_output" => {
            read_result(item, draft)?;
            &["call_id", "output", "name", "namespace"]
        }
        "code_interpreter_call" => {
            built_in::read_code(item, draft)?;
            &["code", "outputs", "container_id"]
        }
        "web_search_call" => {
            built_in::read_search(item, draft)?;
            &["action"]
        }
        "item_reference" => {
            let why = "what it refers to is not in the document";
            draft.losses.add(LossKind::Reference, item.pointer.clone(), "a reference to an item", why);
            return Ok(());
        }
        "compaction" | "compaction_summary" => {
            let why = "only the server that made it can read it";
            draft.losses.add(LossKind::Encrypted, item.pointer.clone(), "a compacted conversation", why);
            return Ok(());
        }
        other => {
            let what = format!("an item of type {other:?}");
            draft.losses.add(
                LossKind::Item,
                item.pointer.clone(),
                what,
                "it has no counterpart; it is left out",
            );
            return Ok(());
        }
    };
    item.report_rest(&[&ITEM, known].concat(), &[], &mut draft.losses);
    Ok(())
}

fn read_message(item: &Node<'_>, options: &Options, draft: &mut Draft) -> Result<()> {
    let role = item.need("role")?;
    let content = read_content(&item.need("content")?, &mut draft.losses)?;
    let message = match role.text()? {
        "user" => Message { content, ..Message::new(Role::User, "") },
        "assistant" => {
            let channel = match item.get("phase") {
                None => channel::FINAL,
                Some(phase) => match phase.text()? {
                    "commentary" => channel::COMMENTARY,
                    "final_answer" => channel::FINAL,
                    other => {
                        let what = format!("the phase {other:?}");
                        draft.losses.add(
                            LossKind::Channel,
                            phase.pointer,
                            what,
                            "the text is taken for the answer",
                        );
                        channel::FINAL
                    }
                },
            };
            Message { content, ..Message::new(Role::Assistant, "").with_channel(channel) }
        }
        word @ ("system" | "developer") => {
            let text: String = content.iter().filter_map(Content::as_text).collect();
            let leads =
                draft.is_empty() && draft.developer.instructions.is_none() && draft.identity.is_none();
            if word == "system" && leads && options.system_text == SystemText::Identity {
                draft.identity = Some(text);
                return Ok(());
            }
            Message::new(Role::Developer, DeveloperContent::default().with_instructions(text))
        }
        _ => return Err(role.error("role must be one of system, developer, user, assistant")),
    };
    draft.push(message, item.pointer.clone());
    Ok(())
}

fn read_reasoning(item: &Node<'_>, draft: &mut Draft) -> Result<()> {
    let parts = |key| -> Result<Option<Node<'_>>> {
        let Some(node) = item.get(key) else { return Ok(None) };
        Ok(if node.items()?.is_empty() { None } else { Some(node) })
    };
    let (content, summary) = (parts("content")?, parts("summary")?);
    if let Some(encrypted) = item.get("encrypted_content") {
        let why = "only the server that made it can read it";
        draft.losses.add(LossKind::Encrypted, encrypted.pointer, "encrypted reasoning", why);
    }
    if let Some(summary) = &summary {
        let why =
            if content.is_some() { "the reasoning itself is kept" } else { "it is taken for the reasoning" };
        draft.losses.add(LossKind::Summary, summary.pointer.clone(), "a summary of reasoning", why);
    }
    let content = match (&content, &summary) {
        (Some(content), _) => read_content(content, &mut draft.losses)?,
        // Each part of a summary is a paragraph.
        (None, Some(summary)) => {
            let parts = read_content(summary, &mut draft.losses)?;
            let paragraphs: Vec<_> = parts.iter().filter_map(Content::as_text).collect();
            vec![paragraphs.join("\n\n").into()]
        }
        (None, None) => {
            if item.get("encrypted_content").is_none() {
                let what = "reasoning that says nothing";
                draft.losses.add(LossKind::Empty, item.pointer.clone(), what, "it becomes no message");
            }
            return Ok(());
        }
    };
    let message = Message { content, ..Message::new(Role::Assistant, "").with_channel(channel::ANALYSIS) };
    draft.push(message, item.pointer.clone());
    Ok(())
}

/// The full name of the tool that an item names.
fn tool_name(item: &Node<'_>, losses: &mut Losses) -> Result<String> {
    let name = item.need_text("name")?;
    Ok(match item.get_text("namespace")? {
        Some(namespace) if namespace != ToolNamespace::FUNCTIONS => format!("{namespace}.{name}"),
        _ => match Address::of(name) {
            Address::Function { .. } => full_name(name, item.below("name"), losses),
            _ => format!("{}.{name}", ToolNamespace::FUNCTIONS),
        },
    })
}

fn read_call(item: &Node<'_>, draft: &mut Draft) -> Result<()> {
    let tool = tool_name(item, &mut draft.losses)?;
    let arguments = item.need_text("arguments")?;
    let id = item.get_text("call_id")?.or(item.get_text("id")?).unwrap_or(&item.pointer);
    draft.push_call(id, &tool, Author::from(Role::Assistant), arguments, &item.pointer);
    Ok(())
}

fn read_result(item: &Node<'_>, draft: &mut Draft) -> Result<()> {
    let content = read_content(&item.need("output")?, &mut draft.losses)?;
    let id = item.need("call_id")?;
    if let Some((tool, number)) = draft.take_call(id.text()?) {
        draft.push_result(&tool, Some(number), content, &item.pointer);
        return Ok(());
    }
    if item.get("name").is_none() {
        return Err(id.error("a result must answer an earlier function_call by its call_id"));
    }
    let tool = tool_name(item, &mut draft.losses)?;
    let number = draft.answer_call(&tool);
    let what = format!("a result of {tool}");
    let why = "no waiting call has this id; the name is used";
    draft.losses.add(LossKind::Orphan, item.pointer.clone(), what, why);
    draft.push_result(&tool, number, content, &item.pointer);
    Ok(())
}
