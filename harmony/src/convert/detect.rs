//! Which format a document is in.

use serde_json::Value;

use super::{Format, ReasoningField};

/// The format that a document is in, judged by its fields, or nothing if it is none.
///
/// Messages that both Harmony and Chat can hold are Harmony if they are all that an object has,
/// and Chat in a list on its own or beside a `model` and the like; see [`is_ambiguous`].
///
/// ```
/// use harmony_format::convert::{Format, detect};
/// use serde_json::json;
///
/// assert_eq!(detect(&json!({"model": "gpt-oss-20b", "input": "Hello"})), Some(Format::Responses));
/// assert_eq!(detect(&json!([{"role": "user", "content": "Hello"}])), Some(Format::Chat));
/// assert_eq!(detect(&json!({"hello": 1})), None);
/// ```
#[must_use]
pub fn detect(document: &Value) -> Option<Format> {
    match document {
        Value::Array(items) => detect_list(items, Format::Chat),
        Value::Object(fields) => {
            if let Some(Value::Array(messages)) = fields.get("messages") {
                if fields.len() == 1
                    && !messages.iter().any(is_certainly_chat)
                    && !messages.iter().any(is_responses_item)
                {
                    return detect_list(messages, Format::Harmony).map(|_| Format::Harmony);
                }
                return detect_list(messages, Format::Chat);
            }
            if fields.contains_key("choices") || is_chat_message(document) {
                return Some(Format::Chat);
            }
            let responses = ["input", "output", "instructions", "previous_response_id"];
            responses.iter().any(|key| fields.contains_key(*key)).then_some(Format::Responses)
        }
        _ => None,
    }
}

/// Whether [`detect`] takes a document for Harmony that could as well be Chat: an object with nothing but `messages`,
/// in which a system or an assistant message is text without a channel.
///
/// ```
/// use harmony_format::convert::{Format, detect, is_ambiguous};
/// use serde_json::json;
///
/// let document = json!({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]});
/// assert_eq!(detect(&document), Some(Format::Harmony));
/// assert!(is_ambiguous(&document));
/// ```
#[must_use]
pub fn is_ambiguous(document: &Value) -> bool {
    let Some(messages) = document.get("messages").and_then(Value::as_array) else { return false };
    detect(document) == Some(Format::Harmony)
        && !messages.iter().any(is_harmony_message)
        && messages.iter().any(is_chat_message)
}

fn detect_list(items: &[Value], otherwise: Format) -> Option<Format> {
    if !items.iter().all(Value::is_object) {
        return None;
    }
    if items.iter().any(is_harmony_message) {
        return Some(Format::Harmony);
    }
    if items.iter().any(is_chat_message) {
        return Some(Format::Chat);
    }
    if items.iter().any(is_responses_item) {
        return Some(Format::Responses);
    }
    (items.is_empty() || items.iter().all(|item| item.get("role").is_some())).then_some(otherwise)
}

fn has_part(item: &Value, types: &[&str]) -> bool {
    let parts = item.get("content").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    parts.iter().any(|part| part.get("type").and_then(Value::as_str).is_some_and(|tag| types.contains(&tag)))
}

fn is_harmony_message(item: &Value) -> bool {
    let headed = ["channel", "recipient", "content_type"]
        .iter()
        .any(|key| item.get(*key).is_some_and(Value::is_string));
    headed || has_part(item, &["system_content", "developer_content"])
}

/// Whether a message has something that only Chat has: an assistant or a system message that is text alone counts.
fn is_chat_message(item: &Value) -> bool {
    let Some(role) = item.get("role").and_then(Value::as_str) else { return false };
    if item.get("type").is_some()
        || has_part(item, &["input_text", "output_text", "input_image", "input_file"])
    {
        return false;
    }
    ["assistant", "system"].contains(&role) || is_certainly_chat(item)
}

/// Whether a message has a role, a field or a part that Harmony does not know.
fn is_certainly_chat(item: &Value) -> bool {
    let chat_only = ["tool_calls", "tool_call_id", "function_call", "refusal"];
    item.get("role").and_then(Value::as_str) == Some("function")
        || chat_only.iter().any(|key| item.get(*key).is_some())
        || ReasoningField::ALL.iter().any(|field| item.get(field.as_str()).is_some())
        || has_part(item, &["image_url", "input_audio", "file", "refusal"])
}

fn is_responses_item(item: &Value) -> bool {
    let tag = item.get("type").and_then(Value::as_str).unwrap_or_default();
    let known = ["message", "reasoning", "item_reference", "compaction"];
    known.contains(&tag)
        || tag.ends_with("_call")
        || tag.ends_with("_call_output")
        || has_part(item, &["input_text", "output_text", "input_image", "input_file"])
}
