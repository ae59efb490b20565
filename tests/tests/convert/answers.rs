//! A model's answer as an API returns it, and the options.

use harmony_format::convert::{
    Converted, Format, LossKind, Options, ReasoningField, SystemText, read, read_with, write_answer,
    write_with,
};
use harmony_format::{
    Content, Conversation, Message, ParsedMessage, Role, SpecialToken, Status, SystemContent,
};
use serde_json::{Value, json};

fn answer(messages: &[Message], last: Status) -> Vec<ParsedMessage> {
    let end = Status::Complete(SpecialToken::End);
    let mut parsed: Vec<_> =
        messages.iter().map(|message| ParsedMessage { message: message.clone(), status: end }).collect();
    parsed.last_mut().expect("an answer has messages").status = last;
    parsed
}

fn say(channel: &str, text: &str) -> Message {
    Message::new(Role::Assistant, text).with_channel(channel)
}

fn kinds(converted: &Converted<Value>) -> Vec<LossKind> {
    converted.losses.iter().map(|loss| loss.kind).collect()
}

/// Calls as models write them: on analysis, with a bare name, with another namespace.
fn calls() -> Vec<ParsedMessage> {
    let messages = [
        say("analysis", "Look."),
        say("commentary", "One moment."),
        say("commentary", "{}").with_recipient("functions.f").with_content_type("<|constrain|>json"),
        say("analysis", "{\"a\":1}").with_recipient("functions.g").with_content_type("code"),
        say("commentary", "{}").with_recipient("h"),
        say("commentary", "{}").with_recipient("container.exec").with_content_type("<|constrain|>json"),
    ];
    answer(&messages, Status::Complete(SpecialToken::Call))
}

#[test]
fn calls_become_tool_calls_of_a_choice_on_any_channel() {
    let choice = write_answer(&calls(), Format::Chat, &Options::default());
    let call = |id: &str, name: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
    let expected = json!({
        "index": 0,
        "message": {
            "role": "assistant",
            "content": "One moment.",
            "reasoning_content": "Look.",
            "tool_calls": [
                call("call_0", "f", "{}"),
                call("call_1", "g", "{\"a\":1}"),
                call("call_2", "h", "{}"),
                call("call_3", "container.exec", "{}"),
            ]
        },
        "finish_reason": "tool_calls"
    });
    assert_eq!(choice.value, expected);
    let lost = [LossKind::Channel, LossKind::ContentType, LossKind::Recipient, LossKind::ContentType];
    assert_eq!(kinds(&choice)[..4], lost);
}

#[test]
fn calls_become_output_items() {
    let output = write_answer(&calls(), Format::Responses, &Options::default()).value;
    let types: Vec<_> =
        output.as_array().unwrap().iter().map(|item| item["type"].as_str().unwrap()).collect();
    assert_eq!(types[..3], ["reasoning", "message", "function_call"]);
    assert_eq!(
        output[1],
        json!({
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "One moment.", "annotations": []}],
            "phase": "commentary",
            "id": "msg_1",
            "status": "completed"
        })
    );
    assert_eq!(
        output[5],
        json!({
            "type": "function_call",
            "call_id": "call_3",
            "name": "exec",
            "arguments": "{}",
            "namespace": "container",
            "id": "fc_5",
            "status": "completed"
        })
    );
    // What was written can be read.
    let back = read(&output, Format::Responses).unwrap().value;
    assert_eq!(back.messages.len(), 7, "a system message and the answer");
}

#[test]
fn an_answer_without_an_end_says_so() {
    let messages = answer(&[say("analysis", "Hm"), say("final", "It is")], Status::Incomplete);
    let choice = write_answer(&messages, Format::Chat, &Options::default());
    assert_eq!(choice.value["finish_reason"], "length");
    let output = write_answer(&messages, Format::Responses, &Options::default());
    assert_eq!([&output.value[0]["status"], &output.value[1]["status"]], ["completed", "incomplete"]);
    let harmony = write_answer(&messages, Format::Harmony, &Options::default());
    assert_eq!(kinds(&harmony), [LossKind::Ending]);
}

#[test]
fn several_texts_of_an_answer_are_joined_in_chat() {
    let messages = [say("analysis", "a"), say("analysis", "b"), say("final", "c")];
    let choice = write_answer(&answer(&messages, Status::Incomplete), Format::Chat, &Options::default());
    assert_eq!(choice.value["message"]["reasoning_content"], "a\nb");
    assert_eq!(kinds(&choice), [LossKind::Position]);
}

#[test]
fn a_call_of_python_is_a_code_interpreter_call_and_lost_in_chat() {
    let call = say("analysis", "1 + 1").with_recipient("python").with_content_type("code");
    let parsed = answer(&[call], Status::Complete(SpecialToken::Call));
    let output = write_answer(&parsed, Format::Responses, &Options::default());
    assert_eq!(
        (&output.value[0]["type"], &output.value[0]["code"]),
        (&json!("code_interpreter_call"), &json!("1 + 1"))
    );
    assert!(output.losses.is_empty());
    assert_eq!(kinds(&write_answer(&parsed, Format::Chat, &Options::default())), [LossKind::BuiltInCall]);
}

#[test]
fn system_text_can_be_the_identity() {
    let options = Options { system_text: SystemText::Identity, ..Options::default() };
    let chat = json!({"messages": [
        {"role": "system", "content": "You are a poet."},
        {"role": "developer", "content": "Rhyme."},
        {"role": "user", "content": "Hi"}
    ]});
    for format in [Format::Chat, Format::Responses] {
        let document = if format == Format::Chat { chat.clone() } else { json!({"input": chat["messages"]}) };
        let read = read_with(&document, format, &options).unwrap();
        assert!(read.losses.is_empty());
        let Content::System(system) = &read.value.messages[0].content[0] else { panic!("system content") };
        assert_eq!(system.model_identity.as_deref(), Some("You are a poet."));
        if format == Format::Chat {
            let mut expected = chat.clone();
            expected["reasoning_effort"] = "medium".into();
            assert_eq!(write_with(&read.value, Format::Chat, &options).value, expected);
        }
    }
}

#[test]
fn every_reasoning_field_is_read_and_the_chosen_one_written() {
    for field in ReasoningField::ALL {
        let options = Options { reasoning_field: field, ..Options::default() };
        let message = json!({"role": "assistant", "content": "4", field.as_str(): "2 + 2"});
        let read = read(&json!([message]), Format::Chat).unwrap();
        assert!(read.losses.is_empty());
        assert_eq!(read.value.messages[1].text(), "2 + 2");
        assert_eq!(write_with(&read.value, Format::Chat, &options).value["messages"][0], message);
    }
}

#[test]
fn the_assumed_system_message_is_the_callers() {
    let system = SystemContent::default().with_conversation_start_date("2025-06-28");
    let options = Options { system: Some(system.clone()), ..Options::default() };
    let read_one =
        read_with(&json!([{"role": "user", "content": "Hi"}]), Format::Chat, &options).unwrap().value;
    assert_eq!(read_one.messages[0], Message::new(Role::System, system));
    assert!(write_with(&read_one, Format::Chat, &options).losses.is_empty());

    let none = Options { system: None, ..Options::default() };
    let bare = Conversation::new([Message::new(Role::User, "Hi")]);
    let written = write_with(&bare, Format::Chat, &none);
    assert!(written.losses.is_empty());
    assert_eq!(read_with(&written.value, Format::Chat, &none).unwrap().value, bare);
}
