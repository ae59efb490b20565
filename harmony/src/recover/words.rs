//! The words of a header, and what each can be.

use std::collections::{HashSet, VecDeque};
use std::ops::Range;

use crate::{Author, Role, SpecialToken, Tool, channel};

/// A word of a header, or a marker.
#[derive(Clone, Debug)]
pub(super) enum Item {
    Word(Word),
    Marker(SpecialToken, Range<usize>),
}

#[derive(Clone, Debug)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) at: Range<usize>,
    /// Whether no white space stands before it.
    pub(super) glued: bool,
}

/// The words between ASCII white space, as strict mode splits them, without other white space around them.
pub(super) fn words(text: &str) -> impl Iterator<Item = (Range<usize>, &str)> {
    text.split_ascii_whitespace().map(str::trim).filter(|word| !word.is_empty()).map(|word| {
        let start = word.as_ptr() as usize - text.as_ptr() as usize;
        (start..start + word.len(), word)
    })
}

pub(super) fn first_word(items: &VecDeque<Item>) -> Option<&Word> {
    match items.front()? {
        Item::Word(word) => Some(word),
        Item::Marker(..) => None,
    }
}

/// `user:bob`.
pub(super) fn named_author(word: &Word) -> Option<Author> {
    let (role, name) = word.text.split_once(':')?;
    let role: Role = role.parse().ok()?;
    (role != Role::Tool).then(|| Author::new(role, name))
}

/// `assistantassistant`.
pub(super) fn repeated_role(word: &str) -> Option<Role> {
    Role::ALL.into_iter().find(|role| {
        let role = role.as_str();
        word.len() > role.len()
            && word.len().is_multiple_of(role.len())
            && word == role.repeat(word.len() / role.len())
    })
}

/// `assistantfinal`.
pub(super) fn role_and_channel(word: &str) -> Option<(Role, &str)> {
    let name = word.strip_prefix(Role::Assistant.as_str())?;
    is_channel(name).then_some((Role::Assistant, name))
}

pub(super) fn is_channel(word: &str) -> bool {
    [channel::ANALYSIS, channel::COMMENTARY, channel::FINAL].contains(&word)
}

/// Whether a word can only be a content type: one that models write, a media type, or a marked one.
pub(super) fn is_type(word: &str) -> bool {
    ["json", "code", "text", "markdown"].contains(&word)
        || word.contains('/')
        || word.starts_with(SpecialToken::Constrain.as_str())
}

/// Whether a word can be a tool's name.
pub(super) fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && word.chars().all(|c| c.is_alphanumeric() || "_-.:/".contains(c))
}

/// The tools that exist.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tools {
    names: HashSet<String>,
    /// Those that are functions, without `functions.`.
    functions: HashSet<String>,
    /// The greatest length of a name.
    longest: usize,
}

impl Tools {
    /// The tools with these full names.
    pub(crate) fn new(names: &[String]) -> Self {
        let functions = names.iter().filter_map(|name| match Tool::from_name(name) {
            Tool::Function(name) => Some(name.to_owned()),
            Tool::BuiltIn(_) => None,
        });
        Self {
            functions: functions.collect(),
            longest: names.iter().map(String::len).max().unwrap_or(0),
            names: names.iter().cloned().collect(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether one of the tools is meant: by its whole name, without `functions.`, or as part of a namespace.
    pub(super) fn has(&self, name: &str) -> bool {
        let is_whole = match Tool::from_name(name) {
            Tool::Function(name) => self.functions.contains(name),
            Tool::BuiltIn(name) => self.names.contains(name),
        };
        let mut namespaces =
            name.match_indices('.').map(|(end, _)| end).take_while(|&end| end <= self.longest);
        is_whole || namespaces.any(|end| self.names.contains(&name[..end]))
    }
}
