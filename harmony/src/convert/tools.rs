//! Tools, response formats, efforts and tool choices, which Chat and Responses spell almost alike.

use serde_json::{Map, Value, json};

use super::draft::Draft;
use super::loss::{LossKind, Losses};
use super::node::Node;
use crate::arguments::show;
use crate::{ReasoningEffort, ResponseFormat, Result, ToolDescription};

/// Reads `name`, `description`, `parameters` and `strict` of a function.
pub(super) fn read_function(node: &Node<'_>, more: &[&str], losses: &mut Losses) -> Result<ToolDescription> {
    let name = node.need_text("name")?;
    let description = node.get_text("description")?.unwrap_or_default();
    let parameters = node.get("parameters").map(|node| node.value.clone());
    report_strict(node, losses);
    let known = [&["name", "description", "parameters", "strict"], more].concat();
    node.report_rest(&known, &[], losses);
    Ok(ToolDescription { name: name.to_owned(), description: description.to_owned(), parameters })
}

/// Writes a function; an absent description is empty.
pub(super) fn write_function(tool: &ToolDescription, name: &str) -> Map<String, Value> {
    let mut function = Map::new();
    function.insert("name".to_owned(), name.into());
    if !tool.description.is_empty() {
        function.insert("description".to_owned(), tool.description.clone().into());
    }
    if let Some(parameters) = &tool.parameters {
        function.insert("parameters".to_owned(), parameters.clone());
    }
    function
}

fn report_strict(node: &Node<'_>, losses: &mut Losses) {
    if let Some(strict) = node.get("strict")
        && strict.value != &Value::Bool(false)
    {
        losses.add(LossKind::Strict, strict.pointer, "strict", "a conversation enforces no schema");
    }
}

/// Reads a response format: `holder` has the type, `fields` has name and schema.
pub(super) fn read_format(holder: &Node<'_>, fields: Option<&Node<'_>>, draft: &mut Draft) -> Result<()> {
    match holder.tag() {
        "text" => holder.report_rest(&["type"], &[], &mut draft.losses),
        "json_schema" => {
            let Some(fields) = fields else {
                return Err(holder.error("must have the field \"json_schema\""));
            };
            let format = ResponseFormat {
                name: fields.need_text("name")?.to_owned(),
                description: fields.get_text("description")?.map(str::to_owned),
                schema: fields.get("schema").map_or_else(|| json!({}), |node| node.value.clone()),
            };
            report_strict(fields, &mut draft.losses);
            let known = ["type", "name", "description", "schema", "strict", "json_schema"];
            fields.report_rest(&known, &[], &mut draft.losses);
            if fields.pointer != holder.pointer {
                holder.report_rest(&["type", "json_schema"], &[], &mut draft.losses);
            }
            draft.developer.response_formats.get_or_insert_default().push(format);
        }
        _ => draft.losses.add(
            LossKind::ResponseFormat,
            holder.pointer.clone(),
            format!("the response format {}", show(holder.value)),
            "only a JSON Schema can be said",
        ),
    }
    Ok(())
}

/// Writes name, description and schema.
pub(super) fn write_format(format: &ResponseFormat) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("name".to_owned(), format.name.clone().into());
    if let Some(description) = &format.description {
        fields.insert("description".to_owned(), description.clone().into());
    }
    fields.insert("schema".to_owned(), format.schema.clone());
    fields
}

/// Reads an effort; one that Harmony does not have becomes the nearest.
pub(super) fn read_effort(node: &Node<'_>, draft: &mut Draft) -> Result<()> {
    let word = node.text()?;
    let effort = word.parse().unwrap_or_else(|_| {
        let nearest = match word {
            "none" | "minimal" => ReasoningEffort::Low,
            "xhigh" | "max" => ReasoningEffort::High,
            _ => ReasoningEffort::Medium,
        };
        let why = format!("{nearest} is the nearest that Harmony has");
        draft.losses.add(LossKind::Effort, node.pointer.clone(), format!("the effort {word:?}"), why);
        nearest
    });
    draft.effort = Some(effort);
    Ok(())
}

/// Reports a tool choice other than `auto`.
pub(super) fn report_choice(node: &Node<'_>, key: &str, losses: &mut Losses) {
    if let Some(choice) = node.get(key)
        && choice.value != "auto"
    {
        let what = format!("the choice {}", show(choice.value));
        losses.add(
            LossKind::ToolChoice,
            choice.pointer,
            what,
            "a conversation leaves the choice to the model",
        );
    }
}
