//! Time grows no faster than the input.

#![cfg(unix)]

use std::fmt::Write;
use std::hint::black_box;
use std::time::Duration;

use harmony_format::convert;
use harmony_format::grammar::Grammar;
use harmony_format::lint::{self, LintOptions};
use harmony_format::{
    Author, Conversation, DeveloperContent, Encoding, Message, ParseOptions, Role, ToolDescription, arguments,
};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

/// The processor time of this thread: what other programs do meanwhile does not count.
fn now() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Four times the input may take less than eight times as long: linear work takes four times, quadratic sixteen.
#[track_caller]
fn check<T>(n: usize, input: impl Fn(usize) -> T, work: impl Fn(&T)) {
    let time = |input: &T| -> Duration {
        let runs = (0..3).map(|_| {
            let start = now();
            work(input);
            now() - start
        });
        runs.min().unwrap_or_default()
    };
    let (small, large) = (input(n), input(4 * n));
    // Caches that are shared with other programs make a difference, too, but not each time.
    let is_linear = (0..4).any(|_| time(&large) < 8 * time(&small));
    assert!(is_linear, "{:?} for {n}, {:?} for {}", time(&small), time(&large), 4 * n);
}

/// The calls come all before the results if `in_parallel`.
fn calls(
    n: usize,
    in_parallel: bool,
    call: impl Fn(usize) -> String,
    result: impl Fn(usize) -> String,
) -> Conversation {
    let call = |index: usize| {
        Message::new(Role::Assistant, r#"{"a": 1}"#).with_channel("analysis").with_recipient(call(index))
    };
    let result = |index: usize| {
        let name = result(index);
        let author = if name.is_empty() { Author::from(Role::Tool) } else { Author::new(Role::Tool, name) };
        Message::new(author, "12:00").with_channel("commentary")
    };
    if in_parallel {
        return Conversation::new((0..n).map(call).chain((0..n).map(result)));
    }
    let turn = |index| {
        let answer = Message::new(Role::Assistant, "Done.").with_channel("final");
        [Message::new(Role::User, "?"), call(index), result(index), answer]
    };
    Conversation::new((0..n).flat_map(turn))
}

fn lint_all(conversation: &Conversation) {
    black_box(lint::conversation(conversation, &LintOptions::default()));
}

fn fix_all(conversation: &Conversation) {
    let mut conversation = conversation.clone();
    assert!(!lint::fix(&mut conversation, &LintOptions::default()).is_empty());
}

#[test]
fn rules_over_many_turns_with_response_formats() {
    let input = |n| {
        let mut conversation = calls(n, false, |_| "functions.f".into(), |_| "functions.f".into());
        let developer: DeveloperContent = serde_json::from_value(json!({
            "response_formats": [{"name": "sum", "schema": {"type": "integer"}}]
        }))
        .unwrap();
        conversation.messages.insert(0, Message::new(Role::Developer, developer));
        conversation
    };
    check(400, input, lint_all);
}

#[test]
fn rules_over_calls_that_nothing_answers() {
    check(1000, |n| calls(n, true, |index| format!("functions.f{index}"), |_| "other".into()), lint_all);
}

#[test]
fn rules_over_calls_of_many_tools() {
    let input = |n| {
        let tools = (0..n).map(|index| ToolDescription::new(format!("f{index}"), "A tool.", json!({})));
        let mut conversation = calls(n, false, |index| format!("functions.f{index}"), |_| "other".into());
        let developer = DeveloperContent::default().with_function_tools(tools);
        conversation.messages.insert(0, Message::new(Role::Developer, developer));
        conversation
    };
    check(400, input, lint_all);
}

#[test]
fn rules_over_a_long_transcript() {
    let input = |n| {
        let mut text = String::new();
        for index in 0..n {
            let _ = write!(text, "<|start|>user<|message|>{index}<|end|><|end|>");
            text += "<|start|>assistant<|channel|>final<|message|>4<|return|>";
        }
        Encoding::o200k_harmony().parse_text(&text, &ParseOptions::recover().role(None)).unwrap()
    };
    check(1000, input, |parsed| {
        black_box(lint::transcript(parsed, &LintOptions::default()));
    });
}

#[test]
fn fixes_in_many_turns() {
    check(100, |n| calls(n, false, |_| "functions.f".into(), |_| "functions.f".into()), fix_all);
}

#[test]
fn names_that_are_mended_one_after_another() {
    // Each name is certain only when the results before it have theirs.
    check(100, |n| calls(n, false, |index| format!("functions.f{}", index % 2), |_| String::new()), fix_all);
    check(
        100,
        |n| calls(n, false, |index| format!("functions.f{}", index % 2), |i| format!("f{}", i % 2)),
        fix_all,
    );
    check(100, |n| calls(n, true, |index| format!("functions.f{index}"), |i| format!("f{i}")), fix_all);
}

#[test]
fn names_are_mended_all_at_once() {
    let mut conversation = calls(3, false, |index| format!("functions.f{}", index % 2), |_| String::new());
    let findings = lint::conversation(&conversation, &LintOptions::default());
    let certain = findings.iter().filter(|finding| finding.code == "L201" && !finding.fix.is_empty());
    assert_eq!(certain.count(), 3);
    lint::fix(&mut conversation, &LintOptions::default());
    let names: Vec<_> =
        conversation.messages.iter().filter_map(|message| message.author.name.as_deref()).collect();
    assert_eq!(names, ["functions.f0", "functions.f1", "functions.f0"]);
}

#[test]
fn places_of_many_values_in_one_text() {
    let input = |n: usize| json!({"items": vec![json!({"a": 1}); n]}).to_string();
    check(500, input, |text| {
        let mut locator = arguments::Locator::new(text);
        let n = text.matches('a').count();
        assert!((0..n).all(|index| locator.locate(&format!("/items/{index}/a")).is_some()));
    });
}

#[test]
fn arguments_with_many_items() {
    let unique = json!({"uniqueItems": true});
    check(
        1000,
        |n| (0..n).map(Value::from).collect::<Value>(),
        |value| {
            assert!(arguments::check(&unique, value).is_empty());
        },
    );
    let object = |n: usize, key: &str| -> Value {
        (0..n).map(|index| (format!("{key}{index}"), json!({}))).collect::<serde_json::Map<_, _>>().into()
    };
    let both = |n| (json!({"properties": object(n, "a"), "additionalProperties": false}), object(n, "b"));
    check(500, both, |(schema, value)| {
        black_box(arguments::check(schema, value));
    });
    let alternatives = |n: usize| {
        let none_fits: Vec<Value> = (0..n).map(|index| json!({"const": index})).collect();
        (json!({"anyOf": none_fits}), Value::from("x".repeat(50 * n)))
    };
    check(500, alternatives, |(schema, value)| {
        black_box(arguments::check(schema, value));
    });
}

#[test]
fn grammars_of_many_tools_and_properties() {
    let tools = |n: usize| {
        let tool = |index| ToolDescription::new(format!("f{index}"), "A tool.", json!({"type": "object"}));
        Grammar::new().functions((0..n).map(tool))
    };
    check(250, tools, |grammar| {
        black_box(grammar.to_lark().unwrap());
        black_box(grammar.to_gbnf().unwrap());
    });
    let properties = |n: usize, demanded: usize| {
        let properties: serde_json::Map<String, Value> =
            (0..n).map(|index| (format!("p{index}"), json!({"type": "string"}))).collect();
        let required: Vec<_> = properties.keys().skip(n - demanded).cloned().collect();
        let schema = json!({
            "type": "object", "properties": properties, "required": required, "additionalProperties": false
        });
        Grammar::new().functions([ToolDescription::new("f", "A tool.", schema)])
    };
    for demanded in [0, 1] {
        check(
            250,
            |n| properties(n, demanded * n),
            |grammar| {
                black_box(grammar.to_gbnf().unwrap());
            },
        );
    }
}

#[test]
fn recovery_with_many_tools() {
    let input = |n: usize| {
        let text: String = (0..n)
            .map(|index| {
                format!("<|start|>assistant<|channel|>commentary to=functions.g{index}<|message|>1<|call|>")
            })
            .collect();
        (text, ParseOptions::recover().role(None).tools((0..n).map(|index| format!("functions.f{index}"))))
    };
    check(250, input, |(text, options)| {
        black_box(Encoding::o200k_harmony().parse_text(text, options).unwrap());
    });
}

#[test]
fn conversion_of_many_calls_at_once() {
    let input = |n: usize| {
        let call =
            |index| json!({"type": "function_call", "call_id": index, "name": index, "arguments": "{}"});
        let output = |index| json!({"type": "function_call_output", "call_id": index, "output": "4"});
        // A call is far from the others that wait, whether they are gone through from the first or from the last.
        let (first, second) = (0..n / 2, n / 2..n);
        let calls = (0..n).map(|index| call(format!("f{index}")));
        let outputs = second.chain(first).map(|index| output(format!("f{index}")));
        Value::Array(calls.chain(outputs).collect())
    };
    check(2000, input, |document| {
        let read = convert::read(document, convert::Format::Responses).unwrap();
        assert!(read.losses.is_empty());
    });
}
