//! The result of a tool, as the model is told of it: text, and notes of what is none.

use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};

use crate::agent::{Answer, text};
use crate::model::grouped;

/// What the model is told, no longer than `most` bytes.
pub(super) fn answer(result: &CallToolResult, most: usize) -> Answer {
    let mut parts: Vec<String> = result.content.iter().map(part).collect();
    let has_text = result.content.iter().any(|block| matches!(block, ContentBlock::Text(_)));
    if let Some(value) = result.structured_content.as_ref().filter(|_| !has_text) {
        parts.insert(0, value.to_string());
    }
    let told = text::cut(parts.join("\n"), most);
    match result.is_error {
        Some(true) => Answer::failed(if told.is_empty() { "the tool failed".to_owned() } else { told }),
        _ => Answer::new(told),
    }
}

fn part(block: &ContentBlock) -> String {
    match block {
        ContentBlock::Text(text) => text.text.clone(),
        ContentBlock::Image(image) => data(&image.mime_type, &image.data),
        ContentBlock::Audio(audio) => data(&audio.mime_type, &audio.data),
        ContentBlock::Resource(resource) => match &resource.resource {
            ResourceContents::TextResourceContents { uri, text, .. } => format!("[{uri}]\n{text}"),
            ResourceContents::BlobResourceContents { uri, mime_type, blob, .. } => {
                format!("[{uri}]\n{}", data(mime_type.as_deref().unwrap_or("binary"), blob))
            }
            _ => "[a resource of an unknown kind]".to_owned(),
        },
        ContentBlock::ResourceLink(link) => {
            let about = [Some(link.name.as_str()), link.mime_type.as_deref(), link.description.as_deref()];
            let about: Vec<&str> = about.into_iter().flatten().collect();
            format!("[{}: {}]", link.uri, about.join(", "))
        }
        _ => "[content of an unknown kind]".to_owned(),
    }
}

/// A note of bytes that the model cannot be shown.
fn data(mime_type: &str, base64: &str) -> String {
    format!("[{mime_type}, {} bytes]", grouped(text::decoded_length(base64) as u64))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(result: Value, expected: &Answer) {
        let result: CallToolResult = serde_json::from_value(result).unwrap();
        assert_eq!(answer(&result, 100), *expected);
    }

    #[test]
    fn text_is_joined_and_all_else_is_noted() {
        let image = json!({"type": "image", "mimeType": "image/png", "data": "AAAA".repeat(411) + "AA=="});
        check(
            json!({"content": [{"type": "text", "text": "a"}, image, {"type": "text", "text": "b"}]}),
            &Answer::new("a\n[image/png, 1,234 bytes]\nb"),
        );
        let audio = json!({"type": "audio", "mimeType": "audio/wav", "data": "AAA="});
        check(json!({"content": [audio]}), &Answer::new("[audio/wav, 2 bytes]"));
        let text =
            json!({"type": "resource", "resource": {"uri": "a:b", "mimeType": "text/plain", "text": "t"}});
        let blob = json!({"type": "resource", "resource": {"uri": "a:c", "blob": "AA=="}});
        let link = json!({"type": "resource_link", "uri": "a:d", "name": "n", "mimeType": "text/csv"});
        check(
            json!({"content": [text, blob, link]}),
            &Answer::new("[a:b]\nt\n[a:c]\n[binary, 1 bytes]\n[a:d: n, text/csv]"),
        );
    }

    #[test]
    fn what_is_structured_is_told_where_there_is_no_text() {
        check(json!({"content": [], "structuredContent": {"a": 1}}), &Answer::new("{\"a\":1}"));
        let text = json!([{"type": "text", "text": "{\"a\": 1}"}]);
        check(json!({"content": text, "structuredContent": {"a": 1}}), &Answer::new("{\"a\": 1}"));
        check(json!({"content": []}), &Answer::new(""));
    }

    #[test]
    fn errors_are_failures_and_long_texts_are_cut() {
        let no = json!([{"type": "text", "text": "no"}]);
        check(json!({"content": no, "isError": true}), &Answer::failed("no"));
        check(json!({"content": [], "isError": true}), &Answer::failed("the tool failed"));
        let long = json!([{"type": "text", "text": "a".repeat(123)}]);
        check(json!({"content": long}), &Answer::new("a".repeat(100) + "\n[output cut: 23 more bytes]"));
    }
}
