//! The tests of docs/harmony-in-your-tests.md: the page shows them, and they run here.

use std::fs;
use std::path::Path;

use harmony_format::testing::strategies::{conversations, malformed_streams};
use harmony_format::testing::{assert_calls, assert_final, assert_messages_eq, expect, redact};
use harmony_format::{
    Author, Conversation, Encoding, Message, MessageKind, ParseOptions, RenderOptions, Role, SystemContent,
};
use proptest::prelude::*;
use serde_json::json;

/// What the model said after `<|start|>assistant`: recorded once, kept in the test.
const RECORDED: &str = "<|channel|>analysis<|message|>I need the weather.<|end|>\
    <|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>\
    {\"city\": \"Paris\", \"request_id\": \"c0ffee\"}<|call|>";

#[test]
fn the_model_asks_for_the_weather() {
    let encoding = Encoding::o200k_harmony();
    let tokens = encoding.encode_prompt(RECORDED);
    let parsed = encoding.parse(&tokens, &ParseOptions::recover().role(Role::Assistant)).unwrap();

    assert_calls(&parsed, [("get_weather", json!({"city": "Paris", "request_id": "c0ffee"}))]);
    expect(&parsed).no_repairs().call("get_weather", json!({"city": "Paris", "request_id": "c0ffee"})).end();
}

#[test]
fn snapshot_of_a_turn() {
    let encoding = Encoding::o200k_harmony();
    let tokens = encoding.encode_prompt(RECORDED);
    let parsed = encoding.parse(&tokens, &ParseOptions::recover().role(Role::Assistant)).unwrap();

    let turn = redact(&parsed).dates().reasoning().argument("get_weather", "/request_id");
    insta::assert_json_snapshot!(turn, @r#"
    [
      {
        "role": "assistant",
        "content": "[reasoning]",
        "channel": "analysis"
      },
      {
        "role": "assistant",
        "recipient": "functions.get_weather",
        "content": {
          "city": "Paris",
          "request_id": "[argument]"
        },
        "channel": "commentary",
        "content_type": "<|constrain|>json"
      }
    ]
    "#);
}

#[test]
fn snapshot_of_a_prompt() {
    let conversation = Conversation::new([
        Message::new(Role::System, SystemContent::default().with_conversation_start_date("2025-06-28")),
        Message::new(Role::User, "What is 2 + 2?"),
    ]);
    let encoding = Encoding::o200k_harmony();
    let prompt = encoding.render_text(&conversation, &RenderOptions::completion(Role::Assistant)).unwrap();
    insta::assert_snapshot!(prompt, @r"
    <|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.
    Knowledge cutoff: 2024-06
    Current date: 2025-06-28

    Reasoning: medium

    # Valid channels: analysis, commentary, final. Channel must be included for every message.<|end|><|start|>user<|message|>What is 2 + 2?<|end|><|start|>assistant
    ");
}

/// The program under test: answers each call of a tool that the model made.
fn answer_calls(conversation: &mut Conversation, said: &[Message], run: impl Fn(&str) -> String) {
    for message in said {
        conversation.messages.push(message.clone());
        if let (MessageKind::ToolCall(_), Some(name)) = (message.kind(), &message.recipient) {
            let result = Message::new(Author::new(Role::Tool, name), run(&message.text()));
            conversation.messages.push(result.with_recipient("assistant").with_channel("commentary"));
        }
    }
}

proptest! {
    #[test]
    fn whatever_the_model_says_the_next_prompt_renders(
        mut conversation in conversations(),
        said in malformed_streams(),
    ) {
        let encoding = Encoding::o200k_harmony();
        let options = ParseOptions::recover().role(Role::Assistant);
        let parsed = encoding.parse(&said, &options).unwrap();
        let said: Vec<Message> = parsed
            .messages
            .into_iter()
            .map(|parsed| parsed.message)
            .filter(|message| message.author.role == Role::Assistant)
            .collect();

        answer_calls(&mut conversation, &said, |_| "{}".to_owned());

        let prompt = encoding.render(&conversation, &RenderOptions::completion(Role::Assistant));
        prop_assert!(prompt.is_ok(), "{prompt:?}");
    }
}

/// A parser of one's own: the messages of an answer, by the spellings of the markers.
fn my_parser(said: &str) -> Vec<Message> {
    let stops = ["<|end|>", "<|call|>", "<|return|>"];
    let mut messages = Vec::new();
    for part in format!("<|start|>assistant{said}").split("<|start|>assistant").skip(1) {
        let Some((header, text)) = part.split_once("<|message|>") else { continue };
        let text = stops.iter().find_map(|stop| text.strip_suffix(stop)).unwrap_or(text);
        let mut message = Message::new(Role::Assistant, text);
        let header = header.replace("<|channel|>", " channel=").replace("<|constrain|>", " <|constrain|>");
        for word in header.split_whitespace() {
            if let Some(channel) = word.strip_prefix("channel=") {
                message.channel = Some(channel.to_owned());
            } else if let Some(recipient) = word.strip_prefix("to=") {
                message.recipient = Some(recipient.to_owned());
            } else {
                message.content_type = Some(word.to_owned());
            }
        }
        messages.push(message);
    }
    messages
}

#[test]
fn my_parser_reads_what_recover_reads() {
    let encoding = Encoding::o200k_harmony();
    for said in [
        RECORDED,
        "<|channel|>final<|message|>4<|return|>",
        "<|channel|>final<|message|>cut o",
        " to=functions.f<|channel|>commentary json<|message|>{}<|call|>",
        "<|channel|>commentary to=functions.f<|constrain|>json<|message|>{}<|call|>",
    ] {
        let options = ParseOptions::recover().role(Role::Assistant);
        let reference = encoding.parse(&encoding.encode_prompt(said), &options).unwrap();
        assert_messages_eq(&my_parser(said), &reference.messages);
    }
}

#[test]
fn my_parser_finds_the_answer() {
    assert_final(&my_parser("<|channel|>final<|message|>4<|return|>"), "4");
}

#[test]
fn the_page_shows_these_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository");
    let read =
        |path: &str| fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    let page = read("docs/harmony-in-your-tests.md");
    let shown = |language: &str| -> Vec<String> {
        let fence = format!("```{language}\n");
        let blocks = page.split(fence.as_str()).skip(1);
        blocks.map(|block| block.split("```\n").next().expect("a block").to_owned()).collect()
    };

    let rust = read("tests/tests/in_your_tests.rs");
    assert!(shown("rust").len() >= 4);
    for block in shown("rust") {
        assert!(rust.contains(&block), "the page shows code that does not run:\n{block}");
    }
    // Only this test is not on the page.
    let tests = |code: &str| code.lines().filter(|line| line.trim() == "#[test]").count();
    assert_eq!(tests(&shown("rust").concat()), tests(&rust) - 1, "the page leaves out a test");

    assert_eq!(shown("python"), [read("tests/python/example.py")]);
}
