//! `gptoss lint`.

use crate::support::{folder, gptoss};

const BAD: &str = r#"{"messages": [
  {"role": "user", "content": "weather?"},
  {"role": "assistant", "recipient": "functions.f", "channel": "commentary", "content": "{}"},
  {"role": "tool", "name": "functions.f", "channel": "commentary", "content": "ok"}
], "id": 7}
"#;

#[test]
fn findings_have_a_place_and_the_exit_code_is_one() {
    let run = gptoss(&["lint", "-", "--only", "L202"], BAD).exits(1);
    insta::assert_snapshot!(run.out);
    assert_eq!(run.err, "1 finding, --fix mends 1\n");
    let object = gptoss(&["lint", "-", "--only", "L202", "--json"], BAD).exits(1).json();
    assert_eq!(object["findings"][0]["place"], serde_json::json!({"line": 4, "column": 3}));
}

#[test]
fn selectors_choose_the_rules() {
    gptoss(&["lint", "-", "--allow", "L"], BAD).exits(0);
    let run = gptoss(&["lint", "-", "--only", "L109"], BAD).exits(0);
    assert!(run.out.starts_with("info[L109]"), "{}", run.out);
    gptoss(&["lint", "-", "--only", "L109", "--deny", "L1"], BAD).exits(1);
    gptoss(&["lint", "-", "--only", "no-such-rule"], BAD).exits(2);
}

#[test]
fn fix_mends_the_file_and_keeps_the_rest() {
    let path = folder("fix").join("conversation.json");
    std::fs::write(&path, BAD).unwrap();
    let run = gptoss(&["lint", "--fix", "--only", "L202", path.to_str().unwrap()], "").exits(0);
    assert_eq!(run.err, "1 mended, no findings\n");
    let fixed: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(fixed["messages"][2]["recipient"], "assistant");
    assert_eq!(fixed["id"], 7);
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn fix_leaves_a_file_alone_where_nothing_is_to_mend() {
    let path = folder("fix_nothing").join("conversation.json");
    let text = "{ \"messages\": [ ] }";
    std::fs::write(&path, text).unwrap();
    gptoss(&["lint", "--fix", path.to_str().unwrap()], "").exits(0);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn fix_refuses_to_drop_what_harmony_does_not_hold() {
    let path = folder("fix_unknown").join("conversation.json");
    let text = BAD.replace("\"name\": \"functions.f\"", "\"name\": \"functions.f\", \"score\": 1");
    std::fs::write(&path, &text).unwrap();
    let run = gptoss(&["lint", "--fix", "--only", "L202", path.to_str().unwrap()], "").exits(3);
    assert!(run.err.contains("score"), "{}", run.err);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn fix_mends_lines_and_keeps_the_bad_ones() {
    let path = folder("fix_lines").join("conversations.jsonl");
    let line = BAD.replace('\n', "").replace(", \"id\": 7", "");
    std::fs::write(&path, format!("{line}\nxx\n{{\"messages\":[ ]}}\n")).unwrap();
    let run = gptoss(&["lint", "--fix", "--only", "L202", path.to_str().unwrap()], "").exits(3);
    assert!(run.err.contains("line 2 column 1"), "{}", run.err);
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].contains(r#""recipient":"assistant""#), "{text}");
    assert_eq!(lines[1..], ["xx", "{\"messages\":[ ]}"]);
}

#[test]
fn standard_input_is_mended_to_standard_output() {
    let run = gptoss(&["lint", "--fix", "--only", "L202", "-"], BAD).exits(0);
    assert_eq!(run.json()["messages"][2]["recipient"], "assistant");
}

#[test]
fn a_transcript_is_linted_with_its_bytes() {
    let text = "<|channel|>analysis to=functions.f <|constrain|>json<|message|>{}<|call|>";
    let run = gptoss(&["lint", "-"], text).exits(1);
    assert!(run.out.contains("line 1 column 1"), "{}", run.out);
}

#[test]
fn the_rules_are_listed() {
    let run = gptoss(&["lint", "--rules"], "").exits(0);
    assert!(run.out.lines().all(|line| line.starts_with('L')) && run.out.contains("result-not-to-assistant"));
    assert!(gptoss(&["lint", "--rules", "--json"], "").exits(0).json()["rules"].is_array());
    gptoss(&["lint"], "").exits(2);
}

#[test]
fn one_bad_file_does_not_stop_the_others() {
    let run = gptoss(&["lint", "no-such-file.json", "-", "--only", "L202"], BAD).exits(3);
    assert!(run.out.contains("L202") && run.err.contains("no such file"));
}
