//! `gptoss golden check`: is what another program computed right?

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use gptoss_runtime::golden::lint::lint;
use gptoss_runtime::golden::{CheckOptions, Dump, Report, Site, check, e2e, segment};
use gptoss_runtime::numerics::CONTRACT_VERSION;
use gptoss_runtime::weights::Weights;
use serde_json::json;

use super::declare::{self, Declaration};
use super::dump;
use super::report::{Checked, html, junit, markdown, text};
use crate::context::Context;
use crate::error::{DIFFERENT, Error, Result};
use crate::model::{hex, load};
use crate::output_file::OutputFile;

/// Judge what another program computed
///
/// Each value of the dump is computed again from the dump's own values right before it, and must lie within what the
/// declared arithmetic can make of them. A value that does not is compared with what known bugs would make. Exit codes: 0
/// right; 1 wrong, blind (nothing judged, or no known bug would have shown) or suspicious (right, but the dump is odd);
/// 3 a dump that cannot be read.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    dump: dump::Args,
    /// Facts about the backend's arithmetic that the dump does not say: profile=bf16|f32|f64 (where it rounds),
    /// accumulate=bf16|f16|tf32|f32|f64 (in what it sums products), fused (rounding points within an operation may be
    /// missing), decoded=N (positions from N on were decoded one by one)
    #[arg(long, value_delimiter = ',', value_name = "FACTS")]
    declare: Vec<Declaration>,
    /// From which values each one is computed
    #[arg(long, value_enum, default_value_t, value_name = "MODE")]
    mode: Mode,
    /// Where a segment starts: `layer.3.layer_output`
    #[arg(long, value_name = "VALUE", required_if_eq("mode", "segment"))]
    from: Option<Site>,
    /// Where a segment ends
    #[arg(long, value_name = "VALUE", required_if_eq("mode", "segment"))]
    to: Option<Site>,
    /// Judge at most so many rows of each value, spread from the first to the last [default: all]
    #[arg(long, value_name = "N")]
    rows: Option<NonZeroUsize>,
    /// Do not measure which known bugs would have shown
    #[arg(long)]
    no_power: bool,
    /// Do not compare the digest of the weights with that of the dump
    #[arg(long)]
    no_digest: bool,
    /// Write the report for test runners
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write the report for a pull request
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Write the report as one page with pictures
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

const EXAMPLES: &str = "Examples:
  gptoss golden check dump.safetensors --model gpt-oss-20b
  gptoss golden check dump.npz --model gpt-oss-20b --declare accumulate=f32,profile=bf16 --html report.html
  gptoss golden check dump.safetensors --model gpt-oss-20b --mode segment --from layer.3.mlp_norm --to layer.3.layer_output";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// From the dump's values right before it
    #[default]
    Local,
    /// The value --to from those up to --from
    Segment,
    /// Everything from the tokens, beside runs of honest backends with the same arithmetic
    E2e,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    if args.mode != Mode::Segment && (args.from.is_some() || args.to.is_some()) {
        return Err(Error::usage("--from and --to are the ends of a segment").help("add --mode segment"));
    }
    let checkpoint = load::open(&args.dump.model, context)?;
    let config = checkpoint.config();
    let dump = args.dump.open(config)?;
    let options = CheckOptions {
        rows: args.rows.map(NonZeroUsize::get),
        power: !args.no_power,
        ..declare::options(&args.declare, &dump)?
    };
    let weights = Weights::load(&checkpoint)?;
    let stale = stale(args, &dump, || hex(&checkpoint.weights_digest()));
    let findings = lint(&dump, config, Some(&weights), Some(dump.matching()))?;
    let report: Report = context.pool()?.install(|| match (args.mode, args.from, args.to) {
        (Mode::Segment, Some(from), Some(to)) => segment(config, &weights, &dump, &options, from, to),
        (Mode::E2e, ..) => e2e(config, &weights, &dump, &options),
        _ => check(config, &weights, &dump, &options),
    })?;
    let checked = Checked {
        dump: &args.dump.dump,
        meta: dump.meta(),
        matching: dump.matching(),
        lint: &findings,
        report: &report,
        stale: stale.as_deref(),
    };
    for (path, page) in [
        (&args.junit, junit::page as fn(&Checked<'_>) -> String),
        (&args.markdown, markdown::page),
        (&args.html, html::page),
    ] {
        if let Some(path) = path {
            let mut file = OutputFile::create(path)?;
            file.write(page(&checked).as_bytes())?;
            file.finish()?;
        }
    }
    let mut out = context.stdout();
    if context.json {
        out.json(&json!({
            "schema": "gptoss.golden-check/1",
            "file": args.dump.dump,
            "verdict": checked.verdict(),
            "passed": checked.passed(),
            "summary": checked.summary(),
            "stale": checked.stale,
            "lint": findings,
            "matching": dump.matching(),
            "report": report,
        }))?;
    } else {
        text::write(&checked, context, &mut out)?;
    }
    out.finish()?;
    Ok(if checked.passed() { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) })
}

/// Why a dump is of another contract or of other weights, if it is.
fn stale(args: &Args, dump: &Dump, digest: impl FnOnce() -> String) -> Option<String> {
    let meta = dump.meta();
    if let Some(version) = meta.contract.filter(|&version| version != CONTRACT_VERSION) {
        return Some(format!(
            "the dump is of version {version} of the contract, and this is {CONTRACT_VERSION}"
        ));
    }
    let stated = meta.weights.as_ref().filter(|_| !args.no_digest)?;
    let found = digest();
    (found != *stated)
        .then(|| format!("the dump is of weights with the digest {stated}, and the model has {found}"))
}
