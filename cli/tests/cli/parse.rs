//! `gptoss parse`.

use crate::support::{WEATHER, folder, gptoss};

const CALL: &str = "<|channel|>analysis<|message|>Look.<|end|><|start|>assistant<|channel|>commentary \
    to=functions.f <|constrain|>json<|message|>{\"a\":1}<|call|>";

#[test]
fn messages_and_how_they_ended_are_read() {
    let object = gptoss(&["parse", "-"], CALL).exits(0).json();
    assert_eq!(object["schema"], "gptoss.parse/1");
    assert_eq!(object["messages"][0]["channel"], "analysis");
    assert_eq!(object["messages"][1]["recipient"], "functions.f");
    assert_eq!(object["statuses"], serde_json::json!(["end", "call"]));
}

#[test]
fn text_and_ids_say_the_same() {
    let ids = gptoss(&["tokens", "encode", "-", "--allow-special"], CALL).exits(0).out;
    let words = ids.trim().trim_matches(['[', ']']).replace(',', " ");
    let from_text = gptoss(&["parse", "-"], CALL).exits(0).json();
    for ids in [ids, words] {
        let object = gptoss(&["parse", "-", "--from", "ids"], &ids).exits(0).json();
        assert_eq!(object["messages"], from_text["messages"]);
        assert_eq!(object["unit"], "token");
    }
}

#[test]
fn a_rendered_conversation_is_parsed_back() {
    let text = gptoss(&["render", WEATHER, "--for", "storage"], "").exits(0).out;
    let messages = gptoss(&["parse", "-"], &text).exits(0).json()["messages"].clone();
    assert_eq!(messages[2]["content"], "Do I need an umbrella in Paris today?");
}

#[test]
fn events_are_one_a_line() {
    let run = gptoss(&["parse", "-", "--ndjson"], CALL).exits(0);
    let events: Vec<serde_json::Value> =
        run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let types: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["start", "delta", "end", "start", "delta", "end"]);
    let ids = gptoss(&["tokens", "encode", "-", "--allow-special"], CALL).exits(0).out;
    let run = gptoss(&["parse", "-", "--from", "ids", "--ndjson"], &ids).exits(0);
    let last: serde_json::Value = serde_json::from_str(run.out.lines().last().unwrap()).unwrap();
    assert_eq!(&last, events.last().unwrap());
}

#[test]
fn events_before_an_error_are_written() {
    let run = gptoss(&["parse", "-", "--ndjson"], "<|channel|>final<|message|>x<|end|>junk").exits(3);
    assert_eq!(run.out.lines().count(), 3);
    assert!(run.err.starts_with("error[H013]"), "{}", run.err);
}

#[test]
fn a_line_end_behind_the_last_marker_is_no_text() {
    for end in ["\n", "\r\n"] {
        let object = gptoss(&["parse", "-"], format!("{CALL}{end}")).exits(0).json();
        assert_eq!(object["messages"].as_array().unwrap().len(), 2);
        gptoss(&["parse", "-", "--ndjson"], format!("{CALL}{end}")).exits(0);
    }
    let object = gptoss(&["parse", "-"], "<|message|>open\n").exits(0).json();
    assert_eq!(object["messages"][0]["content"], "open\n");
    let run = gptoss(&["parse", "-", "--ndjson"], "<|message|>open\n").exits(0);
    assert!(run.out.contains(r#""content":"open\n""#), "{}", run.out);
}

#[test]
fn the_role_is_preset_unless_the_input_has_one() {
    let role = |args: &[&str], text: &str| {
        gptoss(&[&["parse", "-"], args].concat(), text).exits(0).json()["messages"][0]["role"].clone()
    };
    assert_eq!(role(&[], "<|message|>hi<|end|>"), "assistant");
    assert_eq!(role(&[], "<|start|>user<|message|>hi<|end|>"), "user");
    assert_eq!(role(&["--role", "user"], "<|message|>hi<|end|>"), "user");
    gptoss(&["parse", "-", "--role", "none"], "<|message|>hi<|end|>").fails_with("H013");
}

#[test]
fn a_malformed_header_is_underlined() {
    insta::assert_snapshot!(gptoss(&["parse", "-"], "<|start|>robot<|message|>x<|end|>").exits(3).err);
    insta::assert_snapshot!(
        "text_between_messages",
        gptoss(&["parse", "-"], "<|message|>x<|end|>\njunk").exits(3).err
    );
}

#[test]
fn pretty_is_for_reading() {
    insta::assert_snapshot!(gptoss(&["parse", "-", "--emit", "pretty"], CALL).exits(0).out);
    let run = gptoss(&["parse", "-", "--emit", "pretty", "--color", "always"], CALL).exits(0);
    assert!(run.out.contains("\u{1b}["), "{}", run.out);
}

#[test]
fn an_id_that_does_not_exist_has_a_place() {
    let run = gptoss(&["tokens", "decode", "-"], "[200006, 1, 999999]").fails_with("H007");
    assert!(run.err.contains("(standard input, token 2, line 1 column 13)"), "{}", run.err);
    gptoss(&["parse", "-", "--from", "ids"], "one two").fails_with("H001");
}

#[test]
fn tools_are_read_from_a_file() {
    let path = folder("parse_tools").join("tools.json");
    std::fs::write(&path, r#"[{"type":"function","function":{"name":"f"}}]"#).unwrap();
    gptoss(&["parse", "-", "--tools", path.to_str().unwrap()], CALL).exits(0);
    gptoss(&["parse", "-", "--tools", "no-such-file.json"], CALL).fails_with("H005");
}
