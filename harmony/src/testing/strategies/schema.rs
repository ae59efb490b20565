//! JSON values and schemas.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Number, Value, json};

use super::{names, texts};

/// Any JSON, numbers of every size included.
pub fn json_values() -> impl Strategy<Value = Value> {
    let number = prop_oneof![
        any::<i64>().prop_map(Number::from),
        any::<u64>().prop_map(Number::from),
        (-9..99i64).prop_map(Number::from),
        any::<f64>().prop_filter_map("JSON has no such number", Number::from_f64),
        select(vec![0.0, -0.0, 1.0, 0.1, 1e5, 1e-5, 1e-7, 1e15, 1e16, 1e21, 2.5e-300])
            .prop_filter_map("JSON has no such number", Number::from_f64),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        number.prop_map(Value::Number),
        texts().prop_map(Value::String),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::Array),
            vec((texts(), inner), 0..3).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// JSON Schemas, sensible ones and such as no one should write.
pub fn schemas() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        6 => annotated(types()),
        1 => json_values(),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            5 => annotated(object(inner.clone())),
            2 => annotated(array(inner.clone())),
            2 => annotated(one_of("oneOf", inner.clone())),
            1 => annotated(one_of("anyOf", inner.clone())),
            1 => annotated(one_of("allOf", inner.clone())),
            1 => annotated(Just(vec![("$ref".to_owned(), json!("#/properties/a"))])),
        ]
    })
}

type Fields = Vec<(String, Value)>;

/// Adds keywords that any schema may have, in any order.
fn annotated(fields: impl Strategy<Value = Fields> + 'static) -> impl Strategy<Value = Value> {
    let text = || texts().prop_map(Value::String);
    let field = |keyword: &'static str, value: BoxedStrategy<Value>| {
        value.prop_map(move |value| (keyword.to_owned(), value)).boxed()
    };
    let extra = prop_oneof![
        4 => field("description", text().boxed()),
        2 => field("title", text().boxed()),
        3 => field("default", json_values().boxed()),
        2 => field("nullable", any::<bool>().prop_map(Value::Bool).boxed()),
        2 => field("examples", vec(json_values(), 0..3).prop_map(Value::Array).boxed()),
        2 => field("enum", vec(json_values(), 0..3).prop_map(Value::Array).boxed()),
        1 => field("const", json_values().boxed()),
        1 => field("oneOf", json_values().boxed()),
        1 => (select(&KEYWORDS[..]), json_values())
            .prop_map(|(keyword, value)| (keyword.to_owned(), value))
            .boxed(),
    ];
    (fields, vec(extra, 0..4)).prop_flat_map(|(mut fields, extra)| {
        fields.extend(extra);
        Just(fields).prop_shuffle().prop_map(|fields| Value::Object(fields.into_iter().collect()))
    })
}

const KEYWORDS: [&str; 14] = [
    "type",
    "items",
    "properties",
    "required",
    "additionalProperties",
    "description",
    "title",
    "examples",
    "nullable",
    "enum",
    "oneOf",
    "format",
    "minimum",
    "$defs",
];

fn types() -> impl Strategy<Value = Fields> {
    let name =
        || select(vec!["string", "number", "integer", "boolean", "null", "array", "object", "any", ""]);
    let own = prop_oneof![
        6 => name().prop_map(|name| json!(name)),
        2 => vec(name(), 0..4).prop_map(|names| json!(names)),
        1 => json_values(),
    ];
    let values = vec(texts(), 0..4).prop_map(|values| json!(values));
    (own, of(values)).prop_map(|(own, values)| {
        let mut fields = vec![("type".to_owned(), own)];
        fields.extend(values.map(|values| ("enum".to_owned(), values)));
        fields
    })
}

fn object(inner: BoxedStrategy<Value>) -> impl Strategy<Value = Fields> {
    let key = || prop_oneof![3 => "[a-e]", 2 => names(), 1 => texts()];
    let required = prop_oneof![4 => vec(key(), 0..4).prop_map(|keys| json!(keys)), 1 => json_values()];
    (vec((key(), inner), 0..5), of(required)).prop_map(|(properties, required)| {
        let properties: Map<String, Value> = properties.into_iter().collect();
        let mut fields =
            vec![("type".to_owned(), json!("object")), ("properties".to_owned(), Value::Object(properties))];
        fields.extend(required.map(|required| ("required".to_owned(), required)));
        fields
    })
}

fn array(inner: BoxedStrategy<Value>) -> impl Strategy<Value = Fields> {
    of(inner).prop_map(|items| {
        let mut fields = vec![("type".to_owned(), json!("array"))];
        fields.extend(items.map(|items| ("items".to_owned(), items)));
        fields
    })
}

fn one_of(keyword: &'static str, inner: BoxedStrategy<Value>) -> impl Strategy<Value = Fields> {
    vec(inner, 0..4).prop_map(move |variants| vec![(keyword.to_owned(), Value::Array(variants))])
}
