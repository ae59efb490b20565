//! The frame of JSON-RPC 2.0: a line to requests, a result to an answer. Values stay raw text.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::failure::Failure;

/// What a line holds.
pub(super) enum Incoming<'a> {
    One(Result<Request<'a>, Invalid<'a>>),
    /// At least one item.
    Batch(Vec<&'a RawValue>),
}

/// A valid request; a notification has no id.
pub(super) struct Request<'a> {
    pub(super) id: Option<&'a RawValue>,
    pub(super) method: String,
    pub(super) params: Option<&'a RawValue>,
}

/// JSON that is no request, with its id as far as it has a usable one.
pub(super) struct Invalid<'a> {
    pub(super) id: Option<&'a RawValue>,
    pub(super) failure: Failure,
}

#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct Fields<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    method: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    params: Option<&'a RawValue>,
}

/// `Some` also for null, which is a value here.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Reads a line.
///
/// # Errors
///
/// If it is not JSON, or neither an object nor a list with something in it.
pub(super) fn read(line: &[u8]) -> Result<Incoming<'_>, Failure> {
    let text = std::str::from_utf8(line).map_err(Failure::parse)?;
    let value: &RawValue = serde_json::from_str(text).map_err(Failure::parse)?;
    check_escapes(value.get())?;
    if !value.get().starts_with('[') {
        return Ok(Incoming::One(Request::read(value)));
    }
    let items: Vec<&RawValue> = serde_json::from_str(value.get()).map_err(Failure::parse)?;
    if items.is_empty() {
        return Err(Failure::request("a batch must have at least one request"));
    }
    Ok(Incoming::Batch(items))
}

impl<'a> Request<'a> {
    pub(super) fn read(value: &'a RawValue) -> Result<Self, Invalid<'a>> {
        let invalid = |id, message: &str| Err(Invalid { id, failure: Failure::request(message) });
        if !value.get().starts_with('{') {
            return invalid(None, "a request must be an object");
        }
        let fields: Fields<'a> = match serde_json::from_str(value.get()) {
            Ok(fields) => fields,
            Err(error) => return invalid(None, &format!("a request must be an object of JSON-RPC: {error}")),
        };
        let id = fields.id;
        if id.is_some_and(|id| !is_id(id)) {
            return invalid(None, "`id` must be a string, a number or null");
        }
        if fields.jsonrpc.and_then(string).as_deref() != Some("2.0") {
            return invalid(id, "`jsonrpc` must be \"2.0\"");
        }
        let Some(method) = fields.method.and_then(string) else {
            return invalid(id, "`method` must be a string");
        };
        if fields.params.is_some_and(|params| !params.get().starts_with(['{', '['])) {
            return invalid(id, "`params` must be an object or a list");
        }
        Ok(Self { id, method, params: fields.params })
    }
}

fn string(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

fn is_id(value: &RawValue) -> bool {
    value.get().starts_with(|first: char| first == '"' || first == '-' || first.is_ascii_digit())
        || value.get() == "null"
}

/// Raw values may hold `\ud83d` without its second half, which no string can: find it before anything is done.
fn check_escapes(json: &str) -> Result<(), Failure> {
    let mut rest = json;
    // Outside strings JSON has no backslash; inside, each begins an escape.
    while let Some(at) = rest.find('\\') {
        rest = &rest[at..];
        match unit(rest) {
            None => rest = &rest[2..],
            Some(0xd800..=0xdbff) if matches!(unit(&rest[6..]), Some(0xdc00..=0xdfff)) => rest = &rest[12..],
            Some(0xd800..=0xdfff) => {
                return Err(Failure::parse(format_args!("the escape {} is half a character", &rest[..6])));
            }
            Some(_) => rest = &rest[6..],
        }
    }
    Ok(())
}

/// The UTF-16 unit of the escape at the start of the text: `\u` and four hexadecimal digits.
fn unit(text: &str) -> Option<u16> {
    u16::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

/// A good answer.
pub(super) fn success(id: &RawValue, result: &RawValue) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{},"result":{}}}"#, id.get(), result.get())
}

/// An error answer; without an id it is null.
pub(super) fn failure(id: Option<&RawValue>, failure: &Failure) -> String {
    let error = serde_json::to_string(failure).expect("numbers and strings are always JSON");
    format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, id.map_or("null", RawValue::get))
}
