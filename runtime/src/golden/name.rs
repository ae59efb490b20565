//! Which known bug explains an error: a wrong value is computed again under each.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Site;
use super::bounds::{Bounded, Bounds};
use super::graph::{Evaluator, Given};
use super::local::{Judge, is_inside, whole};
use super::mutants::{Mutant, Mutants};
use super::oracle::{Choice, judge_choice};
use super::report::{Finding, Report, Suspect};
use crate::error::Result;
use crate::tap::TapPoint;

/// Rows of a site that are computed again under each bug.
const ROWS: usize = 24;
/// Parts of a point that are computed again under each bug.
const PARTS: usize = 6;
/// Wrong points that are looked into.
const GROUPS: usize = 24;
/// What a bug must explain to be named.
const ENOUGH: f64 = 0.5;
/// What it must explain to need no second one.
const ALL: f64 = 0.995;

/// How far values are from a formula's.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Loss {
    /// Sum over elements of the relative distance from the bounds, each at most 1.
    pub(super) sum: f64,
    /// Elements outside.
    pub(super) outside: u64,
    squares: f64,
    finite: u64,
}

impl Loss {
    fn add(&mut self, other: Self) {
        self.sum += other.sum;
        self.outside += other.outside;
        self.squares += other.squares;
        self.finite += other.finite;
    }

    fn rms(self) -> f64 {
        (self.squares / self.finite.max(1) as f64).sqrt()
    }

    /// How much of `self` is gone in `after`.
    fn explained_by(self, after: Self) -> f64 {
        if self.sum == 0.0 { 0.0 } else { (1.0 - after.sum / self.sum).max(0.0) }
    }

    fn take(&mut self, value: f64, expected: Bounded) {
        let unknown = expected.is_nan() && !expected.exact.is_nan();
        if unknown || !is_inside(value, expected) {
            self.outside += 1;
            let distance = (expected.low - value).max(value - expected.high).max(0.0);
            let relative = distance / (value.abs() + expected.exact.abs());
            self.sum += if relative.is_finite() && !unknown { relative.min(1.0) } else { 1.0 };
        }
        let error = value - expected.rounded;
        if error.is_finite() {
            self.squares += error * error;
            self.finite += 1;
        }
    }
}

/// A wrong or judged point of a layer, with some of its parts and rows.
pub(super) struct Group {
    pub(super) site: Site,
    parts: Vec<(Site, Arc<[u32]>)>,
}

impl Group {
    /// The findings of each point, those with errors before others, in the order of the data flow.
    pub(super) fn of<'r>(
        findings: impl Iterator<Item = &'r Finding>,
        parts: usize,
        rows: usize,
    ) -> Vec<Self> {
        let mut groups: Vec<(Site, Vec<&Finding>)> = Vec::new();
        for finding in findings {
            match groups.last_mut() {
                Some((site, list)) if *site == whole(&finding.site) => list.push(finding),
                _ => groups.push((whole(&finding.site), vec![finding])),
            }
        }
        groups
            .into_iter()
            .map(|(site, mut findings)| {
                findings.sort_by_key(|finding| finding.outside == 0);
                findings.truncate(parts);
                let parts = findings.iter().map(|finding| (finding.site, some_rows(finding, rows))).collect();
                Self { site, parts }
            })
            .collect()
    }

    /// How far the dump is from the evaluator's formulas.
    pub(super) fn loss(&self, judge: &Judge<'_>, evaluator: &Evaluator<'_, Bounds>) -> Result<Loss> {
        let mut loss = Loss::default();
        for (site, rows) in &self.parts {
            let Some(values) = judge.source.read(site)? else { continue };
            if site.point == TapPoint::ExpertIds {
                loss.add(choice_loss(*site, rows, &values, evaluator)?);
                continue;
            }
            let Some(block) = evaluator.computed(*site, rows)? else { continue };
            for (position, expected) in block.rows() {
                let Some(row) = values.at(position).filter(|row| row.len() == block.width) else { continue };
                for (&value, &expected) in row.iter().zip(expected) {
                    loss.take(value, expected.stored(values.dtype));
                }
            }
        }
        Ok(loss)
    }
}

fn choice_loss(
    site: Site,
    rows: &Arc<[u32]>,
    values: &super::Values,
    evaluator: &Evaluator<'_, Bounds>,
) -> Result<Loss> {
    let mut loss = Loss::default();
    let logits = Site { point: TapPoint::RouterLogits, ..site };
    if let Some(logits) = evaluator.value(logits, rows)? {
        for (position, logits) in logits.rows() {
            let wrong = |chosen: &[f64]| judge_choice(logits, chosen) == Choice::Wrong;
            if values.at(position).is_some_and(wrong) {
                loss.sum += 1.0;
                loss.outside += 1;
            }
        }
    }
    Ok(loss)
}

/// Rows with errors, spread over all of them, and a few without.
fn some_rows(finding: &Finding, most: usize) -> Arc<[u32]> {
    let (wrong, right): (Vec<_>, Vec<_>) = finding.by_position.iter().partition(|(_, ratio)| *ratio > 1.0);
    let pick = |rows: &[(u32, f64)], most: usize| -> Vec<u32> {
        let last = rows.len().saturating_sub(1);
        let count = rows.len().min(most);
        (0..count).map(|index| rows[index * last / (count - 1).max(1)].0).collect()
    };
    let mut rows = pick(&wrong, most * 3 / 4);
    let room = most - rows.len();
    rows.extend(pick(&right, room));
    rows.sort_unstable();
    rows.dedup();
    rows.into()
}

/// A bug, or two, and how much it explains.
#[derive(Clone, Copy)]
struct Candidate {
    mutants: Mutants,
    first: Mutant,
    second: Option<Mutant>,
    loss: Loss,
}

/// The known bugs that explain the errors of a report, in the order of the data flow.
pub(super) fn suspects(judge: &Judge<'_>, report: &Report) -> Result<Vec<Suspect>> {
    let given = judge.given();
    let namer = Namer { judge, given: &given, report };
    let wrong = report.findings.iter().filter(|finding| finding.outside > 0);
    let mut groups = Group::of(wrong, PARTS, ROWS);
    groups.truncate(GROUPS);
    let mut named = Mutants::NONE;
    let mut suspects = Vec::new();
    // A point that is wrong in many layers is looked into once if what was named explains it in each.
    let mut unexplained: BTreeMap<TapPoint, u32> = BTreeMap::new();
    for group in groups {
        let before = namer.loss(&group, Mutants::NONE)?;
        if !named.is_empty() && before.explained_by(namer.loss(&group, named)?) > ALL {
            continue;
        }
        let tried = unexplained.entry(group.site.point).or_default();
        *tried += 1;
        if *tried > 2 {
            continue;
        }
        if let Some(suspect) = namer.name(&group, before, named)? {
            named = named.with(suspect.mutant);
            if let Some(second) = suspect.with {
                named = named.with(second);
            }
            suspects.push(suspect);
        }
    }
    Ok(suspects)
}

struct Namer<'a> {
    judge: &'a Judge<'a>,
    given: &'a Given<'a, Bounds>,
    report: &'a Report,
}

impl Namer<'_> {
    fn loss(&self, group: &Group, mutants: Mutants) -> Result<Loss> {
        group.loss(self.judge, &self.judge.evaluator(self.given, self.judge.formulas(mutants)))
    }

    fn chain(&self, site: &Site) -> std::collections::BTreeSet<TapPoint> {
        self.judge.evaluator(self.given, self.judge.formulas(Mutants::NONE)).chain(site)
    }

    /// The best explanation of a group, beside what is named already.
    fn name(&self, group: &Group, before: Loss, named: Mutants) -> Result<Option<Suspect>> {
        let chain = self.chain(&group.parts.first().map_or(group.site, |(site, _)| *site));
        let possible: Vec<Mutant> = Mutant::all()
            .filter(|mutant| mutant.describe().points.iter().any(|point| chain.contains(point)))
            .filter(|&mutant| !named.has(mutant))
            .collect();
        let mut candidates = Vec::new();
        for &first in &possible {
            let mutants = named.with(first);
            let loss = self.loss(group, mutants)?;
            candidates.push(Candidate { mutants, first, second: None, loss });
        }
        let mut best = self.best(&candidates)?;
        if best.as_ref().is_none_or(|(best, _)| before.explained_by(best.loss) < ALL) {
            for (index, &first) in possible.iter().enumerate() {
                for &second in &possible[index + 1..] {
                    let mutants = named.with(first).with(second);
                    let loss = self.loss(group, mutants)?;
                    candidates.push(Candidate { mutants, first, second: Some(second), loss });
                }
            }
            // A second bug must bring what a single one cannot.
            let pair = self.best(&candidates)?;
            if let Some((pair, _)) = &pair
                && before.explained_by(pair.loss) > ALL
            {
                best = Some((*pair, Vec::new()));
            }
        }
        let Some((best, or)) = best else { return Ok(None) };
        let explained = before.explained_by(best.loss);
        if explained < ENOUGH {
            return Ok(None);
        }
        let row = best.first.describe();
        Ok(Some(Suspect {
            mutant: best.first,
            with: best.second,
            title: row.title,
            formula: row.formula,
            threads: row.threads,
            site: group.site,
            explained,
            outside: before.outside,
            outside_after: best.loss.outside,
            error_rms: before.rms(),
            error_rms_after: best.loss.rms(),
            or,
        }))
    }

    /// The candidate with the least loss; of equal ones the one that fits all other values of the dump best, then the one
    /// that comes first. With it, those that fit as well everywhere.
    fn best(&self, candidates: &[Candidate]) -> Result<Option<(Candidate, Vec<Mutant>)>> {
        let least = candidates.iter().map(|candidate| candidate.loss.sum).fold(f64::INFINITY, f64::min);
        let equal: Vec<&Candidate> =
            candidates.iter().filter(|candidate| candidate.loss.sum <= least * 1.000_001).collect();
        if equal.len() <= 1 {
            return Ok(equal.first().map(|candidate| (**candidate, Vec::new())));
        }
        let losses = equal.iter().map(|candidate| self.everywhere(candidate)).collect::<Result<Vec<_>>>()?;
        let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
        let mut best =
            equal.iter().zip(&losses).filter(|(_, loss)| **loss <= least).map(|(candidate, _)| **candidate);
        let first = best.next();
        let or =
            best.filter(|candidate| candidate.second.is_none()).map(|candidate| candidate.first).collect();
        Ok(first.map(|first| (first, or)))
    }

    /// The loss over every point that the bugs change, right ones included.
    fn everywhere(&self, candidate: &Candidate) -> Result<f64> {
        let mut sum = 0.0;
        for group in Group::of(self.report.findings.iter(), 2, 8) {
            let chain = self.chain(&group.parts.first().map_or(group.site, |(site, _)| *site));
            let touches = |mutant: Mutant| mutant.describe().points.iter().any(|point| chain.contains(point));
            if candidate.mutants.iter().any(touches) {
                sum += self.loss(&group, candidate.mutants)?.sum;
            }
        }
        Ok(sum)
    }
}
