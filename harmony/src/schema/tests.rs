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
    for _ in 0..2_000 {
        schema = json!({"type": "array", "items": schema});
        default = json!([default]);
    }
    assert_eq!(reference(&schema), format!("any{}", "[]".repeat(super::MAX_DEPTH)));
    let schema = json!({"type": "object", "properties": {"deep": {"default": default}}});
    assert_eq!(reference(&schema), "{\ndeep?: any, // default: …\n}");
}
