//! Snapshots without what changes from run to run.

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::Transcript;
use crate::{Message, MessageKind, Tool, recover};

/// Begins a snapshot of messages in which what changes from run to run is masked.
///
/// It serialises to the list of messages, so it fits where insta takes a value.
/// The arguments of a call are shown as JSON if they are exactly one JSON object, and as text otherwise.
///
/// ```
/// use harmony_format::testing::redact;
/// use harmony_format::{Message, Role, SystemContent};
/// use serde_json::json;
///
/// let messages = [
///     Message::new(Role::System, SystemContent::empty().with_conversation_start_date("2025-06-28")),
///     Message::new(Role::Assistant, "Easy, I guess.").with_channel("analysis"),
///     Message::new(Role::Assistant, r#"{"id": "c0ffee", "city": "Paris"}"#).with_recipient("functions.get_weather"),
/// ];
/// let redacted = redact(&messages).dates().reasoning().argument("get_weather", "/id");
///
/// // In a test: insta::assert_json_snapshot!(redacted);
/// assert_eq!(
///     redacted.to_value(),
///     json!([
///         {"role": "system", "content": [{"type": "system_content", "conversation_start_date": "[date]"}]},
///         {"role": "assistant", "content": "[reasoning]", "channel": "analysis"},
///         {"role": "assistant", "recipient": "functions.get_weather", "content": {"id": "[argument]", "city": "Paris"}},
///     ])
/// );
/// ```
pub fn redact(transcript: &(impl Transcript + ?Sized)) -> Redact<'_> {
    Redact {
        messages: transcript.messages(),
        dates: false,
        reasoning: false,
        omit_reasoning: false,
        arguments: Vec::new(),
    }
}

/// Messages and what of them is masked; see [`redact`].
#[derive(Clone, Debug)]
#[must_use = "it is a value for a snapshot"]
pub struct Redact<'a> {
    messages: Vec<&'a Message>,
    dates: bool,
    reasoning: bool,
    omit_reasoning: bool,
    arguments: Vec<(String, String)>,
}

impl Redact<'_> {
    /// Masks each date such as `2025-06-28`, with its time if it has one, in every text; it becomes `[date]`.
    pub fn dates(mut self) -> Self {
        self.dates = true;
        self
    }

    /// Masks what the model thought; its text becomes `[reasoning]`.
    pub fn reasoning(mut self) -> Self {
        self.reasoning = true;
        self
    }

    /// Leaves messages of reasoning out, so that their number does not matter, either.
    pub fn without_reasoning(mut self) -> Self {
        self.omit_reasoning = true;
        self
    }

    /// Masks one argument of a tool, given by a JSON Pointer (RFC 6901), in each call that has it; it becomes `[argument]`.
    ///
    /// The name may have its `functions.` or not. The empty pointer stands for the arguments as a whole.
    pub fn argument(mut self, tool: &str, pointer: &str) -> Self {
        self.arguments.push((tool.to_owned(), pointer.to_owned()));
        self
    }

    /// The messages as JSON: a list, each flat as [`Message::to_json`] writes it.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let shown = self
            .messages
            .iter()
            .filter(|message| !self.omit_reasoning || message.kind() != MessageKind::Reasoning);
        let mut value = Value::Array(shown.map(|message| self.message(message)).collect());
        if self.dates {
            mask_dates(&mut value);
        }
        value
    }

    fn message(&self, message: &Message) -> Value {
        let mut value = json!(message);
        match message.kind() {
            MessageKind::Reasoning if self.reasoning => value["content"] = json!("[reasoning]"),
            MessageKind::ToolCall(tool) => {
                if let Some(arguments) = self.arguments(tool, &message.text()) {
                    value["content"] = arguments;
                }
            }
            _ => {}
        }
        value
    }

    /// The arguments of a call as JSON; none if they stay text.
    fn arguments(&self, tool: Tool<'_>, text: &str) -> Option<Value> {
        let mut own = self
            .arguments
            .iter()
            .filter(|(name, _)| Tool::from_name(name) == tool)
            .map(|(_, pointer)| pointer)
            .peekable();
        if own.clone().any(String::is_empty) {
            return Some(json!("[argument]"));
        }
        let read = recover::arguments(text);
        // What must be masked is masked in arguments that need a repair, too.
        if !read.repairs.is_empty() && own.peek().is_none() {
            return None;
        }
        let mut value = read.value?;
        for pointer in own {
            if let Some(argument) = value.pointer_mut(pointer) {
                *argument = json!("[argument]");
            }
        }
        Some(value)
    }
}

impl Serialize for Redact<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_value().serialize(serializer)
    }
}

/// Masks the dates in every text of a value; keys stay.
fn mask_dates(value: &mut Value) {
    match value {
        Value::String(text) => *text = without_dates(text),
        Value::Array(items) => items.iter_mut().for_each(mask_dates),
        Value::Object(fields) => fields.values_mut().for_each(mask_dates),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn without_dates(text: &str) -> String {
    let (mut masked, mut rest) = (String::with_capacity(text.len()), text);
    let mut after_digit = false;
    while let Some(c) = rest.chars().next() {
        match date(rest) {
            Some(len) if !after_digit => {
                masked.push_str("[date]");
                rest = &rest[len..];
                after_digit = false;
            }
            _ => {
                masked.push(c);
                rest = &rest[c.len_utf8()..];
                after_digit = c.is_ascii_digit();
            }
        }
    }
    masked
}

/// How long the date is that a text begins with: `2025-06-28`, `2025-06-28T12:30:00Z`.
fn date(text: &str) -> Option<usize> {
    let day = shaped(text, "0000-00-00")?;
    let number = |range: std::ops::Range<usize>| text.get(range).and_then(|digits| digits.parse::<u8>().ok());
    if !matches!(number(5..7), Some(1..=12)) || !matches!(number(8..10), Some(1..=31)) {
        return None;
    }
    if text[day..].starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let Some(minute) = shaped(&text[day..], "T00:00").or_else(|| shaped(&text[day..], " 00:00")) else {
        return Some(day);
    };
    let mut len = day + minute;
    if let Some(second) = shaped(&text[len..], ":00") {
        len += second;
        if let Some(fraction) = text[len..].strip_prefix('.') {
            let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
            len += if digits > 0 { 1 + digits } else { 0 };
        }
    }
    let rest = &text[len..];
    let zone = ["Z", "+00:00", "-00:00"].iter().find_map(|shape| shaped(rest, shape)).unwrap_or(0);
    Some(len + zone)
}

/// The length of `shape` if a text begins like it; `0` stands for any digit.
fn shaped(text: &str, shape: &str) -> Option<usize> {
    let fits = |(a, b): (u8, u8)| if b == b'0' { a.is_ascii_digit() } else { a == b };
    (text.len() >= shape.len() && text.bytes().zip(shape.bytes()).all(fits)).then_some(shape.len())
}

#[cfg(test)]
mod tests {
    use super::without_dates;

    #[test]
    fn dates_are_masked_with_their_time_and_nothing_else_is() {
        for (text, masked) in [
            (
                "Current date: 2025-06-28\nKnowledge cutoff: 2024-06",
                "Current date: [date]\nKnowledge cutoff: 2024-06",
            ),
            ("2025-06-28T12:30:00Z", "[date]"),
            ("2025-06-28T12:30:00.123+02:00.", "[date]."),
            ("at 2025-06-28 12:30, or 2025-06-29.", "at [date], or [date]."),
            ("2025-06-28T", "[date]T"),
            (
                "2025-13-28 2025-06-32 12025-06-28 2025-06-281",
                "2025-13-28 2025-06-32 12025-06-28 2025-06-281",
            ),
            ("世界2025-06-28世界", "世界[date]世界"),
            ("", ""),
        ] {
            assert_eq!(without_dates(text), masked);
        }
    }
}
