//! `gptoss model`: checkpoints.

mod digest;
mod inspect;
mod list;
mod pack;
mod plan;
mod synth;
mod verify;

use std::process::ExitCode;

use crate::context::Context;
use crate::error::Result;

/// Find, check, measure, make and pack checkpoints
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    List(list::Args),
    Inspect(inspect::Args),
    Verify(verify::Args),
    Plan(plan::Args),
    Digest(digest::Args),
    Synth(synth::Args),
    Pack(pack::Args),
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    match &args.command {
        Command::Inspect(args) => inspect::run(args, context),
        Command::List(args) => list::run(args, context),
        Command::Plan(args) => plan::run(args, context),
        Command::Digest(args) => digest::run(args, context),
        Command::Verify(args) => verify::run(args, context),
        Command::Synth(args) => synth::run(args, context),
        Command::Pack(args) => pack::run(args, context),
    }
}
