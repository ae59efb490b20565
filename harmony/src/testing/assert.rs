//! Assertions in one line.

use serde_json::Value;

use super::transcript::View;
use super::{Transcript, diff};
use crate::arguments::equal;
use crate::{Encoding, Message, MessageKind, TokenId, Tool, recover};

/// Asserts that exactly these tools are called, in this order, with these arguments.
///
/// The name may have its `functions.` or not. Arguments are read as [`recover::arguments`] reads them and compared as JSON:
/// neither spaces, nor the order of keys, nor `1` for `1.0` makes a difference.
/// Content that is not meant to be JSON, such as code for `python`, is compared with a [`Value::String`] as text.
///
/// ```
/// use harmony_format::testing::assert_calls;
/// use harmony_format::{Message, Role};
/// use serde_json::json;
///
/// let messages = [
///     Message::new(Role::Assistant, r#"{ "city": "Paris" }"#).with_recipient("functions.get_weather"),
///     Message::new(Role::Assistant, "print(2 + 2)").with_recipient("python"),
/// ];
/// assert_calls(&messages, [("get_weather", json!({"city": "Paris"})), ("python", json!("print(2 + 2)"))]);
/// ```
///
/// That no tool is called:
///
/// ```
/// # use harmony_format::{Message, Role, testing::assert_calls};
/// # let messages = [Message::new(Role::Assistant, "4").with_channel("final")];
/// assert_calls::<&str>(&messages, []);
/// ```
///
/// # Panics
///
/// If the calls are others; the report names the message, the JSON Pointer of the argument, and its token.
#[track_caller]
pub fn assert_calls<N: AsRef<str>>(
    actual: &(impl Transcript + ?Sized),
    expected: impl IntoIterator<Item = (N, Value)>,
) {
    if let Err(report) = check_calls(&View::new(actual), expected) {
        panic!("{report}");
    }
}

fn check_calls<N: AsRef<str>>(
    view: &View<'_>,
    expected: impl IntoIterator<Item = (N, Value)>,
) -> Result<(), String> {
    let is_call = |message: &Message| matches!(message.kind(), MessageKind::ToolCall(_));
    let mut calls = (0..view.messages.len()).filter(|&index| is_call(view.messages[index]));
    for (name, arguments) in expected {
        let name = name.as_ref();
        let index = calls.next().ok_or_else(|| {
            let name = Tool::from_name(name).name();
            format!("{name} is not called\n{}", diff::outline(view, None))
        })?;
        check_call(view, index, name, &arguments)?;
    }
    match calls.next() {
        None => Ok(()),
        Some(index) => {
            Err(format!("message {index} is one call too many\n{}", diff::outline(view, Some(index))))
        }
    }
}

/// Whether a message, which is a call, calls this tool with these arguments.
pub(super) fn check_call(view: &View<'_>, index: usize, name: &str, expected: &Value) -> Result<(), String> {
    let message = view.messages[index];
    let (called, wanted) = (message.kind().tool(), Tool::from_name(name));
    if called != Some(wanted) {
        let called = called.map_or("nothing", Tool::name);
        let outline = diff::outline(view, Some(index));
        return Err(format!("message {index} calls {called}, expected {}\n{outline}", wanted.name()));
    }
    let content = message.text();
    if expected.as_str() == Some(&content) {
        return Ok(());
    }
    let arguments = recover::arguments(&content).value;
    match (&arguments, expected) {
        (Some(actual), expected) if equal(actual, expected) => Ok(()),
        // Text against text: the first token that differs says more than two long strings.
        (None | Some(Value::String(_)), Value::String(text)) => check_text(view, index, text),
        (actual, expected) => Err(diff::arguments(view, index, actual.as_ref(), expected)),
    }
}

/// Whether the content of a message is this text.
pub(super) fn check_text(view: &View<'_>, index: usize, text: &str) -> Result<(), String> {
    let message = view.messages[index];
    if message.text() == text {
        return Ok(());
    }
    let expected = Message { content: vec![text.into()], ..message.clone() };
    Err(diff::message(view, index, &expected))
}

/// Asserts that the last message is a final answer with exactly this text.
///
/// ```
/// use harmony_format::testing::assert_final;
/// use harmony_format::{Encoding, ParseOptions, Role};
///
/// let encoding = Encoding::o200k_harmony();
/// let said = encoding.encode_prompt("<|channel|>analysis<|message|>Easy.<|end|><|start|>assistant<|channel|>final<|message|>4<|return|>");
/// let parsed = encoding.parse(&said, &ParseOptions::strict().role(Role::Assistant))?;
/// assert_final(&parsed, "4");
/// # Ok::<(), harmony_format::Error>(())
/// ```
///
/// # Panics
///
/// If there is no message, or the last one is something else; the report names the first token that differs.
#[track_caller]
pub fn assert_final(actual: &(impl Transcript + ?Sized), text: &str) {
    let view = View::new(actual);
    let report = match view.messages.last() {
        None => Err(format!("there is no final answer, expected {text:?}\n")),
        Some(message) => {
            let index = view.messages.len() - 1;
            if message.kind() == MessageKind::Final {
                check_text(&view, index, text)
            } else {
                let outline = diff::outline(&view, Some(index));
                Err(format!("message {index} is the last and no final answer, expected {text:?}\n{outline}"))
            }
        }
    };
    if let Err(report) = report {
        panic!("{report}");
    }
}

/// Asserts that the messages are the same in every field, what the model thought included.
///
/// To pass over what it thought, see [`Expect::messages`](super::Expect::messages).
///
/// ```
/// use harmony_format::testing::assert_messages_eq;
/// use harmony_format::{Conversation, Encoding, Message, ParseOptions, RenderOptions, Role};
///
/// let conversation = Conversation::new([Message::new(Role::User, "What is 2 + 2?")]);
/// let encoding = Encoding::o200k_harmony();
/// let tokens = encoding.render(&conversation, &RenderOptions::storage())?;
/// assert_messages_eq(&encoding.parse(&tokens, &ParseOptions::strict())?, &conversation);
/// # Ok::<(), harmony_format::Error>(())
/// ```
///
/// # Panics
///
/// If they differ; the report names the first message that differs, its fields, and the first token.
#[track_caller]
pub fn assert_messages_eq(actual: &(impl Transcript + ?Sized), expected: &(impl Transcript + ?Sized)) {
    let all = |_: &Message| true;
    if let Err(report) = check_messages(&View::new(actual), 0, &expected.messages(), all) {
        panic!("{report}");
    }
}

/// Compares the messages from `first` on that `counts` says yes to.
pub(super) fn check_messages(
    view: &View<'_>,
    first: usize,
    expected: &[&Message],
    counts: impl Fn(&Message) -> bool,
) -> Result<(), String> {
    let mut indices = (first..view.messages.len()).filter(|&index| counts(view.messages[index]));
    for expected in expected.iter().filter(|message| counts(message)) {
        let index = indices.next().ok_or_else(|| {
            let outline = diff::outline(view, Some(view.messages.len()));
            format!("a message is missing: {}\n{outline}", diff::in_short(expected))
        })?;
        if view.messages[index] != *expected {
            return Err(diff::message(view, index, expected));
        }
    }
    match indices.next() {
        None => Ok(()),
        Some(index) => {
            Err(format!("message {index} is one message too many\n{}", diff::outline(view, Some(index))))
        }
    }
}

/// Asserts that two lists of tokens are the same.
///
/// ```
/// use harmony_format::Encoding;
/// use harmony_format::testing::assert_tokens_eq;
///
/// let encoding = Encoding::o200k_harmony();
/// assert_tokens_eq(&encoding, &encoding.encode_ordinary("Hello world"), &[13225, 2375]);
/// ```
///
/// # Panics
///
/// If they differ; the report shows the first token that differs, with the text around it on both sides.
#[track_caller]
pub fn assert_tokens_eq(encoding: &Encoding, actual: &[TokenId], expected: &[TokenId]) {
    if let Some(report) = diff::tokens(encoding, actual, expected) {
        panic!("{report}");
    }
}
