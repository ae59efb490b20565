//! `gptoss golden lint`: dumps that were written or named wrongly.

use std::io::Write;
use std::process::ExitCode;

use gptoss_runtime::golden::lint::{Finding, lint};
use gptoss_runtime::weights::Weights;
use serde_json::json;

use super::dump;
use crate::color;
use crate::context::Context;
use crate::error::{DIFFERENT, Result};
use crate::model::load;
use crate::output::Output;

/// Look for what is odd about a dump before its values are judged
///
/// Dumps that are all zero, hold a NaN, are the same in each layer, have their bytes swapped, read bf16 as f16, stand one
/// position beside their own, or count layers from 1. The exit code is 1 if something was found.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    #[command(flatten)]
    dump: dump::Args,
}

const EXAMPLE: &str = "Example:
  gptoss golden lint dump.safetensors --model gpt-oss-20b";

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let checkpoint = load::open(&args.dump.model, context)?;
    let dump = args.dump.open(checkpoint.config())?;
    let weights = Weights::load(&checkpoint)?;
    let findings = lint(&dump, checkpoint.config(), Some(&weights), Some(dump.matching()))?;
    let mut out = context.stdout();
    if context.json {
        out.json(&json!({
            "schema": "gptoss.golden-lint/1",
            "file": args.dump.dump,
            "matching": dump.matching(),
            "findings": findings,
        }))?;
    } else {
        dump::tell(dump.matching(), context, &mut out)?;
        tell(&findings, &mut out)?;
        if findings.is_empty() {
            writeln!(out, "nothing odd")?;
        }
    }
    out.finish()?;
    Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) })
}

/// Writes findings with what to do.
pub(super) fn tell(findings: &[Finding], out: &mut Output) -> Result<()> {
    let paint = out.paint;
    for finding in findings {
        let rule = paint.paint(color::WARNING, format!("{}:", finding.rule.name()));
        let sites: Vec<String> = finding.sites.iter().map(ToString::to_string).collect();
        let at = if sites.is_empty() {
            String::new()
        } else {
            format!(" ({})", dump::names(sites.iter().map(String::as_str)))
        };
        writeln!(out, "{rule} {}{at}", dump::one_line(&finding.text))?;
        writeln!(out, "  {} {}", paint.paint(color::HELP, "help:"), finding.help)?;
    }
    Ok(())
}
