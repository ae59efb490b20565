//! `gptoss rpc`: JSON-RPC 2.0 on standard input and output.

use std::io;
use std::process::ExitCode;

use crate::context::Context;
use crate::error::Result;

/// Answer JSON-RPC 2.0 requests, one a line, on standard input
///
/// The methods have the names of the official library; docs/rpc.md lists them with their parameters.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {}

const EXAMPLE: &str = r#"Example:
  echo '{"jsonrpc":"2.0","id":1,"method":"encode","params":{"text":"Hello"}}' | gptoss rpc"#;

pub(crate) fn run(_args: &Args, _context: &Context) -> Result<ExitCode> {
    crate::rpc::serve(io::stdin().lock(), io::stdout().lock())?;
    Ok(ExitCode::SUCCESS)
}
