//! `gptoss schema`: JSON Schemas of our own JSON.

use std::io::Write;
use std::process::ExitCode;

use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::error::{Error, Result};

/// Write the JSON Schema (2020-12) of one of this program's JSON formats
///
/// Without a name, the names are listed.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// The name, such as `conversation` or `parse`; the `gptoss.parse/1` of an output is a name, too
    name: Option<String>,
}

const EXAMPLE: &str = "Example:
  gptoss schema conversation > conversation.schema.json";

/// What the schemas share, by name.
const DEFINITIONS: &str = include_str!("../schemas/definitions.json");

macro_rules! schemas {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../schemas/", $name, ".json")))),*]
    };
}

/// The schemas without what they share, in the order of the list.
const SCHEMAS: [(&str, &str); 41] = schemas![
    "conversation",
    "message",
    "render",
    "parse",
    "event",
    "diagnostic",
    "lint",
    "finding",
    "convert",
    "tokens",
    "tools",
    "tools-check",
    "template-diff",
    "run",
    "run-event",
    "record",
    "complete",
    "eval",
    "logits",
    "bench",
    "golden-record",
    "golden-check",
    "golden-lint",
    "golden-vectors",
    "golden-bisect",
    "golden-explain",
    "golden-mutants",
    "golden-probe",
    "golden-catalogue",
    "model-list",
    "model-inspect",
    "model-verify",
    "model-plan",
    "model-digest",
    "model-synth",
    "model-pack",
    "rpc-request",
    "rpc-answer",
    "doctor",
    "error",
    "schemas",
];

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let mut output = context.stdout();
    match &args.name {
        Some(name) => {
            let name = name.strip_prefix("gptoss.").unwrap_or(name);
            let schema = schema(name.strip_suffix("/1").unwrap_or(name)).ok_or_else(|| {
                Error::usage(format!("there is no schema {name:?}")).help("`gptoss schema` lists the names")
            })?;
            let text = serde_json::to_string_pretty(&schema).map_err(std::io::Error::from)?;
            writeln!(output, "{text}")?;
        }
        None if context.json => {
            let names: Vec<&str> = SCHEMAS.iter().map(|(name, _)| *name).collect();
            output.json(&json!({ "schema": "gptoss.schemas/1", "names": names }))?;
        }
        None => {
            for (name, text) in SCHEMAS {
                let title = parse(text)["title"].as_str().unwrap_or_default().to_owned();
                writeln!(output, "{name:<16} {title}")?;
            }
        }
    }
    output.finish()?;
    Ok(ExitCode::SUCCESS)
}

/// A schema with all that it refers to.
fn schema(name: &str) -> Option<Value> {
    let (_, text) = SCHEMAS.into_iter().find(|(other, _)| *other == name)?;
    let mut schema = parse(text);
    let definitions = parse(DEFINITIONS);
    let mut used = Map::new();
    let mut open = Vec::new();
    references(&schema, &mut open);
    while let Some(name) = open.pop() {
        if !used.contains_key(&name) {
            let definition = definitions[&name].clone();
            references(&definition, &mut open);
            used.insert(name, definition);
        }
    }
    if !used.is_empty() {
        used.sort_keys();
        schema["$defs"] = Value::Object(used);
    }
    Some(schema)
}

/// The names of the definitions that a schema refers to.
fn references(schema: &Value, names: &mut Vec<String>) {
    match schema {
        Value::Object(fields) => {
            if let Some(name) = fields.get("$ref").and_then(Value::as_str) {
                names.extend(name.strip_prefix("#/$defs/").map(str::to_owned));
            }
            fields.values().for_each(|value| references(value, names));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, names)),
        _ => {}
    }
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).expect("the tests read every schema file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_has_its_definition() {
        let definitions = parse(DEFINITIONS);
        for (name, _) in SCHEMAS {
            let schema = schema(name).unwrap();
            assert_eq!(schema["$id"], format!("urn:gptoss:{name}:1"));
            for (used, definition) in schema["$defs"].as_object().into_iter().flatten() {
                assert_eq!(definition, &definitions[used], "{used}");
                assert!(!definition.is_null(), "{name} refers to {used}");
            }
        }
    }
}
