use std::collections::BTreeMap;

use super::*;
use crate::checkpoint::Checkpoint;
use crate::golden::{Accumulator, Memory, Mutant, Part, probe};
use crate::profile::Profile;
use crate::reference;
use crate::synth;
use crate::tap::{Tap, TapSite, TapValues};

/// Keeps what `reference.rs` computes, which shares no formula with the oracle.
#[derive(Default)]
struct Kept(BTreeMap<Site, Values>);

impl Tap for Kept {
    fn record(&mut self, at: TapSite, values: TapValues<'_>) {
        let (rows, width, data, dtype) = match values {
            TapValues::F32(rows) => {
                let data = rows.iter().map(|&value| f64::from(value)).collect();
                (rows.nrows(), rows.ncols(), data, Dtype::F32)
            }
            TapValues::F64(rows) => (rows.nrows(), rows.ncols(), rows.iter().copied().collect(), Dtype::F64),
        };
        let part = at.slot.map(|slot| slot as u32).map(|slot| match at.point {
            TapPoint::Scores | TapPoint::Probabilities => Part::Head(slot),
            _ => Part::Rank(slot),
        });
        let site = Site { layer: at.layer.map(|layer| layer as u32), point: at.point, part };
        let first = at.position as u32;
        let positions = (first..first + rows as u32).collect();
        self.0.insert(site, Values { positions, width, dtype, data });
    }
}

fn reference_dump(config: &ModelConfig, weights: &Weights, profile: Profile, tokens: &[u32]) -> Memory {
    let mut kept = Kept::default();
    reference::forward(config, weights, profile, tokens, &mut kept).unwrap();
    Memory { values: kept.0, tokens: Some(tokens.to_vec()) }
}

fn options(profile: Profile) -> CheckOptions {
    let accumulate = if profile == Profile::F64 { Accumulator::F64 } else { Accumulator::F32 };
    CheckOptions { power: false, ..CheckOptions::new(Declared { profile, accumulate }) }
}

/// The dump of `reference.rs` is right.
#[track_caller]
fn check_reference(config: &ModelConfig, weights: &Weights, tokens: &[u32]) {
    for profile in Profile::ALL {
        let dump = reference_dump(config, weights, profile, tokens);
        let report = check(config, weights, &dump, &options(profile)).unwrap();
        assert_eq!(report.verdict, Verdict::Right, "{profile}: {}", report.summary);
        assert!(report.unjudged.is_empty(), "{:?}", report.unjudged);
        for routing in &report.routing {
            assert_eq!((routing.same, routing.wrong), (routing.rows, 0), "{profile}");
        }
    }
}

#[test]
fn what_the_reference_computes_of_the_probe_is_right() {
    check_reference(&probe::config(), &probe::weights().unwrap(), &probe::tokens());
}

#[test]
fn what_the_reference_computes_of_random_checkpoints_is_right() {
    for (seed, hidden, intermediate, heads, window) in
        [(1, 96, 32, 4, 5), (2, 32, 64, 3, 1), (3, 160, 96, 6, 16)]
    {
        let config = ModelConfig {
            vocab_size: 50,
            hidden_size: hidden,
            intermediate_size: intermediate,
            layer_types: synth::alternating(3),
            num_attention_heads: heads,
            num_key_value_heads: if heads % 2 == 0 { 2 } else { 1 },
            head_dim: 32,
            num_experts: 6,
            experts_per_token: 3,
            sliding_window: window,
            ..synth::gpt_oss_20b()
        };
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in
            synth::in_memory(&config, &synth::Options { seed, ..Default::default() }).unwrap()
        {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        let checkpoint = Checkpoint::open(folder.path()).unwrap();
        let weights = Weights::load(&checkpoint).unwrap();
        let tokens: Vec<u32> = (0..24).map(|index| (index * 7 + 3) % 50).collect();
        check_reference(checkpoint.config(), &weights, &tokens);
    }
}

/// The probe's dump by the reference, some tokens of it.
fn dump(profile: Profile) -> (ModelConfig, Weights, Memory) {
    let (config, weights) = (probe::config(), probe::weights().unwrap());
    let dump = reference_dump(&config, &weights, profile, &probe::tokens()[..24]);
    (config, weights, dump)
}

#[test]
fn one_last_place_is_seen_where_one_value_is_right() {
    let (config, weights, mut dump) = dump(Profile::Bf16);
    let site = Site::of_layer(0, TapPoint::Query);
    let value = &mut dump.values.get_mut(&site).unwrap().data[5 * 512 + 77];
    *value *= 1.0 + 1.0 / 128.0;
    let report = check(&config, &weights, &dump, &options(Profile::Bf16)).unwrap();
    assert_eq!(report.verdict, Verdict::Wrong);
    let first = report.first_wrong().unwrap();
    assert_eq!((first.site, first.outside, first.first_outside), (site, 1, Some(5)));
    assert_eq!(first.worst.as_ref().unwrap().element, 77);
    // The rotation is judged by the changed queries, and is wrong of them.
    assert!(report.findings.iter().filter(|finding| finding.outside > 0).count() <= 2);
}

#[test]
fn values_between_dumped_ones_are_computed() {
    let (config, weights, mut dump) = dump(Profile::Bf16);
    let kept = |site: &Site| {
        matches!(
            site.point,
            TapPoint::Embedding | TapPoint::LayerOutput | TapPoint::ExpertIds | TapPoint::Logits
        )
    };
    dump.values.retain(|site, _| kept(site));
    let report = check(&config, &weights, &dump, &options(Profile::Bf16)).unwrap();
    assert_eq!(report.verdict, Verdict::Right, "{}", report.summary);
    assert_eq!(report.counts.judged, 6);
    let site = Site::of_layer(1, TapPoint::LayerOutput);
    dump.values.get_mut(&site).unwrap().data.iter_mut().for_each(|value| *value = -*value);
    let report = check(&config, &weights, &dump, &options(Profile::Bf16)).unwrap();
    assert_eq!(report.first_wrong().map(|finding| finding.site), Some(site));
}

#[test]
fn nothing_to_judge_is_not_a_pass() {
    let (config, weights, mut dump) = dump(Profile::Bf16);
    dump.values.clear();
    let report = check(&config, &weights, &dump, &options(Profile::Bf16)).unwrap();
    assert_eq!(report.verdict, Verdict::Blind);
    assert_eq!(report.summary, "the dump has no value of a forward pass");
}

#[test]
fn a_value_without_its_inputs_is_reported_as_not_judged() {
    let (config, weights, mut dump) = dump(Profile::Bf16);
    dump.values.retain(|site, _| site.point == TapPoint::AttentionOutput);
    dump.tokens = None;
    let report = check(&config, &weights, &dump, &options(Profile::Bf16)).unwrap();
    assert_eq!((report.verdict, report.unjudged.len()), (Verdict::Blind, 2));
    assert!(report.unjudged[0].reason.contains("layer.0.context"), "{}", report.unjudged[0].reason);
}

#[test]
fn zeros_a_constant_and_shuffled_rows_are_wrong() {
    let changes: [fn(&mut Values); 4] = [
        |values| values.data.fill(0.0),
        |values| values.data.fill(0.5),
        |values| values.data.rotate_left(values.width),
        |values| values.data.reverse(),
    ];
    for (index, change) in changes.iter().enumerate() {
        let (config, weights, mut dump) = dump(Profile::Bf16);
        change(dump.values.get_mut(&Site::of_layer(0, TapPoint::MlpOutput)).unwrap());
        let report = check(&config, &weights, &dump, &options(Profile::Bf16)).unwrap();
        assert_eq!(report.verdict, Verdict::Wrong, "{index}");
        // Rows and elements in reverse at once are no structure that is looked for.
        assert_eq!(report.structure.is_empty(), index == 3, "{index}");
    }
}

#[test]
fn a_choice_of_lower_logits_is_wrong_and_a_tie_is_not() {
    let (config, weights, mut dump) = dump(Profile::Bf16);
    let ids = Site::of_layer(0, TapPoint::ExpertIds);
    let logits = dump.values[&Site::of_layer(0, TapPoint::RouterLogits)].clone();
    let least = (0..32).min_by(|&a, &b| logits.row(3)[a].total_cmp(&logits.row(3)[b])).unwrap();
    let chosen = dump.values.get_mut(&ids).unwrap();
    // Another order of the same experts is the same choice.
    chosen.data.swap(0, 1);
    chosen.data[3 * 4 + 3] = least as f64;
    let report = check(&config, &weights, &dump, &options(Profile::Bf16)).unwrap();
    let routing = &report.routing[0];
    assert_eq!((routing.wrong, routing.same), (1, routing.rows - 1));
    assert!(report.findings.iter().any(|finding| finding.site == ids && finding.first_outside == Some(3)));
}

#[test]
fn a_bug_is_named_from_layer_outputs_alone() {
    let (config, weights) = (probe::config(), probe::weights().unwrap());
    let declared = Declared { profile: Profile::Bf16, accumulate: Accumulator::F32 };
    let simulation = crate::golden::Simulation {
        declared,
        seed: 5,
        mutants: Mutants::one(Mutant::MoeSwap),
        decoded_from: None,
    };
    let mut dump = crate::golden::simulate(&config, &weights, &probe::tokens()[..24], &simulation).unwrap();
    let kept = |point| {
        matches!(point, TapPoint::Embedding | TapPoint::LayerOutput | TapPoint::ExpertIds | TapPoint::Logits)
    };
    dump.values.retain(|site, _| kept(site.point));
    let report = check(&config, &weights, &dump, &options(Profile::Bf16)).unwrap();
    assert_eq!(report.verdict, Verdict::Wrong);
    assert_eq!(report.suspects[0].mutant, Mutant::MoeSwap, "{:?}", report.suspects);
}

#[test]
fn masked_scores_have_no_part_in_the_structure_of_an_error() {
    let (config, weights, mut dump) = dump(Profile::Bf16);
    for (site, values) in &mut dump.values {
        if site.point == TapPoint::Scores {
            values.data.iter_mut().for_each(|score| *score = score.max(f64::from(f32::MIN)));
        }
    }
    let site = Site::of_layer(0, TapPoint::Scores).with(Part::Head(3));
    dump.values.get_mut(&site).unwrap().data[5 * 24 + 2] += 1.0;
    let report = check(&config, &weights, &dump, &options(Profile::Bf16)).unwrap();
    assert_eq!(report.first_wrong().map(|finding| finding.site), Some(site));
    let facts: Vec<&str> = report.structure.iter().map(|structure| structure.fact.as_str()).collect();
    assert!(facts.contains(&"only elements 2 to 2 of 24"), "{facts:?}");
}
