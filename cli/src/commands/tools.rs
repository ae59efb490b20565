//! `gptoss tools`: tool definitions and calls.

use std::process::ExitCode;

use crate::context::Context;
use crate::error::Result;

/// Render tool definitions, or check a call against them
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _context: &Context) -> Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
