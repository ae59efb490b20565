//! `gptoss golden vectors`: test vectors for people who write kernels.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use gptoss_runtime::golden::vectors;
use serde_json::json;

use crate::context::Context;
use crate::error::Result;

/// Write test vectors for kernels: inputs and expected values of each operation, to the bit
///
/// Levels: L0 weights, L1 operations, L2 every value of two layers, L3 a model, L4 decoding. L0 and L1 are JSON and
/// safetensors; L2 to L4 are dumps of a small synthetic model that is written beside them. The bytes are the same on every
/// machine.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder; it is made if it is not there
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let files = vectors::write(&args.output)?;
    let mut out = context.stdout();
    if context.json {
        out.json(&json!({"schema": "gptoss.golden-vectors/1", "folder": args.output, "files": files}))?;
    } else {
        writeln!(out, "{}: {} files, see index.json", args.output.display(), files.len())?;
    }
    out.finish()?;
    Ok(ExitCode::SUCCESS)
}
