//! JSON Schema -> TypeScript.

/// Replaced by the writer of this file.
pub(crate) fn typescript(_: &serde_json::Value, _: crate::SchemaStyle) -> String {
    "any".to_owned()
}
