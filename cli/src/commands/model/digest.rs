//! `gptoss model digest`: one hash over the weights, and one over the logits of a fixed prompt.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use gptoss_runtime::weights::Weights;
use gptoss_runtime::{Model, Profile, Rows};
use serde_json::json;

use crate::context::Context;
use crate::error::Result;
use crate::interrupt::Watch;
use crate::model::{hex, load, prompt};

/// Write hashes of the weights and of the logits of a fixed prompt
///
/// Neither depends on the layout of the checkpoint or on the machine. The prompt has 32 token ids: id i, from 0, is
/// (7919 i + 1) modulo the size of the vocabulary. The hash of its logits is that of `gptoss logits --digest`, in the
/// profiles bf16 and f32, or in the one that --profile names.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The checkpoint: a folder, or a file with config.json beside it
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Hash the weights alone
    #[arg(long)]
    weights_only: bool,
}

/// The number of ids of the prompt.
const PROMPT_LEN: usize = 32;

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let mut watch = Watch::new(context)?;
    let checkpoint = load::open(&args.path, context)?;
    let weights = Weights::load(&checkpoint)?;
    let mut logits = Vec::new();
    let profiles = match context.profile {
        _ if args.weights_only => vec![],
        Some(profile) => vec![profile],
        None => vec![Profile::Bf16, Profile::F32],
    };
    for profile in profiles {
        watch.check()?;
        let config = checkpoint.config().clone();
        let prompt = prompt(&config, PROMPT_LEN.min(config.max_position_embeddings));
        let model = Model::new(config, weights.clone(), load::options(context, profile)?)?;
        let mut cache = model.new_cache(prompt.len(), prompt.len())?;
        let rows = model.forward_rows(&prompt, Rows::All, &mut cache, &mut watch)?;
        logits.push((profile, rows.digest()));
    }
    watch.check()?;
    let digest = hex(&checkpoint.weights_digest());
    let mut out = context.stdout();
    if context.json {
        let logits: serde_json::Map<_, _> =
            logits.into_iter().map(|(profile, digest)| (profile.name().to_owned(), json!(digest))).collect();
        out.json(&json!({"schema": "gptoss.model-digest/1", "weights": digest, "logits": logits}))?;
    } else {
        writeln!(out, "{digest}  weights")?;
        for (profile, digest) in logits {
            writeln!(out, "{digest}  logits {profile}")?;
        }
    }
    out.finish()?;
    Ok(ExitCode::SUCCESS)
}
