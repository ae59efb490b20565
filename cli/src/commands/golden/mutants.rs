//! `gptoss golden mutants`: how well the catalogue of known bugs is seen.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use gptoss_runtime::golden::probe::{self, MeasureOptions, Measurement, measure};
use gptoss_runtime::golden::{Accumulator, Declared, Mutant};
use gptoss_runtime::weights::Weights;
use serde_json::json;

use crate::color;
use crate::context::Context;
use crate::error::{DIFFERENT, Result};
use crate::model::load;

/// List the known bugs, and measure how well a check sees and names them
///
/// Each bug is put into a made-up backend, which runs the probe; its dump is then judged. A bug is live if it changes some
/// value, detected if the dump is found wrong, and named first if it comes before all others in the report. The exit code
/// is 1 if one is not. With --list nothing is measured.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// Some bugs, by name; all without
    #[arg(value_name = "BUG")]
    bugs: Vec<Mutant>,
    /// Tell what each bug is, where it was reported and what shows it, and measure nothing
    #[arg(long)]
    list: bool,
    /// Another checkpoint than the probe, small enough for a forward pass in plain loops
    #[arg(long, value_name = "DIR", conflicts_with = "list")]
    model: Option<PathBuf>,
    /// In what the made-up backend sums products: bf16, f16, tf32, f32 or f64
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    accumulate: Accumulator,
    /// Which orders of summation the made-up backend has
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

const EXAMPLE: &str = "Examples:
  gptoss golden mutants
  gptoss golden mutants --json --accumulate f16
  gptoss golden mutants --list sink.absent";

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let bugs = if args.bugs.is_empty() { Mutant::all().collect() } else { args.bugs.clone() };
    if args.list {
        return list(&bugs, context);
    }
    let (config, weights) = match &args.model {
        Some(path) => {
            let checkpoint = load::open(path, context)?;
            (checkpoint.config().clone(), Weights::load(&checkpoint)?)
        }
        None => (probe::config(), probe::weights()?),
    };
    let tokens: Vec<u32> = probe::tokens().iter().map(|&token| token % config.vocab_size as u32).collect();
    let declared = Declared { profile: context.profile.unwrap_or_default(), accumulate: args.accumulate };
    let options = MeasureOptions { declared, seed: args.seed, ..MeasureOptions::default() };
    let measured = context.pool()?.install(|| measure(&config, &weights, &tokens, &bugs, &options))?;
    let mut out = context.stdout();
    if context.json {
        let mut document = serde_json::to_value(&measured).unwrap_or_default();
        if let Some(fields) = document.as_object_mut() {
            fields.insert("schema".to_owned(), json!("gptoss.golden-mutants/1"));
        }
        out.json(&document)?;
    } else {
        let paint = out.paint;
        for one in &measured.mutants {
            let Measurement { mutant, live, detected, named_first, site, explained, .. } = one;
            let good = *live && *detected && *named_first;
            let (style, word) = match (live, detected, named_first) {
                (false, ..) => (color::ERROR, "not live"),
                (_, false, _) => (color::ERROR, "not seen"),
                (_, _, false) => (color::WARNING, "not named first"),
                _ => (color::GOOD, "named first"),
            };
            let word = paint.paint(style, format!("{word:<16}"));
            let at = site.as_deref().unwrap_or("");
            let share = if good { format!("{:6.2} %", 100.0 * explained) } else { String::new() };
            writeln!(out, "{:<24}{word}{at:<34}{share}", mutant.id())?;
        }
        writeln!(
            out,
            "{} bugs: {} live, {} detected, {} named first",
            measured.total, measured.live, measured.detected, measured.named_first
        )?;
    }
    out.finish()?;
    let all = measured.total == measured.named_first && measured.total == measured.live;
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) })
}

fn list(bugs: &[Mutant], context: &Context) -> Result<ExitCode> {
    let mut out = context.stdout();
    if context.json {
        let rows: Vec<_> = bugs
            .iter()
            .map(|mutant| {
                let row = mutant.describe();
                let points: Vec<&str> = row.points.iter().map(|point| point.name()).collect();
                json!({
                    "id": row.id, "title": row.title, "formula": row.formula, "threads": row.threads,
                    "signature": row.signature, "needs": row.needs, "points": points,
                })
            })
            .collect();
        out.json(&json!({"schema": "gptoss.golden-catalogue/1", "bugs": rows}))?;
    } else {
        let paint = out.paint;
        for mutant in bugs {
            let row = mutant.describe();
            writeln!(out, "{} {}", paint.paint(color::BOLD, row.id), row.title)?;
            writeln!(out, "  formula   {}", row.formula)?;
            writeln!(out, "  looks     {}", row.signature)?;
            writeln!(out, "  needs     {}", row.needs)?;
            writeln!(out, "  reported  {}", row.threads.join(", "))?;
        }
    }
    out.finish()?;
    Ok(ExitCode::SUCCESS)
}
