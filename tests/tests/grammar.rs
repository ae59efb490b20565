//! What a grammar of a legal answer accepts and where it refuses, judged by llguidance and by a reader of GBNF.

#[path = "grammar/corpus.rs"]
mod corpus;
#[path = "grammar/judge.rs"]
mod judge;

use corpus::{Case, cases};
use harmony_format::grammar::Grammar;
use judge::{Lark, Verdict};

/// Legal turns are accepted to their end, each malformation is refused where it begins.
#[test]
fn lark_accepts_what_is_legal_and_refuses_the_rest() {
    let mut wrong = Vec::new();
    for Case { name, grammar, legal, malformed } in cases() {
        let lark = Lark::new(&grammar);
        for text in legal {
            match lark.judge(&text) {
                Verdict::Complete => {}
                verdict => wrong.push(format!("{name}: {verdict:?}: {text}")),
            }
        }
        for (good, bad) in malformed {
            let (verdict, expected) =
                (lark.judge(&format!("{good}{bad}")), Verdict::refused_after(&good, &bad));
            if verdict != expected {
                wrong.push(format!("{name}: {verdict:?}, not {expected:?}: {good} then {bad}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_turn_without_its_stop_token_is_not_complete() {
    let lark = Lark::new(&Grammar::new());
    assert_eq!(lark.judge("<|channel|>final<|message|>Hi"), Verdict::Unfinished);
}
