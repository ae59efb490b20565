//! Schemas with values that fit them.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// A schema and a value that fits it, properties in the order of the schema.
pub(crate) fn schema_and_value() -> impl Strategy<Value = (Value, Value)> {
    let leaf = prop_oneof![
        text(),
        whole(),
        number(),
        listed(),
        Just((json!({"type": "null"}), Value::Null)),
        flag()
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            3 => object(inner.clone()),
            2 => array(inner.clone()),
            1 => union(inner.clone()),
            1 => nullable(inner.clone()),
            1 => reference(inner),
        ]
    })
}

fn flag() -> impl Strategy<Value = (Value, Value)> {
    any::<bool>().prop_map(|flag| (json!({"type": "boolean"}), json!(flag)))
}

/// Text that spells no special token and has not both `<` and `|`, which some grammars must see escaped.
fn plain() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[ -~]{0,12}", "[a-zé\"\\\\/\n\u{1f30d}]{0,8}"]
        .prop_map(|text| if text.contains('<') { text.replace('|', "/") } else { text })
}

fn text() -> impl Strategy<Value = (Value, Value)> {
    (plain(), 0..3_usize, 0..3_usize, any::<[bool; 2]>()).prop_map(|(text, less, more, [low, high])| {
        let length = text.chars().count();
        let mut schema = Map::from_iter([("type".to_owned(), json!("string"))]);
        if low {
            schema.insert("minLength".to_owned(), json!(length.saturating_sub(less)));
        }
        if high {
            schema.insert("maxLength".to_owned(), json!(length + more));
        }
        (Value::Object(schema), json!(text))
    })
}

fn whole() -> impl Strategy<Value = (Value, Value)> {
    let value = prop_oneof![-12..12_i64, -2000..2000_i64, -1_000_000_000..1_000_000_000_i64];
    (value, 0..1200_i64, 0..1200_i64, any::<[bool; 4]>()).prop_map(
        |(value, less, more, [low, high, from, to])| {
            let mut schema = Map::from_iter([("type".to_owned(), json!("integer"))]);
            match (low, from) {
                (true, false) => schema.insert("minimum".to_owned(), json!(value - less)),
                (true, true) => schema.insert("exclusiveMinimum".to_owned(), json!(value - less - 1)),
                _ => None,
            };
            match (high, to) {
                (true, false) => schema.insert("maximum".to_owned(), json!(value + more)),
                (true, true) => schema.insert("exclusiveMaximum".to_owned(), json!(value + more + 1)),
                _ => None,
            };
            (Value::Object(schema), json!(value))
        },
    )
}

fn number() -> impl Strategy<Value = (Value, Value)> {
    let value = prop_oneof![proptest::num::f64::NORMAL, -100.0..100.0, (-5..5_i32).prop_map(f64::from)];
    // llguidance reads no exponent where there is a bound.
    value.prop_map(|value| match (1e-4..1e9).contains(&value) {
        true => (json!({"type": "number", "minimum": 0}), json!(value)),
        false => (json!({"type": "number"}), json!(value)),
    })
}

fn listed() -> impl Strategy<Value = (Value, Value)> {
    let value = prop_oneof![
        "[a-zé \"\\\\]{0,6}".prop_map(Value::from),
        (-50..50_i32).prop_map(Value::from),
        Just(json!(true)),
        Just(json!(null)),
        Just(json!({"a": [1, {}], "b": []})),
    ];
    (proptest::collection::vec(value, 1..4), any::<proptest::sample::Index>(), any::<bool>()).prop_map(
        |(values, index, is_const)| {
            let value = index.get(&values).clone();
            match is_const {
                true => (json!({"const": value}), value),
                false => (json!({"enum": values}), value),
            }
        },
    )
}

fn object(
    inner: impl Strategy<Value = (Value, Value)> + Clone + 'static,
) -> impl Strategy<Value = (Value, Value)> {
    let name = prop_oneof!["[a-c]{1,3}", "[a-z_$ é\"-]{0,4}"];
    let extra = prop_oneof![Just(None), Just(Some(json!(false))), Just(Some(json!(true)))];
    let property = (inner.clone(), any::<bool>(), any::<bool>());
    (
        proptest::collection::btree_map(name, property, 0..5).prop_map(Vec::from_iter).prop_shuffle(),
        extra,
        proptest::collection::btree_map("[a-d]{1,4}", inner, 0..3),
    )
        .prop_map(|(properties, additional, extra)| {
            let (mut listed, mut required, mut value) = (Map::new(), Vec::new(), Map::new());
            for (name, ((schema, fits), is_required, is_there)) in properties {
                listed.insert(name.clone(), schema);
                if is_required {
                    required.push(name.clone());
                }
                if is_required || is_there {
                    value.insert(name, fits);
                }
            }
            if additional != Some(json!(false)) {
                for (name, (_, anything)) in extra {
                    if !listed.contains_key(&name) {
                        value.insert(name, anything);
                    }
                }
            }
            let mut schema = Map::from_iter([
                ("type".to_owned(), json!("object")),
                ("properties".to_owned(), Value::Object(listed)),
                ("required".to_owned(), json!(required)),
            ]);
            if let Some(additional) = additional {
                schema.insert("additionalProperties".to_owned(), additional);
            }
            (Value::Object(schema), Value::Object(value))
        })
}

fn array(
    inner: impl Strategy<Value = (Value, Value)> + Clone + 'static,
) -> impl Strategy<Value = (Value, Value)> {
    let places = proptest::collection::vec(inner.clone(), 0..3);
    (places, inner, 0..4_usize, 0..3_usize, any::<[bool; 3]>()).prop_map(
        |(places, (item, value), count, around, [low, high, closed])| {
            let (prefix, mut values): (Vec<_>, Vec<_>) = places.into_iter().unzip();
            let mut schema = Map::from_iter([("type".to_owned(), json!("array"))]);
            if closed && !prefix.is_empty() {
                schema.insert("items".to_owned(), json!(false));
            } else {
                schema.insert("items".to_owned(), item);
                values.extend(std::iter::repeat_n(value, count));
            }
            if !prefix.is_empty() {
                schema.insert("prefixItems".to_owned(), json!(prefix));
            }
            if low {
                schema.insert("minItems".to_owned(), json!(values.len().saturating_sub(around)));
            }
            if high {
                schema.insert("maxItems".to_owned(), json!(values.len() + around));
            }
            (Value::Object(schema), json!(values))
        },
    )
}

fn union(
    inner: impl Strategy<Value = (Value, Value)> + Clone + 'static,
) -> impl Strategy<Value = (Value, Value)> {
    (proptest::collection::vec(inner, 1..4), any::<proptest::sample::Index>()).prop_map(
        |(variants, index)| {
            let value = index.get(&variants).1.clone();
            let schemas: Vec<_> = variants.into_iter().map(|(schema, _)| schema).collect();
            (json!({"anyOf": schemas}), value)
        },
    )
}

fn nullable(
    inner: impl Strategy<Value = (Value, Value)> + Clone + 'static,
) -> impl Strategy<Value = (Value, Value)> {
    (inner, any::<bool>()).prop_map(|((mut schema, value), is_null)| match schema.as_object_mut() {
        Some(map) if map.contains_key("type") => {
            map.insert("nullable".to_owned(), json!(true));
            (schema, if is_null { Value::Null } else { value })
        }
        _ => (schema, value),
    })
}

/// A list of values, its rest by reference to the whole.
fn reference(
    inner: impl Strategy<Value = (Value, Value)> + Clone + 'static,
) -> impl Strategy<Value = (Value, Value)> {
    (inner, 0..4_usize).prop_map(|((schema, value), length)| {
        let list = json!({
            "type": "object",
            "properties": {"head": schema, "tail": {"$ref": "#/$defs/list"}},
            "required": ["head"],
            "additionalProperties": false
        });
        let value = (0..length).fold(json!({"head": value}), |tail, _| json!({"head": value, "tail": tail}));
        (list, value)
    })
}

/// Gives the schema the definition that references in it name; inner ones refer to the first list.
pub(crate) fn whole_schema(schema: Value) -> Option<Value> {
    fn lists<'a>(schema: &'a Value, found: &mut Vec<&'a Value>) {
        match schema {
            Value::Object(map) => {
                if map.get("properties").and_then(|properties| properties.pointer("/tail/$ref")).is_some() {
                    found.push(schema);
                }
                map.values().for_each(|value| lists(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| lists(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    lists(&schema, &mut found);
    match found[..] {
        [] => Some(schema),
        [list] => {
            let definitions = json!({"list": list});
            let mut schema = schema;
            schema.as_object_mut()?.insert("$defs".to_owned(), definitions);
            Some(schema)
        }
        _ => None,
    }
}
