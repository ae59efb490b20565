//! What a grammar of a legal answer accepts and where it refuses, judged by llguidance and by a reader of GBNF.

#[path = "grammar/corpus.rs"]
mod corpus;
#[path = "grammar/gbnf.rs"]
mod gbnf;
#[path = "grammar/judge.rs"]
mod judge;

use corpus::{Case, cases};
use gbnf::{Engine, Gbnf};
use harmony_format::grammar::Grammar;
use judge::{Lark, Verdict};

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
