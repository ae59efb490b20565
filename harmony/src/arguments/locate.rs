//! The place of a value in JSON text.

use std::collections::HashMap;
use std::ops::Range;

use serde_json::value::RawValue;

/// The bytes of JSON text that hold the value at a JSON Pointer (RFC 6901); none if it is not there.
///
/// ```
/// use harmony_format::arguments::locate;
///
/// let text = r#"{"city": {"name": 7}}"#;
/// assert_eq!(&text[locate(text, "/city/name").unwrap()], "7");
/// assert_eq!(locate(text, "/country"), None);
/// ```
#[must_use]
pub fn locate(text: &str, pointer: &str) -> Option<Range<usize>> {
    let mut value: &RawValue = serde_json::from_str(text).ok()?;
    let keys = match pointer {
        "" => None,
        _ => Some(pointer.strip_prefix('/')?.split('/')),
    };
    for key in keys.into_iter().flatten() {
        let key = key.replace("~1", "/").replace("~0", "~");
        value = if value.get().starts_with('[') {
            let items: Vec<&RawValue> = serde_json::from_str(value.get()).ok()?;
            items.get(key.parse::<usize>().ok()?).copied()?
        } else {
            let members: HashMap<String, &RawValue> = serde_json::from_str(value.get()).ok()?;
            members.get(&key).copied()?
        };
    }
    // The raw value borrows from `text`, so the distance of their addresses is its offset.
    let start = value.get().as_ptr().addr() - text.as_ptr().addr();
    Some(start..start + value.get().len())
}
