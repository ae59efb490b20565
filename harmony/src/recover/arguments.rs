//! The arguments of a tool call: one JSON object, out of what a model wrote.

use std::fmt;

use serde_json::Value;

/// What was read from the arguments of a tool call.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Arguments {
    /// The arguments; `None` if there is no complete JSON value, see [`raw`](Arguments::raw).
    pub value: Option<Value>,
    /// The text, unchanged.
    pub raw: String,
    /// What was done to get the value, in order; nothing for exactly one JSON object.
    pub repairs: Vec<ArgumentRepair>,
}

/// What [`arguments`] did.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ArgumentRepair {
    /// There is no text; read as an object without fields.
    Empty,
    /// This text before the object was left out.
    LeadingText(String),
    /// This text after the object was left out.
    TrailingText(String),
    /// A list of one object was unwrapped.
    UnwrappedList,
    /// A JSON string that holds an object was unwrapped.
    UnwrappedString,
    /// The value is complete but no object; it is kept.
    NotAnObject,
    /// The JSON is cut off; there is no value.
    Truncated,
    /// The text is no JSON; there is no value.
    NotJson,
}

impl ArgumentRepair {
    /// The stable name in lower case with hyphens.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::LeadingText(_) => "leading-text",
            Self::TrailingText(_) => "trailing-text",
            Self::UnwrappedList => "unwrapped-list",
            Self::UnwrappedString => "unwrapped-string",
            Self::NotAnObject => "not-an-object",
            Self::Truncated => "truncated",
            Self::NotJson => "not-json",
        }
    }
}

impl fmt::Display for ArgumentRepair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeadingText(text) | Self::TrailingText(text) => write!(f, "{} {text:?}", self.name()),
            _ => f.write_str(self.name()),
        }
    }
}

/// `R19`: reads the arguments of a tool call, the first complete object of the text.
///
/// # Examples
///
/// ```
/// use harmony_format::recover::{ArgumentRepair, arguments};
/// use serde_json::json;
///
/// let list = arguments(r#"[{"a": 1}]"#);
/// assert_eq!(list.value, Some(json!({"a": 1})));
/// assert_eq!(list.repairs, [ArgumentRepair::UnwrappedList]);
///
/// let cut = arguments(r#"{"a": [1, "#);
/// assert_eq!(cut.value, None);
/// assert_eq!(cut.repairs, [ArgumentRepair::Truncated]);
/// assert_eq!(cut.raw, r#"{"a": [1, "#);
/// ```
#[must_use]
pub fn arguments(text: &str) -> Arguments {
    let mut repairs = Vec::new();
    let value = read(text, &mut repairs);
    Arguments { value, raw: text.to_owned(), repairs }
}

fn read(text: &str, repairs: &mut Vec<ArgumentRepair>) -> Option<Value> {
    if text.trim().is_empty() {
        repairs.push(ArgumentRepair::Empty);
        return Some(Value::Object(serde_json::Map::new()));
    }
    let (value, rest) = match first_value(text) {
        Ok(found) => found,
        Err(error) if error.is_eof() => {
            repairs.push(ArgumentRepair::Truncated);
            return None;
        }
        Err(_) => match first_object(text) {
            Found::Object(before, value, rest) => {
                repairs.push(ArgumentRepair::LeadingText(before.to_owned()));
                (value, rest)
            }
            Found::Cut => {
                repairs.push(ArgumentRepair::Truncated);
                return None;
            }
            Found::Nothing => {
                repairs.push(ArgumentRepair::NotJson);
                return None;
            }
        },
    };
    if !rest.trim().is_empty() {
        repairs.push(ArgumentRepair::TrailingText(rest.to_owned()));
    }
    Some(unwrap(value, repairs))
}

/// The first JSON value and the text after it.
fn first_value(text: &str) -> Result<(Value, &str), serde_json::Error> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let value = values.next().unwrap_or(Ok(Value::Null))?;
    Ok((value, &text[values.byte_offset()..]))
}

enum Found<'a> {
    /// The text before it, the object, the text after it.
    Object(&'a str, Value, &'a str),
    Cut,
    Nothing,
}

/// The first complete object in a text that does not begin with JSON.
/// Only a few beginnings are tried, so that hostile text costs no more than a few readings.
fn first_object(text: &str) -> Found<'_> {
    let mut found = Found::Nothing;
    for (at, _) in text.match_indices('{').take(8) {
        match first_value(&text[at..]) {
            Ok((value, rest)) => return Found::Object(&text[..at], value, rest),
            Err(error) if error.is_eof() => found = Found::Cut,
            Err(_) => {}
        }
    }
    found
}

/// An object out of a list of one object, or out of a string that holds one.
fn unwrap(value: Value, repairs: &mut Vec<ArgumentRepair>) -> Value {
    match value {
        Value::Object(_) => value,
        Value::Array(mut list) if matches!(list.as_slice(), [Value::Object(_)]) => {
            repairs.push(ArgumentRepair::UnwrappedList);
            list.remove(0)
        }
        Value::String(text) => match serde_json::from_str(&text) {
            Ok(object @ Value::Object(_)) => {
                repairs.push(ArgumentRepair::UnwrappedString);
                object
            }
            _ => {
                repairs.push(ArgumentRepair::NotAnObject);
                Value::String(text)
            }
        },
        value => {
            repairs.push(ArgumentRepair::NotAnObject);
            value
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_complete_object_counts() {
        use ArgumentRepair::{
            Empty, LeadingText, NotAnObject, NotJson, TrailingText, Truncated, UnwrappedList, UnwrappedString,
        };
        for (text, value, repairs) in [
            (r#" {"a":1} "#, Some(json!({"a":1})), vec![]),
            (r#"{"a":1}]"#, Some(json!({"a":1})), vec![TrailingText("]".to_owned())]),
            (r#"{"a":1} done"#, Some(json!({"a":1})), vec![TrailingText(" done".to_owned())]),
            (
                "```json\n{\"a\":1}\n```",
                Some(json!({"a":1})),
                vec![LeadingText("```json\n".to_owned()), TrailingText("\n```".to_owned())],
            ),
            (r#"[{"a":1}]"#, Some(json!({"a":1})), vec![UnwrappedList]),
            (r#"[{"a":1},{}]"#, Some(json!([{"a":1},{}])), vec![NotAnObject]),
            (r#""{\"a\":1}""#, Some(json!({"a":1})), vec![UnwrappedString]),
            ("3", Some(json!(3)), vec![NotAnObject]),
            ("", Some(json!({})), vec![Empty]),
            (r#"{"a":"#, None, vec![Truncated]),
            (r#"args {"a":"#, None, vec![Truncated]),
            ("print(1)", None, vec![NotJson]),
        ] {
            let arguments = arguments(text);
            assert_eq!(arguments.value, value, "{text}");
            assert_eq!(arguments.repairs, repairs, "{text}");
            assert_eq!(arguments.raw, text);
        }
    }
}
