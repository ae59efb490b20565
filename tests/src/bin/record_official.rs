//! Records what the official library renders for each conversation in fixtures/harmony.
//!
//! `cargo run -p gptoss-tests --features differential --bin record_official`
//! A conversation that the official library cannot hold is skipped.

#![allow(clippy::unwrap_used, reason = "a recording that fails has no one to tell but its writer")]

use std::fs;

use gptoss_tests::fixtures;
use openai_harmony::chat::{Conversation, Role};
use openai_harmony::{HarmonyEncodingName, load_harmony_encoding};
use serde_json::json;

fn main() {
    if let Some(code) = gptoss_tests::official::run_again_with_vocabulary() {
        std::process::exit(code);
    }
    let encoding =
        load_harmony_encoding(HarmonyEncodingName::HarmonyGptOss).expect("the vocabulary is there");
    for case in fixtures("harmony") {
        let text = fs::read_to_string(case.join("conversation.json")).expect("each case has a conversation");
        if text.contains("response_formats") {
            continue;
        }
        let conversation: Conversation = serde_json::from_str(&text).expect("a conversation");
        let dropping = Default::default();
        let messages = &conversation.messages;
        let record = json!({
            "source": "openai-harmony 0.0.8",
            "completion": encoding.render_conversation_for_completion(messages, Role::Assistant, Some(&dropping)).unwrap(),
            "completion_keeping_analysis": encoding.render_conversation_for_completion(messages, Role::Assistant, None).unwrap(),
            "training": encoding.render_conversation_for_training(messages, Some(&dropping)).unwrap(),
            "storage": encoding.render_conversation(messages, Some(&dropping)).unwrap(),
        });
        let path = case.join("official.json");
        fs::write(&path, format!("{record}\n")).expect("fixtures are writable");
        println!("{}", path.display());
    }
}
