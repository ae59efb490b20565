//! Whether of two bugs at once the first in the data flow is named first, over all pairs of known bugs.
//!
//! ```sh
//! cargo run --release -p gptoss-runtime --example golden_pairs
//! cargo run --release -p gptoss-runtime --example golden_pairs -- 20
//! ```
//!
//! Made-up backends with two bugs run the probe: both in every layer, and one in each of its two layers. With a number N,
//! each N-th pair is taken. A pair counts where both bugs are live, which is where each changes the dump of the other one.
//! It is right if the bug that is named first is the one whose formula comes first, or one that gives the same bits there.
//! Where both change the formula of one value, both must be named for it, or the first if it explains every element.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::process::ExitCode;

use gptoss_runtime::golden::probe::DECODED_FROM;
use gptoss_runtime::golden::{
    Accumulator, CheckOptions, Declared, Memory, Mutant, Mutants, Report, Simulation, check, probe,
    simulate_by_layer,
};
use gptoss_runtime::{ModelConfig, Profile, weights::Weights};
use rayon::prelude::*;

type Failure = gptoss_runtime::Error;

const DECLARED: Declared = Declared { profile: Profile::Bf16, accumulate: Accumulator::F32 };

/// The bugs of the two layers of the probe.
type Bugs = [Mutants; 2];

/// Two bugs, the one that comes first in the data flow before the other one.
#[derive(Clone, Copy, Debug)]
struct Pair {
    first: Mutant,
    second: Mutant,
    /// Both in every layer, or one in each.
    everywhere: bool,
}

impl Pair {
    /// The bugs of each layer, of a backend that has only some of the two.
    fn bugs(self, has_first: bool, has_second: bool) -> Bugs {
        let of = |mutant, has: bool| if has { Mutants::one(mutant) } else { Mutants::NONE };
        let (first, second) = (of(self.first, has_first), of(self.second, has_second));
        match self.everywhere {
            true => [second.iter().fold(first, Mutants::with); 2],
            false => [first, second],
        }
    }

    /// The backends that have one of them alone.
    fn alone(self) -> [Bugs; 2] {
        [self.bugs(true, false), self.bugs(false, true)]
    }
}

/// What became of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Right,
    /// One of the bugs changes nothing beside the other one.
    NotLive,
    Wrong,
}

struct Probe {
    config: ModelConfig,
    weights: Weights,
}

impl Probe {
    fn run(&self, bugs: Bugs) -> Result<Memory, Failure> {
        let simulation = Simulation {
            declared: DECLARED,
            seed: 1,
            mutants: Mutants::NONE,
            decoded_from: Some(DECODED_FROM),
        };
        simulate_by_layer(&self.config, &self.weights, &probe::tokens(), &simulation, &bugs)
    }

    fn judged(&self, dump: &Memory) -> Result<Report, Failure> {
        let options =
            CheckOptions { decoded_from: Some(DECODED_FROM), power: false, ..CheckOptions::new(DECLARED) };
        check(&self.config, &self.weights, dump, &options)
    }

    /// `alone` has the digest of each backend with one bug.
    fn outcome(&self, pair: Pair, alone: &HashMap<Bugs, u64>) -> Result<Outcome, Failure> {
        let dump = self.run(pair.bugs(true, true))?;
        let digest = self::digest(&dump);
        if pair.alone().iter().any(|bugs| alone.get(bugs) == Some(&digest)) {
            return Ok(Outcome::NotLive);
        }
        let report = self.judged(&dump)?;
        let Some(suspect) = report.suspects.first() else { return Ok(Outcome::Wrong) };
        let place = |mutant: Mutant| mutant.describe().points.iter().min();
        let is_one_value = pair.everywhere && place(pair.first) == place(pair.second);
        let is_named = |mutant| suspect.mutant == mutant || suspect.with == Some(mutant);
        let right = if is_one_value {
            let both = is_named(pair.first) && is_named(pair.second);
            both || is_named(pair.first) && suspect.outside_after == 0
        } else {
            // In one layer alone, two bugs may be one: a sliding layer that slides no more, for whichever reason.
            suspect.mutant == pair.first || {
                let named = Pair { first: suspect.mutant, ..pair };
                self::digest(&self.run(named.bugs(true, true))?) == digest
            }
        };
        if !right {
            let named: Vec<String> = report
                .suspects
                .iter()
                .flat_map(|suspect| std::iter::once(suspect.mutant).chain(suspect.with))
                .map(|mutant| mutant.to_string())
                .collect();
            let place = if pair.everywhere { "in every layer" } else { "one in each layer" };
            println!("{} and {}, {place}: named {named:?} at {}", pair.first, pair.second, suspect.site);
        }
        Ok(if right { Outcome::Right } else { Outcome::Wrong })
    }
}

/// A digest of all values of a run, to the bit.
fn digest(dump: &Memory) -> u64 {
    let mut hasher = DefaultHasher::new();
    for value in dump.values.values().flat_map(|values| &values.data) {
        value.to_bits().hash(&mut hasher);
    }
    hasher.finish()
}

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let step: usize = std::env::args().nth(1).map_or(Ok(1), |step| step.parse())?;
    let all: Vec<Mutant> = Mutant::all().collect();
    let mut pairs = Vec::new();
    for (index, &first) in all.iter().enumerate() {
        for &second in &all[index + 1..] {
            pairs.push(Pair { first, second, everywhere: true });
        }
        pairs.extend(all.iter().map(|&second| Pair { first, second, everywhere: false }));
    }
    let pairs: Vec<Pair> = pairs.into_iter().step_by(step.max(1)).collect();
    let probe = Probe { config: probe::config(), weights: probe::weights()? };
    let alone: HashSet<Bugs> = pairs.iter().flat_map(|pair| pair.alone()).collect();
    let alone: HashMap<Bugs, u64> = alone
        .into_par_iter()
        .map(|bugs| Ok((bugs, digest(&probe.run(bugs)?))))
        .collect::<Result<_, Failure>>()?;
    let outcomes: Vec<Outcome> =
        pairs.par_iter().map(|&pair| probe.outcome(pair, &alone)).collect::<Result<_, Failure>>()?;
    let mut wrong = 0;
    for (everywhere, title) in [(true, "both in every layer"), (false, "one in each layer")] {
        let count = |outcome: Outcome| {
            let pairs = pairs.iter().zip(&outcomes);
            pairs.filter(|(pair, found)| pair.everywhere == everywhere && **found == outcome).count()
        };
        let [right, not_live, bad] = [Outcome::Right, Outcome::NotLive, Outcome::Wrong].map(count);
        wrong += bad;
        println!(
            "{title}: of {} live pairs, the first is named first in {right} ({not_live} pairs are not live)",
            right + bad
        );
    }
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
