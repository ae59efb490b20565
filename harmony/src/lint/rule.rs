//! What a rule is, and how it reports.

use std::fmt;
use std::ops::Range;

use serde::Serialize;

use super::context::Context;
use super::{Edit, Finding};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing breaks.
    Info,
    /// The model was trained on something else, or another program will read it differently.
    Warning,
    /// It cannot be rendered, cannot be parsed back, or contradicts itself.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// A rule: what it looks for and why.
#[derive(Debug, Serialize)]
pub struct Rule {
    /// The code, `L` and three digits; the first names the group. A code is never used for another rule.
    pub code: &'static str,
    /// The name, words joined by hyphens.
    pub name: &'static str,
    /// How bad a finding of it is, unless the options say otherwise.
    pub severity: Severity,
    /// What it finds, in one sentence.
    pub what: &'static str,
    /// What happens if nothing is done.
    pub why: &'static str,
    /// An example and how it is mended.
    pub example: Example,
    /// Where findings are mended by [`fix`](super::fix): what is done, and why that is certain.
    pub fix: Option<&'static str>,
    /// Issue threads in which people met it, as `repository#number`.
    pub sources: &'static [&'static str],
    #[serde(skip)]
    pub(super) check: fn(&Context<'_>, &mut Report<'_>),
}

impl Rule {
    /// Whether a selector of [`LintOptions`](super::LintOptions) selects this rule.
    #[must_use]
    pub fn is_selected_by(&self, selector: &str) -> bool {
        self.name == selector || (selector.starts_with('L') && self.code.starts_with(selector))
    }
}

/// What a rule finds, and the same without the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Example {
    /// Messages as JSON, one a line.
    Messages {
        /// With the fault.
        before: &'static str,
        /// Without it.
        after: &'static str,
    },
    /// A transcript, its markers spelled out.
    Transcript {
        /// With the fault.
        before: &'static str,
        /// Without it.
        after: &'static str,
    },
}

/// Where a rule puts its findings.
pub(super) struct Report<'a> {
    pub(super) rule: &'static Rule,
    pub(super) severity: Severity,
    pub(super) findings: &'a mut Vec<Finding>,
}

impl Report<'_> {
    /// A finding about a message, or about none.
    pub(super) fn add(
        &mut self,
        message: impl Into<Option<usize>>,
        pointer: String,
        text: impl Into<String>,
    ) -> Added<'_> {
        self.findings.push(Finding {
            code: self.rule.code,
            name: self.rule.name,
            severity: self.severity,
            message: message.into(),
            pointer,
            text: text.into(),
            bytes: None,
            tokens: None,
            fix: Vec::new(),
        });
        Added(self.findings.last_mut().expect("a finding was just added"))
    }

    /// A finding about a field of a message.
    pub(super) fn field(&mut self, message: usize, field: &str, text: impl Into<String>) -> Added<'_> {
        self.add(message, format!("/messages/{message}/{field}"), text)
    }

    /// A finding about a message as a whole, or a field that it lacks.
    pub(super) fn message(&mut self, message: usize, text: impl Into<String>) -> Added<'_> {
        self.add(message, format!("/messages/{message}"), text)
    }
}

/// A finding that can be added to.
pub(super) struct Added<'a>(&'a mut Finding);

impl Added<'_> {
    pub(super) fn bytes(self, bytes: impl Into<Option<Range<usize>>>) -> Self {
        self.0.bytes = bytes.into();
        self
    }

    pub(super) fn tokens(self, tokens: Range<usize>) -> Self {
        self.0.tokens = Some(tokens);
        self
    }

    pub(super) fn fix(self, edits: impl IntoIterator<Item = Edit>) -> Self {
        self.0.fix = edits.into_iter().collect();
        self
    }
}
