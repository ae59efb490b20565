//! A value of the source together with its place.

use serde_json::{Map, Value};

use super::loss::{LossKind, Losses};
use crate::arguments::{push_key, show};
use crate::{Error, ErrorKind, Position, Result};

/// A value and its JSON Pointer.
#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    pub(super) value: &'a Value,
    pub(super) pointer: String,
}

impl<'a> Node<'a> {
    pub(super) fn root(value: &'a Value) -> Self {
        Self { value, pointer: String::new() }
    }

    /// The error that this value is not what it must be.
    pub(super) fn error(&self, rule: impl std::fmt::Display) -> Error {
        Error::new(ErrorKind::Convert, format!("{rule}, found {}", show(self.value)))
            .at(Position::Pointer(self.pointer.clone()))
    }

    pub(super) fn object(&self) -> Result<&'a Map<String, Value>> {
        self.value.as_object().ok_or_else(|| self.error("must be an object"))
    }

    /// The member of this name; `null` and absent are the same. Anything that is no object has no members.
    pub(super) fn get(&self, key: &str) -> Option<Self> {
        self.value
            .get(key)
            .filter(|value| !value.is_null())
            .map(|value| Self { value, pointer: self.below(key) })
    }

    /// The member of this name, which must be there.
    pub(super) fn need(&self, key: &str) -> Result<Self> {
        self.get(key).ok_or_else(|| self.error(format_args!("must have the field {key:?}")))
    }

    pub(super) fn below(&self, key: &str) -> String {
        let mut pointer = self.pointer.clone();
        push_key(&mut pointer, key);
        pointer
    }

    pub(super) fn items(&self) -> Result<Vec<Self>> {
        let items = self.value.as_array().ok_or_else(|| self.error("must be a list"))?;
        let node = |(index, value)| Self { value, pointer: format!("{}/{index}", self.pointer) };
        Ok(items.iter().enumerate().map(node).collect())
    }

    pub(super) fn text(&self) -> Result<&'a str> {
        self.value.as_str().ok_or_else(|| self.error("must be a string"))
    }

    /// The text of a member, if it is there.
    pub(super) fn get_text(&self, key: &str) -> Result<Option<&'a str>> {
        self.get(key).map(|node| node.text()).transpose()
    }

    pub(super) fn need_text(&self, key: &str) -> Result<&'a str> {
        self.need(key)?.text()
    }

    /// The value of `type`, or nothing.
    pub(super) fn tag(&self) -> &'a str {
        self.value.get("type").and_then(Value::as_str).unwrap_or_default()
    }

    /// Reports every member that no list names. `null` says nothing and is passed over.
    pub(super) fn report_rest(&self, known: &[&str], minor: &[Minor<'_>], losses: &mut Losses) {
        for (key, value) in self.value.as_object().into_iter().flatten() {
            if value.is_null() || known.contains(&key.as_str()) {
                continue;
            }
            let (kind, why) = match minor.iter().find(|minor| minor.keys.contains(&key.as_str())) {
                Some(minor) if minor.harmless(value) => continue,
                Some(minor) => (minor.kind, minor.why),
                None => (LossKind::UnknownField, "the field is not known here"),
            };
            losses.add(kind, self.below(key), format!("{key} {}", show(value)), why);
        }
    }
}

/// Fields that are known to be lost, and why.
pub(super) struct Minor<'a> {
    pub(super) keys: &'a [&'a str],
    pub(super) kind: LossKind,
    pub(super) why: &'a str,
}

impl Minor<'_> {
    /// Whether the value says nothing: an empty list of annotations.
    fn harmless(&self, value: &Value) -> bool {
        self.kind == LossKind::Annotation && value.as_array().is_some_and(Vec::is_empty)
    }
}
