//! The check: each value of a dump against the formula of its point, computed from the dump's own inputs.

use std::sync::Arc;

use rayon::prelude::*;

use super::bounds::{Bounded, Bounds};
use super::graph::{Evaluator, Given, check as check_values, inputs, order};
use super::mutants::Mutants;
use super::oracle::{Choice, Formulas, judge_choice};
use super::report::{Finding, Mode, Report, Routing, Unjudged, Verdict, Worst};
use super::{Declared, Dtype, Part, Site, Source, Values, name, power, structure};
use crate::config::ModelConfig;
use crate::error::Result;
use crate::tap::TapPoint;
use crate::weights::Weights;

/// Scores at or below this are taken for -inf: programs mask with the least number of f16 or of f32, or with -1e4.
pub(super) const MASKED: f64 = -1e4;

/// How to check.
#[derive(Clone, Debug)]
pub struct CheckOptions {
    /// What the backend says of its arithmetic.
    pub declared: Declared,
    /// Whether rounding points of the profile may be left out, or stand elsewhere within an operation, as in fused kernels.
    pub fused: bool,
    /// The first position that was decoded one by one, if some were.
    pub decoded_from: Option<u32>,
    /// The most rows of a site that are judged: the first, the last and some between. All without it.
    pub rows: Option<usize>,
    /// Whether to measure which known bugs the dump would have shown.
    pub power: bool,
    /// Whether to look for the known bug that explains an error.
    pub names: bool,
}

impl CheckOptions {
    /// All rows, with names and power.
    #[must_use]
    pub const fn new(declared: Declared) -> Self {
        Self { declared, fused: false, decoded_from: None, rows: None, power: true, names: true }
    }
}

/// Judges each value of a dump by the formula of its point, from the values that the dump has right before it.
///
/// A value whose direct inputs are missing is computed from the nearest ones before them that are there.
///
/// # Errors
///
/// What the source returns, and [`ErrorKind::Dump`](crate::ErrorKind::Dump) if its rows are not what it says.
pub fn check(
    config: &ModelConfig,
    weights: &Weights,
    source: &dyn Source,
    options: &CheckOptions,
) -> Result<Report> {
    Judge::new(config, weights, source, options, &|_| true).report(Mode::Local)
}

/// One dump under judgement.
pub(super) struct Judge<'a> {
    pub(super) config: &'a ModelConfig,
    pub(super) weights: &'a Weights,
    pub(super) source: &'a dyn Source,
    pub(super) options: &'a CheckOptions,
    pub(super) machine: Bounds,
    pub(super) all: Arc<[u32]>,
    allowed: &'a dyn Fn(&Site) -> bool,
    judged: &'a dyn Fn(&Site) -> bool,
}

impl<'a> Judge<'a> {
    /// `allowed` names the sites that may be inputs.
    pub(super) fn new(
        config: &'a ModelConfig,
        weights: &'a Weights,
        source: &'a dyn Source,
        options: &'a CheckOptions,
        allowed: &'a dyn Fn(&Site) -> bool,
    ) -> Self {
        Self {
            config,
            weights,
            source,
            options,
            machine: Bounds::new(options.declared, options.fused),
            all: Arc::from([]),
            allowed,
            judged: &|_| true,
        }
    }

    /// Only these sites are judged.
    pub(super) fn only(self, judged: &'a dyn Fn(&Site) -> bool) -> Self {
        Self { judged, ..self }
    }

    pub(super) fn given(&self) -> Given<'_, Bounds> {
        Given::new(self.source, &self.machine, self.allowed)
    }

    pub(super) fn formulas(&self, mutants: Mutants) -> Formulas<'a> {
        Formulas::new(self.config, self.weights, mutants, self.options.decoded_from)
    }

    pub(super) fn evaluator<'b>(
        &'b self,
        given: &'b Given<'b, Bounds>,
        formulas: Formulas<'b>,
    ) -> Evaluator<'b, Bounds> {
        Evaluator::new(formulas, &self.machine, given, self.source.tokens(), self.all.clone())
    }

    /// The rows of a site that are judged.
    pub(super) fn chosen_rows(&self, positions: &[u32], most: Option<usize>) -> Arc<[u32]> {
        match most {
            Some(most) if most > 0 && positions.len() > most => {
                let last = positions.len() - 1;
                let mut rows: Vec<u32> =
                    (0..most).map(|index| positions[index * last / (most - 1).max(1)]).collect();
                rows.dedup();
                rows.into()
            }
            _ => positions.into(),
        }
    }

    pub(super) fn report(mut self, mode: Mode) -> Result<Report> {
        let options = self.options;
        let mut report = Report::new(mode, options.declared, options.fused);
        let mut sites = self.source.sites();
        sites.sort_by_key(order);
        self.all = self.positions(&sites)?;
        report.counts.sites = sites.len() as u64;
        let given = self.given();
        let evaluator = self.evaluator(&given, self.formulas(Mutants::NONE));
        let mut layer = None;
        for site in sites.into_iter().filter(self.judged) {
            if site.layer != layer {
                layer = site.layer;
                evaluator.forget();
                given.forget_before(layer.unwrap_or(0));
            }
            self.judge(site, &evaluator, &mut report)?;
        }
        for finding in &report.findings {
            report.counts.judged += 1;
            report.counts.elements += finding.elements;
            report.counts.single_valued += finding.single_valued;
            report.counts.outside += finding.outside;
        }
        if report.counts.outside > 0 && options.names {
            report.suspects = name::suspects(&self, &report)?;
            report.structure = structure::facts(&self, &report)?;
        }
        if options.power {
            report.power = power::measure(&self, &report)?;
        }
        conclude(&mut report, options.power);
        Ok(report)
    }

    /// All positions of the run: as many as there are tokens, or as the dump has rows.
    pub(super) fn positions(&self, sites: &[Site]) -> Result<Arc<[u32]>> {
        let mut count = self.source.tokens().map_or(0, <[u32]>::len);
        if count == 0 {
            for site in sites.iter().filter(|site| site.point != TapPoint::Logits) {
                if let Some(values) = self.source.read(site)? {
                    check_values(site, &values)?;
                    count = count.max(values.positions.last().map_or(0, |&last| last as usize + 1));
                    if matches!(site.point, TapPoint::Scores | TapPoint::Probabilities) {
                        count = count.max(values.width);
                    }
                }
                // One layer tells.
                if site.layer.is_some_and(|layer| layer > 0) && count > 0 {
                    break;
                }
            }
        }
        Ok(positions(count))
    }

    fn judge(&self, site: Site, evaluator: &Evaluator<'_, Bounds>, report: &mut Report) -> Result<()> {
        let mut unjudged = |reason: String| report.unjudged.push(Unjudged { site, reason });
        let Some(values) = self.source.read(&site)? else {
            unjudged("the dump has no values of it".to_owned());
            return Ok(());
        };
        check_values(&site, &values)?;
        if values.positions.is_empty() || values.width == 0 {
            unjudged("it has no rows".to_owned());
            return Ok(());
        }
        let rows = self.chosen_rows(&values.positions, self.options.rows);
        if site.point == TapPoint::ExpertIds {
            return self.judge_choices(site, &values, &rows, evaluator, report);
        }
        let Some(block) = evaluator.computed(site, &rows)? else {
            unjudged(missing(site, self.config));
            return Ok(());
        };
        if block.width != values.width {
            unjudged(format!("its rows have {} elements, and {} are expected", values.width, block.width));
            return Ok(());
        }
        let rows: Vec<(u32, &[Bounded])> = block.rows().collect();
        let of_rows: Vec<Finding> = rows
            .into_par_iter()
            .filter_map(|(position, expected)| {
                let mut finding = new_finding(site, self.config);
                compare_row(&mut finding, position, values.at(position)?, expected, values.dtype);
                Some(finding)
            })
            .collect();
        let mut finding = new_finding(site, self.config);
        of_rows.into_iter().for_each(|row| add(&mut finding, row));
        if finding.elements == 0 {
            unjudged("what it is computed from is not finite, or in doubt".to_owned());
            return Ok(());
        }
        finish(&mut finding);
        report.findings.push(finding);
        Ok(())
    }

    fn judge_choices(
        &self,
        site: Site,
        values: &Values,
        rows: &Arc<[u32]>,
        evaluator: &Evaluator<'_, Bounds>,
        report: &mut Report,
    ) -> Result<()> {
        let layer = site.layer.unwrap_or(0);
        let logits = evaluator.value(Site::of_layer(layer, TapPoint::RouterLogits), rows)?;
        let Some(logits) = logits.filter(|logits| logits.width == self.config.num_experts) else {
            report.unjudged.push(Unjudged { site, reason: missing(site, self.config) });
            return Ok(());
        };
        let mut routing = Routing::new(layer);
        let mut finding = new_finding(site, self.config);
        for (position, logits) in logits.rows() {
            let Some(chosen) = values.at(position) else { continue };
            finding.rows += 1;
            finding.elements += chosen.len() as u64;
            let wrong_count = chosen.len() != self.config.experts_per_token;
            let choice = if wrong_count { Choice::Wrong } else { judge_choice(logits, chosen) };
            routing.add(choice);
            if choice == Choice::Wrong {
                finding.outside += chosen.len() as u64;
                finding.first_outside.get_or_insert(position);
            }
            let ratio = if choice == Choice::Wrong { f64::INFINITY } else { 0.0 };
            finding.worst_ratio = finding.worst_ratio.max(ratio);
            finding.by_position.push((position, ratio));
        }
        report.routing.push(routing);
        report.findings.push(finding);
        Ok(())
    }
}

/// The positions of a run of this length.
pub(super) fn positions(count: usize) -> Arc<[u32]> {
    (0..count as u32).collect()
}

pub(super) fn missing(site: Site, config: &ModelConfig) -> String {
    let names: Vec<String> =
        inputs(&site, config.num_layers() as u32).iter().map(ToString::to_string).collect();
    match (site.point, site.part) {
        (TapPoint::Embedding, _) => "the dump does not say which tokens were run".to_owned(),
        (TapPoint::Scores | TapPoint::Probabilities, None) => {
            "scores and probabilities are judged by head, and it does not say which".to_owned()
        }
        (TapPoint::GateUp | TapPoint::Activation | TapPoint::Down, None) => {
            "rows of experts are judged by rank or by expert, and it does not say which".to_owned()
        }
        _ => format!("it cannot be computed: {} or what comes before is missing", names.join(", ")),
    }
}

fn new_finding(site: Site, config: &ModelConfig) -> Finding {
    Finding {
        site,
        inputs: inputs(&site, config.num_layers() as u32),
        rows: 0,
        elements: 0,
        single_valued: 0,
        outside: 0,
        not_finite: 0,
        first_outside: None,
        worst: None,
        error_rms: 0.0,
        reference_rms: 0.0,
        allowed_rms: 0.0,
        worst_ratio: 0.0,
        by_position: Vec::new(),
        ulps: [0; 12],
    }
}

/// Whether a value is one that honest arithmetic can give.
pub(super) fn is_inside(value: f64, expected: Bounded) -> bool {
    if expected.exact == f64::NEG_INFINITY {
        return value <= MASKED;
    }
    if expected.exact.is_nan() {
        return value.is_nan();
    }
    value.is_finite() && expected.low <= value && value <= expected.high || value == expected.exact
}

/// The error in units of what is allowed.
pub(super) fn ratio(value: f64, expected: Bounded) -> f64 {
    if is_inside(value, expected) && !value.is_finite() || value == expected.exact {
        return 0.0;
    }
    let allowed = if value > expected.exact { expected.high } else { expected.low } - expected.exact;
    let ratio = ((value - expected.exact) / allowed).abs();
    // A rounded interval may end short of the exact value, or at it.
    match (is_inside(value, expected), ratio.is_nan()) {
        (true, true) => 0.0,
        (true, false) => ratio.min(1.0),
        (false, true) => f64::INFINITY,
        (false, false) => ratio.max(1.0 + f64::EPSILON),
    }
}

fn compare_row(finding: &mut Finding, position: u32, row: &[f64], expected: &[Bounded], dtype: Dtype) {
    let mut worst_here: Option<f64> = None;
    for (element, (&value, &expected)) in row.iter().zip(expected).enumerate() {
        let expected = expected.stored(dtype);
        // Nothing can be said after a NaN that came in; a NaN that the formula itself gives has exact NaN.
        if expected.is_nan() && !expected.exact.is_nan() || expected.exact.is_nan() && value.is_nan() {
            continue;
        }
        let inside = is_inside(value, expected);
        finding.elements += 1;
        finding.single_valued += u64::from(expected.is_point());
        if !inside {
            finding.outside += 1;
            finding.first_outside.get_or_insert(position);
            finding.not_finite += u64::from(!value.is_finite() && expected.exact.is_finite());
        }
        let ratio = ratio(value, expected);
        worst_here = Some(worst_here.map_or(ratio, |worst| worst.max(ratio)));
        if is_worse(finding, ratio, value - expected.exact) {
            finding.worst_ratio = ratio;
            finding.worst = Some(Worst {
                position,
                element: element as u64,
                value,
                exact: expected.exact,
                rounded: expected.rounded,
                low: expected.low,
                high: expected.high,
            });
        }
        if expected.exact.is_finite() && value.is_finite() {
            let allowed = (expected.high - expected.exact).max(expected.exact - expected.low);
            finding.error_rms += (value - expected.exact).powi(2);
            finding.reference_rms += (expected.rounded - expected.exact).powi(2);
            finding.allowed_rms += if allowed.is_finite() { allowed * allowed } else { 0.0 };
            finding.ulps[bucket(value, expected.rounded)] += 1;
        }
    }
    if let Some(worst) = worst_here {
        finding.rows += 1;
        finding.by_position.push((position, worst));
    }
}

/// Adds what was found in rows that follow.
fn add(finding: &mut Finding, next: Finding) {
    if let Some(worst) = next.worst
        && is_worse(finding, next.worst_ratio, worst.value - worst.exact)
    {
        finding.worst_ratio = next.worst_ratio;
        finding.worst = Some(worst);
    }
    finding.rows += next.rows;
    finding.elements += next.elements;
    finding.single_valued += next.single_valued;
    finding.outside += next.outside;
    finding.not_finite += next.not_finite;
    finding.first_outside = finding.first_outside.or(next.first_outside);
    finding.error_rms += next.error_rms;
    finding.reference_rms += next.reference_rms;
    finding.allowed_rms += next.allowed_rms;
    finding.by_position.extend(next.by_position);
    for (count, next) in finding.ulps.iter_mut().zip(next.ulps) {
        *count += next;
    }
}

/// Whether an element with this error in units of what is allowed, and this error, is worse than all before.
fn is_worse(finding: &Finding, ratio: f64, error: f64) -> bool {
    finding.worst.is_none()
        || ratio > finding.worst_ratio
        || ratio.is_infinite() && error.abs() > worst_error(finding)
}

fn worst_error(finding: &Finding) -> f64 {
    finding.worst.as_ref().map_or(0.0, |worst| (worst.value - worst.exact).abs())
}

/// Turns sums of squares into roots of means.
fn finish(finding: &mut Finding) {
    let count = finding.elements.max(1) as f64;
    for sum in [&mut finding.error_rms, &mut finding.reference_rms, &mut finding.allowed_rms] {
        *sum = (*sum / count).sqrt();
    }
}

/// 0, up to 1, 2, 4, … last places of bf16.
fn bucket(value: f64, expected: f64) -> usize {
    let ulp = 2.0 * super::formats::BF16.half_ulp(expected);
    let distance = (value - expected).abs() / ulp;
    if distance == 0.0 {
        return 0;
    }
    (0..10).find(|&power| distance <= f64::from(1 << power)).map_or(11, |power| power + 1)
}

/// The verdict, and a sentence for it.
fn conclude(report: &mut Report, with_power: bool) {
    let counts = report.counts;
    if counts.judged == 0 {
        report.verdict = Verdict::Blind;
        report.summary = match counts.sites {
            0 => "the dump has no value of a forward pass".to_owned(),
            sites => format!("none of {sites} values could be judged"),
        };
        return;
    }
    if let Some(wrong) = report.first_wrong() {
        let name = match report.suspects.first() {
            Some(suspect) if suspect.explained > 0.5 => {
                format!("; most likely {}: {}", suspect.mutant, suspect.title)
            }
            _ => String::new(),
        };
        let position = wrong.first_outside.map_or_else(String::new, |at| format!(" at position {at}"));
        report.summary = format!(
            "wrong first in {}{position}: {} of {} elements are outside of their bounds{name}",
            wrong.site, wrong.outside, wrong.elements
        );
        report.verdict = Verdict::Wrong;
        return;
    }
    if with_power && report.power.seen.is_empty() {
        report.verdict = Verdict::Blind;
        report.summary = "none of the known bugs would have shown in this dump".to_owned();
        return;
    }
    report.verdict = Verdict::Right;
    report.summary = match with_power {
        true => format!(
            "{} elements of {} values are within their bounds; {} of {} known bugs would have shown",
            counts.elements,
            counts.judged,
            report.power.seen.len(),
            report.power.total
        ),
        false => format!("{} elements of {} values are within their bounds", counts.elements, counts.judged),
    };
}

/// The site without its part: values of one point of one layer belong together.
pub(super) fn whole(site: &Site) -> Site {
    Site { part: None, ..*site }
}

/// The part, for sentences.
pub(super) fn part_name(part: Part) -> String {
    match part {
        Part::Head(head) => format!("head {head}"),
        Part::Rank(rank) => format!("rank {rank}"),
        Part::Expert(expert) => format!("expert {expert}"),
    }
}

#[cfg(test)]
mod tests;
