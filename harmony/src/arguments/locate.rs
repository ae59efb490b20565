//! The places of values in JSON text.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;

use serde_json::value::RawValue;

/// The bytes of JSON text that hold the value at a JSON Pointer (RFC 6901); none if it is not there.
///
/// A [`Locator`] looks for many values in the same text.
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
    Locator::new(text).locate(pointer)
}

/// Looks for values in JSON text; a list or an object is read once, however many are looked for in it.
///
/// ```
/// use harmony_format::arguments::Locator;
///
/// let text = "[7, [8, 9]]";
/// let mut locator = Locator::new(text);
/// assert_eq!(locator.locate("/0"), Some(1..2));
/// assert_eq!(locator.locate("/1/1"), Some(8..9));
/// assert_eq!(locator.locate("/2"), None);
/// ```
#[derive(Debug)]
pub struct Locator<'a> {
    text: &'a str,
    /// The whole text as a value; none if it is not JSON.
    root: Option<&'a RawValue>,
    /// What is in the lists and objects that were read, by their first byte.
    parts: HashMap<usize, Parts<'a>>,
}

#[derive(Debug)]
enum Parts<'a> {
    Items(Vec<&'a RawValue>),
    Members(HashMap<String, &'a RawValue>),
}

impl<'a> Locator<'a> {
    /// Looks for values in this text.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Self { text, root: serde_json::from_str(text).ok(), parts: HashMap::new() }
    }

    /// The bytes that hold the value at a JSON Pointer (RFC 6901); none if it is not there.
    pub fn locate(&mut self, pointer: &str) -> Option<Range<usize>> {
        let mut value = self.root?;
        let keys = match pointer {
            "" => None,
            _ => Some(pointer.strip_prefix('/')?.split('/')),
        };
        for key in keys.into_iter().flatten() {
            let key = key.replace("~1", "/").replace("~0", "~");
            value = match self.parts(value)? {
                Parts::Items(items) => items.get(key.parse::<usize>().ok()?).copied()?,
                Parts::Members(members) => members.get(&key).copied()?,
            };
        }
        let start = self.start(value);
        Some(start..start + value.get().len())
    }

    fn parts(&mut self, value: &'a RawValue) -> Option<&Parts<'a>> {
        let start = self.start(value);
        Some(match self.parts.entry(start) {
            Entry::Occupied(parts) => parts.into_mut(),
            Entry::Vacant(place) => {
                let json = value.get();
                place.insert(match json.as_bytes().first()? {
                    b'[' => Parts::Items(serde_json::from_str(json).ok()?),
                    b'{' => Parts::Members(serde_json::from_str(json).ok()?),
                    _ => return None,
                })
            }
        })
    }

    /// The raw value borrows from the text, so the distance of their addresses is its offset.
    fn start(&self, value: &RawValue) -> usize {
        value.get().as_ptr().addr() - self.text.as_ptr().addr()
    }
}
