//! What schemas say: a walk over their parts, and which keywords each engine can hold a model to.

use serde_json::{Map, Value, json};

use crate::arguments::{push_key, resolve};

/// Keywords whose values are maps of schemas.
const MAPS: [&str; 5] = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];
/// Keywords whose values are lists of schemas.
const LISTS: [&str; 4] = ["anyOf", "oneOf", "allOf", "prefixItems"];
/// Keywords whose values are schemas.
const SINGLE: [&str; 11] = [
    "items",
    "additionalItems",
    "additionalProperties",
    "contains",
    "propertyNames",
    "not",
    "if",
    "then",
    "else",
    "unevaluatedItems",
    "unevaluatedProperties",
];

/// The names of types.
const TYPES: [&str; 7] = ["null", "boolean", "object", "array", "number", "integer", "string"];

/// Keywords that limit values and that neither language can express.
pub(super) const INEXPRESSIBLE: [&str; 14] = [
    "not",
    "if",
    "then",
    "else",
    "uniqueItems",
    "contains",
    "minContains",
    "maxContains",
    "propertyNames",
    "dependentRequired",
    "dependentSchemas",
    "dependencies",
    "unevaluatedItems",
    "unevaluatedProperties",
];

/// The formats that llguidance knows.
const FORMATS: [&str; 10] =
    ["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"];

/// One step of a JSON Pointer.
pub(super) fn step(pointer: &str, key: &str) -> String {
    let mut pointer = pointer.to_owned();
    push_key(&mut pointer, key);
    pointer
}

/// Visits a schema and all schemas in it, each with its JSON Pointer.
fn visit<E>(
    schema: &Value,
    pointer: &str,
    f: &mut impl FnMut(&Value, &str) -> Result<(), E>,
) -> Result<(), E> {
    f(schema, pointer)?;
    let Value::Object(map) = schema else { return Ok(()) };
    for (key, value) in map {
        let at = step(pointer, key);
        match value {
            Value::Object(children) if MAPS.contains(&key.as_str()) => {
                for (name, child) in children {
                    visit(child, &step(&at, name), f)?;
                }
            }
            Value::Array(children) if LISTS.contains(&key.as_str()) => {
                for (index, child) in children.iter().enumerate() {
                    visit(child, &step(&at, &index.to_string()), f)?;
                }
            }
            child if SINGLE.contains(&key.as_str()) => visit(child, &at, f)?,
            _ => {}
        }
    }
    Ok(())
}

/// Changes a schema and all schemas in it, inner ones first.
fn change(schema: &mut Value, f: &mut impl FnMut(&mut Value)) {
    if let Value::Object(map) = schema {
        for (key, value) in map.iter_mut() {
            match value {
                Value::Object(children) if MAPS.contains(&key.as_str()) => {
                    children.values_mut().for_each(|child| change(child, f));
                }
                Value::Array(children) if LISTS.contains(&key.as_str()) => {
                    children.iter_mut().for_each(|child| change(child, f));
                }
                child if SINGLE.contains(&key.as_str()) => change(child, f),
                _ => {}
            }
        }
    }
    f(schema);
}

/// Finds what is no schema, and references that lead nowhere.
pub(super) fn check(root: &Value) -> Result<(), (String, String)> {
    visit(root, "", &mut |schema, pointer| {
        let map = match schema {
            Value::Bool(_) => return Ok(()),
            Value::Object(map) => map,
            other => {
                let why = format!("must be an object or a boolean, found {other}");
                return Err((pointer.to_owned(), why));
            }
        };
        for (key, value) in map {
            let missing = match key.as_str() {
                key if MAPS.contains(&key) && !value.is_object() => "an object",
                key if (LISTS.contains(&key) || key == "enum")
                    && value.as_array().is_none_or(Vec::is_empty) =>
                {
                    "a list that is not empty"
                }
                "type" if !is_type(value) => "the name of a type, or a list of them,",
                _ => continue,
            };
            return Err((step(pointer, key), format!("must have {missing} here, found {value}")));
        }
        if let Some(reference) = map.get("$ref") {
            let found = reference.as_str().and_then(|reference| resolve(root, reference));
            if found.is_none() {
                return Err((step(pointer, "$ref"), format!("refers to {reference}, which is not in it")));
            }
        }
        Ok(())
    })
}

/// Whether `type` can have this value.
fn is_type(value: &Value) -> bool {
    let is_name = |name: &Value| name.as_str().is_some_and(|name| TYPES.contains(&name));
    match value {
        Value::Array(names) => !names.is_empty() && names.iter().all(is_name),
        name => is_name(name),
    }
}

/// Closes objects that list their properties and do not say whether there may be others.
pub(super) fn close_objects(schema: &mut Value) {
    change(schema, &mut |schema| {
        if let Value::Object(map) = schema
            && map.contains_key("properties")
            && ![
                "additionalProperties",
                "patternProperties",
                "unevaluatedProperties",
                "allOf",
                "anyOf",
                "oneOf",
            ]
            .iter()
            .any(|key| map.contains_key(*key))
        {
            map.insert("additionalProperties".to_owned(), false.into());
        }
    });
}

/// What llguidance cannot read in a regular expression.
fn is_beyond_llguidance(pattern: &str) -> bool {
    let bytes = pattern.as_bytes();
    ["(?=", "(?!", "(?<"].iter().any(|group| pattern.contains(group))
        || bytes.windows(2).any(|pair| {
            pair[0] == b'\\' && (pair[1].is_ascii_digit() || matches!(pair[1], b'b' | b'B' | b'k'))
        })
}

/// What of a schema llguidance does not hold the model to: pointers and sentences.
pub(super) fn beyond_llguidance(root: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut note = |pointer: &str, key: &str, text: String| found.push((step(pointer, key), text));
    let walked = visit(root, "", &mut |schema, pointer| {
        for (key, value) in schema.as_object().into_iter().flatten() {
            match key.as_str() {
                word if INEXPRESSIBLE.contains(&word) => {
                    note(pointer, key, format!("`{word}` is not enforced"));
                }
                "oneOf" => note(pointer, key, "`oneOf` is read as `anyOf`".to_owned()),
                "format" if value.as_str().is_none_or(|name| !FORMATS.contains(&name)) => {
                    note(pointer, key, format!("the format {value} is not enforced"));
                }
                "pattern" if value.as_str().is_none_or(is_beyond_llguidance) => {
                    note(pointer, key, format!("the pattern {value} is not enforced"));
                }
                "minProperties" | "maxProperties" if schema.get("properties").is_some() => {
                    note(pointer, key, format!("`{key}` may not be enforced beside optional `properties`"));
                }
                _ => {}
            }
        }
        Ok::<(), std::convert::Infallible>(())
    });
    match walked {
        Ok(()) => found,
    }
}

/// The schema as llguidance can read it: without what it would refuse, `nullable` as a union.
pub(super) fn for_llguidance(schema: &Value) -> Value {
    let mut schema = schema.clone();
    change(&mut schema, &mut |schema| {
        let Value::Object(map) = schema else { return };
        map.shift_remove("x-guidance");
        if map.get("format").and_then(Value::as_str).is_some_and(|name| !FORMATS.contains(&name)) {
            map.shift_remove("format");
        }
        if map.get("pattern").and_then(Value::as_str).is_none_or(is_beyond_llguidance) {
            map.shift_remove("pattern");
        }
        let listed = map.contains_key("enum") || map.contains_key("const");
        if map.shift_remove("nullable") == Some(Value::Bool(true)) && !listed {
            allow_null(map);
        }
    });
    schema
}

/// Lets a schema have the value null, too; what references point at stays where it is as far as can be.
fn allow_null(map: &mut Map<String, Value>) {
    if let Some(types) = map.get_mut("type") {
        let mut names = super::merge::type_names(types);
        if !names.contains(&"null") {
            names.push("null");
        }
        *types = json!(names);
    } else if let Some(Value::Array(variants)) = map.get_mut("anyOf") {
        variants.push(json!({"type": "null"}));
    } else if ["$ref", "allOf", "oneOf"].iter().any(|key| map.contains_key(*key)) {
        let (definitions, inner): (Map<_, _>, Map<_, _>) =
            std::mem::take(map).into_iter().partition(|(key, _)| key == "$defs" || key == "definitions");
        *map = definitions;
        map.insert("anyOf".to_owned(), json!([inner, {"type": "null"}]));
    }
}
