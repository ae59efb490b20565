#![allow(clippy::needless_pass_by_value, reason = "literal values read best as arguments")]

use serde_json::{Value, json};

use super::serve;

/// The answers to some lines.
fn answers(input: impl AsRef<[u8]>) -> Vec<Value> {
    let mut output = Vec::new();
    serve(input.as_ref(), &mut output).unwrap();
    String::from_utf8(output).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn answer(input: impl AsRef<[u8]>) -> Value {
    let answers = answers(input);
    assert_eq!(answers.len(), 1, "{answers:?}");
    answers.into_iter().next().unwrap()
}

fn call(method: &str, params: Value) -> Value {
    answer(json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string())
}

#[track_caller]
fn assert_error(answer: &Value, id: Value, code: i32) {
    assert_eq!(answer["id"], id, "{answer}");
    assert_eq!(answer["error"]["code"], code, "{answer}");
    assert!(answer.get("result").is_none(), "{answer}");
}

#[test]
fn what_is_not_json_is_a_parse_error() {
    let lines: [&[u8]; 8] = [
        b"",
        b"hello",
        b"{",
        b"\xff\xfe",
        b"{\"a\":1}}",
        b"nul",
        br#"{"a":"\ud83d"}"#,
        br#"["\udc00\ud83d\ude00"]"#,
    ];
    for line in lines {
        assert_error(&answer([line, b"\n"].concat()), Value::Null, -32700);
    }
}

#[test]
fn whole_pairs_of_escapes_are_fine() {
    let line = r#"{"jsonrpc":"2.0","id":1,"method":"encode","params":{"text":"\\ud83d \ud83d\ude00\u0041"}}"#;
    let expected = call("encode", json!({ "text": "\\ud83d 😀A" }));
    assert_eq!(answer(line), expected);
    assert!(expected["result"]["tokens"].is_array());
}

#[test]
fn json_that_is_no_request_is_an_invalid_request() {
    let cases = [
        (r#"1"#, Value::Null),
        (r#"[]"#, Value::Null),
        (r#"{}"#, Value::Null),
        (r#"{"jsonrpc":"2.0","id":3}"#, json!(3)),
        (r#"{"jsonrpc":"1.0","id":"a","method":"stop_tokens"}"#, json!("a")),
        (r#"{"jsonrpc":"2.0","id":3,"method":1}"#, json!(3)),
        (r#"{"jsonrpc":"2.0","id":{},"method":"stop_tokens"}"#, Value::Null),
        (r#"{"jsonrpc":"2.0","id":3,"method":"stop_tokens","params":"x"}"#, json!(3)),
        (r#"{"jsonrpc":"2.0","method":1}"#, Value::Null),
        (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"stop_tokens"}"#, Value::Null),
    ];
    for (line, id) in cases {
        assert_error(&answer(line), id, -32600);
    }
}

#[test]
fn a_batch_is_answered_in_a_batch_without_its_notifications() {
    let line = r#"[{"jsonrpc":"2.0","method":"stop_tokens"},7,{"jsonrpc":"2.0","id":2,"method":"nothing"},{"jsonrpc":"2.0","id":null,"method":"is_special_token","params":{"token":200006}}]"#;
    let answer = answer(line);
    let answers = answer.as_array().unwrap();
    assert_eq!(answers.len(), 3);
    assert_error(&answers[0], Value::Null, -32600);
    assert_error(&answers[1], json!(2), -32601);
    assert_eq!(answers[2], json!({ "jsonrpc": "2.0", "id": null, "result": true }));
}

#[test]
fn notifications_have_no_answer_even_if_they_fail() {
    let lines =
        "{\"jsonrpc\":\"2.0\",\"method\":\"nothing\"}\n[{\"jsonrpc\":\"2.0\",\"method\":\"encode\"}]\n";
    assert_eq!(answers(lines), [] as [Value; 0]);
}

#[test]
fn an_id_comes_back_as_it_was_written() {
    let line = r#"{"jsonrpc":"2.0","id":12345678901234567890123,"method":"stop_tokens"}"#;
    let mut output = Vec::new();
    serve(line.as_bytes(), &mut output).unwrap();
    let text = String::from_utf8(output).unwrap();
    assert!(text.starts_with(r#"{"jsonrpc":"2.0","id":12345678901234567890123,"result":"#), "{text}");
}

#[test]
fn wrong_arguments_are_told_from_wrong_values() {
    let conversation = json!({ "messages": [] });
    let wrong = [
        ("encode", json!({})),
        ("encode", json!({ "text": 1 })),
        ("encode", json!({ "text": "", "allowed_special": "some" })),
        ("encode", json!(["text"])),
        ("encode", json!({ "text": "", "more": 1 })),
        ("decode_utf8", json!({ "tokens": [-1] })),
        ("decode_utf8", json!({ "tokens": [1.0] })),
        ("is_special_token", json!({ "token": 4294967296_u64 })),
        ("render_conversation", json!({ "conversation": conversation, "config": [true] })),
        (
            "render_conversation",
            json!({ "conversation": conversation, "config": { "auto_drop_analysis": 1 } }),
        ),
        ("stream_process", json!({ "stream": 1, "token": 1 })),
        ("stream_new", json!({ "strict": "yes" })),
        ("recover", json!({})),
        ("recover", json!({ "text": "", "tokens": [] })),
    ];
    for (method, params) in wrong {
        assert_error(&call(method, params), json!(1), -32602);
    }
    let bad = [
        ("load_harmony_encoding", json!({ "name": "x" }), "ValueError", "Invalid HarmonyEncodingName: x"),
        ("get_tool_namespace_config", json!({ "name": "x" }), "ValueError", "Unknown tool namespace: x"),
        ("stream_new", json!({ "role": "User" }), "ValueError", "unknown role: User"),
        (
            "render_conversation",
            json!({ "conversation": 5 }),
            "ValueError",
            "invalid conversation JSON: invalid type: integer `5`, expected struct Conversation at line 1 column 1",
        ),
        (
            "render",
            json!({ "message": { "role": "tool", "content": "" } }),
            "RuntimeError",
            "Tools should have a name!",
        ),
        (
            "render_conversation_for_completion",
            json!({ "conversation": { "messages": [{ "role": "tool", "content": "" }] }, "next_turn_role": "assistant" }),
            "HarmonyError",
            "Tools should have a name!",
        ),
        ("decode_bytes", json!({ "tokens": [300000] }), "HarmonyError", "Invalid token for decoding: 300000"),
    ];
    for (method, params, kind, message) in bad {
        let answer = call(method, params);
        assert_error(&answer, json!(1), -32000);
        assert_eq!(answer["error"]["data"]["kind"], kind);
        assert_eq!(answer["error"]["message"], message);
    }
}

#[test]
fn a_missing_configuration_keeps_the_reasoning_and_an_empty_one_drops_it() {
    let conversation = json!({ "messages": [
        { "role": "assistant", "channel": "analysis", "content": "hm" },
        { "role": "assistant", "channel": "final", "content": "yes" },
    ] });
    let len = |config: Option<Value>| {
        let mut params = json!({ "conversation": conversation });
        if let Some(config) = config {
            params["config"] = config;
        }
        call("render_conversation", params)["result"]["tokens"].as_array().unwrap().len()
    };
    assert_eq!(
        [len(None), len(Some(Value::Null)), len(Some(json!({ "auto_drop_analysis": false })))],
        [14; 3]
    );
    assert_eq!([len(Some(json!({}))), len(Some(json!({ "auto_drop_analysis": true })))], [7; 2]);
}

#[test]
fn deep_nesting_is_an_error_of_the_document_alone() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_error(&answer(&deep)[0], Value::Null, -32600);
    let line = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"render","params":{{"message":{deep}}}}}"#);
    let answer = answer(line);
    assert_error(&answer, json!(1), -32000);
}
