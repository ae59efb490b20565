//! The golden check of what the shaders computed: right as they are, and with a bug in them the bug's name.

use std::fs;

use gptoss_runtime::Profile;
use gptoss_runtime::golden::report::Verdict;
use gptoss_runtime::golden::{
    Accumulator, CheckOptions, Declared, Dump, Mutant, Report, Scheme, check, probe,
};
use gptoss_tests::wgsl::{bugs, to_safetensors};

use super::{Model, probe_folder, run_probe};

/// Runs the probe, writes a dump, reads it as a stranger's, and judges it.
fn judge(bug: Option<Mutant>, power: bool) -> Report {
    let model = Model::open(&probe_folder());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dump.safetensors");
    let bytes = to_safetensors(&run_probe(&model, bug), &probe::tokens()).unwrap();
    fs::write(&path, bytes).unwrap();
    let dump = Dump::open(&path, &model.config, None).unwrap();
    assert!(dump.matching().unmatched.is_empty(), "{:?}", dump.matching().unmatched);
    let declared = dump.declared().unwrap();
    assert_eq!(declared, Declared { profile: Profile::Bf16, accumulate: Accumulator::F32 });
    let decoded_from = Some(probe::DECODED_FROM);
    let options = CheckOptions { decoded_from, power, ..CheckOptions::new(declared) };
    check(&model.config, &model.weights, &dump, &options).unwrap()
}

#[test]
fn the_shaders_are_right_and_their_dump_would_have_shown_every_known_bug() {
    let report = judge(None, true);
    assert_eq!(report.verdict, Verdict::Right, "{}", report.summary);
    assert!(report.unjudged.is_empty(), "{:?}", report.unjudged);
    assert!(report.counts.elements > 1_000_000, "{:?}", report.counts);
    assert_eq!(report.power.seen.len(), Mutant::all().count(), "{:?}", report.power.blind);
}

#[test]
fn names_of_the_dump_are_all_known() {
    let model = Model::open(&probe_folder());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dump.safetensors");
    let run = run_probe(&model, None);
    fs::write(&path, to_safetensors(&run, &probe::tokens()).unwrap()).unwrap();
    let dump = Dump::open(&path, &model.config, None).unwrap();
    let matched = &dump.matching().matched;
    assert_eq!(matched.len(), run.values.len());
    assert!(matched.iter().all(|array| array.scheme == Scheme::Gptoss), "{matched:?}");
}

/// The bug is in the shaders; the check finds the dump wrong and suspects this bug first.
fn assert_named(bug: Mutant) {
    let report = judge(Some(bug), false);
    assert_eq!(report.verdict, Verdict::Wrong, "{bug}: {}", report.summary);
    let first = report.suspects.first();
    let named = first.map(|suspect| suspect.mutant);
    assert_eq!(named, Some(bug), "{}: {first:?}", report.summary);
}

macro_rules! named {
    ($($test:ident: $bug:ident,)*) => {
        $(
            #[test]
            fn $test() {
                assert_named(Mutant::$bug);
            }
        )*

        const NAMED: &[Mutant] = &[$(Mutant::$bug),*];
    };
}

named! {
    rope_interleaved: RopeInterleaved,
    yarn_no_mscale: YarnNoMscale,
    window_plus_one: WindowPlusOne,
    window_right_open: WindowRightOpen,
    window_absent: WindowAbsent,
    window_parity: WindowParity,
    mask_stride: MaskStride,
    kv_not_written: KvNotWritten,
    scale_absent: ScaleAbsent,
    sink_absent: SinkAbsent,
    sink_log_base: SinkLogBase,
    sink_twice: SinkTwice,
    window_stale_v: WindowStaleV,
    attention_not_stored: AttentionNotStored,
    bias_output_per_rank: OutputBiasPerRank,
    residual_f16_overflow: ResidualF16Overflow,
    router_no_bias: RouterNoBias,
    router_softmax_all: RouterSoftmaxAll,
    mxfp4_nibble: Mxfp4Nibble,
    mxfp4_high_first: Mxfp4HighFirst,
    mxfp4_scale_linear: Mxfp4ScaleLinear,
    mxfp4_scale_nan: Mxfp4ScaleNan,
    bias_gate_up_absent: GateUpBiasAbsent,
    moe_concat: MoeConcat,
    moe_swap: MoeSwap,
    swiglu_limit_zero: SwigluLimitZero,
    swiglu_no_limit: SwigluNoLimit,
    swiglu_alpha_one: SwigluAlphaOne,
    swiglu_no_plus_one: SwigluNoPlusOne,
    bias_down_per_rank: DownBiasPerRank,
    bias_down_unweighted: DownBiasUnweighted,
    moe_no_gate_weight: MoeNoGateWeight,
}

#[test]
fn every_bug_that_the_shaders_have_is_tested() {
    assert_eq!(bugs(), NAMED);
}
