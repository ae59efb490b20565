//! What [`SchemaStyle::Reference`](crate::SchemaStyle::Reference) loses or garbles.

use serde_json::Value;

use super::pointer;

/// A place in a schema that the official library's TypeScript loses or garbles.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Loss {
    /// JSON Pointer to the schema that has the keyword; empty is the root.
    pub pointer: String,
    /// The keyword.
    pub keyword: String,
    /// What happens, as a sentence without a full stop.
    pub text: String,
}

/// The places where [`SchemaStyle::Reference`](crate::SchemaStyle::Reference) loses or garbles something, in document order.
///
/// ```
/// use harmony_format::schema::losses;
/// use serde_json::json;
///
/// let schema = json!({
///     "type": "object",
///     "properties": {"unit": {"anyOf": [{"type": "string"}, {"type": "null"}]}}
/// });
/// let losses = losses(&schema);
/// assert_eq!((&*losses[0].pointer, &*losses[0].keyword), ("/properties/unit", "anyOf"));
/// ```
#[must_use]
pub fn losses(schema: &Value) -> Vec<Loss> {
    let mut losses = Vec::new();
    visit(schema, "", &mut losses);
    losses
}

fn visit(schema: &Value, pointer: &str, losses: &mut Vec<Loss>) {
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        for (key, property) in properties {
            if property.get("anyOf").is_some() {
                losses.push(Loss {
                    pointer: pointer::child(&format!("{pointer}/properties"), key),
                    keyword: "anyOf".to_owned(),
                    text: "becomes any".to_owned(),
                });
            }
        }
    }
}
