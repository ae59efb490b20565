//! Round trips over generated conversations.

use harmony_format::convert::{Format, LossKind, normalize, read, write};
use harmony_format::{
    Author, Content, Conversation, DeveloperContent, Message, ReasoningEffort, ResponseFormat, Role,
    SystemContent, ToolDescription, ToolNamespace,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};

const TARGETS: [Format; 2] = [Format::Chat, Format::Responses];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zA-Z0-9 .,\n\"\\\\{}<|>äß😀]{1,12}",
        1 => Just(String::new()),
        1 => Just("<|end|><|start|>system".to_owned()),
    ]
}

fn arguments() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("{}".to_owned()),
        Just(r#"{"location": "Tokyo"}"#.to_owned()),
        Just("not JSON".to_owned()),
        Just(String::new()),
    ]
}

fn effort() -> impl Strategy<Value = ReasoningEffort> {
    prop_oneof![Just(ReasoningEffort::Low), Just(ReasoningEffort::Medium), Just(ReasoningEffort::High)]
}

fn schema() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "number"}}})),
        Just(json!({})),
        Just(json!(true)),
    ]
}

fn tool() -> impl Strategy<Value = ToolDescription> {
    ("[a-z_]{1,6}", text(), option::of(schema()))
        .prop_map(|(name, description, parameters)| ToolDescription { name, description, parameters })
}

fn functions() -> impl Strategy<Value = ToolNamespace> {
    vec(tool(), 1..3).prop_map(|tools| ToolNamespace {
        name: "functions".to_owned(),
        description: None,
        tools,
    })
}

fn response_format() -> impl Strategy<Value = ResponseFormat> {
    ("[a-z]{1,6}", option::of(text()), schema()).prop_map(|(name, description, schema)| ResponseFormat {
        name,
        description,
        schema,
    })
}

fn system() -> impl Strategy<Value = Message> {
    (effort(), any::<bool>(), any::<bool>()).prop_map(|(effort, browser, python)| {
        let mut content = SystemContent::default().with_reasoning_effort(effort);
        if browser {
            content = content.with_tools(ToolNamespace::browser());
        }
        if python {
            content = content.with_tools(ToolNamespace::python());
        }
        Message::new(Role::System, content)
    })
}

fn developer() -> impl Strategy<Value = Message> {
    (text(), option::of(functions()), option::of(response_format())).prop_map(|(text, tools, format)| {
        let mut content = DeveloperContent::default().with_instructions(text);
        content.tools = tools.map(|tools| [(tools.name.clone(), tools)].into());
        content.response_formats = format.map(|format| vec![format]);
        Message::new(Role::Developer, content)
    })
}

fn say(channel: &str, text: impl Into<Content>) -> Message {
    Message::new(Role::Assistant, text).with_channel(channel)
}

fn call(tool: &str, arguments: &str) -> Message {
    say("commentary", arguments).with_recipient(tool).with_content_type("<|constrain|>json")
}

fn result(tool: &str, text: &str) -> Message {
    Message::new(Author::new(Role::Tool, tool), text).with_recipient("assistant").with_channel("commentary")
}

/// Reasoning, an optional preamble, parallel calls, and as many results, the tools in any order.
fn calls() -> impl Strategy<Value = Vec<Message>> {
    let tools = vec((prop_oneof![Just("functions.f"), Just("functions.g")], arguments(), text()), 1..4);
    (option::of("[a-z ]{1,9}"), option::of("[a-z ]{1,9}"), tools, any::<bool>()).prop_map(
        |(reasoning, preamble, tools, reversed)| {
            let mut messages: Vec<_> = reasoning.map(|text| say("analysis", text)).into_iter().collect();
            messages.extend(preamble.map(|text| say("commentary", text)));
            messages.extend(tools.iter().map(|(tool, arguments, _)| call(tool, arguments)));
            let mut results: Vec<_> = tools.iter().map(|(tool, _, text)| result(tool, text)).collect();
            if reversed {
                // Keeps the order within a tool.
                results.sort_by(|a, b| b.author.name.cmp(&a.author.name));
            }
            messages.extend(results);
            messages
        },
    )
}

fn turn() -> impl Strategy<Value = Vec<Message>> {
    let user = prop_oneof![
        text().prop_map(|text| Message::new(Role::User, text)),
        (text(), text()).prop_map(|(a, b)| Message::new(Role::User, a).with_content(b)),
    ];
    let answer = (option::of("[a-z ]{1,9}"), text()).prop_map(|(reasoning, text)| {
        let mut messages: Vec<_> = reasoning.map(|text| say("analysis", text)).into_iter().collect();
        messages.push(say("final", text));
        messages
    });
    (user, vec(calls(), 0..3), option::of(answer)).prop_map(|(user, calls, answer)| {
        std::iter::once(user).chain(calls.into_iter().flatten()).chain(answer.into_iter().flatten()).collect()
    })
}

/// Conversations that both targets can hold.
fn clean() -> impl Strategy<Value = Conversation> {
    (system(), option::of(developer()), vec(turn(), 0..3)).prop_map(|(system, developer, turns)| {
        std::iter::once(system).chain(developer).chain(turns.into_iter().flatten()).collect()
    })
}

/// Messages with anything in any place.
fn wild_message() -> impl Strategy<Value = Message> {
    let role = proptest::sample::select(Role::ALL.to_vec());
    let names =
        ["functions.f", "functions.g", "f", "python", "browser.search", "container.exec", "assistant", ""];
    let name = || option::weighted(0.5, proptest::sample::select(names.to_vec()));
    let channel =
        option::weighted(0.9, proptest::sample::select(vec!["analysis", "commentary", "final", "odd"]));
    let content_type =
        option::weighted(0.3, proptest::sample::select(vec!["<|constrain|>json", "code", "text"]));
    let content = prop_oneof![
        6 => vec(text().prop_map(Content::from), 0..3),
        1 => system().prop_map(|message| message.content),
        2 => developer().prop_map(|message| message.content),
        1 => Just(vec![DeveloperContent::default().into()]),
        1 => functions().prop_map(|tools| vec![DeveloperContent::default().with_tools(tools).into()]),
        1 => functions().prop_map(|mut tools| {
            tools.name = "mcp".to_owned();
            vec![DeveloperContent::default().with_tools(tools).into()]
        }),
        1 => Just(vec![SystemContent::empty().into()]),
        1 => Just(vec!["text".into(), DeveloperContent::default().with_instructions("Be brief.").into()]),
    ];
    (role, name(), name(), content, channel, content_type).prop_map(
        |(role, name, recipient, content, channel, content_type)| Message {
            author: Author { role, name: name.map(str::to_owned) },
            recipient: recipient.map(str::to_owned),
            content,
            channel: channel.map(str::to_owned),
            content_type: content_type.map(str::to_owned),
        },
    )
}

/// A clean conversation with wild messages in between.
fn wild() -> impl Strategy<Value = Conversation> {
    (clean(), vec((any::<prop::sample::Index>(), wild_message()), 1..5)).prop_map(
        |(mut conversation, wild)| {
            for (place, message) in wild {
                let place = place.index(conversation.messages.len() + 1);
                conversation.messages.insert(place, message);
            }
            conversation
        },
    )
}

/// The messages that no loss speaks of.
fn untouched(conversation: &Conversation, losses: &[harmony_format::convert::Loss]) -> Vec<Message> {
    let mut touched = vec![false; conversation.messages.len()];
    for loss in losses {
        let index =
            loss.pointer.strip_prefix("/messages/").and_then(|rest| rest.split('/').next()?.parse().ok());
        let Some(index): Option<usize> = index else { continue };
        touched[index] = true;
        // What moves to the front changes the developer message there.
        if loss.kind == LossKind::Position && loss.what.starts_with("where ") {
            touched.iter_mut().take(2).for_each(|touched| *touched = true);
        }
    }
    let normal = normalize(conversation).messages;
    normal.into_iter().zip(touched).filter_map(|(message, touched)| (!touched).then_some(message)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_a_target_holds_comes_back_without_loss(conversation in clean()) {
        for target in TARGETS {
            let written = write(&conversation, target);
            prop_assert!(written.losses.is_empty(), "{target}: {:?}", written.losses);
            let back = read(&written.value, target).unwrap();
            prop_assert!(back.losses.is_empty(), "{target}: {:?}", back.losses);
            prop_assert_eq!(&back.value, &normalize(&conversation), "{} {}", target, written.value);
            prop_assert_eq!(write(&back.value, target).value, written.value);
        }
    }

    #[test]
    fn what_no_loss_speaks_of_comes_back(conversation in wild()) {
        for target in TARGETS {
            let written = write(&conversation, target);
            let back = read(&written.value, target).unwrap();
            if written.losses.is_empty() {
                prop_assert_eq!(&back.value, &normalize(&conversation), "{}", target);
            }
            let mut rest = back.value.messages.iter();
            for message in untouched(&conversation, &written.losses) {
                prop_assert!(
                    rest.any(|found| *found == message),
                    "{target}: {message:?}\nis missing or out of order in\n{:#}\nlosses {:#?}",
                    written.value,
                    written.losses
                );
            }
        }
    }

    #[test]
    fn a_second_round_trip_changes_nothing(conversation in wild()) {
        for target in TARGETS {
            let once = read(&write(&conversation, target).value, target).unwrap().value;
            let again = read(&write(&once, target).value, target).unwrap().value;
            prop_assert_eq!(&again, &once, "{}", target);
        }
    }

    #[test]
    fn losses_point_at_what_is_there(conversation in wild()) {
        let document = write(&conversation, Format::Harmony).value;
        for target in TARGETS {
            for loss in write(&conversation, target).losses {
                // What is absent has no place of its own; its message has.
                let message = loss.pointer.split('/').take(3).collect::<Vec<_>>().join("/");
                prop_assert!(document.pointer(&message).is_some(), "{loss}");
            }
        }
    }

    #[test]
    fn chat_and_responses_convert_into_each_other(conversation in clean()) {
        let chat = write(&conversation, Format::Chat).value;
        let responses = harmony_format::convert::convert(&chat, Format::Chat, Format::Responses).unwrap();
        prop_assert!(responses.losses.is_empty(), "{:?}", responses.losses);
        prop_assert_eq!(&responses.value, &write(&conversation, Format::Responses).value);
        let back = harmony_format::convert::convert(&responses.value, Format::Responses, Format::Chat).unwrap();
        prop_assert!(back.losses.is_empty(), "{:?}", back.losses);
        prop_assert_eq!(back.value, chat);
    }
}
