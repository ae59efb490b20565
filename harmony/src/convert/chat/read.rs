//! Chat to Harmony.

use serde_json::Value;

use crate::convert::draft::{Draft, Read, full_name};
use crate::convert::loss::{LossKind, Losses};
use crate::convert::node::{Minor, Node};
use crate::convert::parts::read_content;
use crate::convert::tools::{read_effort, read_format, read_function, report_choice};
use crate::convert::{Options, ReasoningField, SystemText};
use crate::{Author, Content, DeveloperContent, Message, Result, Role, ToolNamespace, channel};

/// Fields of a request or response that are no part of the conversation.
pub(super) const MINOR: [Minor<'_>; 3] = [
    Minor {
        keys: &[
            "model",
            "temperature",
            "top_p",
            "top_k",
            "min_p",
            "n",
            "stop",
            "seed",
            "max_tokens",
            "max_completion_tokens",
            "min_tokens",
            "stream",
            "stream_options",
            "logprobs",
            "top_logprobs",
            "logit_bias",
            "presence_penalty",
            "frequency_penalty",
            "repetition_penalty",
            "parallel_tool_calls",
            "store",
            "service_tier",
            "verbosity",
            "modalities",
            "prediction",
            "prompt_cache_key",
            "prompt_cache_retention",
            "safety_identifier",
            "user",
            "skip_special_tokens",
            "include_reasoning",
            "cache_prompt",
            "keep_alive",
            "options",
        ],
        kind: LossKind::Setting,
        why: "it is a setting of the request",
    },
    Minor {
        keys: &["id", "object", "created", "usage", "system_fingerprint", "metadata", "timings"],
        kind: LossKind::Metadata,
        why: "it is no part of the conversation",
    },
    Minor { keys: &["audio", "web_search_options"], kind: LossKind::Tool, why: "it has no counterpart" },
];

/// Fields of a message that are no part of the conversation.
const MESSAGE_MINOR: [Minor<'_>; 3] = [
    Minor {
        keys: &["annotations", "logprobs"],
        kind: LossKind::Annotation,
        why: "Harmony holds the text alone",
    },
    Minor { keys: &["audio"], kind: LossKind::Media, why: "Harmony holds text only" },
    Minor {
        keys: &["id", "index", "created_at", "status"],
        kind: LossKind::Metadata,
        why: "it is no part of the conversation",
    },
];

pub(in crate::convert) fn read(document: &Value, options: &Options) -> Result<Read> {
    let root = Node::root(document);
    let mut draft = Draft::default();
    let messages = if document.is_array() {
        root.items()?
    } else {
        root.object()?;
        read_settings(&root, &mut draft)?;
        match root.get("choices") {
            Some(choices) if root.get("messages").is_none() => answers(&choices, &mut draft)?,
            _ if root.get("role").is_some() => vec![root],
            _ => root.need("messages")?.items()?,
        }
    };
    for message in &messages {
        read_message(message, options, &mut draft)?;
    }
    Ok(draft.finish(options))
}

/// The message of the first choice; the others are alternatives to it.
fn answers<'a>(choices: &Node<'a>, draft: &mut Draft) -> Result<Vec<Node<'a>>> {
    let mut messages = Vec::new();
    for choice in choices.items()? {
        if !messages.is_empty() {
            let why = "a conversation has one answer; the first is taken";
            draft.losses.add(LossKind::Item, choice.pointer, "another choice", why);
            continue;
        }
        messages.push(choice.need("message")?);
        let minor = [
            Minor {
                keys: &["index", "finish_reason", "stop_reason", "token_ids"],
                kind: LossKind::Metadata,
                why: "it is no part of the conversation",
            },
            Minor { keys: &["logprobs"], kind: LossKind::Annotation, why: "Harmony holds the text alone" },
        ];
        choice.report_rest(&["message"], &minor, &mut draft.losses);
    }
    Ok(messages)
}

fn read_settings(root: &Node<'_>, draft: &mut Draft) -> Result<()> {
    if root.get("role").is_some() && root.get("messages").is_none() {
        return Ok(());
    }
    let known = [
        "messages",
        "choices",
        "tools",
        "functions",
        "tool_choice",
        "function_call",
        "response_format",
        "reasoning_effort",
        "reasoning",
        "chat_template_kwargs",
    ];
    root.report_rest(&known, &MINOR, &mut draft.losses);
    if let Some(effort) = root.get("reasoning_effort") {
        read_effort(&effort, draft)?;
    }
    if let Some(reasoning) = root.get("reasoning") {
        if let Some(effort) = reasoning.get("effort") {
            read_effort(&effort, draft)?;
        }
        reasoning.report_rest(&["effort"], &[], &mut draft.losses);
    }
    if let Some(kwargs) = root.get("chat_template_kwargs") {
        read_template_arguments(&kwargs, draft)?;
    }
    if let Some(tools) = root.get("tools") {
        for tool in tools.items()? {
            read_tool(&tool, draft)?;
        }
    }
    if let Some(functions) = root.get("functions") {
        for function in functions.items()? {
            let tool = read_function(&function, &[], &mut draft.losses)?;
            draft.add_function(tool);
        }
    }
    report_choice(root, "tool_choice", &mut draft.losses);
    report_choice(root, "function_call", &mut draft.losses);
    if let Some(format) = root.get("response_format") {
        read_format(&format, format.get("json_schema").as_ref(), draft)?;
    }
    Ok(())
}

/// What the official chat template takes besides messages and tools.
fn read_template_arguments(kwargs: &Node<'_>, draft: &mut Draft) -> Result<()> {
    if let Some(effort) = kwargs.get("reasoning_effort") {
        read_effort(&effort, draft)?;
    }
    if let Some(identity) = kwargs.get_text("model_identity")? {
        draft.identity = Some(identity.to_owned());
    }
    if let Some(names) = kwargs.get("builtin_tools") {
        for name in names.items()? {
            match ToolNamespace::built_in(name.text()?) {
                Ok(namespace) => draft.add_built_in(namespace),
                Err(error) => {
                    let what = format!("the built-in tool {}", name.value);
                    draft.losses.add(LossKind::Tool, name.pointer, what, error.message());
                }
            }
        }
    }
    let known = ["reasoning_effort", "model_identity", "builtin_tools"];
    kwargs.report_rest(&known, &[], &mut draft.losses);
    Ok(())
}

fn read_tool(tool: &Node<'_>, draft: &mut Draft) -> Result<()> {
    let function = match tool.get("function") {
        Some(function) if ["function", ""].contains(&tool.tag()) => function,
        _ => {
            let what = format!("a tool of type {:?}", tool.tag());
            draft.losses.add(LossKind::Tool, tool.pointer.clone(), what, "only functions can be said");
            return Ok(());
        }
    };
    let described = read_function(&function, &[], &mut draft.losses)?;
    tool.report_rest(&["type", "function"], &[], &mut draft.losses);
    draft.add_function(described);
    Ok(())
}

fn read_message(node: &Node<'_>, options: &Options, draft: &mut Draft) -> Result<()> {
    node.object()?;
    let known: &[&str] = match node.need_text("role")? {
        "system" | "developer" => {
            read_instructions(node, options, draft)?;
            &[]
        }
        "user" => {
            let mut message = Message::new(author(node, Role::User)?, "");
            message.content = read_content(&node.need("content")?, &mut draft.losses)?;
            draft.push(message, node.pointer.clone());
            &[]
        }
        "assistant" => {
            read_assistant(node, draft)?;
            &["tool_calls", "function_call", "refusal", "reasoning_content", "reasoning", "thinking"]
        }
        "tool" | "function" => {
            read_result(node, draft)?;
            &["tool_call_id", "tool_name"]
        }
        _ => {
            let role = node.need("role")?;
            return Err(role.error("role must be one of system, developer, user, assistant, tool, function"));
        }
    };
    node.report_rest(&[&["role", "content", "name"], known].concat(), &MESSAGE_MINOR, &mut draft.losses);
    Ok(())
}

fn author(node: &Node<'_>, role: Role) -> Result<Author> {
    Ok(Author { role, name: node.get_text("name")?.map(str::to_owned) })
}

fn read_instructions(node: &Node<'_>, options: &Options, draft: &mut Draft) -> Result<()> {
    let content = read_content(&node.need("content")?, &mut draft.losses)?;
    let text: String = content.iter().filter_map(Content::as_text).collect();
    let is_identity = options.system_text == SystemText::Identity
        && node.need_text("role")? == "system"
        && draft.is_empty()
        && draft.identity.is_none();
    if is_identity {
        if let Some(name) = node.get("name") {
            draft.losses.add(
                LossKind::Name,
                name.pointer,
                format!("the name {}", name.value),
                "an identity has no author",
            );
        }
        draft.identity = Some(text);
    } else {
        let content = DeveloperContent::default().with_instructions(text);
        draft.push(Message::new(author(node, Role::Developer)?, content), node.pointer.clone());
    }
    Ok(())
}

fn read_assistant(node: &Node<'_>, draft: &mut Draft) -> Result<()> {
    let author = author(node, Role::Assistant)?;
    let reasoning = read_reasoning(node, &mut draft.losses)?;
    if let Some(reasoning) = reasoning {
        draft.push(
            Message::new(author.clone(), reasoning.text()?).with_channel(channel::ANALYSIS),
            reasoning.pointer.clone(),
        );
    }
    let calls = node.get("tool_calls").map(|calls| calls.items()).transpose()?.unwrap_or_default();
    let legacy = node.get("function_call");
    let has_calls = !calls.is_empty() || legacy.is_some();

    let mut content = match node.get("content") {
        Some(content) => Some(read_content(&content, &mut draft.losses)?),
        None => None,
    };
    if let Some(refusal) = node.get("refusal") {
        content.get_or_insert_default().push(refusal.text()?.into());
        draft.losses.add(LossKind::Refusal, refusal.pointer, "that this is a refusal", "the text is kept");
    }
    // Clients write an empty content where there is none.
    let is_blank = |content: &Vec<Content>| content.iter().all(|item| item.as_text() == Some(""));
    if let Some(content) = content.filter(|content| !has_calls || !is_blank(content)) {
        let channel = if has_calls { channel::COMMENTARY } else { channel::FINAL };
        let message = Message { content, ..Message::new(author.clone(), "").with_channel(channel) };
        draft.push(message, node.pointer.clone());
    } else if !has_calls
        && node.get("content").is_none()
        && node.get("refusal").is_none()
        && reasoning_is_absent(node)
    {
        let what = "a message that says nothing";
        draft.losses.add(LossKind::Empty, node.pointer.clone(), what, "it becomes no message");
    }

    for call in calls {
        read_call(&call, &author, draft)?;
    }
    if let Some(call) = legacy {
        let name = call.need_text("name")?;
        let tool = full_name(name, call.below("name"), &mut draft.losses);
        let arguments = arguments(&call)?;
        draft.push_call(
            &format!("function_call at {}", call.pointer),
            &tool,
            author,
            &arguments,
            &call.pointer,
        );
        call.report_rest(&["name", "arguments"], &[], &mut draft.losses);
    }
    Ok(())
}

fn reasoning_is_absent(node: &Node<'_>) -> bool {
    ReasoningField::ALL.iter().all(|field| node.get(field.as_str()).is_none())
}

/// The first field that holds reasoning; another one is lost unless it repeats the first. Empty text is none.
fn read_reasoning<'a>(node: &Node<'a>, losses: &mut Losses) -> Result<Option<Node<'a>>> {
    let mut found: Option<Node<'a>> = None;
    for field in ReasoningField::ALL {
        let Some(reasoning) = node.get(field.as_str()) else { continue };
        if reasoning.text()?.is_empty() {
            continue;
        }
        match &found {
            None => found = Some(reasoning),
            Some(first) if first.value == reasoning.value => {}
            Some(first) => {
                let why = format!("the reasoning is taken from {}", first.pointer);
                losses.add(LossKind::UnknownField, reasoning.pointer, field.as_str(), why);
            }
        }
    }
    Ok(found)
}

fn read_call(call: &Node<'_>, author: &Author, draft: &mut Draft) -> Result<()> {
    let Some(function) = call.get("function") else {
        let what = format!("a call of type {:?}", call.tag());
        draft.losses.add(LossKind::Item, call.pointer.clone(), what, "only calls of functions can be said");
        return Ok(());
    };
    let tool = full_name(function.need_text("name")?, function.below("name"), &mut draft.losses);
    let arguments = arguments(&function)?;
    let id = call.get_text("id")?.unwrap_or(&call.pointer);
    draft.push_call(id, &tool, author.clone(), &arguments, &call.pointer);
    let minor =
        [Minor { keys: &["index"], kind: LossKind::Metadata, why: "it is no part of the conversation" }];
    call.report_rest(&["id", "type", "function"], &minor, &mut draft.losses);
    function.report_rest(&["name", "arguments"], &minor, &mut draft.losses);
    Ok(())
}

/// Arguments as text; an object, as Ollama and chat templates have it, is written compact.
fn arguments(function: &Node<'_>) -> Result<String> {
    match function.get("arguments") {
        None => Ok("{}".to_owned()),
        Some(node) => match node.value {
            Value::String(text) => Ok(text.clone()),
            Value::Object(_) => Ok(node.value.to_string()),
            _ => Err(node.error("arguments must be a string or an object")),
        },
    }
}

fn read_result(node: &Node<'_>, draft: &mut Draft) -> Result<()> {
    let content = match node.get("content") {
        Some(content) => read_content(&content, &mut draft.losses)?,
        None => vec!["".into()],
    };
    let id = node.get("tool_call_id");
    let known = match &id {
        Some(id) => draft.take_call(id.text()?),
        None => None,
    };
    if let Some((tool, number)) = known {
        if let Some(name) = node.get("name").or_else(|| node.get("tool_name"))
            && tool != format!("{}.{}", ToolNamespace::FUNCTIONS, name.text()?)
            && tool != name.text()?
        {
            let why = format!("the call that it answers is of {tool}");
            draft.losses.add(LossKind::Name, name.pointer.clone(), format!("the name {}", name.value), why);
        }
        draft.push_result(&tool, Some(number), content, &node.pointer);
        return Ok(());
    }
    let Some(name) = node.get("name").or_else(|| node.get("tool_name")) else {
        let rule = "a result must answer an earlier call by its tool_call_id, or name its tool";
        return Err(id.as_ref().unwrap_or(node).error(rule));
    };
    let tool = full_name(name.text()?, name.pointer.clone(), &mut draft.losses);
    let number = draft.answer_call(&tool);
    if id.is_some() || number.is_none() {
        let what = format!("a result of {tool}");
        draft.losses.add(
            LossKind::Orphan,
            node.pointer.clone(),
            what,
            "no waiting call has this id; the name is used",
        );
    }
    draft.push_result(&tool, number, content, &node.pointer);
    Ok(())
}
