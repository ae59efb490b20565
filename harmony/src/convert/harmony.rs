//! Harmony's own JSON as a source and a target.

use serde_json::Value;

use super::draft::Read;
use super::loss::Losses;
use super::node::Node;
use crate::{Content, Conversation, DeveloperContent, Message, Result, SystemContent};

/// Reads a conversation, or a list of messages.
pub(super) fn read(document: &Value) -> Result<Read> {
    let root = Node::root(document);
    let mut losses = Losses::default();
    let messages = if document.is_array() {
        root.items()?
    } else {
        root.object()?;
        root.report_rest(&["messages"], &[], &mut losses);
        root.need("messages")?.items()?
    };
    let mut read = Read { messages: Vec::new(), origins: Vec::new(), losses };
    for node in messages {
        let message = serde_json::from_value::<Message>(node.value.clone())
            .map_err(|error| node.error(format_args!("must be a message: {error}")).caused_by(error))?;
        report_unknown(&node, &mut read.losses);
        read.messages.push(message);
        read.origins.push(node.pointer);
    }
    Ok(read)
}

/// Reports the fields that reading a message passed over.
fn report_unknown(message: &Node<'_>, losses: &mut Losses) {
    let known = ["role", "name", "recipient", "content", "channel", "content_type"];
    message.report_rest(&known, &[], losses);
    let items = message.get("content").and_then(|content| content.items().ok()).unwrap_or_default();
    for item in items {
        let known: &[&str] = match item.tag() {
            "system_content" => &[
                "type",
                "model_identity",
                "reasoning_effort",
                "tools",
                "conversation_start_date",
                "knowledge_cutoff",
                "channel_config",
            ],
            "developer_content" => &["type", "instructions", "tools", "response_formats"],
            _ => &["type", "text"],
        };
        item.report_rest(known, &[], losses);
        let namespaces = item.get("tools").and_then(|tools| tools.value.as_object());
        for key in namespaces.into_iter().flat_map(|tools| tools.keys()) {
            let namespace = item.get("tools").and_then(|tools| tools.get(key));
            let Some(namespace) = namespace else { continue };
            namespace.report_rest(&["name", "description", "tools"], &[], losses);
            for tool in namespace.get("tools").and_then(|tools| tools.items().ok()).unwrap_or_default() {
                tool.report_rest(&["name", "description", "parameters"], &[], losses);
            }
        }
    }
}

pub(super) fn write(conversation: &Conversation) -> Value {
    serde_json::to_value(conversation)
        .expect("strings, maps with string keys and finite numbers are always JSON")
}

/// The form in which a conversation comes back from Chat or Responses; it renders to the same tokens.
///
/// Text items become one, and empty maps and lists of tools and formats become absent.
///
/// ```
/// use harmony_format::{Conversation, Message, Role};
/// use harmony_format::convert::{self, Format};
///
/// let conversation = Conversation::new([
///     Message::new(Role::System, harmony_format::SystemContent::default()),
///     Message::new(Role::User, "What is ").with_content("2 + 2?"),
/// ]);
/// let chat = convert::write(&conversation, Format::Chat);
/// assert!(chat.losses.is_empty());
/// let back = convert::read(&chat.value, Format::Chat)?;
/// assert_eq!(back.value, convert::normalize(&conversation));
/// # Ok::<(), harmony_format::Error>(())
/// ```
#[must_use]
pub fn normalize(conversation: &Conversation) -> Conversation {
    conversation.messages.iter().map(normalize_message).collect()
}

fn normalize_message(message: &Message) -> Message {
    let mut content: Vec<Content> = Vec::new();
    for item in &message.content {
        match (content.last_mut(), item) {
            (Some(Content::Text(before)), Content::Text(text)) => before.push_str(text),
            (_, Content::Text(text)) => content.push(text.clone().into()),
            (_, Content::System(system)) => content.push(normalize_system(system.clone()).into()),
            (_, Content::Developer(developer)) => {
                content.push(normalize_developer(developer.clone()).into());
            }
        }
    }
    if content.is_empty() {
        content.push("".into());
    }
    Message { content, ..message.clone() }
}

fn normalize_system(mut system: SystemContent) -> SystemContent {
    system.tools = system.tools.filter(|tools| !tools.is_empty());
    system
}

fn normalize_developer(mut developer: DeveloperContent) -> DeveloperContent {
    developer.tools = developer.tools.filter(|tools| !tools.is_empty());
    developer.response_formats = developer.response_formats.filter(|formats| !formats.is_empty());
    for namespace in developer.tools.iter_mut().flat_map(|tools| tools.values_mut()) {
        for tool in &mut namespace.tools {
            // `null` in JSON is an absent schema.
            tool.parameters = tool.parameters.take().filter(|parameters| !parameters.is_null());
        }
    }
    developer
}
