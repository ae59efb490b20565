//! `gptoss golden`: what a run computes is recorded, and what another program computed is judged.

mod bisect;
mod capture;
mod check;
mod declare;
mod dump;
mod explain;
mod lint;
mod mutants;
mod probe;
mod record;
mod report;
mod select;
mod vectors;

use std::process::ExitCode;

use crate::context::Context;
use crate::error::Result;

/// Record what a model computes, and judge what another program computed
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Record(record::Args),
    Check(check::Args),
    Bisect(bisect::Args),
    Explain(explain::Args),
    Lint(lint::Args),
    Mutants(mutants::Args),
    Probe(probe::Args),
    Vectors(vectors::Args),
    Capture(capture::Args),
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    match &args.command {
        Command::Record(args) => record::run(args, context),
        Command::Check(args) => check::run(args, context),
        Command::Bisect(args) => bisect::run(args, context),
        Command::Explain(args) => explain::run(args, context),
        Command::Lint(args) => lint::run(args, context),
        Command::Mutants(args) => mutants::run(args, context),
        Command::Probe(args) => probe::run(args, context),
        Command::Vectors(args) => vectors::run(args, context),
        Command::Capture(args) => capture::run(args, context),
    }
}
