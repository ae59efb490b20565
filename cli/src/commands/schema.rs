//! `gptoss schema`: JSON Schemas of our own JSON.

use std::process::ExitCode;

use crate::context::Context;
use crate::error::Result;

/// Write the JSON Schema of one of this program's JSON formats
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _context: &Context) -> Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
