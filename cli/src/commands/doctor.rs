//! `gptoss doctor`: is everything in order.

use std::process::ExitCode;

use crate::context::Context;
use crate::error::Result;

/// Check this program and its surroundings
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _context: &Context) -> Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
