//! How small a wrong constant a check still sees.

use super::Source;
use super::graph::order;
use super::local::{CheckOptions, Judge};
use super::mutants::Mutants;
use super::oracle::Constants;
use super::power::shows;
use crate::config::ModelConfig;
use crate::error::Result;
use crate::tap::TapPoint;
use crate::weights::Weights;
use serde::Serialize;

/// The smallest wrong value of a constant that some judged value shows.
#[derive(Clone, Debug, Serialize)]
pub struct Sensitivity {
    /// The constant, and where it stands.
    pub constant: &'static str,
    /// The point whose formula has it.
    pub point: &'static str,
    /// By how much it may be off before it is seen whatever the honest rounding, relative to its value; of 1, 2 and 5 times
    /// powers of ten. None if even half of it is not seen.
    pub least: Option<f64>,
}

type Change = fn(&mut Constants, f64);

/// The constants of the formulas.
const CHANGES: [(&str, TapPoint, Change); 9] = [
    ("eps of the norm", TapPoint::AttentionNorm, |constants, off| constants.eps *= 1.0 + off),
    ("frequencies of the rotation", TapPoint::QueryRotated, |constants, off| {
        constants.frequencies.iter_mut().for_each(|frequency| *frequency *= 1.0 + off);
    }),
    ("concentration of the rotation", TapPoint::QueryRotated, |constants, off| {
        constants.concentration *= 1.0 + off;
    }),
    ("factor of the scores", TapPoint::Scores, |constants, off| constants.attention_scale *= 1.0 + off),
    ("sinks, shifted by", TapPoint::Probabilities, |constants, off| constants.sink_shift = off),
    ("alpha of SwiGLU", TapPoint::Activation, |constants, off| constants.alpha *= 1.0 + off),
    ("limit of SwiGLU", TapPoint::Activation, |constants, off| constants.limit *= 1.0 + off),
    ("1 in up + 1", TapPoint::Activation, |constants, off| constants.plus *= 1.0 + off),
    ("all weights of a matrix", TapPoint::Query, |constants, off| constants.gain *= 1.0 + off),
];

/// By how much each constant of the formulas may be wrong before a dump like this one shows it.
///
/// # Errors
///
/// What [`check`](super::check) returns.
pub fn sensitivity(
    config: &ModelConfig,
    weights: &Weights,
    source: &dyn Source,
    options: &CheckOptions,
) -> Result<Vec<Sensitivity>> {
    let mut judge = Judge::new(config, weights, source, options, &|_| true);
    let mut sites = source.sites();
    sites.sort_by_key(order);
    judge.all = judge.positions(&sites)?;
    let mut rows = Vec::with_capacity(sites.len());
    for site in &sites {
        let positions = source.read(site)?.map(|values| values.positions).unwrap_or_default();
        rows.push(judge.chosen_rows(&positions, options.rows));
    }
    let given = judge.given();
    let right = judge.evaluator(&given, judge.formulas(Mutants::NONE));
    let mut found = Vec::new();
    for (constant, point, change) in CHANGES {
        let mut least = None;
        'steps: for power in 0..9 {
            for step in [0.5, 0.2, 0.1] {
                let off = step * 0.1_f64.powi(power);
                let mut formulas = judge.formulas(Mutants::NONE);
                change(&mut formulas.constants, off);
                let wrong = judge.evaluator(&given, formulas);
                let mut seen = false;
                for (site, rows) in sites.iter().zip(&rows).filter(|(site, _)| site.point == point) {
                    seen = seen || shows(*site, rows, &right, &wrong)?;
                }
                if !seen {
                    break 'steps;
                }
                least = Some(off);
            }
        }
        found.push(Sensitivity { constant, point: point.name(), least });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{Accumulator, Declared, Simulation, probe, simulate};
    use crate::profile::Profile;

    #[test]
    fn a_dump_without_tokens_shows_as_much() {
        let (config, weights) = (probe::config(), probe::weights().unwrap());
        let declared = Declared { profile: Profile::Bf16, accumulate: Accumulator::F32 };
        let simulation = Simulation { declared, seed: 4, mutants: Mutants::NONE, decoded_from: None };
        let mut dump = simulate(&config, &weights, &probe::tokens()[..8], &simulation).unwrap();
        let kept = |point| point <= TapPoint::Probabilities;
        dump.values.retain(|site, _| site.layer == Some(0) && kept(site.point));
        let least = |dump: &crate::golden::Memory| -> Vec<Option<f64>> {
            let rows = sensitivity(&config, &weights, dump, &CheckOptions::new(declared)).unwrap();
            rows.into_iter().map(|row| row.least).collect()
        };
        let with_tokens = least(&dump);
        assert!(with_tokens[3].is_some() && with_tokens[4].is_some(), "{with_tokens:?}");
        dump.tokens = None;
        assert_eq!(least(&dump), with_tokens);
    }
}
