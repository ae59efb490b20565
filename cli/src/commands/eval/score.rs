//! What was right, case by case and summed up by effort.

use std::collections::BTreeMap;
use std::io::Write;

use harmony_format::ReasoningEffort;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::color;
use crate::error::Result;
use crate::output::Output;

/// How one case came out: a line of the file of results.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Outcome {
    pub(super) id: String,
    pub(super) model: String,
    pub(super) effort: ReasoningEffort,
    /// Temperature, seed and enforcement, as the results depend on them.
    pub(super) settings: String,
    /// All that was expected came.
    pub(super) passed: bool,
    /// Nothing had to be repaired, every message came to its end, calls fit their tools and answers their format.
    pub(super) well_formed: bool,
    pub(super) calls: Count,
    pub(super) answers: Count,
    pub(super) generated_tokens: usize,
    /// What was not as expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) why: Option<String>,
    /// What the model said.
    pub(super) said: Vec<Value>,
}

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Count {
    pub(super) right: usize,
    pub(super) of: usize,
}

impl Count {
    pub(super) fn add(&mut self, right: bool) {
        self.right += usize::from(right);
        self.of += 1;
    }

    fn sum(&mut self, other: Self) {
        self.right += other.right;
        self.of += other.of;
    }

    /// The share, in percent; none of nothing.
    fn percent(self) -> Option<f64> {
        (self.of > 0).then(|| 100.0 * self.right as f64 / self.of as f64)
    }
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.percent() {
            Some(percent) => write!(f, "{}/{} {percent:5.1} %", self.right, self.of),
            None => f.write_str("-"),
        }
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    passed: Count,
    well_formed: Count,
    calls: Count,
    answers: Count,
    tokens: usize,
}

impl Row {
    fn add(&mut self, outcome: &Outcome) {
        self.passed.add(outcome.passed);
        self.well_formed.add(outcome.well_formed);
        self.calls.sum(outcome.calls);
        self.answers.sum(outcome.answers);
        self.tokens += outcome.generated_tokens;
    }

    fn tokens_a_case(&self) -> f64 {
        self.tokens as f64 / self.passed.of.max(1) as f64
    }

    fn to_json(self) -> Value {
        json!({
            "cases": self.passed.of,
            "passed": self.passed.right,
            "well_formed": self.well_formed.right,
            "calls": self.calls,
            "answers": self.answers,
            "generated_tokens": self.tokens,
        })
    }
}

/// The rows of the table: one for each effort, and one for all.
pub(super) struct Table {
    efforts: BTreeMap<ReasoningEffort, Row>,
    all: Row,
}

impl Table {
    pub(super) fn of(outcomes: &[Outcome]) -> Self {
        let mut table = Self { efforts: BTreeMap::new(), all: Row::default() };
        for outcome in outcomes {
            table.efforts.entry(outcome.effort).or_default().add(outcome);
            table.all.add(outcome);
        }
        table
    }

    /// The share of cases that passed, in percent.
    pub(super) fn passed(&self) -> f64 {
        self.all.passed.percent().unwrap_or(100.0)
    }

    pub(super) fn write(&self, out: &mut Output) -> Result<()> {
        let head = format!(
            "{:<7} {:>16} {:>16} {:>16} {:>16} {:>12}",
            "effort", "passed", "well-formed", "calls", "answers", "tokens/case"
        );
        let paint = out.paint;
        writeln!(out, "{}", paint.paint(color::BOLD, head))?;
        let efforts = self.efforts.iter().map(|(effort, row)| (effort.as_str(), row));
        let all = (self.efforts.len() > 1).then_some(("all", &self.all));
        for (name, row) in efforts.chain(all) {
            writeln!(
                out,
                "{name:<7} {:>16} {:>16} {:>16} {:>16} {:>12.1}",
                row.passed.to_string(),
                row.well_formed.to_string(),
                row.calls.to_string(),
                row.answers.to_string(),
                row.tokens_a_case(),
            )?;
        }
        Ok(())
    }

    pub(super) fn to_json(&self) -> Value {
        let efforts: serde_json::Map<String, Value> =
            self.efforts.iter().map(|(effort, row)| (effort.as_str().to_owned(), row.to_json())).collect();
        json!({"efforts": efforts, "all": self.all.to_json()})
    }
}
