//! The report of `gptoss bench`: a table, JSON or lines with commas.

use std::io::Write;
use std::path::PathBuf;

use gptoss_runtime::simd::Isa;
use gptoss_runtime::tap::Stage;
use gptoss_runtime::{DraftCounts, Profile};
use serde_json::{Map, Value, json};

use super::stages::Work;
use super::{Format, Test};
use crate::error::Result;
use crate::model::gigabytes;
use crate::model::machine::{self, Bandwidth};
use crate::model::size::Size;
use crate::output::Output;

/// A run of the command.
pub(crate) struct Bench {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) size: Size,
    pub(crate) profile: Profile,
    pub(crate) threads: usize,
    pub(crate) chunk: usize,
    pub(crate) load_seconds: f64,
    /// Memory after loading, the mapped files not counted.
    pub(crate) load_bytes: Option<u64>,
    pub(crate) results: Vec<Measured>,
}

/// A test and what was measured.
pub(crate) struct Measured {
    pub(crate) test: Test,
    pub(crate) isa: Isa,
    pub(crate) seconds: Vec<f64>,
    /// Of a repetition of a test with drafts.
    pub(crate) drafts: Option<DraftCounts>,
    /// Of all repetitions, by stage.
    pub(crate) stages: [f64; Stage::ALL.len()],
    /// Of one repetition, by stage.
    pub(crate) work: Work,
    /// Passes before and after the test.
    pub(crate) bandwidth: Bandwidth,
    /// The same of the weights where they lie, if they are larger than caches.
    pub(crate) weights_bandwidth: Option<Bandwidth>,
    /// Of a token in the middle of the test.
    pub(crate) bytes_per_token: u64,
    /// Of a repetition.
    pub(crate) operations: u64,
}

/// What is said of several numbers.
#[derive(Debug, PartialEq)]
struct Statistics {
    mean: f64,
    /// Of a sample; 0 for one number.
    deviation: f64,
    min: f64,
    median: f64,
}

impl Statistics {
    fn of(numbers: &[f64]) -> Self {
        let mut sorted = numbers.to_vec();
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len();
        let mean = sorted.iter().sum::<f64>() / count as f64;
        let squares: f64 = sorted.iter().map(|number| (number - mean) * (number - mean)).sum();
        let deviation = if count > 1 { (squares / (count - 1) as f64).sqrt() } else { 0.0 };
        let median = (sorted[(count - 1) / 2] + sorted[count / 2]) / 2.0;
        Self { mean, deviation, min: sorted[0], median }
    }
}

impl Measured {
    /// Tokens a second of each repetition.
    fn speeds(&self) -> Vec<f64> {
        self.seconds.iter().map(|seconds| self.test.tokens() as f64 / seconds).collect()
    }

    fn tokens_of_all_repetitions(&self) -> f64 {
        (self.test.tokens() * self.seconds.len()) as f64
    }

    /// Bytes of weights and cache a second, of the median; only decoding without drafts reads them once a token.
    fn bytes_a_second(&self) -> Option<f64> {
        let median = Statistics::of(&self.speeds()).median;
        let is_one_by_one = self.test.generated > 0 && self.test.draft.unwrap_or(0) == 0;
        is_one_by_one.then_some(median * self.bytes_per_token as f64)
    }

    /// The part of the bandwidth that was used.
    fn share(&self) -> Option<f64> {
        self.bytes_a_second().map(|bytes| bytes / self.bandwidth.median())
    }

    /// The part of the weights' own bandwidth that was used.
    fn weights_share(&self) -> Option<f64> {
        Some(self.bytes_a_second()? / self.weights_bandwidth.as_ref()?.median())
    }

    /// The seconds of all repetitions, and those of them that lie in no stage: setting up a pass and leaving it.
    fn total_and_other(&self) -> (f64, f64) {
        let total: f64 = self.seconds.iter().sum();
        (total, (total - self.stages.iter().sum::<f64>()).max(0.0))
    }

    /// Floating-point operations a second, of the median.
    fn operations_a_second(&self) -> f64 {
        self.operations as f64 / Statistics::of(&self.seconds).median
    }
}

pub(super) fn write(bench: &Bench, format: Format, with_stages: bool, out: &mut Output) -> Result<()> {
    match format {
        Format::Md => {
            write_table(bench, out)?;
            if with_stages {
                bench.results.iter().try_for_each(|measured| write_stages(measured, out))?;
            }
            Ok(())
        }
        Format::Json => {
            let results: Vec<Value> = bench.results.iter().map(|measured| fields(bench, measured)).collect();
            out.json(&json!({"schema": "gptoss.bench/1", "results": results}))
        }
        Format::Csv => write_lines(bench, out),
    }
}

fn write_table(bench: &Bench, out: &mut Output) -> Result<()> {
    let header = [
        "model",
        "size",
        "params",
        "backend",
        "profile",
        "threads",
        "test",
        "t/s",
        "min",
        "median",
        "bandwidth",
        "used",
        "weights",
        "used",
        "GFLOP/s",
    ];
    let rows: Vec<[String; 15]> = bench
        .results
        .iter()
        .map(|measured| {
            let speed = Statistics::of(&measured.speeds());
            let percent = |share: Option<f64>| {
                share.map_or_else(String::new, |share| format!("{:.0} %", 100.0 * share))
            };
            let gigabytes = |bandwidth: &Bandwidth| format!("{:.1} GB/s", bandwidth.median() / 1e9);
            [
                bench.name.clone(),
                format!("{:.2} GiB", bench.size.total() as f64 / f64::from(1 << 30)),
                format!("{:.2} B", bench.size.parameters() as f64 / 1e9),
                measured.isa.to_string(),
                bench.profile.to_string(),
                bench.threads.to_string(),
                measured.test.name(),
                format!("{:.2} ± {:.2}", speed.mean, speed.deviation),
                format!("{:.2}", speed.min),
                format!("{:.2}", speed.median),
                gigabytes(&measured.bandwidth),
                percent(measured.share()),
                measured.weights_bandwidth.as_ref().map_or_else(String::new, gigabytes),
                percent(measured.weights_share()),
                format!("{:.1}", measured.operations_a_second() / 1e9),
            ]
        })
        .collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([header[column].len()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = (&str, usize)>| -> String {
        let cells: Vec<String> = cells
            .enumerate()
            .map(|(column, (text, width))| match column {
                // Words stand left, numbers right.
                0 | 3 | 4 => format!(" {text:<width$} "),
                _ => format!(" {text:>width$} "),
            })
            .collect();
        format!("|{}|", cells.join("|"))
    };
    writeln!(out, "{}", line(&mut header.iter().copied().zip(widths.iter().copied())))?;
    let rule = widths.iter().enumerate().map(|(column, &width)| match column {
        0 | 3 | 4 => "-".repeat(width + 2),
        _ => format!("{}:", "-".repeat(width + 1)),
    });
    writeln!(out, "|{}|", rule.collect::<Vec<_>>().join("|"))?;
    for row in &rows {
        writeln!(out, "{}", line(&mut row.iter().map(String::as_str).zip(widths.iter().copied())))?;
    }
    let memory = bench.load_bytes.map_or_else(String::new, |bytes| {
        format!(", {} of memory beyond the mapped files", gigabytes(bytes))
    });
    let processor = machine::processor().unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    writeln!(out, "\nloaded in {:.2} s{memory}; {processor}", bench.load_seconds)?;
    writeln!(
        out,
        "bandwidth: median of reads by {} threads before and after each test, from huge pages, and of the weights \
         where they lie; used: the part of it that weights and cache took",
        bench.threads
    )?;
    for measured in &bench.results {
        if let Some(DraftCounts { passes, drafted, accepted }) = measured.drafts {
            let name = measured.test.name();
            writeln!(out, "{name}: {passes} passes, {accepted} of {drafted} drafted tokens accepted")?;
        }
    }
    Ok(())
}

/// Where the time of a test goes.
fn write_stages(measured: &Measured, out: &mut Output) -> Result<()> {
    let tokens = measured.tokens_of_all_repetitions();
    let (total, other) = measured.total_and_other();
    // What drafts is not timed by stages.
    if measured.drafts.is_some() {
        return Ok(());
    }
    writeln!(out, "\n| {:<17} | ms/token |  part |   GB/s | GFLOP/s |", measured.test.name())?;
    writeln!(out, "|-------------------|---------:|------:|-------:|--------:|")?;
    for stage in Stage::ALL {
        let seconds = measured.stages[stage as usize];
        let speed = |work: u64| match work {
            0 => String::new(),
            work => format!("{:.1}", (work * measured.seconds.len() as u64) as f64 / seconds / 1e9),
        };
        writeln!(
            out,
            "| {:<17} | {:>8.3} | {:>3.0} % | {:>6} | {:>7} |",
            stage.name(),
            1e3 * seconds / tokens,
            100.0 * seconds / total,
            speed(measured.work.bytes[stage as usize]),
            speed(measured.work.operations[stage as usize]),
        )?;
    }
    for (name, seconds) in [("other", other), ("all", total)] {
        let part = 100.0 * seconds / total;
        writeln!(out, "| {name:<17} | {:>8.3} | {part:>3.0} % |        |         |", 1e3 * seconds / tokens)?;
    }
    Ok(())
}

/// A test as llama-bench names its facts, and what is more here.
fn fields(bench: &Bench, measured: &Measured) -> Value {
    let test = measured.test;
    let stages: Map<String, Value> = Stage::ALL
        .iter()
        .map(|&stage| (stage.name(), measured.stages[stage as usize]))
        .chain([("other", measured.total_and_other().1)])
        .map(|(name, seconds)| {
            let nanoseconds = seconds * 1e9 / measured.tokens_of_all_repetitions();
            (name.to_owned(), json!(nanoseconds.round() as u64))
        })
        .collect();
    let nanoseconds: Vec<f64> = measured.seconds.iter().map(|seconds| seconds * 1e9).collect();
    let (time, speed) = (Statistics::of(&nanoseconds), Statistics::of(&measured.speeds()));
    json!({
        "build_version": env!("CARGO_PKG_VERSION"),
        "cpu_info": machine::processor(),
        "backends": measured.isa.name(),
        "profile": bench.profile.name(),
        "model_filename": bench.path,
        "model_type": bench.name,
        "model_size": bench.size.total(),
        "model_n_params": bench.size.parameters(),
        "n_batch": bench.chunk,
        "n_threads": bench.threads,
        "n_prompt": test.prompt,
        "n_gen": test.generated,
        "n_depth": test.depth,
        "n_draft": test.draft,
        "passes": measured.drafts.map(|drafts| drafts.passes),
        "drafted": measured.drafts.map(|drafts| drafts.drafted),
        "accepted": measured.drafts.map(|drafts| drafts.accepted),
        "test": test.name(),
        "avg_ns": time.mean.round() as u64,
        "stddev_ns": time.deviation.round() as u64,
        "avg_ts": speed.mean,
        "stddev_ts": speed.deviation,
        "min_ts": speed.min,
        "median_ts": speed.median,
        "samples_ns": nanoseconds.iter().map(|time| time.round() as u64).collect::<Vec<_>>(),
        "samples_ts": measured.speeds(),
        "bandwidth": measured.bandwidth.median(),
        "bandwidth_best": measured.bandwidth.best(),
        "bytes_per_token": measured.bytes_per_token,
        "bytes_per_second": measured.bytes_a_second(),
        "bandwidth_share": measured.share(),
        "weights_bandwidth": measured.weights_bandwidth.as_ref().map(Bandwidth::median),
        "weights_bandwidth_share": measured.weights_share(),
        "flops": measured.operations_a_second(),
        "stages_ns_per_token": stages,
        "load_seconds": bench.load_seconds,
        "load_bytes": bench.load_bytes,
    })
}

/// The same facts with commas between them, the samples left out.
fn write_lines(bench: &Bench, out: &mut Output) -> Result<()> {
    for (index, measured) in bench.results.iter().enumerate() {
        let fields: Map<String, Value> = match fields(bench, measured) {
            Value::Object(fields) => {
                fields.into_iter().filter(|(_, value)| !value.is_array() && !value.is_object()).collect()
            }
            _ => Map::new(),
        };
        if index == 0 {
            writeln!(out, "{}", fields.keys().cloned().collect::<Vec<_>>().join(","))?;
        }
        let cells: Vec<String> = fields.values().map(cell).collect();
        writeln!(out, "{}", cells.join(","))?;
    }
    Ok(())
}

/// A cell as RFC 4180 has it.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => format!("\"{}\"", text.replace('"', "\"\"")),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_those_of_a_sample() {
        let four = Statistics::of(&[4.0, 2.0, 8.0, 6.0]);
        assert_eq!((four.mean, four.min, four.median), (5.0, 2.0, 5.0));
        assert_eq!(four.deviation, (20.0_f64 / 3.0).sqrt());
        assert_eq!(Statistics::of(&[3.0]), Statistics { mean: 3.0, deviation: 0.0, min: 3.0, median: 3.0 });
    }

    #[test]
    fn a_cell_with_quotes_is_quoted() {
        assert_eq!(cell(&json!("a \"b\", c")), "\"a \"\"b\"\", c\"");
        assert_eq!(cell(&json!(1.5)), "1.5");
        assert_eq!(cell(&Value::Null), "");
    }
}
