//! Token streams to messages.

use harmony_format::testing::strategies::{malformed_streams, roles};
use harmony_format::{Error, Mode, ParseOptions, ParsedMessage, StreamParser};
use openai_harmony::{StreamableParser, chat};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{TestCaseResult, TestRunner};
use serde_json::{Value, json};

use crate::{Sides, compare};

pub(crate) fn whole(sides: &Sides, runner: TestRunner) -> Result<(), String> {
    compare(runner, &(malformed_streams(), options()), |(tokens, options)| {
        let parsed = sides.ours.parse(&tokens, &options);
        let expected = sides.official.parse_messages_from_completion_tokens_with_options(
            tokens,
            official_role(&options)?,
            official_options(&options),
        );
        let expected = expected.map(|messages| json!(messages)).map_err(|error| error.to_string());
        prop_assert_eq!(
            parsed.map(|parsed| messages(&parsed.messages)).map_err(|error| wording(&error)),
            expected
        );
        Ok(())
    })
}

pub(crate) fn token_by_token(sides: &Sides, runner: TestRunner) -> Result<(), String> {
    // Where the end of the input is told, if not after all tokens; reading goes on after it.
    let strategy = (malformed_streams(), options(), of(0..20usize));
    compare(runner, &strategy, |(tokens, options, early_end)| {
        let mut ours = sides.ours.stream(options.clone());
        let official = StreamableParser::new_with_options(
            sides.official.clone(),
            official_role(&options)?,
            official_options(&options),
        );
        let mut official = official.map_err(|error| TestCaseError::fail(error.to_string()))?;
        compare_state(&ours, &official)?;
        for (index, &token) in tokens.iter().enumerate() {
            if early_end == Some(index) {
                compare_end(&mut ours, &mut official)?;
            }
            let step = ours.push(token).map(|_| ()).map_err(|error| wording(&error));
            let expected = official.process(token).map(|_| ()).map_err(|error| error.to_string());
            prop_assert_eq!(step, expected, "at token {}", index);
            compare_state(&ours, &official)?;
        }
        compare_end(&mut ours, &mut official)?;
        prop_assert_eq!(ours.tokens(), official.tokens());
        Ok(())
    })
}

fn compare_end(ours: &mut StreamParser, official: &mut StreamableParser) -> TestCaseResult {
    let end = ours.finish().map(|_| ()).map_err(|error| wording(&error));
    let expected = official.process_eos().map(|_| ()).map_err(|error| error.to_string());
    prop_assert_eq!(end, expected, "at the end");
    compare_state(ours, official)
}

/// Everything that can be asked of a parser.
fn compare_state(ours: &StreamParser, official: &StreamableParser) -> TestCaseResult {
    let failed = |error: String| TestCaseError::fail(error);
    let state: Value = serde_json::from_str(&official.state_json().map_err(|e| failed(e.to_string()))?)?;
    prop_assert_eq!(ours.state_json(), state);
    prop_assert_eq!(
        ours.last_content_delta().map(str::to_owned),
        official.last_content_delta().map_err(|e| failed(e.to_string()))?
    );
    prop_assert_eq!(ours.current_content(), official.current_content().map_err(|e| failed(e.to_string()))?);
    let role = official.current_role();
    prop_assert_eq!(ours.current_role().map(|role| role.as_str()), role.as_ref().map(chat::Role::as_str));
    prop_assert_eq!(ours.current_channel().map(str::to_owned), official.current_channel());
    prop_assert_eq!(ours.current_recipient().map(str::to_owned), official.current_recipient());
    prop_assert_eq!(ours.current_content_type().map(str::to_owned), official.current_content_type());
    prop_assert_eq!(messages(ours.messages()), json!(official.messages()));
    Ok(())
}

fn options() -> impl Strategy<Value = ParseOptions> {
    (select(vec![Mode::Strict, Mode::Lenient]), of(roles())).prop_map(|(mode, role)| {
        let mut options = ParseOptions::strict().role(role);
        options.mode = mode;
        options
    })
}

fn official_options(options: &ParseOptions) -> openai_harmony::ParseOptions {
    openai_harmony::ParseOptions { strict: options.mode == Mode::Strict }
}

fn official_role(options: &ParseOptions) -> Result<Option<chat::Role>, TestCaseError> {
    let role = options.role.map(|role| chat::Role::try_from(role.as_str()));
    role.transpose().map_err(TestCaseError::fail)
}

fn messages(parsed: &[ParsedMessage]) -> Value {
    parsed.iter().map(|parsed| json!(parsed.message)).collect()
}

fn wording(error: &Error) -> String {
    error.reference_message().to_owned()
}
