//! Each keyword with a value that fits and one that does not.

use serde_json::{Value, json};

use super::{LONGEST, check as misfits, locate, number, show};

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "cases are written with `json!`")]
fn check(schema: Value, value: Value, expected: &[&str]) {
    let found: Vec<_> = misfits(&schema, &value)
        .iter()
        .map(|misfit| format!("{} [{}] {}", misfit.pointer, misfit.rule, misfit.text))
        .collect();
    assert_eq!(found, expected, "{schema} with {value}");
}

#[test]
fn a_type_is_named_with_what_was_found() {
    check(json!({"type": "integer"}), json!(1.0), &[]);
    check(json!({"type": "integer"}), json!(1.5), &[" [type] must be an integer, found 1.5"]);
    check(
        json!({"type": ["string", "null"]}),
        json!(true),
        &[" [type] must be a string or null, found true"],
    );
    check(json!({"type": "string", "nullable": true}), json!(null), &[]);
    check(json!({"type": "str"}), json!(3), &[]);
}

#[test]
fn enum_and_const_compare_by_value() {
    check(json!({"enum": [1, "a"]}), json!(1.0), &[]);
    check(
        json!({"enum": ["c", "f"]}),
        json!("kelvin"),
        &[" [enum] must be one of \"c\", \"f\", found \"kelvin\""],
    );
    check(json!({"const": {"a": 1, "b": 2}}), json!({"b": 2.0, "a": 1}), &[]);
    check(json!({"const": 1}), json!(true), &[" [const] must be 1, found true"]);
}

#[test]
fn an_object_misses_properties_or_has_too_many() {
    let schema = json!({
        "type": "object",
        "properties": {"city": {"type": "string"}, "a/b": {"type": "number"}},
        "required": ["city"],
        "additionalProperties": false
    });
    check(schema.clone(), json!({"city": "Paris"}), &[]);
    check(schema.clone(), json!({}), &[" [required] must have the property \"city\""]);
    check(
        schema,
        json!({"city": 1, "a/b": "x", "t": 0}),
        &[
            "/city [type] must be a string, found 1",
            "/a~1b [type] must be a number, found \"x\"",
            "/t [additionalProperties] must not be there, the properties are \"city\", \"a/b\"",
        ],
    );
    check(
        json!({"dependentRequired": {"a": ["b"]}, "minProperties": 2, "propertyNames": {"maxLength": 1}}),
        json!({"a": 1}),
        &[
            " [dependentRequired] must have the property \"b\", because it has \"a\"",
            " [minProperties] must have 2 or more properties, found 1",
        ],
    );
    check(
        json!({"additionalProperties": {"type": "string"}}),
        json!({"a": 1}),
        &["/a [type] must be a string, found 1"],
    );
}

#[test]
fn a_pattern_may_allow_what_additional_properties_forbid() {
    check(json!({"patternProperties": {"^x-": {}}, "additionalProperties": false}), json!({"x-a": 1}), &[]);
}

#[test]
fn arrays_are_checked_item_by_item() {
    check(
        json!({"prefixItems": [{"type": "string"}], "items": {"type": "number"}, "maxItems": 2}),
        json!([1, 2, "x"]),
        &[
            " [maxItems] must have 2 or fewer items, found 3",
            "/0 [type] must be a string, found 1",
            "/2 [type] must be a number, found \"x\"",
        ],
    );
    check(
        json!({"uniqueItems": true}),
        json!([1, 2, 1.0]),
        &[" [uniqueItems] must have no item twice, items 0 and 2 are equal"],
    );
}

#[test]
fn numbers_and_lengths_have_bounds() {
    check(json!({"minimum": 0, "maximum": 10}), json!(10), &[]);
    check(
        json!({"exclusiveMaximum": 10}),
        json!(10.0),
        &[" [exclusiveMaximum] must be less than 10, found 10.0"],
    );
    check(json!({"minimum": 0}), json!(-0.0), &[]);
    check(json!({"multipleOf": 0.1}), json!(0.3), &[]);
    check(json!({"multipleOf": 2}), json!(3), &[" [multipleOf] must be a multiple of 2, found 3"]);
    check(json!({"maxLength": 2}), json!("né"), &[]);
    check(json!({"minLength": 3}), json!("né"), &[" [minLength] must have 3 or more characters, found 2"]);
    check(json!({"minimum": 18_446_744_073_709_551_615_u64}), json!(18_446_744_073_709_551_615_u64), &[]);
}

#[test]
fn of_several_alternatives_the_closest_is_named() {
    let schema = json!({"anyOf": [
        {"type": "null"},
        {"type": "object", "properties": {"city": {"type": "string"}}}
    ]});
    check(schema.clone(), json!(null), &[]);
    check(
        schema,
        json!({"city": 1}),
        &[" [anyOf] must fit one of 2 alternatives; the closest: /city must be a string, found 1"],
    );
    check(
        json!({"oneOf": [{"type": "number"}, {"type": "integer"}]}),
        json!(1),
        &[" [oneOf] must fit exactly one of 2 alternatives, fits 2"],
    );
    check(
        json!({"not": {"type": "null"}}),
        json!(null),
        &[" [not] must not be what the schema excludes, found null"],
    );
    check(
        json!({"if": {"type": "string"}, "then": {"minLength": 1}, "else": false}),
        json!(""),
        &[" [minLength] must have 1 or more characters, found 0"],
    );
}

#[test]
fn a_reference_is_followed_and_may_be_recursive() {
    let schema = json!({
        "$defs": {"no de": {"type": "object", "properties": {"next": {"$ref": "#/$defs/no%20de"}}}},
        "$ref": "#/$defs/no%20de"
    });
    check(schema.clone(), json!({"next": {"next": {}}}), &[]);
    check(schema, json!({"next": {"next": 1}}), &["/next/next [type] must be an object, found 1"]);
    check(json!({"$ref": "#"}), json!(1), &[]);
    check(json!({"$ref": "https://example.com/other.json"}), json!(1), &[]);
}

#[test]
fn references_that_multiply_end() {
    let any: Vec<_> = (0..12).map(|n| json!({"$ref": format!("#/$defs/d{n}")})).collect();
    let definitions: serde_json::Map<_, _> =
        (0..12).map(|n| (format!("d{n}"), json!({"allOf": any}))).collect();
    check(json!({"$defs": definitions, "$ref": "#/$defs/d0"}), json!(1), &[]);
}

#[test]
fn a_value_is_found_in_its_text() {
    let text = r#" {"a": [1, {"b/c": "x"}], "a~": null }"#;
    let at = |pointer| locate(text, pointer).map(|range| &text[range]);
    assert_eq!(at("/a/1/b~1c"), Some("\"x\""));
    assert_eq!(at("/a~0"), Some("null"));
    assert_eq!(at("").map(str::len), Some(text.len() - 1));
    assert_eq!(at("/a/2"), None);
    assert_eq!(at("a"), None);
    assert_eq!(locate("{", ""), None);
}

#[test]
fn the_beginning_of_a_value_is_shown() {
    let long = "é".repeat(100);
    for value in
        [json!([1, "a\n\"b", {"c": null, "d": [[], {}]}, true, 1.5]), json!(long), json!([long, {"k": long}])]
    {
        let whole = value.to_string();
        let shown = show(&value);
        match shown.strip_suffix('…') {
            Some(beginning) => {
                assert!(whole.starts_with(beginning));
                assert_eq!(beginning.chars().count(), LONGEST);
            }
            None => assert_eq!(shown, whole),
        }
    }
}

#[test]
fn items_are_equal_by_value() {
    let check = |items: Value, expected| {
        assert_eq!(number::first_equal(items.as_array().unwrap()), expected, "{items}");
    };
    check(json!([1, "1", true, null, [], {}]), None);
    check(json!([1, 2, 1.0]), Some((0, 2)));
    check(json!([{"a": 1, "b": [0.0]}, {"b": [-0.0], "a": 1.0}]), Some((0, 1)));
    check(json!([3, 2, 2, 3]), Some((1, 2)));
}
