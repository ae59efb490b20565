//! `gptoss render`: conversations to prompts.

use std::process::ExitCode;

use crate::context::Context;
use crate::error::Result;

/// Render a conversation to the prompt that a model reads
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _context: &Context) -> Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
