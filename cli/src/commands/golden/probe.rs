//! `gptoss golden probe`: the small checkpoint on which every known bug shows.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use gptoss_runtime::golden::probe;
use serde_json::json;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::output_file::OutputFile;

/// Write the probe: a checkpoint of 0.8 MB on which every known bug shows, and its prompt
///
/// Run your backend on it with the ids in prompt.json, those from `decoded_from` on one by one, dump what it computes, and
/// check the dump. The files are the same on every machine.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// The folder to write to; it is made where it is missing
    dir: PathBuf,
}

const EXAMPLE: &str = "Example:
  gptoss golden probe probe && gptoss golden check dump.safetensors --model probe";

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let folder = &args.dir;
    std::fs::create_dir_all(folder)
        .map_err(|error| Error::io(format!("cannot make {}: {error}", folder.display())))?;
    let mut names = Vec::new();
    for (name, bytes) in probe::files()? {
        let mut file = OutputFile::create(&folder.join(&name))?;
        file.write(&bytes)?;
        file.finish()?;
        names.push(name);
    }
    let mut out = context.stdout();
    if context.json {
        out.json(&json!({"schema": "gptoss.golden-probe/1", "folder": folder, "files": names}))?;
    } else {
        writeln!(out, "{}: {} files", folder.display(), names.len())?;
    }
    out.finish()?;
    Ok(ExitCode::SUCCESS)
}
