//! Conversations to tokens.

use harmony_format::testing::strategies::{conversations as generated, roles, unchecked_conversations};
use harmony_format::{Conversation, DropPolicy, Purpose, RenderOptions};
use openai_harmony::chat;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{TestCaseResult, TestRunner};

use crate::{Sides, compare, without_large_numbers};

pub(crate) fn conversations(sides: &Sides, runner: TestRunner) -> Result<(), String> {
    compare(runner, &(generated(), options()), |(conversation, options)| check(sides, &conversation, options))
}

pub(crate) fn unchecked(sides: &Sides, runner: TestRunner) -> Result<(), String> {
    let strategy = (unchecked_conversations(), options());
    compare(runner, &strategy, |(conversation, options)| check(sides, &conversation, options))
}

fn options() -> impl Strategy<Value = RenderOptions> {
    let purpose =
        prop_oneof![roles().prop_map(Purpose::Completion), Just(Purpose::Training), Just(Purpose::Storage)];
    (purpose, select(vec![DropPolicy::Reference, DropPolicy::None])).prop_map(|(purpose, drop)| {
        let mut options = RenderOptions::storage().drop(drop);
        options.purpose = purpose;
        options
    })
}

fn check(sides: &Sides, conversation: &Conversation, options: RenderOptions) -> TestCaseResult {
    let json = without_large_numbers(&conversation.to_json())?;
    // Both read the JSON, so that a number that JSON cannot keep exactly is the same on both sides.
    let ours = Conversation::from_json(&json)?;
    let official: chat::Conversation = serde_json::from_str(&json)?;
    let messages = &official.messages;

    let dropping = Default::default();
    let config = (options.drop == DropPolicy::Reference).then_some(&dropping);
    let expected = match options.purpose {
        Purpose::Completion(next) => {
            let next = chat::Role::try_from(next.as_str()).map_err(TestCaseError::fail)?;
            sides.official.render_conversation_for_completion(messages, next, config)
        }
        Purpose::Training => sides.official.render_conversation_for_training(messages, config),
        Purpose::Storage => sides.official.render_conversation(messages, config),
    };
    let tokens = sides.ours.render(&ours, &options);
    let text = |tokens: &[u32]| sides.ours.decode_lossy(tokens);
    if let (Ok(tokens), Ok(expected)) = (&tokens, &expected) {
        prop_assert_eq!(text(tokens)?, text(expected)?);
    }
    prop_assert_eq!(
        tokens.as_ref().map_err(|error| error.reference_message().to_owned()),
        expected.as_ref().map_err(ToString::to_string)
    );

    // A message by itself does not know of function tools.
    for (message, official) in ours.messages.iter().zip(messages).take(1) {
        let tokens = sides.ours.render_message(message, false, &options);
        prop_assert_eq!(
            tokens.map_err(|error| error.reference_message().to_owned()),
            sides.official.render(official, None).map_err(|error| error.to_string())
        );
    }
    Ok(())
}
