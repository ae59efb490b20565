//! `gptoss rpc` as a process: the examples of its page, one answer a line at once, and lines that nobody should write.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

struct Rpc {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Rpc {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_gptoss"))
            .arg("rpc")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Self { process, input, output }
    }

    fn send(&mut self, line: &[u8]) {
        self.input.write_all(line).unwrap();
        self.input.write_all(b"\n").unwrap();
        self.input.flush().unwrap();
    }

    fn answer(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    fn ask(&mut self, line: &[u8]) -> Value {
        self.send(line);
        self.answer()
    }

    fn call(&mut self, method: &str, params: &Value) -> Value {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        self.ask(request.to_string().as_bytes())["result"].take()
    }

    /// Ends the input; the program must end well and have nothing left to say.
    fn end(self) {
        let Self { mut process, input, mut output } = self;
        drop(input);
        assert!(process.wait().unwrap().success());
        let mut rest = String::new();
        output.read_line(&mut rest).unwrap();
        assert_eq!(rest, "");
    }
}

#[test]
fn the_examples_of_the_page_hold() {
    let page = include_str!("../../docs/rpc.md");
    let mut rpc = Rpc::start();
    let mut compared = 0;
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(request) = line.strip_prefix("--> ") else { continue };
        let expected = lines.next().and_then(|line| line.strip_prefix("<-- ")).unwrap();
        let expected: Value = serde_json::from_str(expected).unwrap();
        assert_eq!(rpc.ask(request.as_bytes()), expected, "{request}");
        compared += 1;
    }
    assert!(compared > 20, "{compared}");
    rpc.end();
}

#[test]
fn each_line_is_answered_before_the_next_is_sent() {
    let mut rpc = Rpc::start();
    for id in 0..3 {
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": "is_special_token", "params": { "token": 200_006 } });
        assert_eq!(rpc.ask(request.to_string().as_bytes())["id"], id);
    }
    rpc.end();
}

#[test]
fn a_stream_has_the_content_that_was_rendered() {
    let mut rpc = Rpc::start();
    let message = json!({ "role": "assistant", "channel": "final", "content": "Grüße 👋🏾" });
    let tokens = rpc.call("render", &json!({ "message": message }))["tokens"].take();
    let stream = rpc.call("stream_new", &json!({ "role": null }))["stream"].take();
    let mut deltas = String::new();
    for token in tokens.as_array().unwrap() {
        let params = json!({ "stream": stream, "token": token, "fields": ["last_content_delta", "state"] });
        let snapshot = rpc.call("stream_process", &params);
        assert_eq!(snapshot.as_object().unwrap().len(), 2);
        deltas += snapshot["last_content_delta"].as_str().unwrap_or_default();
    }
    assert_eq!(deltas, "Grüße 👋🏾");
    let snapshot = rpc.call("stream_process", &json!({ "stream": stream, "tokens": [] }));
    assert_eq!(snapshot["messages"], json!([message]));
    assert_eq!(snapshot["tokens"], tokens);
    assert_eq!(rpc.call("stream_free", &json!({ "stream": stream })), Value::Null);
    rpc.end();
}

#[test]
fn no_line_ends_the_program() {
    let mut rpc = Rpc::start();
    let deep = format!("{}1{}", "[".repeat(200_000), "]".repeat(200_000));
    let document = |value: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"render_conversation","params":{{"conversation":{value}}}}}"#
        )
    };
    let long = format!(r#"{{"messages":[{{"role":"user","content":"{}"}}]}}"#, "a ".repeat(2_000_000));
    let cases: Vec<(Vec<u8>, i64)> = vec![
        (b"\xff\xff\xff".to_vec(), -32700),
        (b"\x00".to_vec(), -32700),
        (b"{\"jsonrpc\": \"2.0\"".to_vec(), -32700),
        (deep.as_bytes()[..200_000].to_vec(), -32700),
        (document(&deep).into_bytes(), -32000),
        (document(&format!(r#"{{"messages":{deep}}}"#)).into_bytes(), -32000),
        (document("1e999").into_bytes(), -32000),
    ];
    for (line, code) in cases {
        let answer = rpc.ask(&line);
        assert_eq!(
            answer["error"]["code"],
            code,
            "{}",
            &String::from_utf8_lossy(&line[..line.len().min(80)])
        );
    }
    let answer = rpc.ask(document(&long).as_bytes());
    assert!(answer["result"]["tokens"].as_array().unwrap().len() > 1_000_000);
    rpc.end();
}
