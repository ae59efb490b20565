//! What goes wrong in a call, as JSON-RPC numbers it and as the official Python package would raise it.

use harmony_format::Error;
use serde::Serialize;

/// An error answer.
#[derive(Debug, Serialize)]
pub(super) struct Failure {
    code: i32,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data>,
}

#[derive(Debug, Serialize)]
struct Data {
    kind: Kind,
    /// The code of the rule, such as `H012`.
    code: &'static str,
}

/// The exception of the official Python package for the same error.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) enum Kind {
    #[serde(rename = "ValueError")]
    Value,
    #[serde(rename = "RuntimeError")]
    Runtime,
    #[serde(rename = "HarmonyError")]
    Harmony,
}

impl Failure {
    fn protocol(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }

    pub(super) fn parse(message: impl std::fmt::Display) -> Self {
        Self::protocol(-32700, format!("a line must be JSON in UTF-8: {message}"))
    }

    pub(super) fn line_too_long(limit: u64) -> Self {
        Self::parse(format_args!("it has more than {limit} bytes"))
    }

    pub(super) fn request(message: impl Into<String>) -> Self {
        Self::protocol(-32600, message)
    }

    pub(super) fn method(name: &str) -> Self {
        Self::protocol(-32601, format!("there is no method {name:?}"))
    }

    pub(super) fn params(message: impl Into<String>) -> Self {
        Self::protocol(-32602, message)
    }

    pub(super) fn internal() -> Self {
        Self::protocol(-32603, "the method ended in an internal error")
    }

    /// An error of Harmony, in the official wording.
    pub(super) fn harmony(kind: Kind, error: &Error) -> Self {
        Self::worded(kind, error, error.reference_message())
    }

    /// An error of Harmony in other words than its own.
    pub(super) fn worded(kind: Kind, error: &Error, message: impl Into<String>) -> Self {
        Self { code: -32000, message: message.into(), data: Some(Data { kind, code: error.code() }) }
    }

    /// An error that only the official library's front door has.
    pub(super) fn value(rule: harmony_format::ErrorKind, message: impl Into<String>) -> Self {
        Self {
            code: -32000,
            message: message.into(),
            data: Some(Data { kind: Kind::Value, code: rule.code() }),
        }
    }
}
