//! JSON Schema as TypeScript, the way a prompt describes the arguments of a tool, and what that loses.
//!
//! [`SchemaStyle::Reference`] writes what the official library writes, byte for byte.
//! [`SchemaStyle::Typed`] keeps the types that the former turns into `any`.
//! [`losses`] names the places in a schema where the former loses or garbles something.
//!
//! Schemas nested deeper than [`MAX_DEPTH`] end in `any` there, so that no value can exhaust the stack.
//! JSON text never gets that far: the parser stops at 128 levels.

mod json;
mod losses;
mod pointer;
mod reference;
#[cfg(test)]
mod tests;
mod typed;

use serde_json::Value;

use crate::SchemaStyle;

pub use losses::{Loss, losses};

/// How deep schemas may be nested in schemas; what lies deeper is written as `any` and has no losses.
pub const MAX_DEPTH: usize = 192;

/// Writes a JSON Schema as a TypeScript type.
///
/// The text is made for a prompt: it has no indentation at its first level and may contain line breaks and comments.
///
/// ```
/// use harmony_format::{SchemaStyle, schema::typescript};
/// use serde_json::json;
///
/// let schema = json!({
///     "type": "object",
///     "properties": {"city": {"type": "string", "description": "Where."}, "days": {"type": "integer", "default": 1}},
///     "required": ["city"]
/// });
/// assert_eq!(
///     typescript(&schema, SchemaStyle::Reference),
///     "{\n// Where.\ncity: string,\ndays?: number, // default: 1\n}"
/// );
/// ```
#[must_use]
pub fn typescript(schema: &Value, style: SchemaStyle) -> String {
    match style {
        SchemaStyle::Reference => reference::write(schema),
        SchemaStyle::Typed => typed::write(schema),
    }
}

/// A value as JSON without spaces; `…` for one that is nested too deep to be written.
fn compact(value: &Value) -> String {
    if is_deeper_than(value, MAX_DEPTH) { "…".to_owned() } else { json::write(value) }
}

fn is_deeper_than(value: &Value, levels: usize) -> bool {
    let Some(below) = levels.checked_sub(1) else { return true };
    match value {
        Value::Array(items) => items.iter().any(|item| is_deeper_than(item, below)),
        Value::Object(fields) => fields.values().any(|field| is_deeper_than(field, below)),
        _ => false,
    }
}

/// Whether a key of an object can stand without quotes.
fn is_identifier(key: &str) -> bool {
    let is_start = |c: char| c.is_ascii_alphabetic() || c == '_' || c == '$';
    key.starts_with(is_start) && key.chars().all(|c| is_start(c) || c.is_ascii_digit())
}
