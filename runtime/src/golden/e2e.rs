//! A run judged from its tokens alone: not by bounds, which grow too wide over many layers, but by how far honest
//! backends drift.
//!
//! The run is computed again in f64, with the dump's tokens and, where it has them, the dump's choices of experts, so that
//! a choice that fell otherwise does not hide all that follows. Some made-up backends with the declared arithmetic, each
//! with its own orders of summation, show how far from that an honest one ends up. A value is wrong if the dump is further
//! off than [`FACTOR`] times the worst of them.

use std::sync::Arc;

use super::backend::Plain;
use super::bounds::Bounded;
use super::graph::{Evaluator, Given, check as check_values, order};
use super::local::{CheckOptions, MASKED, positions};
use super::mutants::{Mutant, Mutants};
use super::number::Machine;
use super::oracle::{Formulas, judge_choice};
use super::power::prompt;
use super::report::{Blind, Drift, Finding, Mode, Power, Report, Routing, Suspect, Unjudged, Verdict};
use super::{Accumulator, Declared, Site, Source, Values};
use crate::config::ModelConfig;
use crate::error::{Error, ErrorKind, Result};
use crate::profile::Profile;
use crate::tap::TapPoint;
use crate::weights::Weights;

/// How much further off than the worst honest backend a wrong one is, at least. Honest ones stay below 2.
const FACTOR: f64 = 4.0;
/// Made-up honest backends.
const BACKENDS: u64 = 3;

/// Judges a whole run from its tokens.
///
/// This is a judgement by experience, not by proof, and it takes the time of several runs in plain loops.
///
/// # Errors
///
/// [`ErrorKind::Token`] if the dump does not have the tokens of its run, or one is outside the vocabulary; what the source
/// returns.
pub fn e2e(
    config: &ModelConfig,
    weights: &Weights,
    source: &dyn Source,
    options: &CheckOptions,
) -> Result<Report> {
    let tokens = source.tokens().unwrap_or_default();
    let known = |&token: &u32| (token as usize) < config.vocab_size;
    if tokens.is_empty() || !tokens.iter().all(known) {
        let rule = "a run is judged by its tokens; the dump must have them, all within the vocabulary";
        return Err(Error::new(ErrorKind::Token, rule));
    }
    let run = Run { config, weights, source, options };
    let mut sites = source.sites();
    sites.sort_by_key(order);
    let mut report = Report::new(Mode::E2e, options.declared, options.fused);
    report.counts.sites = sites.len() as u64;
    let exact = run.values(&Arithmetic::exact(), Mutants::NONE, &sites)?;
    let mut honest = Vec::new();
    for seed in 1..=BACKENDS {
        honest.push(run.values(&Arithmetic::declared(options.declared, seed), Mutants::NONE, &sites)?);
    }
    for (index, site) in sites.iter().enumerate() {
        let (Some(values), Some(exact)) = (run.read(site)?, &exact[index]) else {
            let reason = "it cannot be computed from the tokens".to_owned();
            report.unjudged.push(Unjudged { site: *site, reason });
            continue;
        };
        check_values(site, &values)?;
        if values.width != exact.width || site.point == TapPoint::ExpertIds {
            if site.point != TapPoint::ExpertIds {
                let reason =
                    format!("its rows have {} elements, and {} are expected", values.width, exact.width);
                report.unjudged.push(Unjudged { site: *site, reason });
            }
            continue;
        }
        let others: Vec<&Values> = honest.iter().filter_map(|one| one[index].as_ref()).collect();
        report.findings.push(finding(*site, &values, exact, &others));
        if site.point == TapPoint::Logits {
            report.drift = Some(drift(&values, exact));
        }
    }
    run.routing(&sites, &exact, &honest, &mut report)?;
    for finding in &report.findings {
        report.counts.judged += 1;
        report.counts.elements += finding.elements;
        report.counts.outside += finding.outside;
    }
    (report.suspects, report.power) = run.bugs(&sites, &exact, &report)?;
    conclude(&mut report, options.power);
    Ok(report)
}

/// A machine with a seed of its own.
struct Arithmetic(Plain);

impl Arithmetic {
    fn exact() -> Self {
        Self(Plain::new(Declared { profile: Profile::F64, accumulate: Accumulator::F64 }, 0))
    }

    fn declared(declared: Declared, seed: u64) -> Self {
        Self(Plain::new(declared, seed))
    }
}

struct Run<'a> {
    config: &'a ModelConfig,
    weights: &'a Weights,
    source: &'a dyn Source,
    options: &'a CheckOptions,
}

impl Run<'_> {
    /// What a backend computes at each of `sites`, in their rows, with the routes of the dump.
    fn values(&self, machine: &Arithmetic, mutants: Mutants, sites: &[Site]) -> Result<Vec<Option<Values>>> {
        let machine = &machine.0;
        let given = Given::new(self.source, machine, &|site| site.point == TapPoint::ExpertIds);
        let formulas = Formulas::new(self.config, self.weights, mutants, self.options.decoded_from);
        let all: Arc<[u32]> = positions(self.source.tokens().map_or(0, <[u32]>::len));
        let evaluator = Evaluator::new(formulas, machine, &given, self.source.tokens(), all.clone());
        let mut out = Vec::with_capacity(sites.len());
        for site in sites {
            let Some(values) = self.source.read(site)? else {
                out.push(None);
                continue;
            };
            // All rows, so that later values find them.
            let block = evaluator.computed(*site, &all)?;
            out.push(block.and_then(|block| {
                let mut data = Vec::with_capacity(values.positions.len() * block.width);
                for &position in &values.positions {
                    data.extend(block.at(position)?.iter().map(|&x| machine.value(x)));
                }
                Some(Values { data, width: block.width, ..values.clone() })
            }));
        }
        Ok(out)
    }

    /// The choices of the dump, by the logits of the run in f64 and what honest backends make of them.
    fn routing(
        &self,
        sites: &[Site],
        exact: &[Option<Values>],
        honest: &[Vec<Option<Values>>],
        report: &mut Report,
    ) -> Result<()> {
        for (index, site) in sites.iter().enumerate().filter(|(_, site)| site.point == TapPoint::RouterLogits)
        {
            let ids = Site { point: TapPoint::ExpertIds, ..*site };
            let (Some(chosen), Some(exact)) = (self.source.read(&ids)?, &exact[index]) else { continue };
            let layer = site.layer.unwrap_or(0);
            let mut routing = Routing::new(layer);
            for (row, &position) in exact.positions.iter().enumerate() {
                let Some(chosen) = chosen.at(position) else { continue };
                let off = honest
                    .iter()
                    .filter_map(|one| one[index].as_ref())
                    .flat_map(|one| one.row(row).iter().zip(exact.row(row)))
                    .fold(0.0_f64, |most, (a, b)| most.max((a - b).abs()));
                let logits: Vec<Bounded> = exact
                    .row(row)
                    .iter()
                    .map(|&value| Bounded {
                        exact: value,
                        rounded: value,
                        low: value - FACTOR * off,
                        high: value + FACTOR * off,
                    })
                    .collect();
                routing.add(judge_choice(&logits, chosen));
            }
            report.routing.push(routing);
        }
        Ok(())
    }

    /// Runs the model once with each bug: which brings the run closest to the dump, from the first wrong value to the
    /// last, and which would have taken it further off than honest backends go.
    fn bugs(
        &self,
        sites: &[Site],
        exact: &[Option<Values>],
        report: &Report,
    ) -> Result<(Vec<Suspect>, Power)> {
        let is_wrong = report.counts.outside > 0 && self.options.names;
        let mut power = Power::default();
        if !is_wrong && !self.options.power {
            return Ok((Vec::new(), power));
        }
        let findings: Vec<(usize, &Finding)> = report
            .findings
            .iter()
            .filter_map(|finding| Some((sites.iter().position(|site| *site == finding.site)?, finding)))
            .collect();
        let mut found = Vec::new();
        for &(index, finding) in &findings {
            if is_wrong && finding.outside > 0 {
                found.extend(self.read(&sites[index])?.map(|values| (index, values)));
            }
        }
        let distance = |run: &[Option<Values>]| {
            let mut sum = Distance::default();
            for (index, values) in &found {
                if let Some(run) = &run[*index] {
                    sum.add(values, run);
                }
            }
            sum
        };
        let machine = Arithmetic::declared(self.options.declared, 1);
        let mut best: Option<(Mutant, Distance)> = None;
        for mutant in Mutant::all() {
            let run = self.values(&machine, Mutants::one(mutant), sites)?;
            if is_wrong {
                let after = distance(&run);
                if best.as_ref().is_none_or(|(_, least)| after.relative() < least.relative()) {
                    best = Some((mutant, after));
                }
            }
            if !self.options.power {
                continue;
            }
            power.total += 1;
            let seen = findings.iter().any(|&(index, finding)| {
                exact[index].as_ref().zip(run[index].as_ref()).is_some_and(|(exact, run)| {
                    let mut distance = Distance::default();
                    distance.add(run, exact);
                    distance.odd > 0 || distance.rms() > FACTOR * finding.reference_rms
                })
            });
            if seen {
                power.seen.push(mutant);
            } else {
                let reason = "the run ends up no further off than honest ones do".to_owned();
                let needs = mutant.describe().needs.to_owned();
                let tokens = self.source.tokens().unwrap_or_default().len();
                let prompt = prompt(self.config, self.weights, mutant, tokens, !report.findings.is_empty());
                power.blind.push(Blind { mutant, reason, needs, prompt });
            }
        }
        let suspects = match (best, report.first_wrong()) {
            (Some((mutant, after)), Some(first)) => suspect(mutant, first, distance(exact), after),
            _ => None,
        };
        Ok((suspects.into_iter().collect(), power))
    }

    /// The values of a site of the dump; masked scores as -inf.
    fn read(&self, site: &Site) -> Result<Option<Values>> {
        let mut values = self.source.read(site)?;
        if site.point == TapPoint::Scores {
            let masked =
                values.iter_mut().flat_map(|values| &mut values.data).filter(|score| **score <= MASKED);
            masked.for_each(|score| *score = f64::NEG_INFINITY);
        }
        Ok(values)
    }
}

/// The bug with which the run is this far from the dump; none if that is not much closer than without it.
fn suspect(mutant: Mutant, first: &Finding, before: Distance, after: Distance) -> Option<Suspect> {
    let explained = 1.0 - (after.relative() / before.relative()).min(1.0);
    if explained.is_nan() || explained < 0.5 {
        return None;
    }
    let row = mutant.describe();
    Some(Suspect {
        mutant,
        with: None,
        title: row.title,
        formula: row.formula,
        threads: row.threads,
        site: first.site,
        explained,
        outside: first.outside,
        outside_after: 0,
        error_rms: before.rms(),
        error_rms_after: after.rms(),
        or: Vec::new(),
    })
}

/// How far two runs are apart.
#[derive(Clone, Copy, Debug, Default)]
struct Distance {
    squares: f64,
    size: f64,
    count: u64,
    /// Elements of which one is finite and the other not.
    odd: u64,
}

impl Distance {
    fn add(&mut self, one: &Values, other: &Values) {
        for (a, b) in one.data.iter().zip(&other.data) {
            self.count += 1;
            if a.is_finite() && b.is_finite() {
                self.squares += (a - b) * (a - b);
                self.size += a * a + b * b;
            } else if a.is_finite() != b.is_finite() {
                self.odd += 1;
            }
        }
    }

    fn rms(self) -> f64 {
        (self.squares / self.count.max(1) as f64).sqrt()
    }

    fn relative(self) -> f64 {
        let odd = self.odd as f64 / self.count.max(1) as f64;
        if self.size > 0.0 { (self.squares / self.size).sqrt() + odd } else { odd }
    }
}

fn finding(site: Site, values: &Values, exact: &Values, honest: &[&Values]) -> Finding {
    let distance = |one: &Values| {
        let mut distance = Distance::default();
        distance.add(one, exact);
        distance
    };
    let found = distance(values);
    let reference = honest.iter().map(|one| distance(one).rms()).fold(0.0, f64::max);
    let allowed = FACTOR * reference;
    let is_wrong = found.odd > 0 || found.rms() > allowed;
    let mut by_position = Vec::new();
    for (row, &position) in exact.positions.iter().enumerate() {
        let squares: f64 = values
            .row(row)
            .iter()
            .zip(exact.row(row))
            .filter(|(a, b)| a.is_finite() && b.is_finite())
            .map(|(a, b)| (a - b) * (a - b))
            .sum();
        let rms = (squares / exact.width.max(1) as f64).sqrt();
        by_position.push((position, if rms == 0.0 { 0.0 } else { rms / allowed }));
    }
    let elements = values.data.len() as u64;
    let first = by_position.iter().find(|(_, ratio)| *ratio > 1.0).or(by_position.first());
    Finding {
        site,
        inputs: Vec::new(),
        rows: values.positions.len() as u64,
        elements,
        single_valued: 0,
        outside: if is_wrong { elements } else { 0 },
        not_finite: found.odd,
        first_outside: first.map(|(position, _)| *position).filter(|_| is_wrong),
        worst: None,
        error_rms: found.rms(),
        reference_rms: reference,
        allowed_rms: allowed,
        worst_ratio: if found.rms() == 0.0 { 0.0 } else { found.rms() / allowed },
        by_position,
        ulps: [0; 12],
    }
}

/// How far the distributions of the next token are apart.
fn drift(values: &Values, exact: &Values) -> Drift {
    let mut drift = Drift { rows: 0, same_top: 0, kl_mean: 0.0, kl_max: 0.0 };
    for row in 0..values.positions.len() {
        let (found, exact) = (values.row(row), exact.row(row));
        let top = |row: &[f64]| {
            (0..row.len()).fold(0, |best, index| if row[index] > row[best] { index } else { best })
        };
        let log_sum = |row: &[f64]| {
            let most = row[top(row)];
            most + row.iter().map(|&x| crate::numerics::exp(x - most)).sum::<f64>().ln()
        };
        let (found_sum, exact_sum) = (log_sum(found), log_sum(exact));
        let kl: f64 = exact
            .iter()
            .zip(found)
            .map(|(&exact, &found)| {
                let log = exact - exact_sum;
                crate::numerics::exp(log) * (log - (found - found_sum))
            })
            .sum();
        drift.rows += 1;
        drift.same_top += u64::from(top(found) == top(exact));
        drift.kl_mean += kl;
        drift.kl_max = drift.kl_max.max(kl);
    }
    drift.kl_mean /= drift.rows.max(1) as f64;
    drift
}

fn conclude(report: &mut Report, with_power: bool) {
    let counts = report.counts;
    let blind = with_power && report.power.seen.is_empty();
    (report.verdict, report.summary) = if counts.judged == 0 {
        (Verdict::Blind, format!("none of {} values could be judged", counts.sites))
    } else if let Some(wrong) = report.first_wrong() {
        let name = report.suspects.first().map_or_else(String::new, |suspect| {
            format!("; most likely {}: {}", suspect.mutant, suspect.title)
        });
        let times = wrong.error_rms / wrong.reference_rms;
        let off = format!("first in {}: {times:.1} times the error of honest backends{name}", wrong.site);
        (Verdict::Wrong, format!("the run drifts too far, {off}"))
    } else if blind {
        (Verdict::Blind, "none of the known bugs would have shown in this dump".to_owned())
    } else {
        let most = report.findings.iter().map(|finding| finding.worst_ratio).fold(0.0, f64::max) * FACTOR;
        let power = match with_power {
            true => {
                format!("; {} of {} known bugs would have shown", report.power.seen.len(), report.power.total)
            }
            false => String::new(),
        };
        let text = format!("the run drifts at most {most:.2} times as far as honest backends do{power}");
        (Verdict::Right, text)
    };
}

#[cfg(test)]
mod tests;
