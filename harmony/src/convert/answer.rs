//! A model's answer in the form of an API's response.

use serde_json::Value;

use super::front::Part;
use super::loss::{LossKind, Losses};
use super::{Converted, Format, Options, chat, harmony, responses, steps};
use crate::{Conversation, ParsedMessage, Status};

/// Writes what a model said as an API would return it.
///
/// Chat: a choice, `{"index":0,"message":…,"finish_reason":…}`; the reason is `tool_calls` if there is a call,
/// `length` if the last message has no end, else `stop`. Responses: the list `output`.
/// Harmony: the messages as a conversation.
///
/// Calls are found on any channel, with or without the prefix `functions.`; analysis is reasoning,
/// commentary without a recipient is text for the user. What that glosses over is reported.
/// Places of losses count the messages of `answer` from 0.
///
/// ```
/// use harmony_format::{Message, ParsedMessage, Role, SpecialToken, Status};
/// use harmony_format::convert::{Format, Options, write_answer};
/// use serde_json::json;
///
/// let say = |channel, text: &str| ParsedMessage {
///     message: Message::new(Role::Assistant, text).with_channel(channel),
///     status: Status::Complete(SpecialToken::End),
/// };
/// let answer = [say("analysis", "Simple."), say("final", "4")];
/// assert_eq!(
///     write_answer(&answer, Format::Chat, &Options::default()).value,
///     json!({
///         "index": 0,
///         "message": {"role": "assistant", "content": "4", "reasoning_content": "Simple."},
///         "finish_reason": "stop"
///     })
/// );
/// ```
#[must_use]
pub fn write_answer(answer: &[ParsedMessage], format: Format, options: &Options) -> Converted<Value> {
    let mut losses = Losses::default();
    let complete = answer.last().is_none_or(|last| last.status != Status::Incomplete);
    let understand = |losses: &mut Losses| {
        let parts = answer.iter().enumerate().map(|(index, parsed)| Part::Message(index, &parsed.message));
        steps::steps(parts.collect(), losses)
    };
    let value = match format {
        Format::Harmony => {
            for (index, _) in answer.iter().enumerate().filter(|(_, one)| one.status == Status::Incomplete) {
                let why = "the JSON of Harmony has no field for it";
                losses.add(
                    LossKind::Ending,
                    format!("/messages/{index}"),
                    "that the message has no end",
                    why,
                );
            }
            harmony::write(&answer.iter().map(|parsed| parsed.message.clone()).collect::<Conversation>())
        }
        Format::Chat => chat::write_choice(understand(&mut losses), complete, options, &mut losses),
        Format::Responses => responses::write_output(understand(&mut losses), complete, &mut losses),
    };
    Converted { value, losses: losses.0 }
}
