//! `gptoss render`.

use crate::support::{WEATHER, gptoss};

const ANSWERED: &str = r#"{"messages":[
    {"role":"user","content":"2+2?"},
    {"role":"assistant","channel":"analysis","content":"Simple."},
    {"role":"assistant","channel":"final","content":"4"},
    {"role":"user","content":"3+3?"},
    {"role":"assistant","channel":"analysis","content":"Again."},
    {"role":"assistant","channel":"final","content":"6"}]}"#;

#[test]
fn ids_and_text_are_those_of_the_library() {
    let ids = gptoss(&["render", WEATHER, "--emit", "ids"], "").exits(0).json();
    let object = gptoss(&["render", WEATHER, "--json"], "").exits(0).json();
    let text = gptoss(&["render", WEATHER], "").exits(0).out;
    assert_eq!(object["ids"], ids);
    assert_eq!(object["text"], text);
    assert_eq!(object["schema"], "gptoss.render/1");
    assert_eq!(gptoss(&["tokens", "decode", "-"], ids.to_string()).exits(0).out, text);
}

#[test]
fn each_token_lies_in_one_segment() {
    let object = gptoss(&["render", WEATHER, "--json"], "").exits(0).json();
    let mut next = 0;
    for segment in object["segments"].as_array().unwrap() {
        assert_eq!(segment["tokens"][0], next);
        next = segment["tokens"][1].as_u64().unwrap();
    }
    assert_eq!(next as usize, object["ids"].as_array().unwrap().len());
    assert_eq!(object["loss_mask"].as_array().unwrap().len(), next as usize);
}

#[test]
fn the_purpose_decides_how_the_text_ends() {
    let end = |purpose| {
        let out = gptoss(&["render", "-", "--for", purpose], ANSWERED).exits(0).out;
        out[out.len() - 12..].to_owned()
    };
    assert!(end("completion").ends_with("t|>assistant"));
    assert!(end("training").ends_with("<|return|>"));
    assert!(end("storage").ends_with("<|end|>"));
    let out = gptoss(&["render", "-", "--role", "user"], ANSWERED).exits(0).out;
    assert!(out.ends_with("<|start|>user"));
}

#[test]
fn the_policy_decides_what_is_dropped() {
    let has = |policy| {
        let out = gptoss(&["render", "-", "--drop", policy], ANSWERED).exits(0).out;
        [out.contains("Simple."), out.contains("Again.")]
    };
    assert_eq!(has("reference"), [false, true]);
    assert_eq!(has("last-final"), [false, false]);
    assert_eq!(has("none"), [true, true]);
}

#[test]
fn explain_says_what_was_left_out_and_why() {
    let run = gptoss(&["render", "-", "--explain"], ANSWERED).exits(0);
    insta::assert_snapshot!(run.err);
    let run = gptoss(&["render", "-", "--explain", "--drop", "none"], ANSWERED).exits(0);
    assert_eq!(run.err, "nothing was left out\n");
}

#[test]
fn the_recipient_stands_where_it_is_asked() {
    let out = gptoss(&["render", WEATHER, "--recipient", "after-channel"], "").exits(0).out;
    assert!(out.contains("<|channel|>commentary to=functions.get_weather <|constrain|>json"));
    let out = gptoss(&["render", WEATHER], "").exits(0).out;
    assert!(out.contains("assistant to=functions.get_weather<|channel|>commentary <|constrain|>json"));
}

#[test]
fn effort_and_date_go_into_the_system_message_or_a_new_one() {
    let args = ["render", "-", "--effort", "high", "--date", "2025-08-05"];
    let out = gptoss(&args, r#"{"messages":[{"role":"user","content":"hi"}]}"#).exits(0).out;
    assert!(out.starts_with("<|start|>system<|message|>You are ChatGPT"), "{out}");
    assert!(out.contains("Current date: 2025-08-05\n\nReasoning: high"), "{out}");
    let text =
        r#"{"messages":[{"role":"system","content":[{"type":"system_content","model_identity":"I."}]}]}"#;
    let out = gptoss(&args, text).exits(0).out;
    assert_eq!(out.matches("<|start|>system").count(), 1);
    assert!(out.contains("Reasoning: high"), "{out}");
    let text = r#"{"messages":[{"role":"system","content":"Text."}]}"#;
    gptoss(&[&args[..], &["--from", "harmony"]].concat(), text).exits(2);
    gptoss(&["render", "-", "--date", "2025-13-01"], "").exits(2);
}

#[test]
fn places_are_those_of_the_file_after_a_system_message_was_added() {
    let run = gptoss(&["render", "-", "--effort", "low"], r#"{"messages":[{"role":"tool","content":"x"}]}"#);
    assert!(run.fails_with("H010").err.contains("message 0, line 1 column 14"));
}

#[test]
fn the_table_has_a_line_for_each_token() {
    let table =
        gptoss(&["render", "-", "--emit", "table"], r#"{"messages":[{"role":"user","content":"日本 hi"}]}"#);
    insta::assert_snapshot!(table.exits(0).out);
}

#[test]
fn chat_and_responses_documents_are_rendered() {
    let chat = r#"{"model":"m","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"hi"}]}"#;
    let responses = r#"{"model":"m","instructions":"Be brief.","input":"hi"}"#;
    let chat = gptoss(&["render", "-"], chat).exits(0).out;
    assert!(
        chat.ends_with(
            "# Instructions\n\nBe brief.<|end|><|start|>user<|message|>hi<|end|><|start|>assistant"
        )
    );
    assert_eq!(gptoss(&["render", "-"], responses).exits(0).out, chat);
}

#[test]
fn what_a_chat_document_loses_is_a_warning() {
    let chat = r#"[{"role":"user","content":[{"type":"text","text":"hi"},{"type":"image_url","image_url":{"url":"x"}}]}]"#;
    let run = gptoss(&["render", "-"], chat).exits(0);
    assert!(run.err.starts_with("warning: C04 at /0/content/1"), "{}", run.err);
    assert_eq!(gptoss(&["render", "-", "-q"], chat).exits(0).err, "");
}

#[test]
fn messages_that_could_be_chat_are_harmony_and_that_is_said() {
    let plain = r#"{"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}]}"#;
    let run = gptoss(&["render", "-"], plain).exits(0);
    assert_eq!(
        run.out.trim_end(),
        "<|start|>system<|message|>Be brief.<|end|><|start|>user<|message|>Hi<|end|><|start|>assistant"
    );
    assert!(run.err.contains("--from"), "{}", run.err);
    let run = gptoss(&["render", "-", "--from", "harmony"], plain).exits(0);
    assert_eq!(run.err, "");
    let chat = gptoss(&["render", "-", "--from", "chat"], plain).exits(0).out;
    assert!(chat.contains("# Instructions\n\nBe brief."), "{chat}");
    let converted = gptoss(&["convert", "-", "--to", "harmony"], plain).exits(0).out;
    assert!(converted.contains("developer_content"), "{converted}");
}
