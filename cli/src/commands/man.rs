//! `gptoss man`: the manual page.

use std::io::Write;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_mangen::Man;

use crate::args::Cli;
use crate::context::Context;
use crate::error::{Error, Result};

/// Write the manual page, for the whole program or one command
///
/// Read it with `gptoss man | man -l -`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The command that the page is about
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let mut program = Cli::command();
    program.build();
    let page = match &args.command {
        None => program,
        Some(name) => {
            let command = program.find_subcommand(name).cloned();
            let Some(command) = command else {
                return Err(
                    Error::usage(format!("there is no command {name:?}")).help("`gptoss --help` lists them")
                );
            };
            command
        }
    };
    let mut roff = Vec::new();
    Man::new(page).render(&mut roff)?;
    let mut out = context.stdout();
    out.write_all(&roff)?;
    out.finish()?;
    Ok(ExitCode::SUCCESS)
}
