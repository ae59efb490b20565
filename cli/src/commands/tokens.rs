//! `gptoss tokens`: text and token ids.

use std::process::ExitCode;

use crate::context::Context;
use crate::error::Result;

/// Encode, decode and count tokens
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _context: &Context) -> Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
