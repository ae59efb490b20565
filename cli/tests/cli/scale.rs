//! Time grows no faster than the conversation.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::gptoss;

/// A conversation with results that `lint --fix` mends.
fn conversation(turns: usize) -> String {
    let turn = |index: usize| {
        [
            json!({"role": "user", "content": format!("Question {index}")}),
            json!({"role": "assistant", "channel": "analysis", "content": "I ask the tool."}),
            json!({
                "role": "assistant", "channel": "commentary", "recipient": "functions.f",
                "content_type": "<|constrain|>json", "content": "{}"
            }),
            json!({"role": "tool", "name": "functions.f", "channel": "commentary", "content": "4"}),
            json!({"role": "assistant", "channel": "final", "content": "4"}),
        ]
    };
    json!({"messages": (0..turns).flat_map(turn).collect::<Vec<_>>()}).to_string()
}

/// A transcript with a repair in each turn.
fn transcript(turns: usize) -> String {
    "<|start|>assistant<|channel|>final<|message|>4<|return|><|return|>".repeat(turns)
}

/// Four times the input may take less than eight times as long: linear work takes four times, quadratic sixteen.
#[track_caller]
fn check(args: &[&str], code: i32, input: fn(usize) -> String) {
    const TURNS: usize = 400;
    let time = |input: &str| -> Duration {
        let runs = (0..2).map(|_| {
            let start = Instant::now();
            gptoss(args, input).exits(code);
            start.elapsed()
        });
        runs.min().unwrap_or_default()
    };
    let (small, large) = (input(TURNS), input(4 * TURNS));
    // Another program may have the processor for a while; it does not have it each time.
    let is_linear = (0..4).any(|_| time(&large) < 8 * time(&small));
    assert!(
        is_linear,
        "{args:?}: {:?} for {TURNS} turns, {:?} for four times as many",
        time(&small),
        time(&large)
    );
}

#[test]
fn rules_and_fixes() {
    check(&["lint", "-"], 1, conversation);
    check(&["lint", "--json", "-"], 1, conversation);
    check(&["lint", "--fix", "-"], 0, conversation);
    check(&["lint", "--from", "transcript", "-"], 1, transcript);
}

#[test]
fn pages() {
    check(&["view", "-", "--html", "-"], 0, conversation);
    check(&["view", "-", "--html", "-"], 0, transcript);
}
