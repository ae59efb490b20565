//! How well the catalogue is seen on a checkpoint: each bug is put into a made-up backend, whose dump is then judged.

use serde::Serialize;

use super::super::backend::{Simulation, simulate};
use super::super::local::{CheckOptions, check};
use super::super::mutants::{Mutant, Mutants};
use super::super::report::Verdict;
use super::super::{Accumulator, Declared, Memory};
use crate::config::ModelConfig;
use crate::error::Result;
use crate::profile::Profile;
use crate::weights::Weights;

/// With which backend to measure.
#[derive(Clone, Copy, Debug)]
pub struct MeasureOptions {
    /// Its arithmetic.
    pub declared: Declared,
    /// Its orders of summation.
    pub seed: u64,
    /// The first position that it decodes, if it decodes.
    pub decoded_from: Option<u32>,
}

impl Default for MeasureOptions {
    /// The profile `bf16` with sums in f32, on the probe's prompt.
    fn default() -> Self {
        let declared = Declared { profile: Profile::Bf16, accumulate: Accumulator::F32 };
        Self { declared, seed: 1, decoded_from: Some(super::DECODED_FROM) }
    }
}

/// What became of each bug.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Bugs that were tried.
    pub total: usize,
    /// Those that change some value of the run.
    pub live: usize,
    /// Those whose dump was found wrong.
    pub detected: usize,
    /// Those that were named, and before any other.
    pub named_first: usize,
    /// Each of them.
    pub mutants: Vec<Measurement>,
}

/// What became of one bug.
#[derive(Clone, Debug, Serialize)]
pub struct Measurement {
    /// The bug.
    pub mutant: Mutant,
    /// Whether it changes some value of the run.
    pub live: bool,
    /// Whether its dump was found wrong.
    pub detected: bool,
    /// Whether it was named, and before any other.
    pub named_first: bool,
    /// The first wrong value.
    pub site: Option<String>,
    /// How much of the error there it explains.
    pub explained: f64,
    /// What was named, in order.
    pub named: Vec<Mutant>,
}

/// Puts each bug of `catalogue` into a made-up backend, runs `tokens`, judges the dump, and tells what was found.
///
/// # Errors
///
/// [`ErrorKind::Token`](crate::ErrorKind::Token) for tokens outside of the vocabulary.
pub fn measure(
    config: &ModelConfig,
    weights: &Weights,
    tokens: &[u32],
    catalogue: &[Mutant],
    options: &MeasureOptions,
) -> Result<Measured> {
    let run = |mutants: Mutants| -> Result<Memory> {
        let MeasureOptions { declared, seed, decoded_from } = *options;
        simulate(config, weights, tokens, &Simulation { declared, seed, mutants, decoded_from })
    };
    let right = run(Mutants::NONE)?;
    let check_options = CheckOptions {
        decoded_from: options.decoded_from,
        power: false,
        ..CheckOptions::new(options.declared)
    };
    let mut mutants = Vec::new();
    for &mutant in catalogue {
        let dump = run(Mutants::one(mutant))?;
        let report = check(config, weights, &dump, &check_options)?;
        let named: Vec<Mutant> = report
            .suspects
            .iter()
            .flat_map(|suspect| std::iter::once(suspect.mutant).chain(suspect.with))
            .collect();
        mutants.push(Measurement {
            mutant,
            live: differs(&right, &dump),
            detected: report.verdict == Verdict::Wrong,
            named_first: named.first() == Some(&mutant)
                && report.suspects.first().is_some_and(|suspect| suspect.or.is_empty()),
            site: report.first_wrong().map(|finding| finding.site.to_string()),
            explained: report.suspects.first().map_or(0.0, |suspect| suspect.explained),
            named,
        });
    }
    let count = |is: fn(&Measurement) -> bool| mutants.iter().filter(|one| is(one)).count();
    Ok(Measured {
        total: mutants.len(),
        live: count(|one| one.live),
        detected: count(|one| one.detected),
        named_first: count(|one| one.named_first),
        mutants,
    })
}

/// Whether two runs have a value whose bits differ.
fn differs(one: &Memory, other: &Memory) -> bool {
    one.values.iter().any(|(site, values)| {
        other.values.get(site).is_none_or(|others| {
            let bits = |data: &[f64]| data.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            bits(&values.data) != bits(&others.data)
        })
    })
}
