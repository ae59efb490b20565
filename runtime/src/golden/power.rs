//! What a check could have seen: each known bug is tried on the dump's own inputs.

mod prompt;

use std::sync::Arc;

use super::Site;
use super::bounds::{Bounded, Bounds};
use super::graph::Evaluator;
use super::local::Judge;
use super::mutants::{Mutant, Mutants};
use super::report::{Blind, Finding, Power, Report};
use crate::config::LayerType;
use crate::error::Result;

pub(super) use prompt::prompt;

/// Rows of a site on which a bug is tried first.
const FEW: usize = 6;

/// Which known bugs would have put a judged value out of its bounds, whatever the honest rounding of the backend.
pub(super) fn measure(judge: &Judge<'_>, report: &Report) -> Result<Power> {
    let given = judge.given();
    let right = judge.evaluator(&given, judge.formulas(Mutants::NONE));
    let mut bugs: Vec<Bug<'_, '_>> = Mutant::all()
        .map(|mutant| Bug {
            mutant,
            wrong: judge.evaluator(&given, judge.formulas(Mutants::one(mutant))),
            sites: Vec::new(),
            is_seen: false,
            is_same: prompt::is_same(judge, mutant),
        })
        .collect();
    // The bugs that each value can show.
    let mut shown: Vec<Vec<usize>> = Vec::with_capacity(report.findings.len());
    for finding in &report.findings {
        let chain = right.chain(&finding.site);
        let has_part =
            |&bug: &usize| bugs[bug].mutant.describe().points.iter().any(|point| chain.contains(point));
        let here: Vec<usize> = (0..bugs.len()).filter(has_part).collect();
        here.iter().for_each(|&bug| bugs[bug].sites.push(finding));
        shown.push(here);
    }
    for most in [Some(FEW), judge.options.rows] {
        // A layer at a time, so that no more than its values are kept.
        let mut layer = None;
        for (finding, shown) in report.findings.iter().zip(&shown) {
            if finding.site.layer != layer {
                layer = finding.site.layer;
                given.forget_before(layer.unwrap_or(0));
                right.forget();
                bugs.iter().for_each(|bug| bug.wrong.forget());
            }
            let positions: Vec<u32> = finding.by_position.iter().map(|(position, _)| *position).collect();
            let rows = judge.chosen_rows(&positions, most);
            for &bug in shown {
                let bug = &mut bugs[bug];
                if !bug.is_seen && !bug.is_same {
                    bug.is_seen = shows(finding.site, &rows, &right, &bug.wrong)?;
                }
            }
        }
    }
    let mut power = Power { total: bugs.len(), ..Power::default() };
    for Bug { mutant, sites, is_seen, .. } in bugs {
        if is_seen {
            power.seen.push(mutant);
        } else {
            let reason = reason(judge, mutant, &sites);
            let needs = mutant.describe().needs.to_owned();
            let prompt = prompt(judge.config, judge.weights, mutant, judge.all.len(), !sites.is_empty());
            power.blind.push(Blind { mutant, reason, needs, prompt });
        }
    }
    Ok(power)
}

/// A known bug that is tried.
struct Bug<'a, 'r> {
    mutant: Mutant,
    /// The formulas with it.
    wrong: Evaluator<'a, Bounds>,
    /// The judged values that depend on a formula in which it stands.
    sites: Vec<&'r Finding>,
    is_seen: bool,
    /// Its formula gives for this run what the right one gives, so that it need not be tried.
    is_same: bool,
}

/// Whether some element has no honest value in common under the two formulas.
pub(super) fn shows(
    site: Site,
    rows: &Arc<[u32]>,
    right: &Evaluator<'_, Bounds>,
    wrong: &Evaluator<'_, Bounds>,
) -> Result<bool> {
    let (Some(one), Some(other)) = (right.computed(site, rows)?, wrong.computed(site, rows)?) else {
        return Ok(false);
    };
    Ok(one.data.iter().zip(&other.data).any(|(a, b)| apart(*a, *b)))
}

fn apart(right: Bounded, wrong: Bounded) -> bool {
    if right.is_nan() {
        return false;
    }
    if wrong.exact.is_nan() {
        return true;
    }
    !wrong.is_nan() && (wrong.low > right.high || wrong.high < right.low)
}

fn reason(judge: &Judge<'_>, mutant: Mutant, sites: &[&Finding]) -> String {
    use Mutant as M;
    let config = judge.config;
    let last = sites.iter().filter_map(|finding| finding.by_position.last()).map(|(last, _)| *last).max();
    let Some(last) = last else {
        let points: Vec<&str> = mutant.describe().points.iter().map(|point| point.name()).collect();
        return format!("no value that depends on it was judged ({} or what comes after)", points.join(", "));
    };
    let has = |wanted: LayerType| {
        sites
            .iter()
            .filter_map(|finding| finding.site.layer)
            .any(|layer| config.layer_types.get(layer as usize) == Some(&wanted))
    };
    let window = config.sliding_window;
    match mutant {
        M::KvNotWritten | M::AttentionNotStored if judge.options.decoded_from.is_none() => {
            "it is not known which positions were decoded one by one".to_owned()
        }
        M::WindowPlusOne | M::WindowAbsent | M::WindowStaleV | M::MaskStride | M::WindowParity
            if (last as usize) < window =>
        {
            format!("the last judged position is {last}, and the window has {window} keys")
        }
        M::WindowPlusOne | M::WindowAbsent | M::WindowStaleV | M::MaskStride | M::WindowRightOpen
            if !has(LayerType::Sliding) =>
        {
            "no judged value is of a sliding layer".to_owned()
        }
        _ => "no judged value differs by more than honest rounding may".to_owned(),
    }
}
