//! The repairs of malformed output, one function a repair, each with its code.

use std::ops::Range;

use crate::Status;
use crate::stream::{Core, Input};

/// A named repair; its code is stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Repair {
    /// `R01`: a stop token after the end of a message.
    StrayStop,
}

impl Repair {
    /// The stable code, `R01` and so on.
    #[must_use]
    pub const fn code(self) -> &'static str {
        "R01"
    }

    /// The name in lower case with hyphens.
    #[must_use]
    pub const fn name(self) -> &'static str {
        "stray-stop"
    }
}

#[derive(Debug, Default)]
pub(crate) struct LooseHeader;

impl LooseHeader {
    pub(crate) fn preset() -> Self {
        Self
    }

    pub(crate) fn text(&self) -> String {
        String::new()
    }
}

impl Core {
    pub(crate) fn step_recover(&mut self, input: &Input<'_>) {
        if self.step_reference(input).is_err() {
            self.claim(input.at.clone(), crate::Owner::Diagnostic(0));
        }
    }

    pub(crate) fn finish_recover(&mut self, at: usize) {
        self.end(Status::Incomplete, at);
    }

    pub(crate) fn spelled_marker(&mut self, _at: &Range<usize>) {}
}
