//! Rules over declarations: namespaces, tools, their schemas, and response formats.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use super::context::Context;
use super::rule::{Example, Report, Rule, Severity};
use super::setup::developers;
use crate::arguments::push_key;
use crate::schema::{self, Loss};
use crate::{Content, ToolDescription, ToolNamespace};

pub(super) const RULES: &[Rule] = &[
    Rule {
        code: "L501",
        name: "key-not-name",
        severity: Severity::Error,
        what: "A namespace stands under a key that is not its name.",
        why: "The name is rendered, the key decides the order and whether the system message mentions functions: the \
              model calls `name.tool`, programs look under the key.",
        example: Example::Messages {
            before: r#"{"role": "developer", "content": [{"type": "developer_content", "tools": {"functions": {"name": "tools", "tools": [{"name": "now", "description": "The time."}]}}}]}"#,
            after: r#"{"role": "developer", "content": [{"type": "developer_content", "tools": {"functions": {"name": "functions", "tools": [{"name": "now", "description": "The time."}]}}}]}"#,
        },
        fix: None,
        sources: &[],
        check: key_not_name,
    },
    Rule {
        code: "L502",
        name: "duplicate-tool",
        severity: Severity::Error,
        what: "Two tools have the same name.",
        why: "The model sees two types of one name, and a call does not tell which one is meant.",
        example: Example::Messages {
            before: r#"{"role": "developer", "content": [{"type": "developer_content", "tools": {"functions": {"name": "functions", "tools": [{"name": "now", "description": "The time."}, {"name": "now", "description": "The date."}]}}}]}"#,
            after: r#"{"role": "developer", "content": [{"type": "developer_content", "tools": {"functions": {"name": "functions", "tools": [{"name": "now", "description": "The time."}, {"name": "today", "description": "The date."}]}}}]}"#,
        },
        fix: None,
        sources: &[],
        check: duplicate_tool,
    },
    Rule {
        code: "L503",
        name: "tool-name-form",
        severity: Severity::Error,
        what: "The name of a tool or a namespace is no TypeScript identifier.",
        why: "It is written as `type get-time = …`, which is no TypeScript; the model tends to call it by a name that \
              is, such as `get_time`. Names of MCP servers often have hyphens or dots.",
        example: Example::Messages {
            before: r#"{"role": "developer", "content": [{"type": "developer_content", "tools": {"functions": {"name": "functions", "tools": [{"name": "get-time", "description": "The time."}]}}}]}"#,
            after: r#"{"role": "developer", "content": [{"type": "developer_content", "tools": {"functions": {"name": "functions", "tools": [{"name": "get_time", "description": "The time."}]}}}]}"#,
        },
        fix: None,
        sources: &[],
        check: tool_name_form,
    },
    Rule {
        code: "L504",
        name: "schema-lost",
        severity: Severity::Warning,
        what: "A part of a tool's schema is lost or garbled in the TypeScript of the official library.",
        why: "The model does not see it: what Pydantic and MCP servers write for an optional value, `anyOf`, becomes \
              `any`, and so does `$ref`. The schema style `typed` keeps the types.",
        example: Example::Messages {
            before: r#"{"role": "developer", "content": [{"type": "developer_content", "tools": {"functions": {"name": "functions", "tools": [{"name": "wait", "description": "Waits.", "parameters": {"type": "object", "properties": {"seconds": {"anyOf": [{"type": "number"}, {"type": "null"}]}}}}]}}}]}"#,
            after: r#"{"role": "developer", "content": [{"type": "developer_content", "tools": {"functions": {"name": "functions", "tools": [{"name": "wait", "description": "Waits.", "parameters": {"type": "object", "properties": {"seconds": {"type": "number", "nullable": true}}}}]}}}]}"#,
        },
        fix: None,
        sources: &[],
        check: schema_lost,
    },
    Rule {
        code: "L505",
        name: "parameters-not-object",
        severity: Severity::Warning,
        what: "The parameters of a tool are no schema of an object.",
        why: "Arguments are a JSON object; the model is shown something else, such as `(_: string) => any`, or `any`.",
        example: Example::Messages {
            before: r#"{"role": "developer", "content": [{"type": "developer_content", "tools": {"functions": {"name": "functions", "tools": [{"name": "wait", "description": "Waits.", "parameters": {"type": "number"}}]}}}]}"#,
            after: r#"{"role": "developer", "content": [{"type": "developer_content", "tools": {"functions": {"name": "functions", "tools": [{"name": "wait", "description": "Waits.", "parameters": {"type": "object", "properties": {"seconds": {"type": "number"}}}}]}}}]}"#,
        },
        fix: None,
        sources: &[],
        check: parameters_not_object,
    },
    Rule {
        code: "L506",
        name: "tool-undescribed",
        severity: Severity::Info,
        what: "A tool has no description.",
        why: "The model has only the name to decide when to call it.",
        example: Example::Messages {
            before: r#"{"role": "developer", "content": [{"type": "developer_content", "tools": {"functions": {"name": "functions", "tools": [{"name": "now", "description": ""}]}}}]}"#,
            after: r#"{"role": "developer", "content": [{"type": "developer_content", "tools": {"functions": {"name": "functions", "tools": [{"name": "now", "description": "The time."}]}}}]}"#,
        },
        fix: None,
        sources: &[],
        check: tool_undescribed,
    },
    Rule {
        code: "L507",
        name: "namespace-empty",
        severity: Severity::Warning,
        what: "The namespace `functions` has no tools.",
        why: "It is rendered as a heading with nothing below it, and the system message does not mention functions.",
        example: Example::Messages {
            before: r#"{"role": "developer", "content": [{"type": "developer_content", "tools": {"functions": {"name": "functions", "tools": []}}}]}"#,
            after: r#"{"role": "developer", "content": [{"type": "developer_content", "instructions": "Be brief."}]}"#,
        },
        fix: None,
        sources: &[],
        check: namespace_empty,
    },
    Rule {
        code: "L508",
        name: "duplicate-format",
        severity: Severity::Error,
        what: "Two response formats have the same name.",
        why: "The model is told to answer in one form and shown two of that name.",
        example: Example::Messages {
            before: r#"{"role": "developer", "content": [{"type": "developer_content", "response_formats": [{"name": "sum", "schema": {"type": "integer"}}, {"name": "sum", "schema": {"type": "number"}}]}]}"#,
            after: r#"{"role": "developer", "content": [{"type": "developer_content", "response_formats": [{"name": "sum", "schema": {"type": "integer"}}]}]}"#,
        },
        fix: None,
        sources: &[],
        check: duplicate_format,
    },
    Rule {
        code: "L509",
        name: "line-break-in-comment",
        severity: Severity::Warning,
        what: "A title, description, example or default in a schema has a line break.",
        why: "The official renderer writes it as it is, so its second line leaves the `//` comment and reads as \
              TypeScript. The schema style `typed` begins every line with `//`.",
        example: Example::Messages {
            before: r#"{"role": "developer", "content": [{"type": "developer_content", "tools": {"functions": {"name": "functions", "tools": [{"name": "wait", "description": "Waits.", "parameters": {"type": "object", "properties": {"seconds": {"type": "number", "description": "How long.\nAt most 60."}}}}]}}}]}"#,
            after: r#"{"role": "developer", "content": [{"type": "developer_content", "tools": {"functions": {"name": "functions", "tools": [{"name": "wait", "description": "Waits.", "parameters": {"type": "object", "properties": {"seconds": {"type": "number", "description": "How long. At most 60."}}}}]}}}]}"#,
        },
        fix: None,
        sources: &[],
        check: line_break_in_comment,
    },
    Rule {
        code: "L510",
        name: "required-undeclared",
        severity: Severity::Warning,
        what: "A schema requires a property that it does not declare.",
        why: "The model is not shown the property, so it cannot give it, and the tool refuses the call.",
        example: Example::Messages {
            before: r#"{"role": "developer", "content": [{"type": "developer_content", "tools": {"functions": {"name": "functions", "tools": [{"name": "wait", "description": "Waits.", "parameters": {"type": "object", "properties": {"seconds": {"type": "number"}}, "required": ["minutes"]}}]}}}]}"#,
            after: r#"{"role": "developer", "content": [{"type": "developer_content", "tools": {"functions": {"name": "functions", "tools": [{"name": "wait", "description": "Waits.", "parameters": {"type": "object", "properties": {"seconds": {"type": "number"}}, "required": ["seconds"]}}]}}}]}"#,
        },
        fix: None,
        sources: &[],
        check: required_undeclared,
    },
];

/// A namespace that is declared, and where.
struct Declared<'a> {
    message: usize,
    key: &'a str,
    namespace: &'a ToolNamespace,
    pointer: String,
}

impl<'a> Declared<'a> {
    /// The tools with their pointers.
    fn tools(&self) -> impl Iterator<Item = (String, &'a ToolDescription)> {
        let tools = self.namespace.tools.iter().enumerate();
        tools.map(|(index, tool)| (format!("{}/tools/{index}", self.pointer), tool))
    }
}

fn declared<'a>(context: &Context<'a>) -> Vec<Declared<'a>> {
    let mut found = Vec::new();
    for (message, content) in context.indexed() {
        for (item, content) in content.content.iter().enumerate() {
            let tools = match content {
                Content::System(system) => &system.tools,
                Content::Developer(developer) => &developer.tools,
                Content::Text(_) => continue,
            };
            for (key, namespace) in tools.iter().flatten() {
                let mut pointer = format!("/messages/{message}/content/{item}/tools");
                push_key(&mut pointer, key);
                found.push(Declared { message, key, namespace, pointer });
            }
        }
    }
    found
}

fn key_not_name(context: &Context<'_>, report: &mut Report<'_>) {
    for Declared { message, key, namespace, pointer } in declared(context) {
        if key != namespace.name {
            let text = format!("the namespace {:?} stands under the key {key:?}", namespace.name);
            report.add(message, format!("{pointer}/name"), text);
        }
    }
}

fn duplicate_tool(context: &Context<'_>, report: &mut Report<'_>) {
    let mut first: BTreeMap<String, String> = BTreeMap::new();
    for declared in declared(context) {
        let name = &declared.namespace.name;
        let whole = (declared.namespace.tools.is_empty()).then(|| (declared.pointer.clone(), name.clone()));
        let tools = declared.tools().map(|(pointer, tool)| (pointer, format!("{name}.{}", tool.name)));
        for (pointer, full) in whole.into_iter().chain(tools) {
            if let Some(earlier) = first.get(&full) {
                let text = format!("the tool {full:?} is declared at {earlier}, too");
                report.add(declared.message, format!("{pointer}/name"), text);
            } else {
                first.insert(full, pointer);
            }
        }
    }
}

/// Whether TypeScript takes this as the name of a type.
fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    let is_start = |c: char| c.is_alphabetic() || c == '_' || c == '$';
    chars.next().is_some_and(is_start) && chars.all(|c| is_start(c) || c.is_numeric())
}

fn tool_name_form(context: &Context<'_>, report: &mut Report<'_>) {
    for declared in declared(context) {
        let namespace = (format!("{}/name", declared.pointer), "namespace", &declared.namespace.name);
        let tools = declared.tools().map(|(pointer, tool)| (format!("{pointer}/name"), "tool", &tool.name));
        for (pointer, what, name) in std::iter::once(namespace).chain(tools) {
            if !is_identifier(name) {
                report.add(
                    declared.message,
                    pointer,
                    format!("the name of a {what} must be an identifier, found {name:?}"),
                );
            }
        }
    }
}

/// The parameters of all tools with their messages and pointers.
fn parameters<'a>(context: &Context<'a>) -> impl Iterator<Item = (usize, String, &'a Value)> {
    declared(context).into_iter().flat_map(|declared| {
        let message = declared.message;
        let tools: Vec<_> = declared.tools().collect();
        tools.into_iter().filter_map(move |(pointer, tool)| {
            Some((message, format!("{pointer}/parameters"), tool.parameters.as_ref()?))
        })
    })
}

fn parameters_not_object(context: &Context<'_>, report: &mut Report<'_>) {
    for (message, pointer, schema) in parameters(context) {
        // A union of objects is one, too; the losses of a schema are another rule's business.
        let is_object = match schema.get("type") {
            Some(Value::String(name)) => name == "object",
            Some(_) => false,
            None => ["oneOf", "anyOf", "allOf", "$ref"].iter().any(|keyword| schema.get(keyword).is_some()),
        };
        if !is_object {
            report.add(message, pointer, "parameters need a schema with `\"type\": \"object\"`");
        }
    }
}

fn tool_undescribed(context: &Context<'_>, report: &mut Report<'_>) {
    for declared in declared(context) {
        for (pointer, tool) in declared.tools().filter(|(_, tool)| tool.description.trim().is_empty()) {
            let text = format!("the tool {:?} has no description", tool.name);
            report.add(declared.message, format!("{pointer}/description"), text);
        }
    }
}

fn namespace_empty(context: &Context<'_>, report: &mut Report<'_>) {
    for declared in declared(context) {
        if declared.namespace.name == ToolNamespace::FUNCTIONS && declared.namespace.tools.is_empty() {
            let text = "the namespace functions has no tools";
            report.add(declared.message, format!("{}/tools", declared.pointer), text);
        }
    }
}

fn duplicate_format(context: &Context<'_>, report: &mut Report<'_>) {
    for (message, item, developer) in developers(context) {
        let formats = developer.response_formats.as_deref().unwrap_or_default();
        let mut names = HashSet::new();
        for (index, format) in formats.iter().enumerate() {
            if !names.insert(format.name.as_str()) {
                let pointer = format!("/messages/{message}/content/{item}/response_formats/{index}/name");
                report.add(message, pointer, format!("another response format is named {:?}", format.name));
            }
        }
    }
}

/// What the official library's TypeScript loses of a schema, one kind a rule.
#[derive(PartialEq)]
enum Kind {
    LineBreak,
    Required,
    Other,
}

fn losses(context: &Context<'_>, report: &mut Report<'_>, wanted: &Kind) {
    for (message, root, schema) in parameters(context) {
        for Loss { pointer, keyword, text } in schema::losses(schema) {
            let kind = match keyword.as_str() {
                "required" => Kind::Required,
                _ if text.starts_with("has a line break") => Kind::LineBreak,
                _ => Kind::Other,
            };
            if kind == *wanted {
                let place = format!("{root}{pointer}");
                // `false` is the schema itself, not a keyword in it.
                let place = if keyword == "false" { place } else { format!("{place}/{keyword}") };
                report.add(message, place, format!("`{keyword}` {text}"));
            }
        }
    }
}

fn schema_lost(context: &Context<'_>, report: &mut Report<'_>) {
    losses(context, report, &Kind::Other);
}

fn line_break_in_comment(context: &Context<'_>, report: &mut Report<'_>) {
    losses(context, report, &Kind::LineBreak);
}

fn required_undeclared(context: &Context<'_>, report: &mut Report<'_>) {
    losses(context, report, &Kind::Required);
}
