//! `gptoss convert`: Chat, Responses and Harmony.

use std::process::ExitCode;

use crate::context::Context;
use crate::error::Result;

/// Convert between Chat, Responses and Harmony
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _context: &Context) -> Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
