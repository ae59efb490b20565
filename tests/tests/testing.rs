//! The test kit: what its assertions accept, and what they say when they fail.

use std::panic::{AssertUnwindSafe, catch_unwind};

use harmony_format::testing::{
    assert_calls, assert_final, assert_messages_eq, assert_tokens_eq, expect, redact,
};
use harmony_format::{
    Author, Conversation, DeveloperContent, Encoding, Message, ParseOptions, Parsed, Role, SystemContent,
};
use serde_json::json;

/// What a model said that thinks, announces and calls two tools.
const CALLS: &str = "<|channel|>analysis<|message|>Weather, then a sum.<|end|>\
    <|start|>assistant<|channel|>commentary<|message|>Let me look.<|end|>\
    <|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>\
    {\"city\": \"Paris\", \"days\": [1, 2], \"unit\": \"celsius\"}<|call|>\
    <|start|>assistant to=python<|channel|>analysis<|message|>print(2 + 2)\nprint(3)<|call|>";

/// What a model said that thinks and answers.
const ANSWER: &str = "<|channel|>analysis<|message|>Easy.<|end|>\
    <|start|>assistant<|channel|>final<|message|>It is sunny\nin Paris.<|return|>";

fn parsed(said: &str) -> Parsed {
    let encoding = Encoding::o200k_harmony();
    let options = ParseOptions::recover().role(Role::Assistant);
    encoding.parse(&encoding.encode_prompt(said), &options).expect("nothing is an error")
}

/// What an assertion says when it fails.
fn failure(assertion: impl FnOnce()) -> String {
    // The reports of expected panics also go to the captured output of the test.
    let panic = catch_unwind(AssertUnwindSafe(assertion)).expect_err("the assertion holds");
    *panic.downcast::<String>().expect("a report is text")
}

#[test]
fn calls_are_compared_as_json_under_either_name() {
    let arguments = json!({"unit": "celsius", "days": [1.0, 2], "city": "Paris"});
    for name in ["functions.get_weather", "get_weather"] {
        assert_calls(
            &parsed(CALLS),
            [(name, arguments.clone()), ("python", json!("print(2 + 2)\nprint(3)"))],
        );
    }
    // As messages, as a conversation, and as what a stream gives.
    let parsed = parsed(CALLS);
    let messages: Vec<Message> = parsed.messages.iter().map(|parsed| parsed.message.clone()).collect();
    let calls = || [("get_weather", arguments.clone()), ("python", json!("print(2 + 2)\nprint(3)"))];
    assert_calls(&messages, calls());
    assert_calls(&messages[..], calls());
    assert_calls(&parsed.messages, calls());
    assert_calls(&Conversation::new(messages), calls());
    assert_calls::<&str>(&[], []);
}

#[test]
fn a_call_with_other_arguments_is_shown_at_the_argument() {
    let weather = |arguments| failure(|| assert_calls(&parsed(CALLS), [("get_weather", arguments)]));
    insta::assert_snapshot!(
        "argument_differs",
        weather(json!({"city": "Paris", "days": [1, 3], "unit": "celsius"}))
    );
    insta::assert_snapshot!(
        "argument_is_missing",
        weather(json!({"city": "Paris", "days": [1, 2], "unit": "celsius", "to": "/"}))
    );
    insta::assert_snapshot!("argument_is_extra", weather(json!({"city": "Paris", "days": [1, 2]})));
    insta::assert_snapshot!("arguments_are_no_object", weather(json!([])));
    let cut = parsed("<|channel|>commentary to=functions.f<|message|>{\"city\": \"Par");
    insta::assert_snapshot!("arguments_are_no_json", failure(|| assert_calls(&cut, [("f", json!({}))])));
}

#[test]
fn other_calls_are_named() {
    let weather = ("get_weather", json!({"city": "Paris", "days": [1, 2], "unit": "celsius"}));
    let python = |code: &str| ("python", json!(code));
    insta::assert_snapshot!(
        "another_tool",
        failure(|| assert_calls(&parsed(CALLS), [("functions.search", json!({}))]))
    );
    insta::assert_snapshot!("a_call_too_many", failure(|| assert_calls(&parsed(CALLS), [weather.clone()])));
    let calls = [weather.clone(), python("print(2 + 2)\nprint(3)"), ("functions.f", json!({}))];
    insta::assert_snapshot!("a_call_too_few", failure(|| assert_calls(&parsed(CALLS), calls)));
    insta::assert_snapshot!(
        "other_code",
        failure(|| assert_calls(&parsed(CALLS), [weather, python("print(2 + 2)\nprint(4)")]))
    );
    // A function with the name of a built-in tool does not exist, and the other way round.
    let search = [Message::new(Role::Assistant, "{}").with_recipient("browser.search")];
    insta::assert_snapshot!("built_in", failure(|| assert_calls(&search, [("search", json!({}))])));
}

#[test]
fn another_answer_is_shown_at_the_token() {
    assert_final(&parsed(ANSWER), "It is sunny\nin Paris.");
    let said = |text| failure(|| assert_final(&parsed(ANSWER), text));
    insta::assert_snapshot!("another_final", said("It is rainy\nin Paris."));
    insta::assert_snapshot!("a_longer_final", said("It is sunny\nin Paris. Enjoy!"));
    insta::assert_snapshot!("no_final", failure(|| assert_final(&parsed(CALLS), "4")));
    insta::assert_snapshot!("no_messages", failure(|| assert_final(&Parsed::default(), "4")));
}

#[test]
fn the_token_of_a_report_is_the_token_of_the_input() {
    let encoding = Encoding::o200k_harmony();
    let pointed_at = |said: &str, report: String| {
        let at = report.split_once(", token ").expect("a token of the input").1;
        let at: usize = at.split_once(' ').expect("of the input").0.parse().expect("a number");
        encoding.decode_utf8(&encoding.encode_prompt(said)[at..=at]).expect("text")
    };
    let report = failure(|| assert_final(&parsed(ANSWER), "It is rainy\nin Paris."));
    assert_eq!(pointed_at(ANSWER, report), " sunny");
    let report = failure(|| expect(&parsed(ANSWER)).reasoning("Hard.").end());
    assert_eq!(pointed_at(ANSWER, report), "Easy");
    let weather = json!({"city": "Rome", "days": [1, 2], "unit": "celsius"});
    let report = failure(|| assert_calls(&parsed(CALLS), [("get_weather", weather)]));
    assert_eq!(pointed_at(CALLS, report), " \"");
    // The recipient stands elsewhere than where it renders, so only the message is pointed at.
    let calls = parsed(CALLS);
    let mut other = calls.messages[2].message.clone();
    other.recipient = Some("functions.get_time".to_owned());
    let report = failure(|| expect(&calls).preamble("Let me look.").message(&other).end());
    assert!(!report.contains(", token ") && report.contains(", which is 21..58 of the input"), "{report}");
}

#[test]
fn steps_pass_over_reasoning_unless_told() {
    let weather = json!({"city": "Paris", "days": [1, 2], "unit": "celsius"});
    let code = json!("print(2 + 2)\nprint(3)");
    let calls = parsed(CALLS);
    let end = expect(&calls).no_repairs().preamble("Let me look.").call("get_weather", weather.clone());
    end.call("python", code.clone()).end();
    let end = expect(&calls).with_reasoning().reasoning("Weather, then a sum.").preamble("Let me look.");
    end.call("get_weather", weather).call("python", code).end();

    let answer = parsed(ANSWER);
    expect(&answer).final_text("It is sunny\nin Paris.").end();
    insta::assert_snapshot!(
        "reasoning_counts",
        failure(|| expect(&answer).with_reasoning().final_text("It is sunny\nin Paris.").end())
    );
    insta::assert_snapshot!("other_reasoning", failure(|| expect(&answer).reasoning("Hard.").end()));
    insta::assert_snapshot!("a_step_too_few", failure(|| expect(&answer).end()));
    insta::assert_snapshot!(
        "a_step_too_many",
        failure(|| expect(&answer).final_text("It is sunny\nin Paris.").call("f", json!({})).end())
    );
    insta::assert_snapshot!("repaired", failure(|| expect(&parsed("4<|end|><|call|>")).no_repairs().end()));
}

#[test]
fn results_and_messages_are_steps_too() {
    let result = Message::new(Author::new(Role::Tool, "functions.get_weather"), "sunny");
    let thought = Message::new(Role::Assistant, "Good.").with_channel("analysis");
    let answer = Message::new(Role::Assistant, "Sunny.").with_channel("final");
    let messages = [Message::new(Role::User, "Weather?"), result, thought.clone(), answer.clone()];
    let after = || expect(&messages).message(&messages[0]).result("get_weather", "sunny");
    after().message(&answer).end();
    after().message(&thought).message(&answer).end();
    after().messages(&[answer]);
    after().messages(&messages[2..]);
    let other = failure(|| expect(&messages).message(&messages[0]).result("get_time", "sunny").end());
    insta::assert_snapshot!("another_result", other);
}

#[test]
fn messages_differ_in_every_field() {
    let call =
        || Message::new(Role::Assistant, "{}").with_channel("commentary").with_recipient("functions.f");
    let actual = Conversation::new([Message::new(Role::User, "Call f."), call()]);
    assert_messages_eq(&actual, &actual.clone());
    for (name, expected) in [
        ("role", Message { author: Role::Tool.into(), ..call() }),
        ("name", Message { author: Author::new(Role::Assistant, "bob"), ..call() }),
        ("recipient", call().with_recipient("functions.g")),
        ("channel", Message { channel: None, ..call() }),
        ("content_type", call().with_content_type("<|constrain|>json")),
        ("content_in_two", call().with_content("")),
    ] {
        let expected = [Message::new(Role::User, "Call f."), expected];
        insta::assert_snapshot!(
            format!("other_{name}"),
            failure(|| assert_messages_eq(&actual.messages, &expected.to_vec()))
        );
    }
    insta::assert_snapshot!(
        "a_message_too_many",
        failure(|| assert_messages_eq(&actual, &Conversation::new([Message::new(Role::User, "Call f.")])))
    );
    let longer = Conversation::new([Message::new(Role::User, "Call f."), call(), call()]);
    insta::assert_snapshot!("a_message_too_few", failure(|| assert_messages_eq(&actual, &longer)));
}

#[test]
fn tokens_are_shown_with_what_is_around_them() {
    let encoding = Encoding::o200k_harmony();
    let prompt = |text: &str| encoding.encode_prompt(text);
    let actual = prompt(
        "<|start|>user<|message|>What is the weather in the south of France?<|end|><|start|>assistant",
    );
    assert_tokens_eq(&encoding, &actual, &actual);
    let fails = |expected: &[u32]| failure(|| assert_tokens_eq(&encoding, &actual, expected));
    let spain =
        prompt("<|start|>user<|message|>What is the weather in the south of Spain?<|end|><|start|>assistant");
    insta::assert_snapshot!("tokens_differ", fails(&spain));
    insta::assert_snapshot!("tokens_end", fails(&actual[..actual.len() - 1]));
    insta::assert_snapshot!("tokens_go_on", fails(&[&actual[..], &[200_008, 4_000_000_000]].concat()));
    let [first, ..] = encoding.encode_ordinary("👋🏾")[..] else { panic!("a token") };
    insta::assert_snapshot!("tokens_cut_a_character", fails(&[&actual[..3], &[first]].concat()));
}

#[test]
fn a_snapshot_has_what_is_asked_for_masked_and_nothing_else() {
    let system = SystemContent::default().with_conversation_start_date("2025-06-28");
    let developer =
        DeveloperContent::default().with_instructions("Today is 2025-06-28T12:30:00Z. Version 2025-06.");
    let mut messages = vec![Message::new(Role::System, system), Message::new(Role::Developer, developer)];
    messages.extend(parsed(CALLS).messages.into_iter().map(|parsed| parsed.message));
    messages.push(Message::new(Role::Assistant, "[{\"city\": \"Rome\"}]").with_recipient("get_weather"));
    messages.push(Message::new(Role::Assistant, "no JSON").with_recipient("get_weather"));

    insta::assert_json_snapshot!("nothing_masked", redact(&messages));
    insta::assert_json_snapshot!(
        "masked",
        redact(&messages)
            .dates()
            .reasoning()
            .argument("functions.get_weather", "/city")
            .argument("get_weather", "/days/0")
    );
    let shorter =
        redact(&messages[2..]).without_reasoning().argument("get_weather", "").argument("python", "");
    insta::assert_json_snapshot!("masked_as_a_whole", shorter);
}
