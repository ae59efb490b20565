//! `gptoss grammar`: what a model may answer.

use std::process::ExitCode;

use crate::context::Context;
use crate::error::Result;

/// Write the grammar of what a model may answer
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _context: &Context) -> Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
