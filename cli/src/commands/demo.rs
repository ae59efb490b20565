//! `gptoss demo`: an example conversation, rendered and parsed back.

use std::process::ExitCode;

use crate::context::Context;
use crate::error::Result;

/// Show an example conversation rendered, and a model's answer parsed back
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _context: &Context) -> Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
