//! A line of an evaluation: a conversation, and what the model is expected to say.

use harmony_format::{Conversation, ReasoningEffort};
use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

use crate::documents;
use crate::error::{Error, Result};

/// A conversation and what is expected, answer by answer.
pub(super) struct Case {
    pub(super) id: String,
    pub(super) conversation: Conversation,
    pub(super) effort: Option<ReasoningEffort>,
    pub(super) expected: Vec<Expected>,
}

/// What one answer of the model is expected to be.
pub(super) enum Expected {
    /// A call of a tool, and what the tool then answers.
    Call { tool: String, arguments: Matcher, result: Option<String> },
    /// A final answer.
    Answer(Matcher),
}

/// What a text must be like.
pub(super) enum Matcher {
    /// The same.
    Exact(String),
    /// JSON with the same value.
    Json(Value),
    /// This regular expression is found in it.
    Regex(Regex),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: Option<String>,
    conversation: Value,
    effort: Option<String>,
    expect: OneOrMore,
    /// For people.
    #[serde(rename = "category")]
    _category: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    More(Vec<Value>),
    One(Value),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
enum Step {
    Call(Call),
    Exact(String),
    Json(Value),
    Regex(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    name: String,
    #[serde(default = "no_arguments")]
    arguments: Value,
    result: Option<Value>,
}

fn no_arguments() -> Value {
    Value::Object(serde_json::Map::new())
}

impl Case {
    /// Reads a line; `number` names it where it has no id.
    pub(super) fn read(text: &str, number: usize) -> Result<Self> {
        let line: Line =
            serde_json::from_str(text).map_err(|error| Error::in_document(error.into(), text).help(SHAPE))?;
        let conversation = documents::conversation(&line.conversation.to_string(), documents::From::Auto)?;
        let steps = match line.expect {
            OneOrMore::More(steps) => steps,
            OneOrMore::One(step) => vec![step],
        };
        if steps.is_empty() {
            return Err(wrong("nothing is expected"));
        }
        let expected = steps.into_iter().map(Expected::read).collect::<Result<_>>()?;
        let effort = line.effort.map(|word| word.parse()).transpose()?;
        Ok(Self { id: line.id.unwrap_or_else(|| number.to_string()), conversation, effort, expected })
    }
}

const SHAPE: &str = r#"a line is {"id": …, "effort": …, "conversation": …, "expect": …}, and what is expected {"call": {"name": …, "arguments": …, "result": …}}, {"exact": …}, {"json": …} or {"regex": …}, or a list of these"#;

fn wrong(rule: impl Into<String>) -> Error {
    Error::input("H001", rule).help(SHAPE)
}

impl Expected {
    fn read(step: Value) -> Result<Self> {
        let step =
            serde_json::from_value(step).map_err(|error| wrong(format!("what is expected: {error}")))?;
        Ok(match step {
            Step::Call(Call { name, arguments, result }) => {
                // Code for `python` is no JSON.
                let arguments = match arguments {
                    Value::String(text) => Matcher::Exact(text),
                    value => Matcher::Json(value),
                };
                Self::Call { tool: name, arguments, result: result.map(text) }
            }
            Step::Exact(text) => Self::Answer(Matcher::Exact(text)),
            Step::Json(value) => Self::Answer(Matcher::Json(value)),
            Step::Regex(pattern) => match Regex::new(&pattern) {
                Ok(regex) => Self::Answer(Matcher::Regex(regex)),
                Err(error) => {
                    let rule = error.to_string().replace('\n', " ");
                    return Err(wrong(format!("a regular expression is wrong: {rule}")));
                }
            },
        })
    }
}

/// A string is itself, all else its JSON.
fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

impl Matcher {
    /// Whether a text is as expected.
    pub(super) fn fits(&self, found: &str) -> bool {
        match self {
            Self::Exact(text) => text == found,
            Self::Json(value) => serde_json::from_str::<Value>(found).is_ok_and(|found| equal(&found, value)),
            Self::Regex(regex) => regex.is_match(found),
        }
    }
}

/// Whether two values are the same; 1 and 1.0 are, and the order of keys is nothing.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        (a, b) => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn matcher(expected: &str) -> Matcher {
        let line = format!(r#"{{"conversation":{{"messages":[]}},"expect":[{expected}]}}"#);
        match Case::read(&line, 1).unwrap().expected.remove(0) {
            Expected::Answer(matcher) | Expected::Call { arguments: matcher, .. } => matcher,
        }
    }

    #[test]
    fn answers_are_matched_in_three_ways() {
        let exact = matcher(r#"{"exact":"4"}"#);
        assert!(exact.fits("4") && !exact.fits("4 ") && !exact.fits("4.0"));
        let json = matcher(r#"{"json":{"a":1,"b":[2]}}"#);
        assert!(json.fits(r#" {"b": [2.0], "a": 1}"#));
        assert!(!json.fits(r#"{"a":1}"#) && !json.fits(r#"{"a":1,"b":[2],"c":3}"#) && !json.fits("{"));
        let regex = matcher(r#"{"regex":"^It is -?\\d+"}"#);
        assert!(regex.fits("It is -3 °C.") && !regex.fits("So it is 3."));
    }

    #[test]
    fn a_call_without_arguments_expects_an_empty_object() {
        assert!(matcher(r#"{"call":{"name":"functions.now"}}"#).fits("{}"));
        assert!(!matcher(r#"{"call":{"name":"functions.now"}}"#).fits(r#"{"a":1}"#));
    }

    #[test]
    fn code_of_a_call_is_compared_as_text() {
        let code = matcher(r#"{"call":{"name":"python","arguments":"x = 1\nx"}}"#);
        assert!(code.fits("x = 1\nx") && !code.fits("x = 1") && !code.fits(r#""x = 1\nx""#));
    }

    #[test]
    fn what_is_no_case_is_an_error() {
        for expect in [
            "[]",
            "{}",
            "7",
            r#"{"call":"f"}"#,
            r#"{"call":{"name":"f"},"exact":"x"}"#,
            r#"{"regex":"("}"#,
            r#"{"exact":7}"#,
            r#"[{"exact":"x"},{"near":"x"}]"#,
        ] {
            let line = format!(r#"{{"conversation":{{"messages":[]}},"expect":{expect}}}"#);
            assert_eq!(Case::read(&line, 1).err().unwrap().code(), Some("H001"), "{expect}");
        }
        assert!(Case::read("{", 1).is_err());
    }
}
