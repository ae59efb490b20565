//! `gptoss template`: a chat template against this renderer.

use std::process::ExitCode;

use crate::context::Context;
use crate::error::Result;

/// Compare a chat template with this renderer
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _context: &Context) -> Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
