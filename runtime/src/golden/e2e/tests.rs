use super::*;
use crate::golden::{Simulation, probe, simulate};

fn judged(profile: Profile, mutants: Mutants, seed: u64) -> Report {
    let (config, weights) = (probe::config(), probe::weights().unwrap());
    let declared = Declared { profile, accumulate: Accumulator::F32 };
    let simulation = Simulation { declared, seed, mutants, decoded_from: None };
    let mut dump = simulate(&config, &weights, &probe::tokens()[..16], &simulation).unwrap();
    let kept = |point| matches!(point, TapPoint::ExpertIds | TapPoint::LayerOutput | TapPoint::Logits);
    dump.values.retain(|site, _| kept(site.point));
    let options = CheckOptions { power: false, ..CheckOptions::new(declared) };
    e2e(&config, &weights, &dump, &options).unwrap()
}

#[test]
fn honest_runs_stay_below_half_of_what_is_allowed() {
    for profile in [Profile::Bf16, Profile::F32] {
        for seed in 11..14 {
            let report = judged(profile, Mutants::NONE, seed);
            assert_eq!(report.verdict, Verdict::Right, "{}", report.summary);
            assert!(report.findings.iter().all(|finding| finding.worst_ratio < 0.5), "{}", report.summary);
            assert!(report.drift.is_some_and(|drift| drift.kl_mean < 0.05));
        }
    }
}

#[test]
fn a_bug_is_seen_and_named_from_tokens_and_logits() {
    for mutant in [Mutant::RopeInterleaved, Mutant::MoeConcat] {
        let report = judged(Profile::F32, Mutants::one(mutant), 11);
        assert_eq!(report.verdict, Verdict::Wrong, "{}", report.summary);
        assert_eq!(report.suspects[0].mutant, mutant, "{}", report.summary);
    }
}

/// Programs mask with the least number of a type; the oracle with -inf.
#[test]
fn a_mask_of_great_numbers_is_a_mask() {
    let (config, weights) = (probe::config(), probe::weights().unwrap());
    let declared = Declared { profile: Profile::F32, accumulate: Accumulator::F32 };
    let simulation = Simulation { declared, seed: 11, mutants: Mutants::NONE, decoded_from: None };
    let mut dump = simulate(&config, &weights, &probe::tokens()[..12], &simulation).unwrap();
    dump.values.retain(|site, _| matches!(site.point, TapPoint::Scores | TapPoint::ExpertIds));
    for score in dump.values.values_mut().flat_map(|values| &mut values.data) {
        *score = score.max(f64::from(f32::MIN));
    }
    let options = CheckOptions { power: false, ..CheckOptions::new(declared) };
    let report = e2e(&config, &weights, &dump, &options).unwrap();
    assert_eq!(report.verdict, Verdict::Right, "{}", report.summary);
}
