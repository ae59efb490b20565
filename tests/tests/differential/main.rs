//! Generated cases through this library and through `openai-harmony` 0.0.8, side by side.
//!
//! `cargo test -p gptoss-tests --features differential --test differential [-- SUBJECT…]`
//!
//! The cases are the same in each run; `DIFFERENTIAL_SEED=7` makes others, `DIFFERENTIAL_TIMES=10` ten times as many.
//! The official library takes its vocabulary from a folder that an environment variable names,
//! so the program writes the embedded one there and starts itself again.

mod json;
mod render;
mod schema;
mod stream;
mod tokens;

use std::env;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use harmony_format::Encoding;
use openai_harmony::{HarmonyEncoding, HarmonyEncodingName, load_harmony_encoding};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseResult, TestRng, TestRunner};
use serde_json::Value;

/// Fewer cases than this in all are an error.
const LEAST_CASES: usize = 20_000;

/// The two libraries.
struct Sides {
    ours: Encoding,
    official: HarmonyEncoding,
}

/// What is compared: a name, the number of cases, and the comparison, which returns what differs.
struct Subject {
    name: &'static str,
    cases: u32,
    run: fn(&Sides, TestRunner) -> Result<(), String>,
}

const SUBJECTS: [Subject; 9] = [
    Subject { name: "render conversations", cases: 5_000, run: render::conversations },
    Subject { name: "render what does not render", cases: 1_500, run: render::unchecked },
    Subject { name: "schemas", cases: 4_000, run: schema::schemas },
    Subject { name: "parse whole", cases: 2_000, run: stream::whole },
    Subject { name: "parse token by token", cases: 4_500, run: stream::token_by_token },
    Subject { name: "encode", cases: 3_000, run: tokens::encode },
    Subject { name: "decode", cases: 3_000, run: tokens::decode },
    Subject { name: "JSON", cases: 2_000, run: json::round_trip },
    Subject { name: "broken JSON", cases: 4_000, run: json::broken },
];

fn main() -> ExitCode {
    if let Some(code) = gptoss_tests::official::run_again_with_vocabulary() {
        return ExitCode::from(u8::try_from(code).unwrap_or(1));
    }
    let wanted: Vec<String> = env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |subject: &&Subject| {
        wanted.is_empty() || wanted.iter().any(|word| subject.name.contains(word.as_str()))
    };
    let subjects: Vec<&Subject> = SUBJECTS.iter().filter(is_wanted).collect();
    let sides = Sides {
        ours: Encoding::o200k_harmony(),
        official: load_harmony_encoding(HarmonyEncodingName::HarmonyGptOss).expect("the vocabulary is there"),
    };
    let next = AtomicUsize::new(0);
    let workers = thread::available_parallelism().map_or(1, usize::from).min(subjects.len());
    let failures = thread::scope(|scope| {
        let work = || {
            let mut failures = 0;
            while let Some(subject) = subjects.get(next.fetch_add(1, Ordering::Relaxed)) {
                failures += usize::from(!run(subject, &sides));
            }
            failures
        };
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or(1)).sum::<usize>()
    });
    let cases: usize = subjects.iter().map(|subject| cases(subject) as usize).sum();
    println!("{cases} cases, {failures} of {} subjects differ", subjects.len());
    if wanted.is_empty() && cases < LEAST_CASES {
        println!("at least {LEAST_CASES} cases were promised");
        return ExitCode::FAILURE;
    }
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs one subject and prints a line about it, more if it differs.
fn run(subject: &Subject, sides: &Sides) -> bool {
    let start = Instant::now();
    let outcome = (subject.run)(sides, runner(cases(subject)));
    let seconds = start.elapsed().as_secs_f64();
    match &outcome {
        Ok(()) => println!("{}: {} cases agree ({seconds:.1} s)", subject.name, cases(subject)),
        Err(difference) => println!("{}: DIFFER\n{difference}\n", subject.name),
    }
    outcome.is_ok()
}

/// A runner of that many cases, always the same ones unless a seed is given.
fn runner(cases: u32) -> TestRunner {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&number("DIFFERENTIAL_SEED").unwrap_or(0).to_le_bytes());
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 4_000, ..Config::default() };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed))
}

fn cases(subject: &Subject) -> u32 {
    let times = number("DIFFERENTIAL_TIMES").and_then(|times| u32::try_from(times).ok());
    subject.cases.saturating_mul(times.unwrap_or(1))
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}

/// Compares all cases of a strategy; on a difference looks for the smallest case that has one.
fn compare<S: Strategy>(
    mut runner: TestRunner,
    strategy: &S,
    check: impl Fn(S::Value) -> TestCaseResult,
) -> Result<(), String> {
    runner.run(strategy, check).map_err(|error| error.to_string())
}

/// The JSON with 1.5 for every number from 1e16 on.
///
/// The official Python package spells such a number as this library does, `1e16`;
/// the crate spells it as the `serde_json` that it is built with, here `1e+16`.
fn without_large_numbers(json: &str) -> Result<String, serde_json::Error> {
    let mut value: Value = serde_json::from_str(json)?;
    replace_large_numbers(&mut value);
    Ok(value.to_string())
}

fn replace_large_numbers(value: &mut Value) {
    match value {
        Value::Number(number) if number.to_string().contains("e+") => *value = Value::from(1.5),
        Value::Array(items) => items.iter_mut().for_each(replace_large_numbers),
        Value::Object(fields) => fields.values_mut().for_each(replace_large_numbers),
        _ => {}
    }
}
