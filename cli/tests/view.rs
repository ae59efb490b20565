//! `gptoss view` as a process: what it takes, and what it shows.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::process::{Command, Output, Stdio};

fn view(arguments: &[&str], input: &str) -> Output {
    let mut process = Command::new(env!("CARGO_BIN_EXE_gptoss"))
        .args(["view", "-", "--color", "never"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    process.wait_with_output().unwrap()
}

#[track_caller]
fn shown(arguments: &[&str], input: &str) -> String {
    let output = view(arguments, input);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn conversations_transcripts_and_ids_look_alike() {
    let text = "assistant · final\n  4\n";
    assert_eq!(shown(&[], r#"{"messages":[{"role":"assistant","channel":"final","content":"4"}]}"#), text);
    assert_eq!(shown(&[], "<|channel|>final<|message|>4<|return|>\n"), text);
    assert_eq!(shown(&[], "<|start|>assistant<|channel|>final<|message|>4<|end|>"), text);
    assert_eq!(shown(&[], "[200005, 17196, 200008, 19, 200002]"), text);
    assert_eq!(
        shown(&[], r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#).lines().last(),
        Some("  hi")
    );
}

#[test]
fn no_token_is_left_out() {
    let text = shown(&[], "<|channel|>final<|message|>4<|end|><|return|>");
    assert!(text.contains("R01 stray-stop"), "{text}");
    assert!(text.contains("<|return|>"), "{text}");
}

#[test]
fn what_the_next_prompt_leaves_out_is_marked() {
    let conversation = r#"{"messages":[
        {"role":"assistant","channel":"analysis","content":"hm"},
        {"role":"assistant","channel":"final","content":"4"}]}"#;
    let text = shown(&[], conversation);
    assert!(
        text.starts_with("assistant · analysis · left out of the next prompt, message 1 is final\n"),
        "{text}"
    );
}

#[test]
fn content_cannot_steer_the_terminal() {
    let text = shown(&[], "{\"messages\":[{\"role\":\"user\",\"content\":\"\\u001b[2J\\u009b31m\\u202e\"}]}");
    assert!(!text.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{text:?}");
}

#[test]
fn a_page_goes_to_standard_output_too() {
    let page = shown(&["--html", "-"], "<|channel|>final<|message|><img onerror=alert(1)><|return|>");
    assert!(page.starts_with("<!doctype html>"), "{page}");
    assert!(page.contains("&lt;img onerror=alert(1)&gt;"));
    assert!(!page.contains("<img"));
}
