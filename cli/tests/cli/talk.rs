//! `gptoss run`, `chat`, `complete` and `eval`: with a model by chance, whose text is noise, and by their faults.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Run, command, folder, gptoss, root};

/// A small model by chance with a vocabulary of its own.
fn model() -> &'static str {
    static MODEL: OnceLock<String> = OnceLock::new();
    MODEL.get_or_init(|| {
        let folder = folder("talk_model");
        let golden = std::fs::read_to_string(root().join("fixtures/golden/a64/config.json")).unwrap();
        let mut config: Value = serde_json::from_str(&golden).unwrap();
        config["vocab_size"] = 1012.into();
        config["max_position_embeddings"] = 4096.into();
        let like = folder.join("like.json");
        std::fs::write(&like, config.to_string()).unwrap();
        let path = folder.join("model");
        let [like, name] = [&like, &path].map(|path| path.to_str().unwrap());
        gptoss(&["model", "synth", "--like", like, "--seed", "5", "-o", name], "").exits(0);
        let tokenizer = root().join("fixtures/tokenizers/tiny/tokenizer.json");
        std::fs::copy(tokenizer, path.join("tokenizer.json")).unwrap();
        name.to_owned()
    })
}

fn run_with(command: &str, args: &[&str], input: &str) -> Run {
    gptoss(&[&[command, "--model", model()], args].concat(), input)
}

fn run(args: &[&str], input: &str) -> Run {
    run_with("run", args, input)
}

fn file(test: &str, text: &str) -> (PathBuf, String) {
    let path = folder(&format!("talk_{test}")).join("file.json");
    std::fs::write(&path, text).unwrap();
    let name = path.to_str().unwrap().to_owned();
    (path, name)
}

#[test]
fn events_add_up_to_the_object_and_the_prompt_comes_from_anywhere() {
    let args = ["-n", "60", "--seed", "3"];
    let object = run(&[&["Hello", "--json"], &args[..]].concat(), "").exits(5).json();
    assert_eq!(object["schema"], "gptoss.run/1");
    assert_eq!(object["stop"], "max_tokens");
    assert_eq!(object["usage"]["generated_tokens"], 60);
    for more in [&["-"][..], &[]] {
        let again = run(&[more, &["--json"], &args[..]].concat(), "Hello\n").exits(5).json();
        assert_eq!(again, object);
    }
    let lines = run(&[&["Hello", "--ndjson"], &args[..]].concat(), "").exits(5).out;
    let events: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events[0]["type"], "prompt");
    assert_eq!(events[0]["tokens"], object["usage"]["prompt_tokens"]);
    let said: Vec<&Value> =
        events.iter().filter(|event| event["type"] == "end").map(|event| &event["message"]).collect();
    assert_eq!(json!(said), object["messages"]);
    let mut text = String::new();
    for event in &events {
        match event["type"].as_str().unwrap() {
            "start" => text.clear(),
            "delta" => text += event["text"].as_str().unwrap(),
            "end" => assert_eq!(event["message"]["content"], text.as_str()),
            _ => {}
        }
    }
    assert_eq!(
        events.last().unwrap(),
        &json!({"type": "done", "stop": "max_tokens", "usage": object["usage"]})
    );
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_every_way() {
    let out = |more: &[&str]| run(&[&["Hello", "--show", "all", "-n", "40"], more].concat(), "").exits(5).out;
    let expected = out(&[]);
    assert!(expected.len() > 40);
    for more in [&["--isa", "scalar"][..], &["--threads", "1"], &["--threads", "3"], &["--draft", "4"]] {
        assert_eq!(out(more), expected, "{more:?}");
    }
    assert_ne!(out(&["--seed", "1"]), expected);
    assert_ne!(out(&["--temperature", "0"]), expected);
}

#[test]
fn what_is_shown_is_chosen() {
    let args = ["Hello", "-n", "80", "--enforce", "always", "--quiet"];
    let shown = |show: &str| run(&[&args[..], &["--show", show]].concat(), "").exits(0).out;
    let (all, answer) = (shown("all"), shown("final"));
    assert!(all.contains("\nfinal\n") || all.starts_with("final\n"), "{all}");
    assert!(all.ends_with(&answer), "{all}\n{answer}");
    assert!(!answer.contains("final\n"));
    // Without a terminal it is the answer alone.
    assert_eq!(run(&args, "").exits(0).out, answer);
    run(&[&args[..], &["--show", "thoughts"]].concat(), "").exits(2);
}

#[test]
fn usage_is_told_on_standard_error() {
    let err = run(&["Hello", "-n", "30", "--enforce", "always"], "").exits(0).err;
    assert!(err.contains("tokens read (0 of them computed before), "), "{err}");
    assert!(err.contains(" given by the grammar, which took ") && err.contains("the first after "), "{err}");
}

#[test]
fn tools_and_a_schema_hold_every_answer() {
    let (_, tools) = file(
        "tools",
        r#"[{"name":"add","parameters":{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}},
            "required":["a","b"],"additionalProperties":false}}]"#,
    );
    let (_, schema) =
        file("schema", r#"{"type":"object","properties":{"x":{"enum":[1,2]}},"required":["x"]}"#);
    for seed in 0..6 {
        let seed = seed.to_string();
        let args = ["Hi", "-n", "90", "--seed", &seed, "--tools", &tools, "--schema", &schema, "--json"];
        let object = run(&args, "").exits(0).json();
        // A content type on channel final is legal, and noted.
        let notes = object["diagnostics"].as_array().unwrap();
        assert!(notes.iter().all(|note| note["code"] == "R05"), "{object}");
        match object["stop"].as_str().unwrap() {
            "call" => {
                assert_eq!(object["call"]["tool"], "functions.add");
                assert!(object["call"]["arguments"]["a"].is_i64(), "{object}");
            }
            "return" => {
                let answer: Value = serde_json::from_str(object["answer"].as_str().unwrap()).unwrap();
                assert!(answer["x"] == 1 || answer["x"] == 2, "{answer}");
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn a_keyword_that_is_not_enforced_is_named() {
    let (_, schema) = file("keyword", r#"{"type":"object","not":{"required":["y"]}}"#);
    let run = run(&["Hi", "-n", "60", "--schema", &schema], "");
    assert!(run.err.contains("warning: response at /not: `not` is not enforced"), "{}", run.err);
}

#[test]
fn faults_have_their_message_and_their_exit_code() {
    // Nothing to answer.
    run(&[], "").exits(2);
    run(&["  "], "").exits(2);
    let ends = |messages: &str| format!(r#"{{"messages":[{{"role":"user","content":"Hi"}},{messages}]}}"#);
    let (_, answered) = file("answered", &ends(r#"{"role":"assistant","channel":"final","content":"Hi"}"#));
    let error = run(&["--conversation", &answered], "").fails_with("M019").err;
    assert!(error.contains("ends with the assistant's answer"), "{error}");
    assert!(error.contains("help: add what the user says next as PROMPT"), "{error}");
    run(&["--conversation", &answered, "-n", "5", "More"], "").exits(5);
    let call = r#"{"role":"assistant","channel":"commentary","recipient":"functions.f","content":"{}"}"#;
    let (_, called) = file("called", &ends(call));
    let error = run(&["--conversation", &called], "").fails_with("M019").err;
    assert!(error.contains("a call of functions.f, and its result is missing"), "{error}");
    let (_, thought) = file("thought", &ends(r#"{"role":"assistant","channel":"analysis","content":"Hm."}"#));
    run(&["--conversation", &thought, "-n", "5"], "").exits(5);

    // A context of 16 tokens.
    let run_short = run(&["Hi", "--context", "16"], "").exits(5);
    assert!(run_short.err.starts_with("error[M012]: a prompt of "), "{}", run_short.err);
    // A model that does not stop.
    let long = run(&["Hi", "-n", "20", "--show", "all"], "").exits(5);
    assert!(long.err.contains("error[M018]: the answer was cut off after 20 tokens"), "{}", long.err);
    assert!(!long.out.is_empty(), "what was said is written");
    let full = run(&["Hi", "--context", "150", "--seed", "4"], "").exits(5);
    assert!(full.err.contains("error[M018]: the answer was cut off: the context of 150 positions is full"));

    // Files that are wrong.
    let (_, broken) = file("broken", "[{\"name\": \"f\",}]");
    let error = run(&["Hi", "--tools", &broken], "").fails_with("H001").err;
    assert!(error.contains("line 1 column 15") && error.contains('^'), "{error}");
    let (_, schema) = file("no_schema", r#"{"type":"object","properties":7}"#);
    let error = run(&["Hi", "--schema", &schema], "").fails_with("H018").err;
    assert!(error.contains("/properties"), "{error}");
    run(&["Hi", "--conversation", "no-such-file"], "").fails_with("H005");

    // Models that are none, or whose vocabulary nobody knows.
    gptoss(&["run", "Hi", "--model", "no-such-folder"], "").exits(4);
    let error = gptoss(&["run", "Hi", "--model", "fixtures/golden/a64"], "").exits(4).err;
    assert!(error.starts_with("error[M017]: the model has a vocabulary of its own, 512 ids"), "{error}");
    let error = gptoss(&["run", "Hi", "--model", model(), "--tokenizer", "o200k_harmony"], "").exits(4).err;
    assert!(error.starts_with("error[M017]: the vocabulary is not the model's"), "{error}");
    run(&["Hi", "--top-p", "2"], "").exits(2);
}

#[test]
#[cfg(unix)]
fn a_reader_that_goes_away_ends_it_quietly() {
    for more in [&["--show", "all"][..], &["--ndjson"]] {
        let args = [&["run", "--model", model(), "Hi", "--quiet"], more].concat();
        let mut child = command(&args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 0, "{output:?}");
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
#[cfg(unix)]
fn ctrl_c_ends_an_answer_with_what_was_said() {
    use std::io::Read as _;
    let args = ["run", "--model", model(), "Hi", "--show", "all", "--quiet", "--enforce", "always"];
    let mut child =
        command(&args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut first = [0; 64];
    out.read_exact(&mut first).unwrap();
    let pressed = Instant::now();
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let mut rest = Vec::new();
    out.read_to_end(&mut rest).unwrap();
    let output = child.wait_with_output().unwrap();
    // The bound is for busy machines; a layer of this model takes less than a millisecond.
    assert!(pressed.elapsed() < Duration::from_secs(3), "{:?}", pressed.elapsed());
    assert_eq!(output.status.code(), Some(130));
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(err.ends_with("error[M015]: interrupted\n"), "{err}");
    assert_eq!(rest.last(), Some(&b'\n'), "the line is ended");
}

#[test]
fn chat_reads_lines_from_a_pipe() {
    let saved = folder("talk_chat").join("saved.json");
    let script = format!(
        "/help\n/effort high\n/tokens\nHello\nAgain\n/undo\n/tokens\n/sing\n/save {}\n/quit\nnever\n",
        saved.display()
    );
    let args = ["-n", "40", "--enforce", "always"];
    let run = run_with("chat", &args, &script).exits(0);
    for part in
        ["/effort low|medium|high", "taken back: Again", "there is no command /sing", "messages saved"]
    {
        assert!(run.err.contains(part), "{part}: {}", run.err);
    }
    let conversation: Value = serde_json::from_str(&std::fs::read_to_string(&saved).unwrap()).unwrap();
    let messages = conversation["messages"].as_array().unwrap();
    assert_eq!(messages[0]["content"][0]["reasoning_effort"], "High");
    assert_eq!(messages[1], json!({"role": "user", "content": "Hello"}));
    assert_eq!(messages.last().unwrap()["channel"], "final");
    // The second question did not compute the first again.
    let reused: Vec<usize> = run
        .err
        .lines()
        .filter_map(|line| line.split_once("tokens read (")?.1.split_once(" of them")?.0.parse().ok())
        .collect();
    assert_eq!(reused.len(), 2, "{}", run.err);
    assert!(reused[0] == 0 && reused[1] > 50, "{reused:?}");

    let loaded =
        run_with("chat", &["-n", "40", "--enforce", "always"], &format!("/load {}\nMore\n", saved.display()));
    loaded.exits(0);
}

#[test]
fn a_file_that_cannot_be_written_is_told_by_the_name_that_was_given() {
    let args = ["-n", "40", "--enforce", "always"];
    let run = run_with("chat", &args, "/save no-such-folder/saved.json\n").exits(3);
    assert_eq!(
        run.err.lines().find(|line| line.contains("no-such-folder")),
        Some("error[H005]: cannot write no-such-folder/saved.json: there is no such folder")
    );
}

#[test]
fn chat_says_what_to_do_when_the_context_is_full() {
    let args = ["--context", "220", "-n", "60", "--enforce", "always"];
    let run = run_with("chat", &args, "One\nTwo\nThree\nFour\nFive\n").exits(5);
    assert!(run.err.contains("help: /drop forgets the oldest exchange"), "{}", run.err);
}

#[test]
fn complete_continues_text_and_ids() {
    let args = ["-n", "12", "--seed", "2"];
    let complete = |more: &[&str], input: &str| {
        run_with("complete", &[&["-"], &args[..], more].concat(), input).exits(0)
    };
    let text = complete(&["--ignore-stop"], "<|start|>user<|message|>Hi").out;
    let object =
        complete(&["--ignore-stop", "--json", "--logprobs", "2"], "<|start|>user<|message|>Hi").json();
    assert_eq!(object["text"], text.as_str());
    assert_eq!(object["stop"], "max_tokens");
    let logprobs = object["logprobs"].as_array().unwrap();
    assert_eq!(logprobs.len(), 12);
    for token in logprobs {
        let top = token["top"].as_array().unwrap();
        assert_eq!(top.len(), 2);
        assert!(token["logprob"].as_f64().unwrap() <= top[0]["logprob"].as_f64().unwrap());
    }
    // The input's ids give the same.
    let tokenizer = format!("{}/tokenizer.json", model());
    let encode = ["tokens", "encode", "-", "--allow-special", "--tokenizer", &tokenizer];
    let ids = gptoss(&encode, "<|start|>user<|message|>Hi").exits(0).out;
    assert_eq!(complete(&["--ignore-stop", "--from", "ids"], &ids).out, text);
    let written = complete(&["--ignore-stop", "--ids"], "<|start|>user<|message|>Hi").out;
    assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), object["ids"]);
    // Spelled markers are other tokens.
    assert_ne!(complete(&["--ignore-stop", "--from", "ordinary"], "<|start|>user<|message|>Hi").out, text);
}

/// The log-probabilities of a prompt are those that its tokens had when they were generated.
#[test]
fn echo_scores_the_input() {
    let complete = |more: &[&str], input: &str| {
        let args = [&["-", "--ignore-stop", "--seed", "9", "--json", "--logprobs", "1"], more].concat();
        run_with("complete", &args, input).exits(0).json()
    };
    let prompt = [1, 2, 3, 4];
    let generated = complete(&["--from", "ids", "-n", "90"], &json!(prompt).to_string());
    let ids = generated["ids"].as_array().unwrap();
    let all: Vec<Value> = prompt.iter().map(|id| json!(id)).chain(ids.iter().cloned()).collect();
    let echoed = complete(&["--from", "ids", "--echo", "-n", "1"], &json!(all).to_string());
    let scored = echoed["logprobs"].as_array().unwrap();
    assert_eq!(scored.len(), 4 + 90 + 1);
    assert_eq!(scored[0]["logprob"], Value::Null);
    assert_eq!(scored[4..94], generated["logprobs"].as_array().unwrap()[..]);
}

#[test]
fn complete_writes_a_line_for_each_token() {
    let run =
        run_with("complete", &["-", "-n", "3", "--ignore-stop", "--logprobs", "2", "--echo"], "Hi").exits(0);
    let lines: Vec<&str> = run.out.lines().collect();
    assert!(lines.len() >= 4, "{}", run.out);
    assert!(lines[0].contains(" -"), "the first has none: {}", run.out);
    run_with("complete", &["-", "-n", "3"], "").fails_with("M011");
    run_with("complete", &["-", "-n", "3", "--from", "ids"], "[1,5000]").fails_with("M011");
}

#[test]
fn eval_counts_and_goes_on_where_it_ended() {
    let folder = folder("talk_eval");
    let cases = folder.join("cases.jsonl");
    let line = |id: &str, effort: &str, expect: &str| {
        let system = format!(r#"[{{"type":"system_content","reasoning_effort":"{effort}"}}]"#);
        format!(
            r#"{{"id":"{id}","conversation":{{"messages":[{{"role":"system","content":{system}}},{{"role":"user","content":"{id}"}}]}},"expect":[{expect}]}}"#
        )
    };
    let anything = r#"{"regex":"(?s).*"}"#;
    let lines = [
        line("a", "Low", anything),
        line("b", "Low", r#"{"exact":"no such thing"}"#),
        line("c", "High", anything),
        line("d", "High", r#"{"call":{"name":"functions.f"}},{"exact":"x"}"#),
    ];
    std::fs::write(&cases, lines.join("\n")).unwrap();
    let results = folder.join("results.jsonl");
    let [cases, results] = [&cases, &results].map(|path| path.to_str().unwrap());
    let args = [cases, "-n", "60", "--enforce", "always", "-o", results];
    let object = run_with("eval", &[&args[..], &["--json"]].concat(), "").exits(0).json();
    assert_eq!(object["all"]["cases"], 4);
    assert_eq!(object["all"]["well_formed"], 4);
    assert_eq!(object["all"]["passed"], 2);
    assert_eq!(object["all"]["calls"], json!({"right": 0, "of": 1}));
    assert_eq!(object["all"]["answers"], json!({"right": 2, "of": 4}));
    assert_eq!(object["efforts"]["low"]["passed"], 1);
    assert_eq!(object["efforts"]["high"]["cases"], 2);

    // The last line was cut off: only that case is run again.
    let text = std::fs::read_to_string(results).unwrap();
    std::fs::write(results, &text[..text.len() - 5]).unwrap();
    let again = run_with("eval", &args, "").exits(0);
    assert!(again.err.contains("3 cases were done before"), "{}", again.err);
    assert_eq!(std::fs::read_to_string(results).unwrap(), text);
    assert_eq!(again.out.lines().count(), 4, "{}", again.out);
    // Results of other settings are not gone on with.
    run_with("eval", &[&args[..], &["--seed", "1"]].concat(), "").fails_with("M019");
    run_with("eval", &[&args[..], &["--fail-under", "60"]].concat(), "").exits(1);
    run_with("eval", &[cases, "--effort", "low,high", "-n", "20", "--limit", "1"], "").exits(0);
}

#[test]
fn cases_that_are_none_are_found_by_their_line() {
    let (_, twice) = file(
        "twice",
        "{\"id\":\"a\",\"conversation\":{\"messages\":[]},\"expect\":{\"exact\":\"x\"}}\n\n{\"id\":\"a\",\"conversation\":{\"messages\":[]},\"expect\":{\"exact\":\"x\"}}\n",
    );
    let error = run_with("eval", &[&twice], "").fails_with("H001").err;
    assert!(error.contains("\"a\" stands twice") && error.contains("line 3"), "{error}");
    let (_, empty) = file("no_cases", "\n");
    run_with("eval", &[&empty], "").fails_with("H001");
    let (_, wrong) = file("wrong_case", "{\"conversation\":{\"messages\":[]},\"expect\":[{}]}\n");
    run_with("eval", &[&wrong], "").fails_with("H001");
}
