//! Which result answers which call.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::context::{call, is_clean};
use crate::{Message, Role};

/// Calls and results; a result answers the oldest open call of its name.
pub(super) struct Pairs<'a> {
    /// For a result, the call that it answers.
    pub(super) call_of: Vec<Option<usize>>,
    /// For a call, the result that answers it.
    pub(super) result_of: Vec<Option<usize>>,
    /// For a result that answers no call, the last call that is open then.
    pub(super) last_open: Vec<Option<usize>>,
    /// For a result that answers no call, the name that it is certain to lack: what all open calls name
    /// if it has no name, else what all those name that differ from it by their namespace only.
    pub(super) meant: Vec<Option<&'a str>>,
}

impl<'a> Pairs<'a> {
    pub(super) fn of(messages: &[&'a Message]) -> Self {
        let mut pairs = Self {
            call_of: vec![None; messages.len()],
            result_of: vec![None; messages.len()],
            last_open: vec![None; messages.len()],
            meant: vec![None; messages.len()],
        };
        let mut open = Open::default();
        // What would be open if every result before had the name that is meant: all are mended at once.
        let mut mended = Open::default();
        for (index, message) in messages.iter().enumerate() {
            if let Some(recipient) = call(message) {
                open.add(recipient, index);
                mended.add(recipient, index);
            } else if message.author.role == Role::Tool {
                let name = message.author.name.as_deref().unwrap_or_default();
                if let Some(call) = open.take(name) {
                    mended.take(name);
                    pairs.call_of[index] = Some(call);
                    pairs.result_of[call] = Some(index);
                } else {
                    let meant = if name.is_empty() { mended.only() } else { mended.only_with(name) };
                    if let Some(meant) = meant {
                        mended.take(meant);
                    }
                    pairs.meant[index] = meant;
                    pairs.last_open[index] = open.last();
                }
            }
        }
        pairs
    }
}

/// The calls without a result so far.
#[derive(Default)]
struct Open<'a> {
    calls: BTreeSet<usize>,
    /// By recipient, oldest first; none is empty.
    of: HashMap<&'a str, VecDeque<usize>>,
    /// The recipients by their names within the namespace.
    with: HashMap<&'a str, BTreeSet<&'a str>>,
}

impl<'a> Open<'a> {
    fn add(&mut self, recipient: &'a str, call: usize) {
        self.calls.insert(call);
        self.of.entry(recipient).or_default().push_back(call);
        if let Some((_, short)) = recipient.split_once('.') {
            self.with.entry(short).or_default().insert(recipient);
        }
    }

    /// Closes the oldest call of a recipient.
    fn take(&mut self, recipient: &str) -> Option<usize> {
        let calls = self.of.get_mut(recipient)?;
        let call = calls.pop_front()?;
        let is_last = calls.is_empty();
        self.calls.remove(&call);
        if is_last {
            self.of.remove(recipient);
            if let Some((_, short)) = recipient.split_once('.')
                && let Some(recipients) = self.with.get_mut(short)
            {
                recipients.remove(recipient);
            }
        }
        Some(call)
    }

    fn last(&self) -> Option<usize> {
        self.calls.last().copied()
    }

    /// The recipient, if all calls have the same.
    fn only(&self) -> Option<&'a str> {
        let recipient = self.of.keys().next().filter(|_| self.of.len() == 1)?;
        is_clean(recipient).then_some(recipient)
    }

    /// The recipient with this name within its namespace, if there is just one.
    fn only_with(&self, short: &str) -> Option<&'a str> {
        let recipients = self.with.get(short)?;
        let recipient = recipients.first().filter(|_| recipients.len() == 1)?;
        is_clean(recipient).then_some(recipient)
    }
}
