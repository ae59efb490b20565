//! Streams: parsers that live between requests, and snapshots of them.

use std::collections::BTreeMap;

use harmony_format::{Encoding, StreamParser, TokenId};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::failure::{Failure, Kind};
use super::methods::{Answer, flat, parse_options, raw};

/// The open streams by number. Numbers are not used twice.
#[derive(Default)]
pub(super) struct Streams {
    open: BTreeMap<u64, StreamParser>,
    last: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Open {
    role: Option<String>,
    strict: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Process {
    stream: u64,
    token: Option<TokenId>,
    tokens: Option<Vec<TokenId>>,
    fields: Option<Vec<Field>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Finish {
    stream: u64,
    fields: Option<Vec<Field>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Close {
    stream: u64,
}

/// A field of a snapshot.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Field {
    State,
    CurrentContent,
    CurrentRole,
    CurrentChannel,
    CurrentRecipient,
    CurrentContentType,
    LastContentDelta,
    Messages,
    Tokens,
}

impl Field {
    const ALL: [(Self, &'static str); 9] = [
        (Self::State, "state"),
        (Self::CurrentContent, "current_content"),
        (Self::CurrentRole, "current_role"),
        (Self::CurrentChannel, "current_channel"),
        (Self::CurrentRecipient, "current_recipient"),
        (Self::CurrentContentType, "current_content_type"),
        (Self::LastContentDelta, "last_content_delta"),
        (Self::Messages, "messages"),
        (Self::Tokens, "tokens"),
    ];

    fn value(self, stream: &StreamParser) -> Value {
        match self {
            Self::State => stream.state_json(),
            Self::CurrentContent => json!(stream.current_content()),
            Self::CurrentRole => json!(stream.current_role()),
            Self::CurrentChannel => json!(stream.current_channel()),
            Self::CurrentRecipient => json!(stream.current_recipient()),
            Self::CurrentContentType => json!(stream.current_content_type()),
            Self::LastContentDelta => json!(stream.last_content_delta()),
            Self::Messages => json!(flat(stream.messages())),
            Self::Tokens => json!(stream.tokens()),
        }
    }
}

impl Streams {
    pub(super) fn open(&mut self, encoding: &Encoding, params: &Open) -> Answer {
        let options = parse_options(params.role.as_deref(), params.strict)?;
        self.last += 1;
        self.open.insert(self.last, encoding.stream(options));
        raw(&json!({ "stream": self.last }))
    }

    /// Reads tokens up to the first error; those before it stay read.
    pub(super) fn process(&mut self, params: Process) -> Answer {
        let tokens = match (params.token, params.tokens) {
            (Some(token), None) => vec![token],
            (None, Some(tokens)) => tokens,
            _ => return Err(Failure::params("`stream_process` takes either `token` or `tokens`")),
        };
        let stream = self.get(params.stream)?;
        for token in tokens {
            stream.push(token).map_err(|error| Failure::harmony(Kind::Harmony, &error))?;
        }
        snapshot(stream, params.fields.as_deref())
    }

    pub(super) fn finish(&mut self, params: &Finish) -> Answer {
        let stream = self.get(params.stream)?;
        stream.finish().map_err(|error| Failure::harmony(Kind::Harmony, &error))?;
        snapshot(stream, params.fields.as_deref())
    }

    pub(super) fn close(&mut self, params: &Close) -> Answer {
        self.get(params.stream)?;
        self.open.remove(&params.stream);
        raw(&Value::Null)
    }

    fn get(&mut self, number: u64) -> Result<&mut StreamParser, Failure> {
        self.open.get_mut(&number).ok_or_else(|| Failure::params(format!("there is no open stream {number}")))
    }
}

/// The state of a stream, or only some fields of it.
fn snapshot(stream: &StreamParser, fields: Option<&[Field]>) -> Answer {
    let wanted = |name: &str| {
        fields.is_none_or(|fields| fields.iter().any(|&field| Field::ALL[field as usize].1 == name))
    };
    let values: Map<String, Value> = Field::ALL
        .into_iter()
        .filter(|(_, name)| wanted(name))
        .map(|(field, name)| (name.to_owned(), field.value(stream)))
        .collect();
    raw(&values)
}
