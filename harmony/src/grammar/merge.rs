//! Schemas that hold at the same time, made one.

use serde_json::{Map, Value, json};

/// Both schemas at once, as well as one schema can say it; what it cannot say goes to `lost`.
pub(super) fn both(a: &Value, b: &Value, lost: &mut Vec<&'static str>) -> Value {
    match (a, b) {
        (Value::Bool(true), other) | (other, Value::Bool(true)) => other.clone(),
        (Value::Object(a), Value::Object(b)) => {
            let mut merged = a.clone();
            open_and_closed(a, b, lost);
            for (key, value) in b {
                match merged.get(key) {
                    None => {
                        merged.insert(key.clone(), value.clone());
                    }
                    Some(have) if have == value => {}
                    Some(have) => match one(key, have, value, lost) {
                        Some(value) => {
                            merged.insert(key.clone(), value);
                        }
                        None => return Value::Bool(false),
                    },
                }
            }
            Value::Object(merged)
        }
        _ => Value::Bool(false),
    }
}

/// A closed object does not know the properties that the other schema lists.
fn open_and_closed(a: &Map<String, Value>, b: &Map<String, Value>, lost: &mut Vec<&'static str>) {
    let adds = |map: &Map<String, Value>| map.get("properties").is_some();
    let closed = |map: &Map<String, Value>| map.get("additionalProperties") == Some(&Value::Bool(false));
    if closed(a) && adds(b) || closed(b) && adds(a) {
        lost.push("`additionalProperties` is read over the `properties` of all of `allOf` together");
    }
}

/// One keyword that both schemas have; none if nothing fits both.
fn one(key: &str, a: &Value, b: &Value, lost: &mut Vec<&'static str>) -> Option<Value> {
    Some(match key {
        "properties" | "$defs" | "definitions" => {
            let mut merged = a.as_object()?.clone();
            for (name, schema) in b.as_object()? {
                let schema = match merged.get(name) {
                    Some(have) if have != schema => json!({"allOf": [have, schema]}),
                    _ => schema.clone(),
                };
                merged.insert(name.clone(), schema);
            }
            Value::Object(merged)
        }
        "required" => {
            let mut names = a.as_array()?.clone();
            names.extend(
                b.as_array()?.iter().filter(|name| !names.contains(name)).cloned().collect::<Vec<_>>(),
            );
            Value::Array(names)
        }
        "type" => types(a, b)?,
        "enum" => {
            let (a, b) = (a.as_array()?, b.as_array()?);
            let common: Vec<Value> = a.iter().filter(|value| b.contains(value)).cloned().collect();
            if common.is_empty() {
                return None;
            }
            Value::Array(common)
        }
        "const" => return None,
        "minimum" | "exclusiveMinimum" | "minLength" | "minItems" | "minProperties" => {
            if a.as_f64()? >= b.as_f64()? { a.clone() } else { b.clone() }
        }
        "maximum" | "exclusiveMaximum" | "maxLength" | "maxItems" | "maxProperties" => {
            if a.as_f64()? <= b.as_f64()? { a.clone() } else { b.clone() }
        }
        "items" | "additionalProperties" | "additionalItems" => json!({"allOf": [a, b]}),
        "nullable" => Value::Bool(false),
        "title" | "description" | "default" | "examples" | "$comment" | "$id" | "$schema" => a.clone(),
        "anyOf" | "oneOf" => {
            lost.push("of several `anyOf` or `oneOf` that hold at once only the first is enforced");
            a.clone()
        }
        _ => {
            lost.push("of a keyword that several schemas of `allOf` have only the first is enforced");
            a.clone()
        }
    })
}

/// The names in a `type`.
pub(super) fn type_names(value: &Value) -> Vec<&str> {
    match value {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn types(a: &Value, b: &Value) -> Option<Value> {
    let (a, b) = (type_names(a), type_names(b));
    let common = |name: &&str, others: &[&str]| {
        others.contains(name) || *name == "integer" && others.contains(&"number")
    };
    let mut names: Vec<&str> = a.iter().copied().filter(|name| common(name, &b)).collect();
    for name in b.iter().copied().filter(|name| common(name, &a)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() { None } else { Some(json!(names)) }
}
