//! Tool calls in the shapes that files hold them.

use harmony_format::{Conversation, Message, Role};
use serde_json::Value;

use crate::error::{Error, Result};

/// A call of a tool.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    /// The name as it was written, with or without a namespace.
    pub(crate) tool: String,
    /// The arguments, not yet read.
    pub(crate) arguments: String,
}

/// Reads calls: a Harmony conversation or message, a Chat message or tool call, a Responses item,
/// an object with `name` and `arguments`, or a list of any of these.
pub(crate) fn read(text: &str) -> Result<Vec<Call>> {
    if let Ok(conversation) = Conversation::from_json(text) {
        return Ok(conversation.messages.iter().filter_map(of_message).collect());
    }
    let value: Value = serde_json::from_str(text).map_err(|error| Error::in_document(error.into(), text))?;
    let mut calls = Vec::new();
    collect(&value, "", text, &mut calls)?;
    Ok(calls)
}

fn of_message(message: &Message) -> Option<Call> {
    let recipient = message.recipient.as_deref().filter(|recipient| *recipient != "all")?;
    (message.author.role == Role::Assistant)
        .then(|| Call { tool: recipient.to_owned(), arguments: message.text() })
}

fn collect(value: &Value, at: &str, text: &str, calls: &mut Vec<Call>) -> Result<()> {
    let wrong = || {
        Error::input("H001", "a tool call needs the tool's `name` and its `arguments`")
            .point_at(text, harmony_format::arguments::locate(text, at))
            .help(
                "a call is a Harmony or Chat message, a Responses item, or an object with name and arguments",
            )
    };
    let members = match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(item, &format!("{at}/{index}"), text, calls)?;
            }
            return Ok(());
        }
        Value::Object(members) => members,
        _ => return Err(wrong()),
    };
    for list in ["tool_calls", "messages", "input", "output"] {
        if let Some(list_value @ Value::Array(_)) = members.get(list) {
            return collect(list_value, &format!("{at}/{list}"), text, calls);
        }
    }
    if let Some(function) = members.get("function") {
        return collect(function, &format!("{at}/function"), text, calls);
    }
    if let (Some(Value::String(name)), Some(arguments)) = (members.get("name"), members.get("arguments")) {
        let arguments = match arguments {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        calls.push(Call { tool: name.clone(), arguments });
        return Ok(());
    }
    match serde_json::from_value::<Message>(value.clone()) {
        Ok(message) => calls.extend(of_message(&message)),
        // Messages of a list that hold no call are passed over.
        Err(_) if members.contains_key("role") || members.contains_key("type") => {}
        Err(_) => return Err(wrong()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str)]) {
        let calls = read(text).unwrap();
        let calls: Vec<_> = calls.iter().map(|call| (call.tool.as_str(), call.arguments.as_str())).collect();
        assert_eq!(calls, expected, "{text}");
    }

    #[test]
    fn every_common_shape_is_read() {
        let f = [("f", "{\"a\":1}")];
        check(r#"{"name":"f","arguments":{"a":1}}"#, &f);
        check(r#"{"name":"f","arguments":"{\"a\":1}"}"#, &f);
        check(r#"{"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}"#, &f);
        check(r#"{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"{\"a\":1}"}}]}"#, &f);
        check(r#"[{"type":"function_call","call_id":"1","name":"f","arguments":"{\"a\":1}"}]"#, &f);
        check(r#"{"role":"assistant","recipient":"f","content":"{\"a\":1}"}"#, &f);
        check(
            r#"{"messages":[{"role":"user","content":"x"},{"role":"assistant","recipient":"f","content":"{\"a\":1}"}]}"#,
            &f,
        );
        check(r#"{"messages":[{"role":"user","content":"x"}]}"#, &[]);
    }

    #[test]
    fn what_is_no_call_is_an_error() {
        for text in ["", "7", "[7]", r#"{"arguments":{}}"#] {
            assert_eq!(read(text).unwrap_err().code(), Some("H001"), "{text}");
        }
    }
}
