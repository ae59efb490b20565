//! What a grammar of a legal answer accepts and where it refuses, judged by llguidance and by a reader of GBNF.

#[path = "grammar/corpus.rs"]
mod corpus;
#[path = "grammar/gbnf.rs"]
mod gbnf;
#[path = "grammar/judge.rs"]
mod judge;
#[path = "grammar/schemas.rs"]
mod schemas;

use corpus::{Case, cases};
use gbnf::{Engine, Gbnf};
use harmony_format::grammar::{Grammar, Reasoning};
use judge::{Lark, Verdict};
use proptest::prelude::*;
use serde_json::Value;

/// Checks all cases: legal turns are accepted to their end, each malformation is refused where it begins.
fn check(judge: impl Fn(&Grammar) -> Box<dyn Fn(&str) -> Verdict>, skip: impl Fn(&str) -> bool) {
    let mut wrong = Vec::new();
    for Case { name, grammar, legal, malformed } in cases() {
        let judge = judge(&grammar);
        for text in legal {
            match judge(&text) {
                Verdict::Complete => {}
                verdict => wrong.push(format!("{name}: {verdict:?}: {text}")),
            }
        }
        for (good, bad) in malformed.iter().filter(|(_, bad)| !skip(bad)) {
            let (verdict, expected) = (judge(&format!("{good}{bad}")), Verdict::refused_after(good, bad));
            if verdict != expected {
                wrong.push(format!("{name}: {verdict:?}, not {expected:?}: {good} then {bad}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn lark_accepts_what_is_legal_and_refuses_the_rest() {
    check(
        |grammar| {
            let lark = Lark::new(grammar);
            Box::new(move |text| lark.judge(text))
        },
        |_| false,
    );
}

#[test]
fn gbnf_with_stop_tokens_accepts_what_is_legal_and_refuses_the_rest() {
    check(
        |grammar| {
            let gbnf = Gbnf::new(&grammar.clone().stop_tokens_in_gbnf(true));
            Box::new(move |text| gbnf.judge(text, Engine::Spelling))
        },
        |_| false,
    );
}

/// As llama.cpp reads a grammar, any token that ends a turn may end it; all else is as strict.
#[test]
fn gbnf_without_stop_tokens_is_as_strict_up_to_them() {
    let ends = ["<|call|>", "<|return|>", "<|endoftext|>"];
    check(
        |grammar| {
            let gbnf = Gbnf::new(&grammar.clone().parallel_calls(false).stop_tokens_in_gbnf(false));
            let stop = Gbnf::new(&grammar.clone().stop_tokens_in_gbnf(true));
            Box::new(move |text| match text.contains("<|call|><|start|>") {
                true => stop.judge(text, Engine::Spelling),
                false => gbnf.judge(text, Engine::LlamaCpp),
            })
        },
        |bad| ends.iter().any(|end| bad.starts_with(end)) || bad.starts_with("<|start|>assistant"),
    );
}

#[test]
fn a_turn_without_its_stop_token_is_not_complete() {
    let (lark, gbnf) = (Lark::new(&Grammar::new()), Gbnf::new(&Grammar::new().stop_tokens_in_gbnf(true)));
    let text = "<|channel|>final<|message|>Hi";
    assert_eq!(lark.judge(text), Verdict::Unfinished);
    assert_eq!(gbnf.judge(text, Engine::Spelling), Verdict::Unfinished);
}

/// A marker that is spelled with ordinary tokens is text: legal in content, illegal in a header.
#[test]
fn a_spelled_marker_is_text() {
    let lark = Lark::new(&Grammar::new());
    let encoding = harmony_format::Encoding::o200k_harmony();
    let marker = |text| encoding.encode(text, harmony_format::AllowedSpecial::All);
    let spelled = encoding.encode_ordinary("<|message|>");
    let header = [marker("<|channel|>final"), spelled.clone()].concat();
    assert_eq!(lark.judge_tokens(&header), Verdict::Refused(2));
    let content = [marker("<|channel|>final<|message|>"), spelled, marker("<|return|>")].concat();
    assert_eq!(lark.judge_tokens(&content), Verdict::Complete);

    // llama.cpp cannot tell a spelled marker from a marker, so that it is legal nowhere in text.
    let gbnf = Gbnf::new(&Grammar::new());
    assert!(gbnf.matches("<|channel|>final<|message|>a <|b c| d|> <||> <|A|> <|e"));
    assert!(!gbnf.matches("<|channel|>final<|message|>a <|b|>"));
    assert!(!gbnf.matches("<|channel|>final<|message|>a <<|reserved_200013|> b"));
}

/// A grammar of nothing but an answer by this schema.
fn answer(schema: Value) -> Grammar {
    Grammar::new().response_schema(schema).reasoning(Reasoning::Forbidden).preambles(false)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 4, ..ProptestConfig::default() })]

    /// A value that fits a schema is legal in both languages, compact and with line breaks.
    #[test]
    fn values_that_fit_are_accepted((schema, value) in schemas::schema_and_value()) {
        let Some(schema) = schemas::whole_schema(schema) else { return Ok(()) };
        prop_assume!(harmony_format::arguments::check(&schema, &value).is_empty());
        let grammar = answer(schema);
        let (lark, gbnf) = (Lark::new(&grammar), Gbnf::new(&grammar));
        for json in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            let turn = format!("<|channel|>final<|message|>{json}<|return|>");
            prop_assert_eq!(lark.judge(&turn), Verdict::Complete, "{}\n{}", json, grammar.to_lark().unwrap());
            let verdict = gbnf.judge(&turn, Engine::LlamaCpp);
            prop_assert_eq!(verdict, Verdict::Complete, "{}\n{}", json, grammar.to_gbnf().unwrap());
        }
    }

    /// A value that does not fit is legal in neither.
    #[test]
    fn values_that_do_not_fit_are_refused(
        (schema, _) in schemas::schema_and_value(),
        (_, value) in schemas::schema_and_value(),
    ) {
        let Some(schema) = schemas::whole_schema(schema) else { return Ok(()) };
        prop_assume!(!harmony_format::arguments::check(&schema, &value).is_empty());
        let grammar = answer(schema);
        let turn = format!("<|channel|>final<|message|>{value}<|return|>");
        prop_assert_ne!(Lark::new(&grammar).judge(&turn), Verdict::Complete);
        let verdict = Gbnf::new(&grammar).judge(&turn, Engine::LlamaCpp);
        prop_assert_ne!(verdict, Verdict::Complete, "{}\n{}", value, grammar.to_gbnf().unwrap());
    }

    /// What the grammar of a schema allows is JSON that fits the schema.
    #[test]
    fn what_is_legal_fits(
        (schema, _) in schemas::schema_and_value(),
        walks in proptest::collection::vec(proptest::collection::vec(any::<u32>(), 300), 8),
    ) {
        let Some(schema) = schemas::whole_schema(schema) else { return Ok(()) };
        let gbnf = Gbnf::new(&answer(schema.clone()));
        for text in walks.iter().filter_map(|choices| gbnf.sample(choices)) {
            let (_, json) = text.split_once("<|message|>").expect("a header");
            let value: Value = match serde_json::from_str(json) {
                // JSON, but too large for a number here.
                Err(error) if error.to_string().contains("out of range") => continue,
                value => value.map_err(|error| TestCaseError::fail(format!("{error}: {json}")))?,
            };
            let misfits = harmony_format::arguments::check(&schema, &value);
            prop_assert!(misfits.is_empty(), "{}\n{:?}\n{}", json, misfits, schema);
        }
    }
}
