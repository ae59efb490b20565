//! `gptoss parse`: what a model said, as messages.

use std::process::ExitCode;

use crate::context::Context;
use crate::error::Result;

/// Parse what a model said into messages
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _context: &Context) -> Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
