//! What a check found, drawn for a person, a pull request, a test runner or a browser.

pub(super) mod html;
pub(super) mod junit;
pub(super) mod markdown;
pub(super) mod text;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use gptoss_runtime::golden::lint;
use gptoss_runtime::golden::report::{Finding, Mode, Report, Suspect, Verdict};
use gptoss_runtime::golden::{Matching, Meta};
use gptoss_runtime::tap::TapPoint;

use super::dump::one_line;

/// A checked dump.
pub(super) struct Checked<'a> {
    pub(super) dump: &'a Path,
    pub(super) meta: &'a Meta,
    pub(super) matching: &'a Matching,
    pub(super) lint: &'a [lint::Finding],
    pub(super) report: &'a Report,
    /// Why the dump does not pass whatever its values are.
    pub(super) stale: Option<&'a str>,
}

impl Checked<'_> {
    /// Whether the dump passes: its values are right, and nothing about it is odd.
    pub(super) fn passed(&self) -> bool {
        self.report.passed() && self.lint.is_empty() && self.stale.is_none()
    }

    /// The verdict in a word.
    pub(super) fn verdict(&self) -> &'static str {
        match (self.report.verdict, self.passed()) {
            (Verdict::Wrong, _) => "wrong",
            (Verdict::Blind, _) => "blind",
            (Verdict::Right, true) => "right",
            (Verdict::Right, false) => "suspicious",
        }
    }

    /// The verdict in a sentence.
    pub(super) fn summary(&self) -> String {
        let summary = one_line(&self.report.summary);
        match (self.report.verdict, self.stale, self.lint.first()) {
            (Verdict::Right, Some(stale), _) => one_line(stale),
            (Verdict::Right, None, Some(finding)) => {
                format!(
                    "the values are within their bounds, but the dump is odd: {}",
                    one_line(&finding.text)
                )
            }
            _ => summary,
        }
    }

    /// The name of the dump, fit for one line.
    pub(super) fn name(&self) -> String {
        one_line(&self.dump.display().to_string())
    }

    /// The name of the mode.
    pub(super) fn mode(&self) -> &'static str {
        match self.report.mode {
            Mode::Local => "local",
            Mode::Segment => "segment",
            Mode::E2e => "e2e",
        }
    }

    /// What the backend said of its arithmetic.
    pub(super) fn arithmetic(&self) -> String {
        let Report { profile, accumulate, fused, .. } = self.report;
        let fused = if *fused { ", fused" } else { "" };
        format!("profile {profile}, sums in {}{fused}", accumulate.name())
    }

    /// What was found at each point, all layers and parts together, in the order of the data flow.
    pub(super) fn points(&self) -> Vec<(TapPoint, Summary)> {
        let mut points: Vec<(TapPoint, Summary)> = Vec::new();
        for finding in &self.report.findings {
            let point = finding.site.point;
            let summary = match points.iter_mut().find(|(known, _)| *known == point) {
                Some((_, summary)) => summary,
                None => {
                    points.push((point, Summary::default()));
                    &mut points.last_mut().expect("one was added").1
                }
            };
            summary.add(finding);
        }
        points
    }

    /// The greatest error by point and layer, in units of what is allowed.
    pub(super) fn by_layer(&self) -> BTreeMap<(TapPoint, Option<u32>), f64> {
        let mut worst = BTreeMap::new();
        for finding in &self.report.findings {
            let entry = worst.entry((finding.site.point, finding.site.layer)).or_insert(0.0);
            *entry = f64::max(*entry, ratio(finding.worst_ratio));
        }
        worst
    }

    /// The greatest error by layer and position, in units of what is allowed.
    pub(super) fn by_position(&self) -> BTreeMap<(Option<u32>, u32), f64> {
        let mut worst = BTreeMap::new();
        for finding in &self.report.findings {
            for &(position, value) in &finding.by_position {
                let entry = worst.entry((finding.site.layer, position)).or_insert(0.0);
                *entry = f64::max(*entry, ratio(value));
            }
        }
        worst
    }
}

/// The page that a writer draws.
fn drawn(checked: &Checked<'_>, write: fn(&Checked<'_>, &mut String) -> fmt::Result) -> String {
    let mut page = String::new();
    // Writing to a string cannot fail.
    let _ = write(checked, &mut page);
    page
}

/// The name of a known bug, or of two that explain an error together.
fn bug(suspect: &Suspect) -> String {
    match suspect.with {
        Some(with) => format!("{} with {with}", suspect.mutant),
        None => suspect.mutant.to_string(),
    }
}

/// What is no number is as far out as can be.
fn ratio(value: f64) -> f64 {
    if value.is_nan() { f64::INFINITY } else { value }
}

/// Sums over the sites of a point.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Summary {
    pub(super) sites: u64,
    pub(super) elements: u64,
    pub(super) outside: u64,
    pub(super) worst_ratio: f64,
    error: f64,
    reference: f64,
    pub(super) ulps: [u64; 12],
}

impl Summary {
    fn add(&mut self, finding: &Finding) {
        self.sites += 1;
        self.elements += finding.elements;
        self.outside += finding.outside;
        self.worst_ratio = self.worst_ratio.max(ratio(finding.worst_ratio));
        let elements = finding.elements as f64;
        self.error += finding.error_rms.powi(2) * elements;
        self.reference += finding.reference_rms.powi(2) * elements;
        self.ulps.iter_mut().zip(finding.ulps).for_each(|(sum, count)| *sum += count);
    }

    /// Root mean square of the errors.
    pub(super) fn error_rms(&self) -> f64 {
        (self.error / self.elements.max(1) as f64).sqrt()
    }

    /// The same of the profile's own rounding.
    pub(super) fn reference_rms(&self) -> f64 {
        (self.reference / self.elements.max(1) as f64).sqrt()
    }
}

/// What the counts of last places are of.
pub(super) const ULPS: [&str; 12] = ["0", "1", "2", "4", "8", "16", "32", "64", "128", "256", "512", "more"];

/// A number of three digits: `0.0312`, `1.25e-7`.
pub(super) fn short(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    match size {
        1e-3..1e4 => {
            let digits = (2 - size.log10().floor() as i32).clamp(0, 6) as usize;
            format!("{value:.digits$}")
        }
        _ => format!("{value:.2e}"),
    }
}

/// A share as a person reads it, never rounded up to all.
pub(super) fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    let floored = (percent * 100.0).floor() / 100.0;
    format!("{} %", if share < 1.0 { floored.min(99.99) } else { percent })
}

#[cfg(test)]
mod tests;
