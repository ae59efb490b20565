//! Time grows no faster than the conversation.

#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;

use crate::support::{command, folder};

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

/// The processor time that a run of the program on a file takes: what other programs do meanwhile does not count.
#[track_caller]
fn time(args: &[&str], file: &Path, code: i32) -> Duration {
    let mut command = command(args);
    command.arg(file).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    // The pipe is closed when the program has ended, but the system keeps its record until somebody asks for it.
    std::io::copy(child.stdout.as_mut().unwrap(), &mut std::io::sink()).unwrap();
    let record = std::fs::read_to_string(format!("/proc/{}/schedstat", child.id())).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(code), "{args:?}");
    Duration::from_nanos(record.split(' ').next().unwrap().parse().unwrap())
}

/// Four times the input may take less than eight times as long: linear work takes four times, quadratic sixteen.
#[track_caller]
fn check(name: &str, args: &[&str], code: i32, input: fn(usize) -> String) {
    const TURNS: usize = 400;
    let folder = folder(&format!("scale-{name}"));
    let file = |name: &str, turns: usize| {
        let path = folder.join(name);
        std::fs::write(&path, input(turns)).unwrap();
        path
    };
    let (small, large) = (file("small", TURNS), file("large", 4 * TURNS));
    let times = || {
        // Mending writes the file, so that a second run has nothing to mend.
        file("small", TURNS);
        file("large", 4 * TURNS);
        (time(args, &small, code), time(args, &large, code))
    };
    let all: Vec<_> = (0..4).map(|_| times()).take_while(|(small, large)| *large >= 8 * *small).collect();
    assert!(all.len() < 4, "{args:?} for {TURNS} turns and four times as many: {all:?}");
}

#[test]
fn rules_and_fixes() {
    check("lint", &["lint"], 1, conversation);
    check("json", &["lint", "--json"], 1, conversation);
    check("fix", &["lint", "--fix"], 1, conversation);
    check("transcript", &["lint", "--from", "transcript"], 1, transcript);
}

#[test]
fn pages() {
    check("view", &["view", "--html", "-"], 0, conversation);
    check("view-transcript", &["view", "--html", "-"], 0, transcript);
}
