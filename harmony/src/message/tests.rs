use super::*;
use crate::{ChannelConfig, Position, ReasoningEffort};

fn read(json: &str) -> Message {
    Message::from_json(json).expect(json)
}

fn refuse(json: &str, expected: &str, line: usize, column: usize) {
    let error = Message::from_json(json).expect_err(json);
    assert_eq!(error.message(), expected, "{json}");
    assert_eq!(error.position(), Some(&Position::Input { line, column }), "{json}");
}

#[test]
fn null_and_absent_are_the_same_and_unknown_keys_are_ignored() {
    let long = r#"{"role":"tool","name":"functions.f","recipient":null,"content":"1","channel":null,"content_type":null,"x":{"y":[]}}"#;
    assert_eq!(read(long), read(r#"{"content":"1","name":"functions.f","role":"tool"}"#));
}

#[test]
fn a_single_text_is_written_as_a_string_and_anything_else_as_a_list() {
    for json in [
        r#"{"role":"user","content":"hi"}"#,
        r#"{"role":"user","content":[]}"#,
        r#"{"role":"user","name":"","recipient":"all","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}],"channel":"","content_type":"<|constrain|>json"}"#,
    ] {
        assert_eq!(read(json).to_json(), json);
    }
    let list = r#"{"role":"user","name":null,"content":[{"type":"text","text":"hi"}]}"#;
    assert_eq!(read(list).to_json(), r#"{"role":"user","content":"hi"}"#);
}

#[test]
fn absent_fields_of_system_content_stay_absent() {
    let json = r#"{"role":"system","content":[{"type":"system_content"}]}"#;
    assert_eq!(read(json), Message::new(Role::System, SystemContent::empty()));
    assert_eq!(read(json).to_json(), json);
}

#[test]
fn the_tag_of_an_item_may_stand_anywhere() {
    let json = r#"{"role":"system","content":[{"reasoning_effort":"High","type":"system_content","channel_config":{"valid_channels":["final"],"channel_required":true}}]}"#;
    let mut content = SystemContent::empty();
    content.reasoning_effort = Some(ReasoningEffort::High);
    content.channel_config =
        Some(ChannelConfig { valid_channels: vec!["final".to_owned()], channel_required: true });
    assert_eq!(read(json), Message::new(Role::System, content));
}

#[test]
fn errors_state_the_rule_and_the_place_in_the_document() {
    refuse(
        r#"{"role":"User","content":""}"#,
        "unknown variant `User`, expected one of `user`, `assistant`, `system`, `developer`, `tool`",
        1,
        14,
    );
    refuse("{\n\"role\":\"user\"}", "missing field `content`", 2, 14);
    refuse(r#"{"role":"user","content":"","role":"user"}"#, "duplicate field `role`", 1, 34);
    let items = |item: &str| format!(r#"{{"role":"user","content":[{item}]}}"#);
    refuse(
        &items(r#"{"type":"image"}"#),
        "unknown variant `image`, expected one of `text`, `system_content`, `developer_content`",
        1,
        41,
    );
    refuse(&items(r#"{"type":"text","text":"a","type":"text"}"#), "duplicate field `type`", 1, 58);
    refuse(&items(r#"{"text":"a"}"#), "missing field `type`", 1, 38);
    // The tag comes last: the place is the end of the item, and no second place stands in the message.
    refuse(&items(r#"{"text":1,"type":"text"}"#), "invalid type: integer `1`, expected a string", 1, 50);
}

#[test]
fn a_duplicate_key_is_seen_before_and_after_the_tag() {
    for item in [
        r#"{"text":"a","text":"b","type":"text"}"#,
        r#"{"type":"text","text":"a","text":"b"}"#,
        r#"{"text":"a","type":"text","text":"b"}"#,
    ] {
        let json = format!(r#"{{"role":"user","content":[{item}]}}"#);
        let error = Message::from_json(&json).expect_err(&json);
        assert_eq!(error.message(), "duplicate field `text`", "{json}");
    }
}

#[test]
fn deep_nesting_is_an_error_and_no_overflow() {
    let deep = "[".repeat(200_000);
    let json = format!(r#"{{"role":"user","content":{deep}"#);
    assert_eq!(Message::from_json(&json).expect_err("deep").kind(), ErrorKind::Json);
    let json = format!(r#"{{"role":"user","content":"","x":{deep}"#);
    assert_eq!(Message::from_json(&json).expect_err("deep").kind(), ErrorKind::Json);
}
