use serde_json::{Value, json};

use super::bounds::{Bounds, integers};
use super::{ContentType, Format, Grammar, ToolChoice};
use crate::{ErrorKind, ToolDescription, ToolNamespace};

fn tool(name: &str, parameters: Value) -> ToolDescription {
    ToolDescription::new(name, "", parameters)
}

#[track_caller]
fn refused(grammar: &Grammar, why: &str) {
    for error in [grammar.to_lark().unwrap_err(), grammar.to_gbnf().unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Grammar);
        assert_eq!(error.to_string(), why);
    }
}

#[test]
fn a_tool_needs_a_name_that_is_one_word() {
    let named = |name: &str| Grammar::new().functions([tool(name, json!({}))]);
    refused(
        &named("get weather"),
        "the name of a tool must be one word of a header, found ' ' in \"functions.get weather\"",
    );
    refused(
        &named("a<|channel|>"),
        "the name of a tool must be one word of a header, found '<' in \"functions.a<|channel|>\"",
    );
    refused(&named(""), "the name of a tool must not be empty, found \"functions.\"");
    refused(&named("f").functions([tool("f", json!({}))]), "the tool \"functions.f\" is declared twice");
}

#[test]
fn a_required_tool_must_be_there() {
    refused(&Grammar::new().tool_choice(ToolChoice::Required), "a call is required, but there is no tool");
    refused(
        &Grammar::new().functions([tool("f", json!({}))]).tool_choice(ToolChoice::Named("f".to_owned())),
        "a call of \"f\" is required, but there is no such tool",
    );
}

#[test]
fn a_schema_must_be_one() {
    let of = |schema| Grammar::new().response_schema(schema);
    refused(
        &of(json!({"properties": {"a": 3}})),
        "the schema of \"response\" must be an object or a boolean, found 3 (at /properties/a)",
    );
    refused(
        &of(json!({"$ref": "https://example.org/schema"})),
        "the schema of \"response\" refers to \"https://example.org/schema\", which is not in it (at /$ref)",
    );
    refused(
        &of(json!({"anyOf": []})),
        "the schema of \"response\" must have a list that is not empty here, found [] (at /anyOf)",
    );
    for (value, found) in
        [(json!("strng"), "\"strng\""), (json!(["string", 1]), "[\"string\",1]"), (json!([]), "[]")]
    {
        refused(
            &of(json!({"properties": {"a": {"type": value}}})),
            &format!(
                "the schema of \"response\" must have the name of a type, or a list of them, here, found {found} \
                 (at /properties/a/type)"
            ),
        );
    }
}

#[test]
fn gbnf_refuses_a_schema_that_no_value_fits() {
    for schema in [
        json!(false),
        json!({"type": "integer", "minimum": 3, "maximum": 2}),
        json!({"type": "string", "enum": [1, 2]}),
        json!({"type": "object", "properties": {"a": false}, "required": ["a"]}),
        json!({"allOf": [{"type": "string"}, {"type": "integer"}]}),
        json!({"type": "array", "minItems": 2, "maxItems": 1}),
    ] {
        let error = Grammar::new().response_schema(schema).to_gbnf().unwrap_err();
        assert_eq!(error.to_string(), "the schema of \"response\" fits no value (the whole document)");
    }
    let endless = json!({"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}]}}});
    let error = Grammar::new().response_schema(endless).to_gbnf().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the schema of \"response\" refers to itself without a value in between (at /$defs/a/anyOf/0/$ref)"
    );
}

/// Each keyword that a language cannot hold a model to is named, none is passed over.
#[test]
fn notes_name_what_is_not_enforced() {
    let schema = json!({
        "type": "object",
        "properties": {
            "a": {"type": "string", "pattern": "^(?=x)", "format": "color"},
            "b": {"type": "array", "uniqueItems": true, "items": {"type": "number", "multipleOf": 0.5}},
            "c": {"oneOf": [{"type": "string"}, {"type": "null"}], "not": {"const": ""}},
            "d": {"minLength": 2000}
        }
    });
    let grammar = Grammar::new().functions([tool("f", schema)]);
    let notes = |format| {
        let notes = grammar.notes(format).unwrap();
        notes.iter().map(|note| format!("{} {}", note.pointer, note.text)).collect::<Vec<_>>()
    };
    assert_eq!(
        notes(Format::Lark),
        [
            "/properties/a/pattern the pattern \"^(?=x)\" is not enforced",
            "/properties/a/format the format \"color\" is not enforced",
            "/properties/b/uniqueItems `uniqueItems` is not enforced",
            "/properties/c/oneOf `oneOf` is read as `anyOf`",
            "/properties/c/not `not` is not enforced",
        ]
    );
    assert_eq!(
        notes(Format::Gbnf),
        [
            "/properties/a/pattern `pattern` is not enforced",
            "/properties/a/format the format \"color\" is not enforced",
            "/properties/b/uniqueItems `uniqueItems` is not enforced",
            "/properties/b/items/multipleOf `multipleOf` of a number is not enforced",
            "/properties/c/not `not` is not enforced",
            "/properties/c/oneOf `oneOf` is read as `anyOf`",
            "/properties/d no `type`: read as string",
            "/properties/d/minLength `minLength` is enforced up to 999",
        ]
    );
    let gbnf = grammar.to_gbnf().unwrap();
    assert!(
        gbnf.starts_with("# functions.f at /properties/a/pattern: `pattern` is not enforced\n"),
        "{gbnf}"
    );
}

#[test]
fn several_calls_need_stop_tokens_in_gbnf() {
    let grammar = Grammar::new().functions([tool("f", json!({}))]).parallel_calls(true);
    let notes = grammar.notes(Format::Gbnf).unwrap();
    assert_eq!(
        notes[0].to_string(),
        "turn: several calls in a turn need their stop tokens in the grammar: one call is allowed"
    );
    assert!(grammar.notes(Format::Lark).unwrap().is_empty());
    assert!(grammar.stop_tokens_in_gbnf(true).notes(Format::Gbnf).unwrap().is_empty());
}

/// Each bound and each number near it, against a comparison of numbers.
#[test]
fn whole_numbers_keep_their_bounds() {
    let interesting =
        [-1000, -101, -100, -99, -10, -9, -1, 0, 1, 9, 10, 11, 19, 99, 100, 101, 345, 999, 1000];
    let bounds = || interesting.into_iter().map(Some).chain([None]);
    for least in bounds() {
        for greatest in bounds() {
            let Some(gbnf) = integers(Bounds { least, greatest }) else {
                assert!(least > greatest, "{least:?} {greatest:?}");
                continue;
            };
            let regex = as_regex(&gbnf);
            for number in -1100..=1100_i64 {
                let fits = least.is_none_or(|least| number >= least)
                    && greatest.is_none_or(|greatest| number <= greatest);
                assert_eq!(
                    matches(&regex, &number.to_string()),
                    fits,
                    "{number} by {least:?} {greatest:?}: {gbnf}"
                );
            }
        }
    }
}

/// The digits of a grammar as nested alternatives of sequences.
enum Digits {
    Class(u8, u8),
    Group(Vec<Vec<(Digits, usize, Option<usize>)>>),
}

fn as_regex(gbnf: &str) -> Digits {
    fn alternatives(text: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Digits {
        let mut options = vec![Vec::new()];
        while let Some(c) = text.next() {
            let item = match c {
                ' ' => continue,
                '|' => {
                    options.push(Vec::new());
                    continue;
                }
                ')' => break,
                '(' => alternatives(text),
                '"' => {
                    let digit = text.next().unwrap() as u8;
                    text.next();
                    Digits::Class(digit, digit)
                }
                '[' => {
                    let (first, _, last) = (text.next().unwrap(), text.next(), text.next().unwrap());
                    text.next();
                    Digits::Class(first as u8, last as u8)
                }
                c => panic!("unexpected {c:?}"),
            };
            let (mut least, mut most) = (1, Some(1));
            if text.next_if_eq(&'*').is_some() {
                (least, most) = (0, None);
            } else if text.next_if_eq(&'{').is_some() {
                let inside: String = text.by_ref().take_while(|&c| c != '}').collect();
                least = inside.trim_end_matches(',').parse().unwrap();
                most = if inside.ends_with(',') { None } else { Some(least) };
            }
            options.last_mut().unwrap().push((item, least, most));
        }
        Digits::Group(options)
    }
    alternatives(&mut gbnf.chars().peekable())
}

fn matches(digits: &Digits, text: &str) -> bool {
    fn ends(digits: &Digits, text: &[u8]) -> Vec<usize> {
        match digits {
            Digits::Class(first, last) => match text.first() {
                Some(c) if (first..=last).contains(&c) => vec![1],
                _ => Vec::new(),
            },
            Digits::Group(options) => {
                options.iter().flat_map(|sequence| sequence_ends(sequence, text)).collect()
            }
        }
    }
    fn sequence_ends(sequence: &[(Digits, usize, Option<usize>)], text: &[u8]) -> Vec<usize> {
        let mut places = vec![0];
        for (item, least, most) in sequence {
            let mut reached = Vec::new();
            let mut now = places;
            for count in 0..=most.unwrap_or(text.len()) {
                if count >= *least {
                    reached.extend(&now);
                }
                now = now
                    .iter()
                    .flat_map(|&at| ends(item, &text[at..]).into_iter().map(move |end| at + end))
                    .collect();
            }
            places = reached;
        }
        places
    }
    ends(digits, text.as_bytes()).contains(&text.len())
}

fn weather() -> Grammar {
    let parameters = json!({
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "days": {"type": "integer", "minimum": 1, "maximum": 14},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}
        },
        "required": ["city"],
        "additionalProperties": false
    });
    Grammar::new().functions([tool("get_weather", parameters)]).built_in(ToolNamespace::python())
}

#[test]
fn the_grammars_of_a_small_set_of_tools() {
    insta::assert_snapshot!("weather_lark", weather().to_lark().unwrap());
    insta::assert_snapshot!("weather_gbnf", weather().to_gbnf().unwrap());
}

#[test]
fn objects_can_be_closed() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "object", "properties": {"b": {}}}}});
    let open = Grammar::new().response_schema(schema);
    assert!(!open.to_lark().unwrap().contains("additionalProperties"));
    let closed = open.closed_objects(true).to_lark().unwrap();
    assert_eq!(closed.matches(r#""additionalProperties":false"#).count(), 2);
}

#[test]
fn without_content_types_the_call_has_none() {
    let grammar = weather().content_types([]).to_lark().unwrap();
    assert_eq!(grammar, weather().content_types([ContentType::Absent]).to_lark().unwrap());
}
