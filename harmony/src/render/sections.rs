//! The text of system and developer content, section by section.

use std::collections::BTreeMap;

use super::SchemaStyle;
use crate::schema::typescript;
use crate::{DeveloperContent, ResponseFormat, SystemContent, ToolDescription, ToolNamespace};

type Tools = BTreeMap<String, ToolNamespace>;

/// Sections are set apart by an empty line.
const BETWEEN_SECTIONS: &str = "\n\n";

/// The text of a system message.
pub(super) fn system(content: &SystemContent, has_function_tools: bool, style: SchemaStyle) -> String {
    let mut sections = Vec::new();
    let about: Vec<String> = [
        content.model_identity.clone(),
        content.knowledge_cutoff.as_ref().map(|cutoff| format!("Knowledge cutoff: {cutoff}")),
        content.conversation_start_date.as_ref().map(|date| format!("Current date: {date}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !about.is_empty() {
        sections.push(about.join("\n"));
    }
    if let Some(effort) = content.reasoning_effort {
        sections.push(format!("Reasoning: {effort}"));
    }
    sections.extend(tools_section(content.tools.as_ref(), style));
    if let Some(config) = content.channel_config.as_ref().filter(|config| !config.valid_channels.is_empty()) {
        let mut section = format!("# Valid channels: {}.", config.valid_channels.join(", "));
        if config.channel_required {
            section.push_str(" Channel must be included for every message.");
        }
        if has_function_tools {
            section.push_str("\nCalls to these tools must go to the commentary channel: 'functions'.");
        }
        sections.push(section);
    }
    sections.join(BETWEEN_SECTIONS)
}

/// The text of a developer message.
pub(super) fn developer(content: &DeveloperContent, style: SchemaStyle) -> String {
    let mut sections = Vec::new();
    if let Some(instructions) = &content.instructions {
        sections.push(format!("# Instructions{BETWEEN_SECTIONS}{instructions}"));
    }
    sections.extend(tools_section(content.tools.as_ref(), style));
    let formats = content.response_formats.as_deref().unwrap_or_default();
    if !formats.is_empty() {
        sections.push("# Response Formats".to_owned());
        sections.extend(formats.iter().map(response_format));
    }
    sections.join(BETWEEN_SECTIONS)
}

/// Renders namespaces of tools as a prompt describes them: `# Tools` and a block a namespace.
///
/// Without any namespace the text is empty.
///
/// ```
/// use harmony_format::{DeveloperContent, SchemaStyle, ToolDescription, render_tools};
///
/// let tool = ToolDescription { name: "now".into(), description: "Tells the time.".into(), parameters: None };
/// let tools = DeveloperContent::default().with_function_tools([tool]).tools.unwrap();
/// assert!(render_tools(&tools, SchemaStyle::Reference).contains("// Tells the time.\ntype now = () => any;"));
/// ```
#[must_use]
pub fn render_tools(tools: &BTreeMap<String, ToolNamespace>, style: SchemaStyle) -> String {
    tools_section(Some(tools), style).unwrap_or_default()
}

fn tools_section(tools: Option<&Tools>, style: SchemaStyle) -> Option<String> {
    let tools = tools.filter(|tools| !tools.is_empty())?;
    let mut text = "# Tools".to_owned();
    for namespace in tools.values() {
        text.push_str(BETWEEN_SECTIONS);
        text.push_str(&tool_namespace(namespace, style));
    }
    Some(text)
}

/// One block; its lines are joined by a line break, so that one at a line's end makes an empty line.
fn tool_namespace(namespace: &ToolNamespace, style: SchemaStyle) -> String {
    let name = &namespace.name;
    let has_tools = !namespace.tools.is_empty();
    let mut lines = vec![format!("## {name}\n")];
    let description = namespace.description.as_deref().unwrap_or_default();
    if has_tools {
        lines.extend(comment(description, style));
        lines.push(format!("namespace {name} {{\n"));
        lines.extend(namespace.tools.iter().flat_map(|tool| tool_lines(tool, style)));
        lines.push(format!("}} // namespace {name}"));
    } else {
        lines.extend(description.lines().map(str::to_owned));
    }
    lines.join("\n")
}

fn tool_lines(tool: &ToolDescription, style: SchemaStyle) -> Vec<String> {
    let name = &tool.name;
    let mut lines = comment(&tool.description, style);
    lines.push(match &tool.parameters {
        Some(parameters) => format!("type {name} = (_: {}) => any;\n", typescript(parameters, style)),
        None => format!("type {name} = () => any;\n"),
    });
    lines
}

/// The text as comment lines. The typed style also breaks where TypeScript ends a line, so that no text leaves the comment.
fn comment(text: &str, style: SchemaStyle) -> Vec<String> {
    let as_comment = |line: &str| format!("// {line}");
    match style {
        SchemaStyle::Reference => text.lines().map(as_comment).collect(),
        SchemaStyle::Typed => {
            text.lines().flat_map(|line| line.split(['\r', '\u{2028}', '\u{2029}'])).map(as_comment).collect()
        }
    }
}

/// The schema stays JSON here; only tools become TypeScript.
fn response_format(format: &ResponseFormat) -> String {
    let mut text = format!("## {}{BETWEEN_SECTIONS}", format.name);
    for line in format.description.as_deref().unwrap_or_default().lines() {
        text.push_str("// ");
        text.push_str(line);
        text.push('\n');
    }
    text.push_str(&format.schema.to_string());
    text
}
