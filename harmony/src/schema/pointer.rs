//! JSON Pointers and the references that hold them.

use serde_json::Value;

/// The part of a document that a local reference such as `#/$defs/Item` names.
pub(super) fn resolve<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    let fragment = reference.strip_prefix('#')?;
    root.pointer(&percent_decoded(fragment)?)
}

/// What a reference is called: `Item` for `#/$defs/Item`, `root` for the document as a whole, else itself.
pub(super) fn name(reference: &str) -> String {
    if !reference.starts_with('#') {
        return reference.to_owned();
    }
    match reference.rsplit(['/', '#']).next() {
        None | Some("") => "root".to_owned(),
        Some(word) => percent_decoded(word).unwrap_or_default().replace("~1", "/").replace("~0", "~"),
    }
}

/// The pointer one step further.
pub(super) fn child(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'%', [high, low, tail @ ..]) => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                bytes.push(u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?);
                rest = tail;
            }
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).ok()
}
