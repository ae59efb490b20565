//! Who a recipient is, and which call a result answers.

use std::collections::{HashMap, VecDeque};

use crate::ToolNamespace;

/// Whom a message of the assistant goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Address<'a> {
    /// A function by its name, with or without the prefix `functions.`.
    Function { name: &'a str, bare: bool },
    /// A tool of another namespace.
    Namespaced { namespace: &'a str, name: &'a str },
    /// The built-in `python`.
    Python,
    /// A tool of the built-in `browser`.
    Browser(&'a str),
    /// A role, or nothing that could be a tool.
    Other,
}

impl<'a> Address<'a> {
    /// The address that a recipient or the name of a tool spells.
    pub(super) fn of(recipient: &'a str) -> Self {
        match recipient.split_once('.') {
            _ if recipient.is_empty() || recipient == "assistant" => Self::Other,
            None if recipient == "python" => Self::Python,
            None if ["browser", "container"].contains(&recipient) => Self::Other,
            None => Self::Function { name: recipient, bare: true },
            Some(("", _) | (_, "")) => Self::Other,
            Some((ToolNamespace::FUNCTIONS, name)) => Self::Function { name, bare: false },
            Some(("browser", name)) => Self::Browser(name),
            Some((namespace, name)) => Self::Namespaced { namespace, name },
        }
    }
}

/// Calls that wait for their results, oldest first.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// Their ids by the full name of the tool.
    waiting: HashMap<String, VecDeque<String>>,
    made: usize,
}

impl Calls {
    /// Makes the next id: `call_0`, `call_1` and so on.
    pub(super) fn next_id(&mut self) -> String {
        let id = format!("call_{}", self.made);
        self.made += 1;
        id
    }

    /// Notes a call of `tool` under `id`.
    pub(super) fn add(&mut self, id: &str, tool: &str) {
        self.waiting.entry(tool.to_owned()).or_default().push_back(id.to_owned());
    }

    /// Takes the oldest waiting call of `tool` and returns its id.
    pub(super) fn answer(&mut self, tool: &str) -> Option<String> {
        self.waiting.get_mut(tool)?.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipients_are_told_apart() {
        let function = |name, bare| Address::Function { name, bare };
        for (recipient, address) in [
            ("functions.f", function("f", false)),
            ("functions.a.b", function("a.b", false)),
            ("f", function("f", true)),
            ("python", Address::Python),
            ("browser.open", Address::Browser("open")),
            ("container.exec", Address::Namespaced { namespace: "container", name: "exec" }),
            ("assistant", Address::Other),
            ("browser", Address::Other),
            ("functions.", Address::Other),
            ("", Address::Other),
        ] {
            assert_eq!(Address::of(recipient), address, "{recipient:?}");
        }
    }

    #[test]
    fn results_answer_the_oldest_call_of_their_tool() {
        let mut calls = Calls::default();
        for tool in ["f", "g", "f"] {
            let id = calls.next_id();
            calls.add(&id, tool);
        }
        assert_eq!(calls.answer("f").as_deref(), Some("call_0"));
        assert_eq!(calls.answer("f").as_deref(), Some("call_2"));
        assert_eq!(calls.answer("f"), None);
        assert_eq!(calls.answer("g").as_deref(), Some("call_1"));
    }
}
