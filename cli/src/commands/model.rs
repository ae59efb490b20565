//! `gptoss model`: checkpoints.

mod synth;

use std::process::ExitCode;

use crate::context::Context;
use crate::error::Result;

/// Make checkpoints
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Synth(synth::Args),
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    match &args.command {
        Command::Synth(args) => synth::run(args, context),
    }
}
