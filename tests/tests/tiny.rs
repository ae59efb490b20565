//! The tiny trained model of `fixtures/tiny`: its logits are PyTorch's, and it says what it was trained to say.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use gptoss_runtime::{Model, ModelOptions, Profile, Rows};
use gptoss_tests::fixtures_root;
use harmony_format::{Conversation, Encoding, ParseOptions, RenderOptions, Role};
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};
use serde_json::Value;

fn folder() -> PathBuf {
    fixtures_root().join("tiny")
}

fn load(profile: Profile) -> Model {
    Model::load(&folder(), ModelOptions { profile, ..ModelOptions::default() }).unwrap()
}

fn encoding() -> Encoding {
    Encoding::from_tokenizer_json(folder().join("tokenizer.json")).unwrap()
}

fn numbers(data: &SafeTensors<'_>, name: &str) -> Vec<u32> {
    let view = data.tensor(name).unwrap();
    view.data().chunks_exact(4).map(|b| i32::from_le_bytes(b.try_into().unwrap()) as u32).collect()
}

#[test]
fn logits_are_those_of_pytorch() {
    let data = fs::read(folder().join("logits.safetensors")).unwrap();
    let data = SafeTensors::deserialize(&data).unwrap();
    let model = load(Profile::F32);
    let width = model.config().vocab_size;
    for prompt in 0..3 {
        let tokens = numbers(&data, &format!("p{prompt}.ids"));
        assert!(tokens.len() > 64, "p{prompt} reaches beyond the window of the sliding layers");
        let mut cache = model.new_cache(tokens.len(), tokens.len()).unwrap();
        let found = model.forward_rows(&tokens, Rows::All, &mut cache, &mut ()).unwrap();
        let expected: Vec<f64> = data
            .tensor(&format!("p{prompt}.logits"))
            .unwrap()
            .data()
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes(b.try_into().unwrap()).into())
            .collect();
        let (mut errors, mut squares) = (0.0, 0.0);
        let rows = numbers(&data, &format!("p{prompt}.rows"));
        assert_eq!(expected.len(), rows.len() * width);
        for (&row, expected) in rows.iter().zip(expected.chunks_exact(width)) {
            let mut best = 0;
            for (token, &logit) in expected.iter().enumerate() {
                let error = found.get(row as usize, token) - logit;
                // The gates of the golden files: f32 rounds, and its angles are f32 products.
                assert!(error.abs() <= 1e-3, "p{prompt} row {row} token {token}: {error}");
                errors += error * error;
                squares += logit * logit;
                best = if logit > expected[best] { token } else { best };
            }
            assert_eq!(found.argmax(row as usize), best, "p{prompt} row {row}");
        }
        assert!((errors / squares).sqrt() <= 2e-5, "p{prompt}");
    }
}

/// What the model says after a prompt, greedily, to its stop token.
fn answer(model: &Model, encoding: &Encoding, conversation: &Conversation) -> Vec<u32> {
    let mut tokens = encoding.render(conversation, &RenderOptions::completion(Role::Assistant)).unwrap();
    let prompt = tokens.len();
    let mut cache = model.new_cache(prompt + 160, prompt).unwrap();
    let mut logits = model.prefill(&tokens, &mut cache, &mut ()).unwrap();
    while tokens.len() < prompt + 160 {
        let token = logits.argmax(0) as u32;
        tokens.push(token);
        if encoding.stop_tokens_for_assistant_actions().contains(&token) {
            break;
        }
        logits = model.forward(&[token], &mut cache, &mut ()).unwrap();
    }
    tokens.split_off(prompt)
}

#[test]
fn prompts_it_never_saw_are_answered_right() {
    let text = fs::read_to_string(folder().join("eval.jsonl")).unwrap();
    let (model, encoding) = (load(Profile::Bf16), encoding());
    let (mut asked, mut right) = (0, 0);
    for line in text.lines().step_by(20) {
        let case: Value = serde_json::from_str(line).unwrap();
        let conversation: Conversation = serde_json::from_value(case["conversation"].clone()).unwrap();
        let said = answer(&model, &encoding, &conversation);
        // Strict: what it says needs no repair.
        let parsed = encoding.parse(&said, &ParseOptions::strict().role(Role::Assistant)).unwrap();
        let last = &parsed.messages.last().unwrap().message;
        let content = last.text();
        asked += 1;
        right += usize::from(match case["expect"].as_object().unwrap().iter().next().unwrap() {
            (kind, call) if kind == "call" => {
                // The arguments of `python` are code.
                let is_right = match call["arguments"].as_str() {
                    Some(code) => content == code,
                    None => serde_json::from_str::<Value>(&content).ok().as_ref() == Some(&call["arguments"]),
                };
                last.recipient.as_deref() == call["name"].as_str() && is_right
            }
            (kind, value) if kind == "json" => {
                serde_json::from_str::<Value>(&content).ok().as_ref() == Some(value)
            }
            (_, text) => last.recipient.is_none() && Some(content.as_str()) == text.as_str(),
        });
    }
    assert_eq!(asked, 10);
    assert_eq!(right, asked);
}

/// What checkpoints that had been trained for seconds said, where it is no legal turn.
#[derive(Deserialize, Serialize)]
struct Malformed {
    /// Steps of training.
    steps: u32,
    /// What was asked.
    case: String,
    text: String,
    /// Codes of the repairs, in order.
    repairs: Vec<String>,
    /// Kinds of the messages, in order.
    kinds: Vec<String>,
}

#[test]
fn what_undertrained_checkpoints_say_is_recovered() {
    let path = folder().join("malformed.jsonl");
    let encoding = encoding();
    let (mut written, mut steps) = (String::new(), BTreeSet::new());
    for line in fs::read_to_string(&path).unwrap().lines() {
        let mut case: Malformed = serde_json::from_str(line).unwrap();
        let tokens = encoding.encode_prompt(&case.text);
        let parsed = encoding.parse(&tokens, &ParseOptions::recover().role(Role::Assistant)).unwrap();
        // No token is lost: the spans follow one another from the first token to the last.
        let mut end = 0;
        for span in &parsed.spans {
            assert_eq!(span.tokens.start, end, "{line}");
            end = span.tokens.end;
        }
        assert_eq!(end, tokens.len(), "{line}");
        let kinds: Vec<_> = parsed.messages.iter().map(|said| said.kind().as_str().to_owned()).collect();
        let parsed = serde_json::to_value(&parsed).unwrap();
        let codes = parsed["diagnostics"].as_array().unwrap().iter();
        let repairs: Vec<String> = codes.map(|found| found["code"].as_str().unwrap().to_owned()).collect();
        if std::env::var_os("UPDATE_FIXTURES").is_some() {
            (case.repairs, case.kinds) = (repairs, kinds);
            written += &(serde_json::to_string(&case).unwrap() + "\n");
            continue;
        }
        assert_eq!(repairs, case.repairs, "{line}; UPDATE_FIXTURES=1 writes it anew");
        assert_eq!(kinds, case.kinds, "{line}");
        // It is cut off, or goes on after its answer.
        let answers = kinds.iter().position(|kind| kind == "final");
        assert!(!repairs.is_empty() || answers.is_some_and(|at| at + 1 < kinds.len()), "{line}");
        steps.insert(case.steps);
    }
    if written.is_empty() {
        assert_eq!(steps.len(), 2, "two checkpoints");
    } else {
        fs::write(&path, written).unwrap();
    }
}
