//! Which prompt would show a bug that a dump could not.

use crate::config::{LayerType, ModelConfig};
use crate::golden::local::Judge;
use crate::golden::mutants::Mutant;
use crate::golden::probe::DECODED_FROM;
use crate::golden::report::Prompt;
use crate::weights::{Storage, Weights};

/// The scale byte of [`Mutant::Mxfp4ScaleNan`].
const SCALE: u8 = 134;
/// The fewest tokens of a prompt that is tried because a shorter one showed nothing.
const LONGER: usize = 256;

/// The prompt for a bug that a run of `tokens` tokens did not show; `is_judged` if values that depend on it were judged.
pub(in crate::golden) fn prompt(
    config: &ModelConfig,
    weights: &Weights,
    mutant: Mutant,
    tokens: usize,
    is_judged: bool,
) -> Prompt {
    let none = |why: &str| Prompt {
        text: format!("no prompt of this model: {why}"),
        ids: vec![],
        decoded_from: None,
    };
    if let Some(why) = never(config, weights, mutant) {
        return none(why);
    }
    let fewest = fewest(config, mutant);
    if matches!(mutant, Mutant::KvNotWritten | Mutant::AttentionNotStored) {
        let count = tokens.max(fewest);
        let from = count as u32 - 1;
        let text = format!(
            "{}, the last of them decoded by itself, and --declare decoded={from}",
            of(count, config.vocab_size)
        );
        return Prompt { text, ids: ids(count, config.vocab_size), decoded_from: Some(from) };
    }
    if tokens < fewest {
        let text = of(fewest, config.vocab_size);
        return Prompt { text, ids: ids(fewest, config.vocab_size), decoded_from: None };
    }
    if !is_judged {
        let text = "the same prompt, if the dump has what is needed".to_owned();
        return Prompt { text, ids: vec![], decoded_from: None };
    }
    let longer = of((2 * tokens).max(LONGER), config.vocab_size);
    let text = format!(
        "its values decide, so none for certain but that of the probe (prompt.json, decoded from {DECODED_FROM}); \
         longer ones are likelier to, such as {longer}"
    );
    Prompt { text, ids: vec![], decoded_from: None }
}

/// Why no prompt shows the bug, if none does.
fn never(config: &ModelConfig, weights: &Weights, mutant: Mutant) -> Option<&'static str> {
    use Mutant as M;
    let has = |layer: LayerType| config.layer_types.contains(&layer);
    match mutant {
        M::YarnTruncate | M::YarnAbsent | M::YarnNoMscale if config.rope.factor <= 1.0 => {
            Some("its rotation has no YaRN")
        }
        M::YarnTruncate if config.rope.truncate => Some("its bounds of the ramp are whole pairs"),
        M::WindowPlusOne | M::WindowRightOpen | M::WindowAbsent | M::MaskStride | M::WindowStaleV
            if !has(LayerType::Sliding) =>
        {
            Some("none of its layers slides")
        }
        M::Mxfp4Nibble | M::Mxfp4HighFirst | M::Mxfp4ScaleLinear if greatest_scale(weights).is_none() => {
            Some("its experts are not MXFP4")
        }
        M::Mxfp4ScaleNan if greatest_scale(weights).is_none_or(|scale| scale < SCALE) => {
            Some("none of its blocks has the scale byte 134")
        }
        _ => None,
    }
}

/// Whether a bug cannot change any value of this run.
pub(super) fn is_same(judge: &Judge<'_>, mutant: Mutant) -> bool {
    use Mutant as M;
    never(judge.config, judge.weights, mutant).is_some()
        || match mutant {
            M::KvNotWritten | M::AttentionNotStored => {
                judge.options.decoded_from.is_none_or(|from| from as usize >= judge.all.len())
            }
            M::WindowPlusOne | M::WindowAbsent | M::WindowParity | M::WindowStaleV => {
                judge.all.len() <= judge.config.sliding_window
            }
            _ => false,
        }
}

fn greatest_scale(weights: &Weights) -> Option<u8> {
    let experts = weights.layers.iter().flat_map(|layer| &layer.experts);
    experts
        .flat_map(|expert| [&expert.gate_up, &expert.down])
        .filter_map(|linear| match linear.matrix.storage {
            Storage::Mxfp4 { scale_range: (_, greatest), .. } => Some(greatest),
            _ => None,
        })
        .max()
}

/// Tokens that a run needs so that the formula differs at all.
fn fewest(config: &ModelConfig, mutant: Mutant) -> usize {
    use Mutant as M;
    match mutant {
        M::WindowPlusOne | M::WindowAbsent | M::WindowParity | M::WindowStaleV | M::MaskStride => {
            config.sliding_window + 1
        }
        M::RopeInterleaved
        | M::YarnTruncate
        | M::WindowRightOpen
        | M::KvNotWritten
        | M::AttentionNotStored => 2,
        _ => 1,
    }
}

/// Ids from 1 on, which every vocabulary has; from 0 again where it ends.
fn ids(count: usize, vocabulary: usize) -> Vec<u32> {
    (1..=count).map(|id| (id % vocabulary) as u32).collect()
}

/// Such a prompt in words, with a shell command that writes its ids.
fn of(count: usize, vocabulary: usize) -> String {
    let command = match count < vocabulary {
        true => format!("$(seq -s, 1 {count})"),
        false => format!("$(seq 1 {count} | awk '{{print $1 % {vocabulary}}}' | paste -sd,)"),
    };
    format!("a prompt of {count} tokens or more: --ids {command}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{
        Accumulator, CheckOptions, Declared, Mutants, Report, Simulation, check, probe, simulate,
    };
    use crate::profile::Profile;

    fn judged(ids: &[u32], decoded_from: Option<u32>) -> Report {
        let (config, weights) = (probe::config(), probe::weights().unwrap());
        let declared = Declared { profile: Profile::Bf16, accumulate: Accumulator::F32 };
        let simulation = Simulation { declared, seed: 2, mutants: Mutants::NONE, decoded_from };
        let dump = simulate(&config, &weights, ids, &simulation).unwrap();
        let options = CheckOptions { decoded_from, ..CheckOptions::new(declared) };
        check(&config, &weights, &dump, &options).unwrap()
    }

    #[test]
    fn the_prompt_that_is_told_shows_the_bug() {
        let report = judged(&[3], None);
        let told: Vec<_> = report.power.blind.iter().filter(|blind| !blind.prompt.ids.is_empty()).collect();
        let of = |mutant: Mutant| told.iter().find(|blind| blind.mutant == mutant).unwrap();
        assert_eq!(of(Mutant::WindowPlusOne).prompt.ids.len(), 129);
        assert_eq!(of(Mutant::KvNotWritten).prompt.decoded_from, Some(1));
        assert!(told.len() >= 8, "{told:?}");
        // The runs that are told, each judged once.
        let mut runs: Vec<_> =
            told.iter().map(|blind| (blind.prompt.ids.clone(), blind.prompt.decoded_from)).collect();
        runs.sort();
        runs.dedup();
        for (ids, decoded_from) in runs {
            let seen = judged(&ids, decoded_from).power.seen;
            for blind in &told {
                if (&blind.prompt.ids, blind.prompt.decoded_from) == (&ids, decoded_from) {
                    assert!(seen.contains(&blind.mutant), "{}: {}", blind.mutant, blind.prompt.text);
                }
            }
        }
    }

    #[test]
    fn a_bug_that_is_not_tried_changes_nothing() {
        let (config, weights) = (probe::config(), probe::weights().unwrap());
        let declared = Declared { profile: Profile::Bf16, accumulate: Accumulator::F32 };
        let run = |mutants, decoded_from| {
            let simulation = Simulation { declared, seed: 2, mutants, decoded_from };
            simulate(&config, &weights, &[3, 1, 4, 1, 5], &simulation).unwrap()
        };
        for decoded_from in [None, Some(3)] {
            let right = run(Mutants::NONE, decoded_from);
            let options = CheckOptions { decoded_from, ..CheckOptions::new(declared) };
            let mut judge = Judge::new(&config, &weights, &right, &options, &|_| true);
            judge.all = (0..5).collect();
            let same: Vec<Mutant> = Mutant::all().filter(|&mutant| is_same(&judge, mutant)).collect();
            assert_eq!(same.len(), if decoded_from.is_none() { 6 } else { 4 }, "{same:?}");
            for mutant in same {
                assert!(run(Mutants::one(mutant), decoded_from).values == right.values, "{mutant}");
            }
        }
    }

    #[test]
    fn where_values_decide_the_probe_is_named() {
        let report = judged(&[3], None);
        let blind =
            report.power.blind.iter().find(|blind| blind.mutant == Mutant::ResidualF16Overflow).unwrap();
        assert!(
            blind.prompt.ids.is_empty() && blind.prompt.text.contains("prompt.json"),
            "{}",
            blind.prompt.text
        );
    }

    #[test]
    fn a_model_that_cannot_show_a_bug_is_told() {
        let (mut config, weights) = (probe::config(), probe::weights().unwrap());
        config.rope.factor = 1.0;
        config.layer_types = vec![LayerType::Full; 2];
        for (mutant, why) in [(Mutant::YarnAbsent, "no YaRN"), (Mutant::WindowPlusOne, "slides")] {
            let told = prompt(&config, &weights, mutant, 9, true);
            assert!(told.text.contains(why) && told.ids.is_empty(), "{}", told.text);
        }
        let mut short = probe::config();
        short.vocab_size = 100;
        let told = prompt(&short, &weights, Mutant::WindowAbsent, 9, true);
        assert!(told.text.contains("$1 % 100") && told.ids.iter().all(|&id| id < 100), "{}", told.text);
    }
}
