//! `gptoss golden record`: named values of a run, as safetensors.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use gptoss_runtime::golden::record::{Plan, Selection, record};
use gptoss_runtime::numerics::CONTRACT_VERSION;
use gptoss_runtime::tap::Tap as _;
use gptoss_runtime::weights::Weights;
use gptoss_runtime::{Model, ModelConfig};
use harmony_format::{Conversation, Message, RenderOptions, Role};
use serde_json::json;

use super::select::{Numbers, Point};
use crate::commands::logits::{check_ids, read_ids};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::interrupt::Watch;
use crate::model::{gigabytes, hex, load};
use crate::output_file::OutputFile;

/// Record named values of a run as safetensors
///
/// The file holds a tensor for each value, `[positions, width]`, in bf16, f32 or f64 as the profile is, and in its
/// metadata the token ids, the positions, the profile, the version of the numerics contract and the digest of the weights.
/// Rows are written when they are computed, so that a file may be larger than the memory.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The checkpoint: a folder, or a file with config.json beside it
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// The token ids: `1,2,3`, or `@FILE` with a JSON array or numbers
    #[arg(long, value_name = "IDS", required_unless_present = "prompt")]
    ids: Option<String>,
    /// What a user says: the ids are those of a conversation with this one message
    #[arg(long, value_name = "TEXT", conflicts_with = "ids")]
    prompt: Option<String>,
    /// Which values: the residual stream, the input and output of each operation, or the logits
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    at: At,
    /// These values, by name, in place of those of --at
    #[arg(long, value_delimiter = ',', value_name = "POINTS", conflicts_with = "at")]
    points: Vec<Point>,
    /// Of these layers: `0,3,8-11` [default: all]
    #[arg(long, value_name = "LAYERS")]
    layers: Option<Numbers>,
    /// At these positions [default: all]
    #[arg(long, value_name = "POSITIONS")]
    positions: Option<Numbers>,
    /// Do not read all weights for their digest
    #[arg(long)]
    no_digest: bool,
    /// The file
    #[arg(short, long, value_name = "FILE.safetensors")]
    output: PathBuf,
}

const EXAMPLES: &str = "Examples:
  gptoss golden record --model gpt-oss-20b --prompt 'What is 2 + 2?' -o golden.safetensors
  gptoss golden record --model gpt-oss-20b --ids @ids.json --at ops --layers 0,1 -o golden.safetensors
  gptoss golden record --model gpt-oss-20b --ids @ids.json --points scores --layers 3 --positions 130 -o s.safetensors";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum At {
    /// The embedding, the residual stream after attention and after each layer, the last norm and the logits
    #[default]
    Layers,
    /// Everything but scores and probabilities, whose size grows with the square of the length
    Ops,
    /// The logits
    Logits,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let watch = Watch::new(context)?;
    let profile = context.profile.unwrap_or_default();
    let checkpoint = load::open(&args.model, context)?;
    let config = checkpoint.config().clone();
    let tokens = tokens(args.ids.as_deref(), args.prompt.as_deref(), &config, context)?;
    let selection = selection(args);
    let plan = Plan::new(&config, profile, &tokens, &selection).map_err(as_usage)?;
    let weights = Weights::load(&checkpoint)?;
    let model = Model::new(config, weights, load::options(context, profile)?)?;
    let digest = (!args.no_digest).then(|| checkpoint.weights_digest());
    watch.check()?;
    if context.verbose {
        context.note(format!("{} values, {}", plan.sites().count(), gigabytes(plan.file_len())));
    }
    let file = OutputFile::create(&args.output)?;
    record(&model, &tokens, &selection, digest, file, &|| watch.interrupted())?.finish()?;
    checkpoint.check_unchanged()?;
    let mut out = context.stdout();
    if context.json {
        out.json(&json!({
            "schema": "gptoss.golden-record/1",
            "file": args.output,
            "bytes": plan.file_len(),
            "tokens": tokens,
            "positions": plan.positions(),
            "profile": profile.name(),
            "contract": CONTRACT_VERSION,
            "weights": digest.map(|digest| hex(&digest)),
            "sites": plan.sites().collect::<Vec<_>>(),
        }))?;
    } else {
        writeln!(
            out,
            "{}: {} values of {} tokens at {} positions, profile {profile}, {}",
            args.output.display(),
            plan.sites().count(),
            tokens.len(),
            plan.positions().len(),
            gigabytes(plan.file_len()),
        )?;
    }
    out.finish()?;
    Ok(ExitCode::SUCCESS)
}

/// The token ids that the flags name: those of `--ids`, or of a conversation with the one message of `--prompt`.
pub(super) fn tokens(
    ids: Option<&str>,
    prompt: Option<&str>,
    config: &ModelConfig,
    context: &Context,
) -> Result<Vec<u32>> {
    let tokens = match (ids, prompt) {
        (Some(ids), _) => read_ids(ids)?,
        (None, Some(text)) => {
            let conversation = Conversation::new([Message::new(Role::User, text)]);
            let encoding = context.encoding(None)?;
            encoding.render(&conversation, &RenderOptions::completion(Role::Assistant))?
        }
        (None, None) => Vec::new(),
    };
    check_ids(&tokens, config)?;
    Ok(tokens)
}

fn selection(args: &Args) -> Selection {
    let points = match args.at {
        _ if !args.points.is_empty() => Selection::of(args.points.iter().map(|&Point(point)| point)),
        At::Layers => Selection::layers(),
        At::Ops => Selection::ops(),
        At::Logits => Selection::logits(),
    };
    let numbers = |list: &Option<Numbers>| list.clone().map(|Numbers(numbers)| numbers);
    Selection { layers: numbers(&args.layers), positions: numbers(&args.positions), ..points }
}

/// A selection that leaves nothing is a matter of the flags.
fn as_usage(error: gptoss_runtime::Error) -> Error {
    match error.kind() {
        gptoss_runtime::ErrorKind::Dump => Error::usage(error.rule()),
        _ => error.into(),
    }
}
