//! `gptoss model synth`: a checkpoint of seeded random weights.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;

use crate::context::Context;
use crate::error::{Error, Result};

/// Write a checkpoint of random weights in the layout of the released ones
///
/// The bytes follow from the shape and the seed alone, on every machine and with any number of threads.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The shape: `20b`, `120b`, or a config.json of either layout
    #[arg(long, value_name = "20b|120b|CONFIG.json")]
    like: PathBuf,
    /// Write this many layers instead
    #[arg(long, value_name = "N")]
    layers: Option<std::num::NonZeroUsize>,
    /// The seed of the weights
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// The folder to write
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Names and files: Hugging Face's or those of OpenAI's folder `original`
    #[arg(long, value_enum, default_value_t, value_name = "LAYOUT")]
    layout: Layout,
    /// How the experts are stored
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    experts: Experts,
    /// Write into a folder that is not empty, and replace a checkpoint there
    #[arg(long)]
    force: bool,
}

const EXAMPLES: &str = "Examples:
  gptoss model synth --like 20b --layers 2 -o small
  gptoss model synth --like 20b --seed 7 -o synthetic-20b
  gptoss model synth --like config.json --layout original --experts bf16 -o odd";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Layout {
    /// model-00000-of-00002.safetensors and so on, with an index
    #[default]
    Hf,
    /// model.safetensors and dtypes.json
    Original,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Experts {
    /// Blocks of four-bit floats, as released
    #[default]
    Mxfp4,
    /// Plain bf16, as fine-tunes have them
    Bf16,
}

pub(crate) fn run(args: &Args, _context: &Context) -> Result<ExitCode> {
    Err(Error::usage(format!("cannot write {} yet", args.output.display())))
}
