//! Tool definitions in the shapes that files hold them.

use std::collections::BTreeMap;
use std::path::Path;

use harmony_format::{Content, Conversation, ToolDescription, ToolNamespace};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::{documents, input};

/// Namespaces by key, as developer content has them.
pub(crate) type Tools = BTreeMap<String, ToolNamespace>;

/// Reads the tools of a file, in any of these shapes: a Harmony conversation, its `tools` object or one namespace;
/// a list of function tools of the Chat or the Responses API, or a request with such a list; a list of MCP tools.
pub(crate) fn read(path: &Path) -> Result<Tools> {
    let document = input::read_text(path)?;
    parse(&document.text).map_err(|error| error.in_file(&document.name))
}

/// The full names of tools, such as `functions.get_weather`; a namespace without tools is a tool itself.
pub(crate) fn names(tools: &Tools) -> Vec<String> {
    tools
        .values()
        .flat_map(|namespace| {
            let own = namespace.tools.is_empty().then(|| namespace.name.clone());
            own.into_iter()
                .chain(namespace.tools.iter().map(|tool| format!("{}.{}", namespace.name, tool.name)))
        })
        .collect()
}

/// Reads tools from text; see [`read`].
pub(crate) fn parse(text: &str) -> Result<Tools> {
    let value = documents::value(text)?;
    let mut tools = Tools::new();
    collect(&value, "", text, &mut tools)?;
    Ok(tools)
}

fn collect(value: &Value, at: &str, text: &str, tools: &mut Tools) -> Result<()> {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let at = format!("{at}/{index}");
                // Tools that the server runs, such as `web_search`, have no definition of their own.
                let Value::Object(members) = item else { return Err(wrong(text, &at)) };
                function(members, &at, text, tools)?;
            }
            Ok(())
        }
        Value::Object(members) if members.contains_key("messages") => match Conversation::from_json(text) {
            Ok(conversation) => {
                of_conversation(&conversation, tools);
                if let Some(list) = members.get("tools") {
                    collect(list, &format!("{at}/tools"), text, tools)?;
                }
                Ok(())
            }
            Err(error) => match members.get("tools") {
                Some(list) => collect(list, &format!("{at}/tools"), text, tools),
                None => Err(Error::in_document(error, text)),
            },
        },
        Value::Object(members) => match (members.get("name"), members.get("tools")) {
            (Some(_), Some(_)) => namespace(value, at, text, tools),
            (None, Some(list)) => collect(list, &format!("{at}/tools"), text, tools),
            (Some(_), None) => function(members, at, text, tools),
            (None, None) if members.contains_key("function") => function(members, at, text, tools),
            (None, None) => {
                for (key, value) in members {
                    namespace(value, &format!("{at}/{key}"), text, tools)?;
                }
                Ok(())
            }
        },
        _ => Err(wrong(text, at)),
    }
}

fn of_conversation(conversation: &Conversation, tools: &mut Tools) {
    for content in conversation.messages.iter().flat_map(|message| &message.content) {
        let found = match content {
            Content::Developer(developer) => developer.tools.as_ref(),
            Content::System(system) => system.tools.as_ref(),
            Content::Text(_) => None,
        };
        tools.extend(found.into_iter().flatten().map(|(key, namespace)| (key.clone(), namespace.clone())));
    }
}

fn namespace(value: &Value, at: &str, text: &str, tools: &mut Tools) -> Result<()> {
    let namespace: ToolNamespace = serde_json::from_value(value.clone())
        .map_err(|error| wrong(text, at).help(format!("a namespace has `name` and `tools`: {error}")))?;
    tools.insert(namespace.name.clone(), namespace);
    Ok(())
}

/// A function tool of the Chat API, the Responses API, MCP or Harmony.
fn function(members: &Map<String, Value>, at: &str, text: &str, tools: &mut Tools) -> Result<()> {
    let inner = match members.get("function") {
        Some(Value::Object(inner)) => inner,
        Some(_) => return Err(wrong(text, at)),
        None => members,
    };
    let Some(name) = inner.get("name").and_then(Value::as_str) else { return Err(wrong(text, at)) };
    let description = inner.get("description").and_then(Value::as_str).unwrap_or_default();
    let parameters =
        inner.get("parameters").or_else(|| inner.get("inputSchema")).filter(|schema| !schema.is_null());
    let tool = ToolDescription {
        name: name.strip_prefix("functions.").unwrap_or(name).to_owned(),
        description: description.to_owned(),
        parameters: parameters.cloned(),
    };
    tools
        .entry(ToolNamespace::FUNCTIONS.to_owned())
        .or_insert_with(|| ToolNamespace {
            name: ToolNamespace::FUNCTIONS.to_owned(),
            description: None,
            tools: Vec::new(),
        })
        .tools
        .push(tool);
    Ok(())
}

fn wrong(text: &str, at: &str) -> Error {
    let error = Error::input("H001", "a tool needs a `name`, and its schema in `parameters`");
    error.point_at(text, harmony_format::arguments::locate(text, at)).help(
        "a file of tools is a Harmony conversation or its tools, or a list of Chat, Responses or MCP tools",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(names(&parse(text).unwrap()), expected, "{text}");
    }

    #[test]
    fn every_common_shape_is_read() {
        check(
            r#"[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}]"#,
            &["functions.f"],
        );
        check(r#"[{"type":"function","name":"f","parameters":{"type":"object"}}]"#, &["functions.f"]);
        check(r#"{"tools":[{"name":"f","inputSchema":{"type":"object"}}]}"#, &["functions.f"]);
        check(r#"{"name":"f","description":"d"}"#, &["functions.f"]);
        check(r#"{"name":"lib","tools":[{"name":"f","description":""}]}"#, &["lib.f"]);
        check(r#"{"python":{"name":"python","description":"d","tools":[]}}"#, &["python"]);
        check(
            r#"{"messages":[{"role":"developer","content":[{"type":"developer_content","tools":
                {"functions":{"name":"functions","tools":[{"name":"f","description":""}]}}}]}]}"#,
            &["functions.f"],
        );
        check(
            r#"{"model":"m","messages":[{"role":"user","content":"hi"}],
                "tools":[{"type":"function","function":{"name":"f"}}]}"#,
            &["functions.f"],
        );
    }

    #[test]
    fn what_is_no_tool_is_an_error() {
        for text in ["7", "[7]", r#"[{"type":"function"}]"#, r#"{"functions":7}"#, "{", ""] {
            assert_eq!(parse(text).unwrap_err().code(), Some("H001"), "{text}");
        }
    }
}
