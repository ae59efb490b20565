//! `gptoss completions`: completion scripts of shells.

use std::process::ExitCode;

use crate::context::Context;
use crate::error::Result;

/// Write the completion script for a shell
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _context: &Context) -> Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
