//! `gptoss golden explain`: one value, its inputs, its formula and its bounds.

mod site;
mod text;

use std::path::PathBuf;
use std::process::ExitCode;

use gptoss_runtime::golden::explain::{Explained, Question, Unexplained, explain, observe};
use gptoss_runtime::golden::{Accumulator, CheckOptions, Declared, Memory};
use gptoss_runtime::tap::Tap as _;
use gptoss_runtime::weights::Weights;
use gptoss_runtime::{Model, Profile};
use serde_json::json;

use super::declare::{self, Declaration};
use super::dump;
use super::record::tokens;
use crate::context::Context;
use crate::error::{DIFFERENT, Error, Result};
use crate::interrupt::Watch;
use crate::model::load;

/// Explain one value: its inputs, its formula, and between which bounds it should be
///
/// The value is one of a dump, or else of this program's own run of --ids or --prompt. Its inputs are the dump's own where
/// it has them. Beside them stand the formula and the clause of docs/numerics.md, the value in f64, the value as the
/// declared profile rounds, with its bits, and what the dump has, with its bits, its distance in last places and whether it
/// is within the bounds. Exit codes: 0 inside, or not in the dump; 1 outside; 3 a dump that cannot be read.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The value: `layer.3.query`, `layer.3.scores.head.2`, `layer.3.down.rank.0`, `layer.3.down.expert.17`; queries, keys,
    /// values and contexts may have a head, too
    #[arg(value_name = "VALUE")]
    site: String,
    /// The checkpoint: a folder, or a file with config.json beside it
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// The dump: safetensors, .npy, .npz, a manifest of bare arrays, or a folder of these
    #[arg(long, value_name = "DUMP", required_unless_present_any = ["ids", "prompt"])]
    dump: Option<PathBuf>,
    /// A table of names and layouts of the dump, as TOML or JSON
    #[arg(long, value_name = "FILE", requires = "dump")]
    names: Option<PathBuf>,
    /// Without a dump: the token ids of a run of this program: `1,2,3`, or `@FILE` with a JSON array or numbers
    #[arg(long, value_name = "IDS", conflicts_with = "dump")]
    ids: Option<String>,
    /// Without a dump: what a user says to this program
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["dump", "ids"])]
    prompt: Option<String>,
    /// The absolute position
    #[arg(long, value_name = "N")]
    position: u32,
    /// The element of the row [default: the whole row]
    #[arg(long, value_name = "N")]
    element: Option<usize>,
    /// Facts about the backend's arithmetic that the dump does not say, as for `golden check`
    #[arg(long, value_delimiter = ',', value_name = "FACTS", requires = "dump")]
    declare: Vec<Declaration>,
}

const EXAMPLES: &str = "Examples:
  gptoss golden explain layer.3.query --dump dump.safetensors --model gpt-oss-20b --position 5 --element 17
  gptoss golden explain layer.0.probabilities.head.2 --dump dump.npz --model gpt-oss-20b --position 130
  gptoss golden explain layer.3.context.head.2 --prompt Hi --model gpt-oss-20b --position 60 --json";

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let watch = Watch::new(context)?;
    let checkpoint = load::open(&args.model, context)?;
    let config = checkpoint.config().clone();
    let site = site::read(&args.site, &config)?;
    let question = Question { site, position: args.position, element: args.element };
    let weights = Weights::load(&checkpoint)?;
    let found = match &args.dump {
        Some(path) => {
            let names = args.names.clone();
            let opened = dump::Args { dump: path.clone(), model: args.model.clone(), names }.open(&config)?;
            let options = declare::options(&args.declare, &opened)?;
            context.pool()?.install(|| explain(&config, &weights, &opened, &options, question))
        }
        None => {
            let profile = context.profile.unwrap_or_default();
            let tokens = tokens(args.ids.as_deref(), args.prompt.as_deref(), &config, context)?;
            if args.position as usize >= tokens.len() {
                return Err(unexplained(Unexplained::Position(tokens.len() as u32), args));
            }
            let model = Model::new(config.clone(), weights, load::options(context, profile)?)?;
            let run: Memory = observe(&model, &tokens, question, &|| watch.interrupted())?;
            let options = CheckOptions::new(own(profile));
            context.pool()?.install(|| explain(&config, model.weights(), &run, &options, question))
        }
    };
    let explained: Explained = found.map_err(|why| unexplained(why, args))?;
    checkpoint.check_unchanged()?;
    let mut out = context.stdout();
    if context.json {
        let document =
            json!({"schema": "gptoss.golden-explain/1", "file": args.dump, "explained": explained});
        out.json(&document)?;
    } else {
        text::write(&explained, args.element.is_some(), context, &mut out)?;
    }
    out.finish()?;
    Ok(if explained.is_wrong() { ExitCode::from(DIFFERENT) } else { ExitCode::SUCCESS })
}

/// What this program itself declares.
const fn own(profile: Profile) -> Declared {
    let accumulate = match profile {
        Profile::F64 => Accumulator::F64,
        Profile::Bf16 | Profile::F32 => Accumulator::F32,
    };
    Declared { profile, accumulate }
}

/// What is not there is a matter of the flags; what cannot be read is not.
fn unexplained(why: Unexplained, args: &Args) -> Error {
    let site = &args.site;
    match why {
        Unexplained::Position(count) => {
            Error::usage(format!("position {} is outside of a run of {count} positions", args.position))
        }
        Unexplained::Element(width) => {
            let element = args.element.unwrap_or(0);
            Error::usage(format!("element {element} is outside of {site}, whose rows have {width} elements"))
        }
        Unexplained::Missing(reason) => Error::input("M021", format!("{site} is not explained: {reason}")),
        Unexplained::Failed(error) => error.into(),
        _ => Error::usage(format!("the model has no value {site:?}")),
    }
}
