//! The official library's way, byte for byte, its oddities included.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{MAX_DEPTH, compact};

pub(super) fn write(schema: &Value) -> String {
    let mut writer = Writer { out: String::new(), levels_left: MAX_DEPTH };
    writer.write_type(schema, 0);
    writer.out
}

/// Nothing is escaped: a line break in a description ends the comment that it is in.
struct Writer {
    out: String,
    levels_left: usize,
}

impl Writer {
    fn write_type(&mut self, schema: &Value, indent: usize) {
        if self.levels_left == 0 {
            self.out.push_str("any");
            return;
        }
        self.levels_left -= 1;
        self.write_type_here(schema, indent);
        self.levels_left += 1;
    }

    fn write_type_here(&mut self, schema: &Value, indent: usize) {
        if let Some(variants) = list(schema, "oneOf") {
            for variant in variants {
                self.out.push('\n');
                self.indent(indent);
                self.write_variant(variant, indent);
                let default = schema_default(variant, InEnum::Quoted);
                self.write_trailing(text(variant, "description"), default.as_deref());
            }
            return;
        }
        if let Some(types) = list(schema, "type") {
            let names: Vec<&str> = types
                .iter()
                .filter_map(Value::as_str)
                .map(|name| if name == "integer" { "number" } else { name })
                .collect();
            self.out.push_str(if names.is_empty() { "any" } else { "" });
            self.out.push_str(&names.join(" | "));
            return;
        }
        match text(schema, "type") {
            Some("object") => self.write_object(schema, indent),
            Some("string") => self.write_string(schema),
            Some("number" | "integer") => self.out.push_str("number"),
            Some("boolean") => self.out.push_str("boolean"),
            Some("array") => match schema.get("items") {
                Some(items) => {
                    self.write_type(items, indent);
                    self.out.push_str("[]");
                }
                None => self.out.push_str("Array<any>"),
            },
            _ => self.out.push_str("any"),
        }
    }

    fn write_string(&mut self, schema: &Value) {
        let values: Vec<String> = list(schema, "enum")
            .unwrap_or_default()
            .iter()
            .filter_map(|value| Some(format!("\"{}\"", value.as_str()?)))
            .collect();
        self.out.push_str(if values.is_empty() { "string" } else { "" });
        self.out.push_str(&values.join(" | "));
    }

    fn write_object(&mut self, schema: &Value, indent: usize) {
        if let Some(description) = text(schema, "description") {
            self.write_comment(description, indent);
        }
        self.out.push_str("{\n");
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            self.write_properties(properties, &required(schema), indent);
        }
        self.indent(indent);
        self.out.push('}');
    }

    fn write_properties(&mut self, properties: &Map<String, Value>, required: &HashSet<&str>, indent: usize) {
        for (key, schema) in properties {
            let mark = if required.contains(key.as_str()) { "" } else { "?" };
            let has_one_of = schema.get("oneOf").is_some();
            if let Some(title) = text(schema, "title") {
                self.write_comment(title, indent);
                self.indent(indent);
                self.out.push_str("//\n");
            }
            if let Some(description) = text(schema, "description").filter(|_| !has_one_of) {
                self.write_comment(description, indent);
            }
            self.write_examples(schema, indent);
            if let Some(variants) = list(schema, "oneOf") {
                self.write_union_property(&format!("{key}{mark}"), schema, variants, indent);
                continue;
            }
            self.indent(indent);
            self.out.push_str(&format!("{key}{mark}: "));
            self.write_nullable(schema, indent + 4);
            self.out.push(',');
            if let Some(default) = schema_default(schema, InEnum::Raw).filter(|_| !has_one_of) {
                self.out.push_str(&format!(" // {default}"));
            }
            self.out.push('\n');
        }
    }

    fn write_examples(&mut self, schema: &Value, indent: usize) {
        let examples = list(schema, "examples").unwrap_or_default();
        if examples.is_empty() {
            return;
        }
        self.write_comment("Examples:", indent);
        for example in examples.iter().filter_map(Value::as_str) {
            self.write_comment(&format!("- \"{example}\""), indent);
        }
    }

    /// A property with `oneOf`: its own description and default above it, those of a variant after the variant.
    fn write_union_property(&mut self, key: &str, schema: &Value, variants: &[Value], indent: usize) {
        let description = text(schema, "description");
        let first = variants.first().and_then(|variant| text(variant, "description"));
        let above = description.filter(|&description| first != Some(description));
        if let Some(description) = above {
            self.write_comment(description, indent);
        }
        if let Some(default) = schema_default(schema, InEnum::Raw) {
            self.write_comment(&default, indent);
        }
        self.indent(indent);
        self.out.push_str(&format!("{key}:\n"));
        for (index, variant) in variants.iter().enumerate() {
            self.indent(indent);
            self.write_variant(variant, indent);
            let repeats = index == 0 && above.is_some();
            let own = text(variant, "description").filter(|&own| !repeats && Some(own) != description);
            self.write_trailing(own, schema_default(variant, InEnum::Raw).as_deref());
            self.out.push('\n');
        }
        self.indent(indent);
        self.out.push_str(",\n");
    }

    fn write_variant(&mut self, variant: &Value, indent: usize) {
        self.out.push_str(" | ");
        self.write_nullable(variant, indent + 3);
    }

    /// Adds `null` unless the type's text has the letters `null` anywhere, be it in a name or a comment.
    fn write_nullable(&mut self, schema: &Value, indent: usize) {
        let start = self.out.len();
        self.write_type(schema, indent);
        let nullable = schema.get("nullable").and_then(Value::as_bool).unwrap_or(false);
        if nullable && !self.out[start..].contains("null") {
            self.out.push_str(" | null");
        }
    }

    fn write_trailing(&mut self, description: Option<&str>, default: Option<&str>) {
        let notes: Vec<&str> = description.into_iter().chain(default).collect();
        if !notes.is_empty() {
            self.out.push_str(&format!(" // {}", notes.join(" ")));
        }
    }

    fn write_comment(&mut self, text: &str, indent: usize) {
        self.indent(indent);
        self.out.push_str(&format!("// {text}\n"));
    }

    fn indent(&mut self, spaces: usize) {
        self.out.extend(std::iter::repeat_n(' ', spaces));
    }
}

fn list<'a>(schema: &'a Value, keyword: &str) -> Option<&'a [Value]> {
    schema.get(keyword)?.as_array().map(Vec::as_slice)
}

fn text<'a>(schema: &'a Value, keyword: &str) -> Option<&'a str> {
    schema.get(keyword)?.as_str()
}

fn required(schema: &Value) -> HashSet<&str> {
    list(schema, "required").unwrap_or_default().iter().filter_map(Value::as_str).collect()
}

/// How a default that is a string stands when the schema has an `enum`.
#[derive(Clone, Copy)]
enum InEnum {
    /// As JSON.
    Quoted,
    /// Bare.
    Raw,
}

fn schema_default(schema: &Value, in_enum: InEnum) -> Option<String> {
    let default = schema.get("default")?;
    let is_enum = list(schema, "enum").is_some_and(|values| !values.is_empty());
    Some(match (default.as_str(), is_enum, in_enum) {
        (Some(text), false, _) => format!("default: \"{text}\""),
        (Some(text), true, InEnum::Raw) => format!("default: {text}"),
        _ => format!("default: {}", compact(default)),
    })
}
