//! Edits of a conversation, in the words of JSON Patch (RFC 6902).

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::Finding;
use crate::Conversation;

/// An edit of a conversation's JSON: an operation of JSON Patch (RFC 6902).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Edit {
    /// Puts a value into an object, or before an item of a list.
    Add {
        /// Where, as a JSON Pointer.
        path: String,
        /// What.
        value: Value,
    },
    /// Takes a value out.
    Remove {
        /// Where, as a JSON Pointer.
        path: String,
    },
    /// Takes a value out and puts it in elsewhere.
    Move {
        /// From where, as a JSON Pointer.
        from: String,
        /// Where to, as a JSON Pointer into what is left.
        path: String,
    },
}

impl Edit {
    /// Sets a field of a message.
    pub(super) fn set(message: usize, field: &str, value: impl Into<Value>) -> Self {
        Self::Add { path: format!("/messages/{message}/{field}"), value: value.into() }
    }

    /// Removes a field of a message.
    pub(super) fn unset(message: usize, field: &str) -> Self {
        Self::Remove { path: format!("/messages/{message}/{field}") }
    }

    /// The places that it touches.
    fn paths(&self) -> impl Iterator<Item = &str> {
        let (first, second) = match self {
            Self::Add { path, .. } | Self::Remove { path } => (path, None),
            Self::Move { from, path } => (from, Some(path)),
        };
        std::iter::once(first).chain(second).map(String::as_str)
    }

    /// Applies it; none if there is no such place.
    fn apply(&self, document: &mut Value) -> Option<()> {
        match self {
            Self::Add { path, value } => add(document, path, value.clone()),
            Self::Remove { path } => remove(document, path).map(drop),
            Self::Move { from, path } => {
                let value = remove(document, from)?;
                add(document, path, value)
            }
        }
    }
}

/// Splits a pointer into its parent and the last key, unescaped.
fn split(pointer: &str) -> Option<(&str, String)> {
    let (parent, key) = pointer.rsplit_once('/')?;
    Some((parent, key.replace("~1", "/").replace("~0", "~")))
}

fn add(document: &mut Value, path: &str, value: Value) -> Option<()> {
    let (parent, key) = split(path)?;
    match document.pointer_mut(parent)? {
        Value::Object(members) => {
            members.insert(key, value);
        }
        Value::Array(items) => {
            let index = if key == "-" { items.len() } else { key.parse().ok()? };
            if index > items.len() {
                return None;
            }
            items.insert(index, value);
        }
        _ => return None,
    }
    Some(())
}

fn remove(document: &mut Value, path: &str) -> Option<Value> {
    let (parent, key) = split(path)?;
    match document.pointer_mut(parent)? {
        Value::Object(members) => members.shift_remove(&key),
        Value::Array(items) => {
            let index: usize = key.parse().ok()?;
            (index < items.len()).then(|| items.remove(index))
        }
        _ => None,
    }
}

/// Applies the fixes of one round and returns the findings that they mend; none if there was nothing to apply.
///
/// A fix that would touch what another one of the round has touched waits for the next round.
/// A fix that moves messages has a round of its own.
pub(super) fn mend(conversation: &mut Conversation, findings: Vec<Finding>) -> Option<Vec<Finding>> {
    let original = serde_json::to_value(&*conversation).ok()?;
    let mut chosen = choose(findings);
    let document = loop {
        if chosen.is_empty() {
            return None;
        }
        let mut document = original.clone();
        let is_mended = |finding: &Finding, document: &mut Value| {
            finding.fix.iter().all(|edit| edit.apply(document).is_some())
        };
        match chosen.iter().position(|finding| !is_mended(finding, &mut document)) {
            None => break document,
            // A fix applies as a whole or not at all. That one does not is the fault of its rule.
            Some(failed) => drop(chosen.remove(failed)),
        }
    };
    *conversation = serde_json::from_value(document).ok()?;
    Some(chosen)
}

/// The findings whose fixes can be applied in one round.
fn choose(findings: Vec<Finding>) -> Vec<Finding> {
    let mut touched: BTreeSet<String> = BTreeSet::new();
    let mut chosen: Vec<Finding> = Vec::new();
    for finding in findings.into_iter().filter(|finding| !finding.fix.is_empty()) {
        let paths = || finding.fix.iter().flat_map(Edit::paths);
        let moves_messages = paths().any(|path| path.matches('/').count() == 2);
        if (moves_messages && !chosen.is_empty()) || paths().any(|path| overlaps(path, &touched)) {
            continue;
        }
        touched.extend(paths().map(str::to_owned));
        chosen.push(finding);
        if moves_messages {
            break;
        }
    }
    chosen
}

/// Whether a place is one of others, lies in one of them, or one of them lies in it.
fn overlaps(path: &str, others: &BTreeSet<String>) -> bool {
    let mut around = path.match_indices('/').map(|(end, _)| &path[..end]);
    let below = format!("{path}/");
    others.contains(path)
        || around.any(|outer| others.contains(outer))
        || others.range(below.clone()..).next().is_some_and(|other| other.starts_with(&below))
}
