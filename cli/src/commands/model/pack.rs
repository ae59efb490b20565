//! `gptoss model pack`: matrices in fewer bytes, in a file beside the checkpoint.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

use gptoss_runtime::checkpoint::packed::{self, PackedFile};
use serde_json::json;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::interrupt;
use crate::model::{gigabytes, load};
use crate::progress::Progress;

/// Write a checkpoint's dense matrices in twelve bits an element, without loss
///
/// The file holds what each token reads in bf16: attention and unembedding. With --packed of `gptoss logits` and `gptoss
/// bench` it is used in place of the checkpoint's own, for the same bits at fewer bytes a token. A matrix that would not
/// become smaller is left out. The file appears when it is whole.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The checkpoint: a folder, or a file with config.json beside it
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// The file to write [default: packed.gptoss in the folder of the checkpoint]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write nothing: compare each element of the file with the checkpoint, and both with their hashes
    #[arg(long)]
    verify: bool,
}

const EXAMPLES: &str = "Examples:
  gptoss model pack gpt-oss-20b
  gptoss model pack gpt-oss-20b --verify
  gptoss bench --model gpt-oss-20b --packed auto";

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let checkpoint = load::open(&args.path, context)?;
    let path = args.output.clone().unwrap_or_else(|| load::beside(&args.path));
    let flag = interrupt::flag()?;
    let mut bar = Progress::new(context.quiet);
    let mut progress = |done, total| {
        bar.report(done, total);
        match flag.load(std::sync::atomic::Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    };
    let done = context.pool()?.install(|| {
        if args.verify {
            let packed = PackedFile::open(&path, &checkpoint)?;
            packed.verify(&checkpoint, &mut progress)?;
            return Ok((packed.len(), packed.size(), None));
        }
        let summary = packed::write(&checkpoint, &path, &mut progress)?;
        Ok((summary.packed, summary.size, Some(summary)))
    });
    // The line of the bar is cleared before anything else is said.
    drop(bar);
    let (matrices, size, written) = done.map_err(|error: gptoss_runtime::Error| Error::from(error))?;
    if context.json {
        let mut out = context.stdout();
        out.json(&json!({
            "schema": "gptoss.model-pack/1",
            "file": path.display().to_string(),
            "bytes": size,
            "matrices": matrices,
            "plain": written.map(|summary| summary.plain),
            "original_bytes": written.map(|summary| summary.original),
        }))?;
        out.finish()?;
    } else if !context.quiet {
        let size = gigabytes(size);
        context.tell(match written {
            None => format!("{}: {matrices} matrices are those of {}", path.display(), args.path.display()),
            Some(summary) => format!(
                "wrote {} ({matrices} matrices, {size} in place of {}; {} stay as they are)",
                path.display(),
                gigabytes(summary.original),
                summary.plain
            ),
        });
    }
    Ok(ExitCode::SUCCESS)
}
