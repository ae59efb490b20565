//! `gptoss golden bisect`: the first wrong op of a dump.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use gptoss_runtime::golden::{CheckOptions, bisect};
use gptoss_runtime::weights::Weights;
use serde_json::json;

use super::declare::{self, Declaration};
use super::dump;
use crate::context::Context;
use crate::error::{DIFFERENT, Result};
use crate::model::load;
use crate::output_file::OutputFile;

/// Find the first wrong op of a dump, its position and the shortest prompt that still shows it
///
/// With --output, what is needed to compute that op again goes to a safetensors file below 1 MB: its inputs at that
/// position, the row of its matrix, what was found, and between which bounds it should be. Exit codes: 0 nothing is wrong,
/// 1 something is.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    #[command(flatten)]
    dump: dump::Args,
    /// Facts about the backend's arithmetic that the dump does not say, as for `golden check`
    #[arg(long, value_delimiter = ',', value_name = "FACTS")]
    declare: Vec<Declaration>,
    /// The file with the one op
    #[arg(short, long, value_name = "FILE.safetensors")]
    output: Option<PathBuf>,
}

const EXAMPLE: &str = "Example:
  gptoss golden bisect dump.safetensors --model gpt-oss-20b -o op.safetensors";

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let checkpoint = load::open(&args.dump.model, context)?;
    let dump = args.dump.open(checkpoint.config())?;
    let options = CheckOptions { power: false, ..declare::options(&args.declare, &dump)? };
    let weights = Weights::load(&checkpoint)?;
    let found = context.pool()?.install(|| bisect(checkpoint.config(), &weights, &dump, &options))?;
    if let (Some(path), Some(found)) = (&args.output, &found) {
        let mut file = OutputFile::create(path)?;
        file.write(&found.replay)?;
        file.finish()?;
    }
    let mut out = context.stdout();
    if context.json {
        let first = found.as_ref().map(|found| {
            json!({
                "site": found.site,
                "position": found.position,
                "element": found.element,
                "prompt": found.prompt,
                "suspects": found.report.suspects,
                "replay_bytes": found.replay.len(),
            })
        });
        out.json(&json!({"schema": "gptoss.golden-bisect/1", "file": args.dump.dump, "first": first}))?;
    } else {
        match &found {
            None => writeln!(out, "nothing is wrong")?,
            Some(found) => {
                writeln!(out, "{}", found.report.summary)?;
                writeln!(
                    out,
                    "first at {}, position {}, element {}",
                    found.site, found.position, found.element
                )?;
                if let Some(prompt) = &found.prompt {
                    writeln!(out, "{} tokens show it: {prompt:?}", prompt.len())?;
                }
            }
        }
    }
    out.finish()?;
    Ok(if found.is_none() { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) })
}
