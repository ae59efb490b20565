//! `gptoss view`: a conversation to read.

use std::process::ExitCode;

use crate::context::Context;
use crate::error::Result;

/// Show a conversation, channels in colour
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _context: &Context) -> Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
