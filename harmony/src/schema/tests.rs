use serde_json::{Value, json};

use super::typescript;
use crate::SchemaStyle;

fn reference(schema: &Value) -> String {
    typescript(schema, SchemaStyle::Reference)
}

#[test]
fn an_object_is_written_with_the_oddities_of_the_official_library() {
    let schema = json!({"type": "object", "description": "top", "properties": {
        "o": {"type": "object", "description": "odesc", "properties": {
            "p": {"type": "object", "description": "qd", "properties": {"q": {"type": "string", "description": "qd"}}, "required": ["q"]}
        }},
        "arr": {"type": "array", "items": {"type": "object", "description": "item desc", "properties": {"z": {"type": "integer", "default": 3}}}},
        "arr2": {"type": "array", "items": {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}}},
        "arrone": {"type": "array", "items": {"oneOf": [{"type": "string"}, {"type": "number"}]}},
        "either": {"oneOf": [{"type": "string", "default": "text"}, {"type": "number", "description": "numbers too"}]}
    }});
    assert_eq!(
        reference(&schema),
        "// top\n{\n// odesc\no?:     // odesc\n{\n    // qd\n    p?:         // qd\n{\n        // qd\n        q: string,\n        },\n    },\n\
         arr?:     // item desc\n{\n    z?: number, // default: 3\n    }[],\n\
         arr2?: \"a\" | \"b\"[][],\n\
         arrone?: \n     | string\n     | number[],\n\
         either?:\n | string // default: \"text\"\n | number // numbers too\n,\n}"
    );
}

#[test]
fn a_schema_nested_without_end_does_not_exhaust_the_stack() {
    let mut schema = json!({"type": "string"});
    let mut default = json!([]);
    for _ in 0..600 {
        schema = json!({"type": "array", "items": schema});
        default = json!([default]);
    }
    assert_eq!(reference(&schema), format!("any{}", "[]".repeat(super::MAX_DEPTH)));
    let schema = json!({"type": "object", "properties": {"deep": {"default": default}}});
    assert_eq!(reference(&schema), "{\ndeep?: any, // default: …\n}");
}

/// Each level names the next one twice, so that following every reference would take 2^40 steps.
#[test]
fn references_that_multiply_come_to_an_end() {
    let mut definitions = json!({"n40": {"type": "string"}});
    for n in 0..40 {
        let next = json!({"$ref": format!("#/$defs/n{}", n + 1)});
        definitions[format!("n{n}")] = json!({"type": "object", "properties": {"a": next, "b": next}});
    }
    let schema = json!({"$ref": "#/$defs/n0", "$defs": definitions});
    let text = typescript(&schema, SchemaStyle::Typed);
    assert!(text.contains("any /* not shown */"));
    assert!(text.len() < 4_000_000, "{} bytes", text.len());
}

#[test]
fn the_typed_style_ends_where_schemas_are_nested_too_deep() {
    let mut schema = json!({"type": "string"});
    for _ in 0..600 {
        schema = json!({"type": "array", "items": schema});
    }
    assert!(typescript(&schema, SchemaStyle::Typed).starts_with("any /* not shown */[][]"));
    assert_eq!(super::losses(&schema), []);
}

#[test]
fn a_schema_without_keywords_is_any() {
    for schema in [json!({}), json!(true), json!("string"), json!(null), json!([])] {
        assert_eq!(typescript(&schema, SchemaStyle::Typed), "any", "{schema}");
        assert_eq!(super::losses(&schema), [], "{schema}");
    }
}
