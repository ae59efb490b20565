//! Documents that are no Chat or Responses documents: the rule and the place.

use harmony_format::ErrorKind;
use harmony_format::convert::{Format, read};
use serde_json::{Value, json};

fn error(document: &Value, format: Format) -> String {
    let error = read(document, format).expect_err("the document breaks a rule");
    assert_eq!(error.kind(), ErrorKind::Convert, "{error}");
    error.to_string()
}

#[test]
fn errors_state_the_rule_and_the_place() {
    let user = |content: Value| json!({"role": "user", "content": content});
    for (document, expected) in [
        (json!(3), "must be an object, found 3 (the whole document)"),
        (json!({}), "must have the field \"messages\", found {} (the whole document)"),
        (json!({"messages": {}}), "must be a list, found {} (at /messages)"),
        (json!(["hi"]), "must be an object, found \"hi\" (at /0)"),
        (
            json!([{"role": "robot", "content": "x"}]),
            "role must be one of system, developer, user, assistant, tool, function, found \"robot\" (at /0/role)",
        ),
        (json!([user(json!(1))]), "content must be a string or a list of parts, found 1 (at /0/content)"),
        (
            json!([user(json!([{"type": "text"}]))]),
            "must have the field \"text\", found {\"type\":\"text\"} (at /0/content/0)",
        ),
        (
            json!([{"role": "tool", "tool_call_id": "a", "content": "x"}]),
            "a result must answer an earlier call by its tool_call_id, or name its tool, found \"a\" (at /0/tool_call_id)",
        ),
        (
            json!({"messages": [], "tools": [{"type": "function", "function": {}}]}),
            "must have the field \"name\", found {} (at /tools/0/function)",
        ),
        (
            json!({"messages": [], "response_format": {"type": "json_schema"}}),
            "must have the field \"json_schema\", found {\"type\":\"json_schema\"} (at /response_format)",
        ),
    ] {
        assert_eq!(error(&document, Format::Chat), expected);
    }
    for (document, expected) in [
        (
            json!({"model": "m"}),
            "must have the field \"input\" or \"output\", found {\"model\":\"m\"} (the whole document)",
        ),
        (
            json!([{"type": "function_call_output", "call_id": "a", "output": "x"}]),
            "a result must answer an earlier function_call by its call_id, found \"a\" (at /0/call_id)",
        ),
        (
            json!({"input": [{"role": "tool", "content": "x"}]}),
            "role must be one of system, developer, user, assistant, found \"tool\" (at /input/0/role)",
        ),
    ] {
        assert_eq!(error(&document, Format::Responses), expected);
    }
    let expected = "must be a message: missing field `content`, found {\"role\":\"user\"} (at /messages/0)";
    assert_eq!(error(&json!({"messages": [{"role": "user"}]}), Format::Harmony), expected);
}
