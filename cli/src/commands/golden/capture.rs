//! `gptoss golden capture`: the helpers with which other programs write dumps.

use std::io::Write;
use std::process::ExitCode;

use clap::ValueEnum;

use crate::context::Context;
use crate::error::Result;

/// Write a helper with which another program writes dumps
///
/// The helper goes to standard output. How it is used stands at its start, and in docs/golden-checks.md.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// For which program
    #[arg(value_enum)]
    helper: Helper,
}

const EXAMPLES: &str = "Examples:
  gptoss golden capture torch > gptoss_dump.py
  gptoss golden capture c > gptoss_dump.h
  gptoss golden capture llama-cpp > gptoss_llama_dump.c";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Helper {
    /// PyTorch: hooks for Hugging Face's and OpenAI's models (Python)
    Torch,
    /// llama.cpp: a program that dumps the nodes of its graph (C, with the header of `c`)
    LlamaCpp,
    /// Any program: a header without dependencies (C99, C++)
    C,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let text = match args.helper {
        Helper::Torch => include_str!("../../../capture/gptoss_dump.py"),
        Helper::LlamaCpp => include_str!("../../../capture/gptoss_llama_dump.c"),
        Helper::C => include_str!("../../../capture/gptoss_dump.h"),
    };
    let mut out = context.stdout();
    out.write_all(text.as_bytes())?;
    out.finish()?;
    Ok(ExitCode::SUCCESS)
}
