//! `gptoss schema`: what the program writes fits its schemas, and wrong documents do not.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use jsonschema::Validator;
use serde_json::{Value, json};

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures")
}

/// Standard output and standard error of the program, which reads `input`.
fn gptoss(arguments: &[&str], input: &str) -> [String; 2] {
    let mut process = Command::new(env!("CARGO_BIN_EXE_gptoss"))
        .args(arguments)
        .current_dir(fixtures())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not read its input may have ended already.
    let _ = process.stdin.take().unwrap().write_all(input.as_bytes());
    let output = process.wait_with_output().unwrap();
    [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap())
}

fn validator(name: &str) -> Validator {
    let schema: Value = serde_json::from_str(&gptoss(&["schema", name], "")[0]).unwrap();
    jsonschema::draft202012::meta::validate(&schema).unwrap_or_else(|error| panic!("{name}: {error}"));
    jsonschema::draft202012::new(&schema).unwrap()
}

#[track_caller]
fn assert_fits(validator: &Validator, document: &Value) {
    let errors: Vec<String> = validator
        .iter_errors(document)
        .map(|error| format!("{error} at {}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}\n{document:#}");
}

/// Checks each line of JSON that the program writes, and gives them back.
#[track_caller]
fn assert_lines_fit(name: &str, text: &str) -> Vec<Value> {
    let validator = validator(name);
    let documents: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!documents.is_empty(), "nothing was written");
    for document in &documents {
        assert_fits(&validator, document);
    }
    documents
}

#[test]
fn the_list_has_every_schema() {
    let list = gptoss(&["schema"], "")[0].clone();
    let names = assert_lines_fit("schemas", &gptoss(&["schema", "--json"], "")[0])[0]["names"].take();
    assert_eq!(list.lines().count(), names.as_array().unwrap().len());
    for name in names.as_array().unwrap() {
        validator(name.as_str().unwrap());
    }
}

#[test]
fn fixtures_are_conversations() {
    let validator = validator("conversation");
    let mut checked = 0;
    for case in std::fs::read_dir(fixtures().join("harmony")).unwrap() {
        let path = case.unwrap().path().join("conversation.json");
        if let Ok(text) = std::fs::read_to_string(&path) {
            assert_fits(&validator, &serde_json::from_str(&text).unwrap());
            checked += 1;
        }
    }
    assert!(checked >= 5, "{checked}");
}

#[test]
fn outputs_fit() {
    let weather = "harmony/weather/conversation.json";
    let broken =
        "<|channel|>analysis<|message|>Hm.<|end|><|end|><|start|>assistant<|channel|>final<|message|>4";
    let lint = r#"{"messages":[{"role":"system","content":"x"},{"role":"system","content":"y"},{"role":"assistant","channel":"analysis","recipient":"functions.f","content":"{"}]}"#;
    let synthetic = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("schema_model_synth");
    let packed = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("schema.gptoss");
    let dump = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("schema_golden.safetensors");
    let dump = dump.to_str().unwrap();
    let vectors = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("schema_vectors");
    let probe = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("schema_probe");
    let record =
        ["golden", "record", "--model", "golden/a64", "--ids", "1,2,3", "--at", "ops", "-o", dump, "--json"];
    let cases: Vec<(&str, Vec<&str>, &str)> = vec![
        ("golden-record", record.to_vec(), ""),
        ("golden-lint", vec!["golden", "lint", dump, "--model", "golden/a64", "--json"], ""),
        ("golden-check", vec!["golden", "check", dump, "--model", "golden/a64", "--json"], ""),
        ("golden-bisect", vec!["golden", "bisect", dump, "--model", "golden/a64", "--json"], ""),
        (
            "golden-explain",
            vec![
                "golden",
                "explain",
                "layer.0.query",
                "--dump",
                dump,
                "--model",
                "golden/a64",
                "--position",
                "1",
                "--json",
            ],
            "",
        ),
        ("golden-mutants", vec!["golden", "mutants", "swiglu.alpha_one", "--json"], ""),
        ("golden-catalogue", vec!["golden", "mutants", "--list", "--json"], ""),
        ("golden-probe", vec!["golden", "probe", probe.to_str().unwrap(), "--json"], ""),
        ("golden-vectors", vec!["golden", "vectors", "-o", vectors.to_str().unwrap(), "--json"], ""),
        ("render", vec!["render", weather, "--emit", "json"], ""),
        (
            "render",
            vec!["render", "harmony/multi_turn/conversation.json", "--emit", "json", "--for", "training"],
            "",
        ),
        ("parse", vec!["parse", "-", "--mode", "recover", "--emit", "json"], broken),
        ("event", vec!["parse", "-", "--mode", "recover", "--emit", "ndjson"], broken),
        ("lint", vec!["lint", "-", "--json"], lint),
        ("lint", vec!["lint", weather, "--json"], ""),
        ("convert", vec!["convert", weather, "--to", "chat", "--json"], ""),
        ("tokens", vec!["tokens", "encode", "-", "--json"], "hi"),
        ("tokens", vec!["tokens", "decode", "-", "--json"], "[1,2]"),
        ("tokens", vec!["tokens", "count", "-", "--json"], "hi"),
        ("tokens", vec!["tokens", "special", "--json"], ""),
        ("tools", vec!["tools", "render", weather, "--json"], ""),
        (
            "tools-check",
            vec!["tools", "check", "-", "--tools", weather, "--json"],
            r#"{"name":"f","arguments":{"a":1}}"#,
        ),
        (
            "template-diff",
            vec![
                "template",
                "diff",
                "templates/conversation.json",
                "--template",
                "templates/minimal.jinja",
                "--json",
                "--show",
            ],
            "",
        ),
        ("model-list", vec!["model", "list", "--json"], ""),
        ("model-plan", vec!["model", "plan", "20b", "--json", "--no-measure"], ""),
        ("model-plan", vec!["model", "plan", "20b", "--json", "--profile", "f32", "--context", "8"], ""),
        ("model-inspect", vec!["model", "inspect", "golden/a64", "--json"], ""),
        ("model-verify", vec!["model", "verify", "golden/a64", "--hash", "--json"], ""),
        ("model-digest", vec!["model", "digest", "golden/a64", "--json"], ""),
        ("run", vec!["run", "What is the weather in Oslo?", "--json"], ""),
        ("run-event", vec!["run", "What is the weather in Oslo?", "--ndjson"], ""),
        ("complete", vec!["complete", "-", "--json", "--logprobs", "2", "--echo", "-n", "4"], "Hi"),
        ("eval", vec!["eval", "tiny/eval.jsonl", "--limit", "5", "--json"], ""),
        ("logits", vec!["logits", "--model", "golden/a64", "--ids", "1,2", "--digest", "--json"], ""),
        ("bench", vec!["bench", "--model", "golden/a64", "-p", "8", "-n", "2", "-r", "1", "--json"], ""),
        (
            "model-synth",
            vec![
                "model",
                "synth",
                "--like",
                "golden/a64/config.json",
                "-o",
                synthetic.to_str().unwrap(),
                "--force",
                "--json",
            ],
            "",
        ),
        ("model-pack", vec!["model", "pack", "golden/a64", "-o", packed.to_str().unwrap(), "--json"], ""),
        ("doctor", vec!["doctor", "--json"], ""),
    ];
    for (name, arguments, input) in cases {
        let [out, error] = gptoss(&arguments, input);
        assert!(!out.is_empty(), "{arguments:?}: {error}");
        assert_lines_fit(name, &out);
    }
}

#[test]
fn errors_fit() {
    for (arguments, input) in [
        (vec!["render", "-", "--json"], "{\"messages\":[\n"),
        (vec!["render", "-", "--json"], r#"{"messages":[{"role":"tool","content":""}]}"#),
        (vec!["parse", "-", "--mode", "strict", "--json"], "<|channel|>a b c d<|message|>x"),
        (vec!["schema", "nothing", "--json"], ""),
        (vec!["logits", "--model", "golden/a64", "--ids", "512", "--digest", "--json"], ""),
        (vec!["model", "inspect", "golden", "--json"], ""),
    ] {
        let [_, error] = gptoss(&arguments, input);
        assert_lines_fit("error", &error);
    }
}

#[test]
fn records_and_what_a_replay_has_otherwise_fit() {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("record.json");
    let record = path.to_str().unwrap();
    gptoss(&["run", "What is the weather in Oslo?", "--record", record], "");
    let mut document: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_fits(&validator("record"), &document);
    assert_eq!(document["calls"].as_array().map(Vec::len), Some(1));
    document["calls"][0]["arguments"] = "{}".into();
    std::fs::write(&path, document.to_string()).unwrap();
    let [_, error] = gptoss(&["run", "--replay", record, "--json"], "");
    let errors = assert_lines_fit("error", &error);
    assert_eq!((&errors[0]["code"], errors[0]["below"].is_array()), (&json!("T003"), true));
}

#[test]
fn the_examples_of_rpc_fit() {
    let (request, answer) = (validator("rpc-request"), validator("rpc-answer"));
    let mut wrong = 0;
    for line in include_str!("../../docs/rpc.md").lines() {
        if let Some(line) = line.strip_prefix("<-- ") {
            assert_fits(&answer, &serde_json::from_str(line).unwrap());
        }
        if let Some(line) = line.strip_prefix("--> ") {
            match serde_json::from_str(line) {
                Ok(document) if request.is_valid(&document) => {}
                _ => wrong += 1,
            }
        }
    }
    // The page begins with four requests that the program refuses for their form.
    assert_eq!(wrong, 4);
}

#[test]
fn wrong_documents_do_not_fit() {
    let cases = [
        ("conversation", json!({ "messages": {} })),
        ("conversation", json!([])),
        ("message", json!({ "role": "User", "content": "" })),
        ("message", json!({ "role": "user" })),
        ("message", json!({ "role": "user", "content": [{ "type": "image" }] })),
        (
            "message",
            json!({ "role": "system", "content": [{ "type": "system_content", "reasoning_effort": "high" }] }),
        ),
        (
            "message",
            json!({ "role": "developer", "content": [{ "type": "developer_content", "tools": { "f": { "name": "f" } } }] }),
        ),
        ("event", json!({ "type": "delta", "text": "" })),
        ("event", json!({ "type": "end", "message": { "role": "user", "content": "" }, "status": "done" })),
        ("diagnostic", json!({ "code": "R01" })),
        ("parse", json!({ "schema": "gptoss.parse/2" })),
        ("rpc-request", json!({ "jsonrpc": "2.0", "id": 1, "method": "encode" })),
        ("rpc-request", json!({ "jsonrpc": "2.0", "id": 1, "method": "encode", "params": { "txt": "" } })),
        (
            "rpc-request",
            json!({ "jsonrpc": "2.0", "id": 1, "method": "stream_process", "params": { "stream": 1 } }),
        ),
        ("rpc-request", json!({ "jsonrpc": "2.0", "id": [], "method": "stop_tokens" })),
        ("rpc-answer", json!({ "jsonrpc": "2.0", "id": 1 })),
        (
            "rpc-answer",
            json!({ "jsonrpc": "2.0", "id": 1, "result": null, "error": { "code": -32000, "message": "" } }),
        ),
    ];
    for (name, document) in cases {
        assert!(!validator(name).is_valid(&document), "{name}: {document}");
    }
}
