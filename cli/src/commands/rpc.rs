//! `gptoss rpc`: JSON-RPC 2.0 on standard input and output.

use std::process::ExitCode;

use crate::context::Context;
use crate::error::Result;

/// Answer JSON-RPC 2.0 requests, one a line, on standard input
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args, _context: &Context) -> Result<ExitCode> {
    Ok(ExitCode::SUCCESS)
}
