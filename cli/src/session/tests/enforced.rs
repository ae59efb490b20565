//! Models by chance, held to a grammar: every turn is legal.

use harmony_format::grammar::{Grammar, Reasoning, ToolChoice};
use harmony_format::{MessageKind, ParsedMessage, Status, ToolDescription, arguments};
use serde_json::{Value, json};

use super::*;
use crate::session::enforce::Rules;
use crate::session::turn::is_fault;

fn tools() -> Vec<ToolDescription> {
    let of = |name: &str, parameters: Value| ToolDescription::new(name, "", parameters);
    vec![
        of(
            "get_weather",
            json!({
                "type": "object",
                "properties": {
                    "location": {"type": "string", "maxLength": 40},
                    "unit": {"enum": ["celsius", "fahrenheit"]},
                    "days": {"type": "integer", "minimum": 1, "maximum": 14},
                },
                "required": ["location"],
                "additionalProperties": false,
            }),
        ),
        of(
            "plan",
            json!({
                "type": "object",
                "properties": {
                    "steps": {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": 3,
                        "items": {"type": "object", "properties": {"do": {"type": "string"}}, "required": ["do"]},
                    },
                    "dry": {"type": "boolean"},
                },
                "required": ["steps", "dry"],
            }),
        ),
        ToolDescription { name: "now".to_owned(), description: String::new(), parameters: None },
    ]
}

/// Why a turn is not legal.
fn fault(messages: &[ParsedMessage], schema: Option<&Value>) -> Option<String> {
    let last = messages.last()?;
    if let Some(cut) = messages.iter().find(|message| message.status == Status::Incomplete) {
        return Some(format!("cut off: {:?}", cut.message));
    }
    match last.kind() {
        MessageKind::ToolCall(tool) => {
            let Some(declared) = tools().into_iter().find(|declared| declared.name == tool.name()) else {
                return Some(format!("there is no {tool:?}"));
            };
            let schema = declared.parameters.unwrap_or(json!({"type": "object", "maxProperties": 0}));
            misfit(&schema, &last.message.text())
        }
        MessageKind::Final => schema.and_then(|schema| misfit(schema, &last.message.text())),
        kind => Some(format!("ends with {kind:?}")),
    }
}

fn misfit(schema: &Value, text: &str) -> Option<String> {
    match serde_json::from_str(text) {
        Ok(value) => arguments::check(schema, &value).first().map(|misfit| format!("{misfit:?} in {text}")),
        Err(error) => Some(format!("{error} in {text}")),
    }
}

/// The grammars that turns are held to, with the schema of the answer.
fn grammars() -> Vec<(Grammar, Option<Value>)> {
    let answer = json!({
        "type": "object",
        "properties": {
            "sum": {"type": "number"},
            "parts": {"type": "array", "items": {"type": "integer"}, "maxItems": 4},
            "note": {"type": ["string", "null"]},
        },
        "required": ["sum", "parts"],
        "additionalProperties": false,
    });
    let all = Grammar::new().functions(tools()).both_header_orders(true);
    vec![
        (all.clone(), None),
        (all.clone().tool_choice(ToolChoice::Required), None),
        (all.clone().tool_choice(ToolChoice::Named("functions.plan".into())), None),
        (all.reasoning(Reasoning::Required).response_schema(answer.clone()), Some(answer.clone())),
        (Grammar::new().reasoning(Reasoning::Forbidden).response_schema(answer.clone()), Some(answer)),
        (Grammar::new(), None),
    ]
}

/// Runs `count` turns and fails unless all of them are legal.
fn check(encoding: &Encoding, vocab_size: usize, count: u64) {
    let rules = Rules::new(encoding, vocab_size).unwrap();
    let talk = conversation("What is it?");
    let mut session = Session::new(speaker(encoding, vocab_size, 11), 1024).unwrap();
    let mut kinds = std::collections::BTreeMap::new();
    let mut forced = 0;
    for seed in 0..count {
        let all = grammars();
        let (grammar, schema) = &all[seed as usize % all.len()];
        let mut enforcer = rules.enforce(grammar).unwrap();
        let turn = session.answer(&talk, &options(seed, 160), Some(&mut enforcer), &mut |_| Ok(())).unwrap();
        let said = &turn.parsed.messages;
        let other = turn.parsed.diagnostics.iter().find(|note| is_fault(note));
        assert_eq!(other, None, "{seed}: {said:?}");
        assert_eq!(fault(said, schema.as_ref()), None, "{seed}: {said:?}");
        let kind = said.last().map_or("nothing", |last| last.kind().as_str());
        *kinds.entry(kind).or_insert(0) += 1;
        forced += turn.usage.forced;
    }
    assert!(!kinds.contains_key("nothing") && kinds.len() == 2, "{kinds:?}");
    assert!(forced > 3 * count as usize, "headers are given: {forced}");
}

#[test]
fn every_turn_of_a_small_vocabulary_is_legal() {
    let encoding = small_encoding();
    check(&encoding, encoding.vocab_size(), 120);
}

#[test]
fn every_turn_of_the_real_vocabulary_is_legal() {
    check(&Encoding::o200k_harmony(), 201_088, 12);
}

#[test]
fn a_turn_is_brought_to_its_end_with_few_tokens() {
    let encoding = small_encoding();
    let rules = Rules::new(&encoding, encoding.vocab_size()).unwrap();
    let mut session = session(1, 512);
    for (most, seed) in [(40, 1), (60, 2), (90, 3)] {
        let grammar = Grammar::new().functions(tools());
        let mut enforcer = rules.enforce(&grammar).unwrap();
        let turn = session
            .answer(&conversation("Hi"), &options(seed, most), Some(&mut enforcer), &mut |_| Ok(()))
            .unwrap();
        assert_eq!(fault(&turn.parsed.messages, None), None, "{most}: {:?}", turn.parsed.messages);
    }
}

#[test]
fn a_grammar_that_cannot_be_held_to_is_an_error() {
    let encoding = small_encoding();
    let rules = Rules::new(&encoding, encoding.vocab_size()).unwrap();
    let wrong = json!({"type": "integer", "minimum": 5, "maximum": 4});
    let pattern = json!({"type": "string", "pattern": "("});
    for schema in [json!({"type": "wrong"}), wrong.clone(), pattern.clone()] {
        let error = rules.enforce(&Grammar::new().response_schema(schema)).err().unwrap();
        assert_eq!(error.code(), Some("H018"));
    }
    let told = |schema| {
        let schemas = [("functions.right".to_owned(), json!({})), ("functions.wrong".to_owned(), schema)];
        rules.refusal(schemas).unwrap().to_json()["rule"].as_str().unwrap().to_owned()
    };
    let of_one = "output cannot be held to the schema of \"functions.wrong\": ";
    assert_eq!(told(wrong), format!("{of_one}Unsatisfiable schema: minimum (5) is greater than maximum (4)"));
    assert_eq!(told(pattern), format!("{of_one}regex parse error: unclosed group"));
}
