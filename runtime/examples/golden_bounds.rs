//! How true and how tight the bounds of golden checks are, and how small a wrong constant they still see.
//!
//! ```sh
//! cargo run --release -p gptoss-runtime --example golden_bounds -- 1000
//! ```
//!
//! Random checkpoints are run by made-up honest backends of every declared arithmetic, with their sums in orders of their
//! own, and judged: a value outside of its bounds is a violation, a dump found wrong a false alarm. Tightness is the
//! allowed error over the greatest error that was seen at a value of a run: its median over runs. Then constants of the
//! probe's formulas are put wrong by less and less, until no value of an honest run shows it.

use std::collections::BTreeMap;
use std::process::ExitCode;

use gptoss_runtime::checkpoint::Checkpoint;
use gptoss_runtime::golden::report::Verdict;
use gptoss_runtime::golden::{
    Accumulator, CheckOptions, Declared, Mutants, Simulation, check, probe, sensitivity, simulate,
};
use gptoss_runtime::tap::TapPoint;
use gptoss_runtime::weights::Weights;
use gptoss_runtime::{ModelConfig, Profile, synth};

type Failure = Box<dyn std::error::Error>;

/// Profiles and accumulators.
const DECLARED: [Declared; 8] = [
    Declared { profile: Profile::Bf16, accumulate: Accumulator::F32 },
    Declared { profile: Profile::F32, accumulate: Accumulator::F32 },
    Declared { profile: Profile::Bf16, accumulate: Accumulator::F16 },
    Declared { profile: Profile::F32, accumulate: Accumulator::Tf32 },
    Declared { profile: Profile::F64, accumulate: Accumulator::F64 },
    Declared { profile: Profile::Bf16, accumulate: Accumulator::Bf16 },
    Declared { profile: Profile::F32, accumulate: Accumulator::F16 },
    Declared { profile: Profile::Bf16, accumulate: Accumulator::Tf32 },
];

fn main() -> Result<ExitCode, Failure> {
    let runs: u64 = std::env::args().nth(1).map_or(Ok(100), |runs| runs.parse())?;
    let (mut alarms, mut elements, mut single, mut outside) = (0_u64, 0_u64, 0_u64, 0_u64);
    let mut tightness: BTreeMap<(TapPoint, usize), Vec<f64>> = BTreeMap::new();
    for run in 0..runs {
        let (config, weights) = checkpoint(run)?;
        let tokens: Vec<u32> =
            (0..24 + run as u32 % 40).map(|index| (index * 37 + run as u32) % 64).collect();
        let kind = run as usize % DECLARED.len();
        let declared = DECLARED[kind];
        let simulation = Simulation { declared, seed: run, mutants: Mutants::NONE, decoded_from: None };
        let dump = simulate(&config, &weights, &tokens, &simulation)?;
        let options = CheckOptions { power: false, ..CheckOptions::new(declared) };
        let report = check(&config, &weights, &dump, &options)?;
        if report.verdict != Verdict::Right {
            alarms += 1;
            println!(
                "run {run}, {} with {}: {}",
                declared.profile,
                declared.accumulate.name(),
                report.summary
            );
        }
        elements += report.counts.elements;
        single += report.counts.single_valued;
        outside += report.counts.outside;
        for finding in report.findings {
            if finding.worst_ratio > 0.0 {
                tightness.entry((finding.site.point, kind)).or_default().push(1.0 / finding.worst_ratio);
            }
        }
    }
    println!("{runs} honest runs: {alarms} false alarms, {outside} violations in {elements} elements");
    println!("{:.1} % of the elements have one honest value", 100.0 * single as f64 / elements as f64);
    println!("\nallowed error over the greatest seen, median:");
    print!("{:<20}", "");
    for declared in &DECLARED[..5] {
        print!("{:>10}", format!("{}/{}", declared.profile, declared.accumulate.name()));
    }
    println!();
    for point in TapPoint::ALL {
        print!("{:<20}", point.name());
        for kind in 0..5 {
            match tightness.get_mut(&(point, kind)) {
                Some(list) => {
                    list.sort_by(f64::total_cmp);
                    print!("{:>10.1}", list[list.len() / 2]);
                }
                None => print!("{:>10}", "exact"),
            }
        }
        println!();
    }
    println!("\nthe smallest wrong constant that is still seen on the probe, relative:");
    let (config, weights) = (probe::config(), probe::weights()?);
    for declared in &DECLARED[..2] {
        let simulation =
            Simulation { declared: *declared, seed: 1, mutants: Mutants::NONE, decoded_from: None };
        let dump = simulate(&config, &weights, &probe::tokens(), &simulation)?;
        for row in sensitivity(&config, &weights, &dump, &CheckOptions::new(*declared))? {
            let least = row.least.map_or_else(|| "none".to_owned(), |least| format!("{least:.0e}"));
            println!("{:<6}{:<34}{least:>8}", declared.profile.name(), row.constant);
        }
    }
    Ok(if alarms == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A checkpoint of a shape of its own.
fn checkpoint(run: u64) -> Result<(ModelConfig, Weights), Failure> {
    let pick = |list: &[usize], step: u64| list[(run / step) as usize % list.len()];
    let config = ModelConfig {
        vocab_size: 64,
        hidden_size: pick(&[64, 96, 160, 256], 1),
        intermediate_size: pick(&[32, 64, 128], 2),
        layer_types: synth::alternating(2),
        num_attention_heads: pick(&[2, 4, 8], 3),
        num_key_value_heads: pick(&[1, 2], 5),
        head_dim: pick(&[32, 64], 7),
        num_experts: pick(&[4, 8, 32], 4),
        experts_per_token: pick(&[1, 2, 4], 6),
        sliding_window: pick(&[1, 5, 16, 128], 2),
        ..synth::gpt_oss_20b()
    };
    let folder = tempfile::tempdir()?;
    for (name, bytes) in synth::in_memory(&config, &synth::Options { seed: run, ..Default::default() })? {
        std::fs::write(folder.path().join(name), bytes)?;
    }
    let checkpoint = Checkpoint::open(folder.path())?;
    let weights = Weights::load(&checkpoint)?;
    Ok((config, weights))
}
