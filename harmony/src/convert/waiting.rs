//! The calls that wait for their results.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Calls without a result so far, by number, id and tool. Numbers grow from call to call.
#[derive(Default)]
pub(super) struct Waiting {
    calls: BTreeMap<usize, Call>,
    by_id: HashMap<String, BTreeSet<usize>>,
    by_tool: HashMap<String, BTreeSet<usize>>,
}

struct Call {
    id: String,
    tool: String,
}

impl Waiting {
    pub(super) fn add(&mut self, number: usize, id: &str, tool: &str) {
        self.by_id.entry(id.to_owned()).or_default().insert(number);
        self.by_tool.entry(tool.to_owned()).or_default().insert(number);
        self.calls.insert(number, Call { id: id.to_owned(), tool: tool.to_owned() });
    }

    /// Takes the latest call with this id: its tool and its number.
    pub(super) fn take_id(&mut self, id: &str) -> Option<(String, usize)> {
        let number = *self.by_id.get(id)?.last()?;
        Some((self.take(number)?.tool, number))
    }

    /// Takes the oldest call of this tool and returns its number.
    pub(super) fn take_tool(&mut self, tool: &str) -> Option<usize> {
        let number = *self.by_tool.get(tool)?.first()?;
        self.take(number).map(|_| number)
    }

    fn take(&mut self, number: usize) -> Option<Call> {
        let call = self.calls.remove(&number)?;
        for (calls, key) in [(&mut self.by_id, &call.id), (&mut self.by_tool, &call.tool)] {
            if let Some(numbers) = calls.get_mut(key) {
                numbers.remove(&number);
            }
        }
        Some(call)
    }
}
