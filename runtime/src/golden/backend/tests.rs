use super::*;
use crate::golden::report::Verdict;
use crate::golden::{Accumulator, CheckOptions, Mutant, check, probe};

#[test]
fn honest_dumps_of_every_arithmetic_are_right() {
    let (config, weights) = (probe::config(), probe::weights().unwrap());
    let tokens = &probe::tokens()[..40];
    for (profile, accumulate) in [
        (Profile::Bf16, Accumulator::F32),
        (Profile::Bf16, Accumulator::F16),
        (Profile::Bf16, Accumulator::Bf16),
        (Profile::F32, Accumulator::F32),
        (Profile::F32, Accumulator::Tf32),
        (Profile::F64, Accumulator::F64),
    ] {
        let declared = Declared { profile, accumulate };
        for seed in 0..2 {
            let simulation = Simulation { declared, seed, mutants: Mutants::NONE, decoded_from: None };
            let dump = simulate(&config, &weights, tokens, &simulation).unwrap();
            let options = CheckOptions { power: false, ..CheckOptions::new(declared) };
            let report = check(&config, &weights, &dump, &options).unwrap();
            assert_eq!(report.verdict, Verdict::Right, "{profile} {accumulate:?} {seed}: {}", report.summary);
            assert!(report.unjudged.is_empty(), "{:?}", report.unjudged);
            assert_eq!(report.counts.sites, all_sites(&config).len() as u64);
        }
    }
}

#[test]
fn a_bug_of_one_layer_is_in_that_layer_alone() {
    let (config, weights) = (probe::config(), probe::weights().unwrap());
    let declared = Declared { profile: Profile::Bf16, accumulate: Accumulator::F32 };
    let of = |mutants| Simulation { declared, seed: 5, mutants, decoded_from: None };
    let tokens = &probe::tokens()[..12];
    let (none, bug) = (Mutants::NONE, Mutants::one(Mutant::SinkAbsent));
    let by_layer = |bugs: &[Mutants]| simulate_by_layer(&config, &weights, tokens, &of(none), bugs).unwrap();
    let everywhere = simulate(&config, &weights, tokens, &of(bug)).unwrap();
    assert_eq!(by_layer(&[bug, bug]).values, everywhere.values);
    let right = simulate(&config, &weights, tokens, &of(none)).unwrap();
    assert_eq!(by_layer(&[none, none]).values, right.values);
    let later = by_layer(&[none, bug]);
    for (site, values) in &later.values {
        let is_before = site.layer == Some(0) || site.point <= TapPoint::Scores && site.layer == Some(1);
        assert!(!is_before || *values == right.values[site], "{site}");
    }
    for name in ["layer.1.probabilities.head.0", "layer.1.context", "layer.1.layer_output", "logits"] {
        let site: Site = name.parse().unwrap();
        assert_ne!(later.values[&site], right.values[&site], "{name}");
    }
}
