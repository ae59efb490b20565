//! Conversations as JSON.

use harmony_format::Conversation;
use harmony_format::testing::strategies::{json_values, unchecked_conversations};
use openai_harmony::chat;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{TestCaseResult, TestRunner};
use serde_json::{Value, json};

use crate::{Sides, compare};

pub(crate) fn round_trip(_: &Sides, runner: TestRunner) -> Result<(), String> {
    compare(runner, &unchecked_conversations(), |conversation| {
        let json = conversation.to_json();
        check(&json)?;
        check(&python_style(&json)?)?;
        // What the official library writes reads as the same conversation.
        let official: chat::Conversation = serde_json::from_str(&json)?;
        check(&serde_json::to_string(&official)?)
    })
}

pub(crate) fn broken(_: &Sides, runner: TestRunner) -> Result<(), String> {
    let strategy = (unchecked_conversations(), vec(edit(), 1..4), vec(slip(), 0..2));
    compare(runner, &strategy, |(conversation, edits, slips)| {
        let mut value: Value = serde_json::from_str(&conversation.to_json())?;
        for edit in edits {
            edit.apply(&mut value);
        }
        let text = slips.into_iter().fold(value.to_string(), |text, slip| slip.apply(text));
        check(&text)
    })
}

/// Both read it, to the same, or both refuse it. The words of a refusal are serde's, and tell how each is built.
fn check(json: &str) -> TestCaseResult {
    let ours = Conversation::from_json(json).map(|conversation| conversation.to_json());
    let official = serde_json::from_str(json).map(|conversation| json_of(&conversation).to_string());
    prop_assert_eq!(ours.is_ok(), official.is_ok(), "{:?} and {:?} for {}", ours, official, json);
    prop_assert_eq!(ours.ok(), official.ok(), "{}", json);
    Ok(())
}

/// The JSON of the official library, without the nulls that it writes in contents for what is absent.
fn json_of(conversation: &chat::Conversation) -> Value {
    let mut value = json!(conversation);
    for item in each(&mut value["messages"]).flat_map(|message| each(&mut message["content"])) {
        remove_nulls(item);
        for namespace in item.get_mut("tools").into_iter().flat_map(each) {
            remove_nulls(namespace);
            each(&mut namespace["tools"]).for_each(remove_nulls);
        }
    }
    value
}

/// The items of a list, the values of an object.
fn each(value: &mut Value) -> Box<dyn Iterator<Item = &mut Value> + '_> {
    match value {
        Value::Array(items) => Box::new(items.iter_mut()),
        Value::Object(fields) => Box::new(fields.values_mut()),
        _ => Box::new(std::iter::empty()),
    }
}

fn remove_nulls(value: &mut Value) {
    if let Value::Object(fields) = value {
        fields.retain(|_, field| !field.is_null());
    }
}

/// As the official Python package writes it: content always a list, the name always there.
fn python_style(json: &str) -> Result<String, TestCaseError> {
    let mut value: Value = serde_json::from_str(json)?;
    for message in value["messages"].as_array_mut().into_iter().flatten() {
        if message["content"].is_string() {
            message["content"] = json!([{"type": "text", "text": message["content"]}]);
        }
        if message.get("name").is_none() {
            message["name"] = Value::Null;
        }
    }
    Ok(value.to_string())
}

/// A change of the value, somewhere in it.
#[derive(Clone, Debug)]
enum Edit {
    Replace(Index, Value),
    Remove(Index),
    Rename(Index, &'static str),
    Add(Index, &'static str, Value),
}

const KEYS: [&str; 16] = [
    "messages",
    "role",
    "name",
    "content",
    "recipient",
    "channel",
    "content_type",
    "type",
    "text",
    "tools",
    "model_identity",
    "reasoning_effort",
    "channel_config",
    "parameters",
    "unknown",
    "",
];

fn edit() -> impl Strategy<Value = Edit> {
    let words = select(vec!["user", "User", "Low", "low", "text", "image", "system_content", "functions"]);
    let value = prop_oneof![3 => json_values(), 1 => words.prop_map(|word| json!(word))].boxed();
    prop_oneof![
        3 => (any::<Index>(), value.clone()).prop_map(|(at, value)| Edit::Replace(at, value)),
        2 => any::<Index>().prop_map(Edit::Remove),
        2 => (any::<Index>(), select(&KEYS[..])).prop_map(|(at, key)| Edit::Rename(at, key)),
        1 => (any::<Index>(), select(&KEYS[..]), value).prop_map(|(at, key, value)| Edit::Add(at, key, value)),
    ]
}

impl Edit {
    fn apply(self, root: &mut Value) {
        let mut places = Vec::new();
        pointers(root, String::new(), &mut places);
        let at = match &self {
            Self::Replace(at, _) | Self::Remove(at) | Self::Rename(at, _) | Self::Add(at, ..) => at,
        };
        let place = at.get(&places).clone();
        let (parent, key) = place.rsplit_once('/').unwrap_or_default();
        let key = key.replace("~1", "/").replace("~0", "~");
        match self {
            Self::Replace(_, value) => {
                if let Some(old) = root.pointer_mut(&place) {
                    *old = value;
                }
            }
            Self::Remove(_) => match root.pointer_mut(parent) {
                Some(Value::Object(fields)) => {
                    fields.shift_remove(&key);
                }
                Some(Value::Array(items)) => items.truncate(key.parse().unwrap_or(0)),
                _ => {}
            },
            Self::Rename(_, new) => {
                if let Some(Value::Object(fields)) = root.pointer_mut(parent) {
                    let old = std::mem::take(fields);
                    let renamed = |name: String| if name == key { new.to_owned() } else { name };
                    fields.extend(old.into_iter().map(|(name, value)| (renamed(name), value)));
                }
            }
            Self::Add(_, name, value) => {
                if let Some(Value::Object(fields)) = root.pointer_mut(&place) {
                    fields.insert(name.to_owned(), value);
                }
            }
        }
    }
}

fn pointers(value: &Value, at: String, places: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointers(item, format!("{at}/{index}"), places);
            }
        }
        Value::Object(fields) => {
            for (key, field) in fields {
                pointers(field, format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), places);
            }
        }
        _ => {}
    }
    places.push(at);
}

/// A slip of the pen in the text.
#[derive(Clone, Debug)]
enum Slip {
    Cut(Index),
    Remove(Index),
    Insert(Index, &'static str),
}

fn slip() -> impl Strategy<Value = Slip> {
    let pieces =
        vec!["\"", ",", "{", "}", "]", "\\u12", "\\ud800", "nul", "1e999", "\n ", "\"role\":\"user\","];
    prop_oneof![
        1 => any::<Index>().prop_map(Slip::Cut),
        1 => any::<Index>().prop_map(Slip::Remove),
        3 => (any::<Index>(), select(pieces)).prop_map(|(at, piece)| Slip::Insert(at, piece)),
    ]
}

impl Slip {
    fn apply(self, mut text: String) -> String {
        let places: Vec<usize> = text.char_indices().map(|(place, _)| place).collect();
        if places.is_empty() {
            return text;
        }
        match self {
            Self::Cut(at) => text.truncate(*at.get(&places)),
            Self::Remove(at) => {
                text.remove(*at.get(&places));
            }
            Self::Insert(at, piece) => text.insert_str(*at.get(&places), piece),
        }
        text
    }
}
