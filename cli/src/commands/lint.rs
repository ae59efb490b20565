//! `gptoss lint`: rules over conversations.

use std::process::ExitCode;

use crate::context::Context;
use crate::error::Result;

/// Check conversations against rules
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _context: &Context) -> Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
