use std::path::Path;

use super::*;
use crate::checkpoint::Checkpoint;
use crate::golden::report::Verdict;
use crate::golden::{Accumulator, CheckOptions, Declared, Mutant, Mutants, Simulation, check, simulate};
use crate::profile::Profile;
use crate::weights::Weights;

fn fixture() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/probe")
}

#[test]
fn the_files_in_the_repository_are_those_that_the_code_makes() {
    for (name, bytes) in files().unwrap() {
        let path = fixture().join(&name);
        assert!(std::fs::read(&path).is_ok_and(|found| found == bytes), "{name}");
    }
}

#[test]
fn the_weights_without_files_are_those_of_the_files() {
    let checkpoint = Checkpoint::open(&fixture()).unwrap();
    assert_eq!(*checkpoint.config(), config());
    let (read, made) = (Weights::load(&checkpoint).unwrap(), weights().unwrap());
    let rows = |matrix: &crate::weights::Matrix| -> Vec<f32> {
        let mut all = Vec::new();
        for row in 0..matrix.rows {
            let mut values = vec![0.0; matrix.cols];
            matrix.row(row, &mut values);
            all.extend(values);
        }
        all
    };
    assert_eq!(rows(&read.embedding), rows(&made.embedding));
    assert_eq!(rows(&read.unembedding), rows(&made.unembedding));
    for (read, made) in read.layers.iter().zip(&made.layers) {
        assert_eq!(rows(&read.query.matrix), rows(&made.query.matrix));
        assert_eq!(read.sinks, made.sinks);
        for (read, made) in read.experts.iter().zip(&made.experts) {
            assert_eq!(rows(&read.gate_up.matrix), rows(&made.gate_up.matrix));
            assert_eq!(rows(&read.down.matrix), rows(&made.down.matrix));
            assert_eq!(read.down.bias, made.down.bias);
        }
    }
}

/// Each known bug of a part of the catalogue is live, seen, and named before any other.
#[track_caller]
fn check_mutants(part: std::ops::Range<usize>) {
    let mutants: Vec<Mutant> = Mutant::all().skip(part.start).take(part.len()).collect();
    let (config, weights) = (config(), weights().unwrap());
    let measured = measure(&config, &weights, &tokens(), &mutants, &MeasureOptions::default()).unwrap();
    for one in &measured.mutants {
        assert!(one.live && one.detected && one.named_first, "{one:?}");
        assert!(one.explained > 0.999, "{one:?}");
    }
    assert_eq!((measured.live, measured.detected, measured.named_first), {
        let total = measured.total;
        (total, total, total)
    });
}

#[test]
fn bugs_of_the_rotation_are_named() {
    check_mutants(0..4);
}

#[test]
fn bugs_of_the_window_are_named() {
    check_mutants(4..9);
}

#[test]
fn bugs_of_cache_and_scale_are_named() {
    check_mutants(9..12);
}

#[test]
fn bugs_of_the_softmax_are_named() {
    check_mutants(12..17);
}

#[test]
fn bugs_of_residual_and_router_are_named() {
    check_mutants(17..21);
}

#[test]
fn bugs_of_mxfp4_are_named() {
    check_mutants(21..25);
}

#[test]
fn bugs_of_swiglu_are_named() {
    check_mutants(25..31);
}

#[test]
fn bugs_of_the_expert_sum_are_named() {
    check_mutants(31..99);
}

/// A run of the probe with bugs, judged.
fn judged(mutants: Mutants, tokens: &[u32], power: bool) -> crate::golden::Report {
    let (config, weights) = (config(), weights().unwrap());
    let declared = Declared { profile: Profile::Bf16, accumulate: Accumulator::F32 };
    let decoded_from = Some(DECODED_FROM);
    let simulation = Simulation { declared, seed: 3, mutants, decoded_from };
    let dump = simulate(&config, &weights, tokens, &simulation).unwrap();
    let options = CheckOptions { decoded_from, power, ..CheckOptions::new(declared) };
    check(&config, &weights, &dump, &options).unwrap()
}

#[test]
fn of_two_bugs_the_first_in_the_data_flow_is_named_first() {
    for (first, second) in [
        (Mutant::YarnTruncate, Mutant::SinkAbsent),
        (Mutant::SinkAbsent, Mutant::RouterNoBias),
        (Mutant::SwigluAlphaOne, Mutant::SwigluNoPlusOne),
    ] {
        let report = judged(Mutants::one(first).with(second), &tokens(), false);
        assert_eq!(report.suspects[0].mutant, first, "{first} and {second}");
        let named = report.suspects.iter().any(|one| one.mutant == second || one.with == Some(second));
        assert!(named, "{first} and {second}: {:?}", report.suspects);
    }
}

#[test]
fn the_probe_could_have_shown_every_bug() {
    let report = judged(Mutants::NONE, &tokens(), true);
    assert_eq!(report.verdict, Verdict::Right, "{}", report.summary);
    assert!(report.power.blind.is_empty(), "{:?}", report.power.blind);
}

#[test]
fn a_short_prompt_is_blind_to_the_window_and_says_so() {
    let report = judged(Mutants::NONE, &tokens()[..20], true);
    assert_eq!(report.verdict, Verdict::Right, "{}", report.summary);
    let blind = |mutant| report.power.blind.iter().find(|blind| blind.mutant == mutant);
    let window = blind(Mutant::WindowPlusOne).unwrap();
    assert_eq!(window.reason, "the last judged position is 19, and the window has 128 keys");
    assert!(blind(Mutant::WindowRightOpen).is_none());
    assert!(blind(Mutant::SinkAbsent).is_none());
}
