//! The smaller commands.

use crate::support::{WEATHER, folder, gptoss};

#[test]
fn tokens_are_encoded_decoded_and_counted() {
    assert_eq!(gptoss(&["tokens", "encode", "-"], "Hello world").exits(0).out, "[13225,2375]\n");
    assert_eq!(gptoss(&["tokens", "count", "-"], "Hello world").exits(0).out, "2\n");
    assert_eq!(gptoss(&["tokens", "decode", "-"], "13225 2375").exits(0).out, "Hello world");
    assert_eq!(gptoss(&["tokens", "count", "-"], "").exits(0).out, "0\n");
}

#[test]
fn a_marker_in_text_is_a_token_only_where_that_is_asked() {
    assert_eq!(gptoss(&["tokens", "encode", "-", "--allow-special"], "<|end|>").exits(0).out, "[200007]\n");
    assert!(!gptoss(&["tokens", "encode", "-"], "<|end|>").exits(0).out.contains("200007"));
}

#[test]
fn bytes_of_half_a_character_are_decoded_as_they_are() {
    let ids = gptoss(&["tokens", "encode", "-"], "\u{1F9FF}").exits(0).json();
    let object = gptoss(&["tokens", "decode", "-", "--json"], format!("[{}]", ids[0])).exits(0).json();
    assert_eq!(object["is_utf8"], false);
}

#[test]
fn all_special_tokens_are_listed() {
    let out = gptoss(&["tokens", "special"], "").exits(0).out;
    assert_eq!(out.lines().count(), 1091);
    assert!(out.contains("\n200006\t<|start|>\n"));
}

#[test]
fn tools_are_rendered() {
    let out = gptoss(&["tools", "render", WEATHER, "--schema-style", "typed"], "").exits(0).out;
    assert!(out.starts_with("# Tools\n\n## functions\n\nnamespace functions {"), "{out}");
    assert!(out.contains("type get_weather = (_: {"), "{out}");
}

#[test]
fn a_call_is_checked_against_its_tool() {
    let check = |call: &str| gptoss(&["tools", "check", "-", "--tools", WEATHER], call);
    let run = check(r#"{"name":"get_weather","arguments":{"location":"Paris"}}"#).exits(0);
    assert_eq!(run.out, "get_weather: fits\n");
    let run = check(r#"{"name":"get_weather","arguments":{"location":7}}"#).exits(1);
    assert_eq!(run.out, "get_weather /location: type: must be a string, found 7\n");
    let run = check(r#"{"name":"get_wether","arguments":{}}"#).exits(1);
    assert!(run.out.contains("unknown-tool") && run.out.contains("functions.get_weather"), "{}", run.out);
    let run = check(r#"{"name":"get_weather","arguments":"{"}"#).exits(1);
    assert!(run.out.contains("json: arguments must be JSON"), "{}", run.out);
    check("[]").exits(0);
    check("7").fails_with("H001");
}

#[test]
fn the_grammar_of_an_answer_is_written() {
    let lark = gptoss(&["grammar", WEATHER], "").exits(0).out;
    assert!(lark.contains("functions.get_weather"), "{lark}");
    let gbnf = gptoss(&["grammar", "--tools", WEATHER, "--format", "gbnf"], "").exits(0).out;
    assert!(gbnf.contains("root ::="), "{gbnf}");
    let schema = folder("grammar").join("schema.json");
    std::fs::write(
        &schema,
        r#"{"type":"object","properties":{"answer":{"const":42}},"required":["answer"]}"#,
    )
    .unwrap();
    let lark = gptoss(&["grammar", "--schema", schema.to_str().unwrap()], "").exits(0).out;
    assert!(lark.contains("42"), "{lark}");
    gptoss(&["grammar", "--tool-choice", "functions.no_such"], "").fails_with("H018");
}

#[test]
fn documents_are_converted_and_losses_are_told() {
    let chat = r#"{"messages":[{"role":"user","content":[{"type":"text","text":"hi"},{"type":"image_url","image_url":{"url":"x"}}]}]}"#;
    let run = gptoss(&["convert", "-", "--from", "chat", "--to", "harmony"], chat).exits(0);
    assert!(run.err.starts_with("warning: C04 at /messages/0/content/1"), "{}", run.err);
    let object =
        gptoss(&["convert", "-", "--from", "chat", "--to", "harmony", "--json"], chat).exits(0).json();
    assert_eq!(object["losses"][0]["code"], "C04");
    gptoss(&["convert", "-", "--from", "chat", "--to", "harmony", "--fail-on-loss"], chat).exits(1);
    gptoss(&["convert", "-", "--to", "xml"], chat).exits(2);
}

#[test]
fn a_conversation_survives_the_way_to_responses_and_back() {
    let there = gptoss(&["convert", WEATHER, "--to", "responses"], "").exits(0).out;
    let back = gptoss(&["convert", "-", "--from", "responses", "--to", "harmony"], &there).exits(0).json();
    let messages = back["messages"].as_array().unwrap();
    assert!(messages.iter().any(|message| message["recipient"] == "functions.get_weather"), "{back}");
}

#[test]
fn the_doctor_finds_everything_in_order() {
    let object = gptoss(&["doctor", "--json"], "").exits(0).json();
    assert_eq!(object["fine"], true, "{object}");
}

#[test]
fn the_demo_fits_a_screen() {
    let out = gptoss(&["demo"], "").exits(0).out;
    assert!(out.lines().count() <= 42, "{out}");
    let widest = out.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(80), "{out}");
    insta::assert_snapshot!(out);
    gptoss(&["demo", "--json"], "").exits(0).json();
}
