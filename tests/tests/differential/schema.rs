//! Schemas to TypeScript.

use harmony_format::testing::strategies::schemas as generated;
use harmony_format::{DeveloperContent, Message, RenderOptions, Role, ToolDescription};
use openai_harmony::chat;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::{Sides, compare, without_large_numbers};

pub(crate) fn schemas(sides: &Sides, runner: TestRunner) -> Result<(), String> {
    compare(runner, &generated(), |schema| {
        let tool = ToolDescription::new("f", "", schema);
        let content = DeveloperContent::default().with_function_tools([tool]);
        let json = without_large_numbers(&Message::new(Role::Developer, content).to_json())?;
        let ours = Message::from_json(&json)?;
        let official: chat::Message = serde_json::from_str(&json)?;

        let tokens = sides.ours.render_message(&ours, false, &RenderOptions::storage())?;
        let expected = sides.official.render(&official, None).map_err(|error| error.to_string());
        let expected = expected.map_err(TestCaseError::fail)?;
        prop_assert_eq!(sides.ours.decode_lossy(&tokens)?, sides.ours.decode_lossy(&expected)?);
        prop_assert_eq!(tokens, expected);
        Ok(())
    })
}
