//! `gptoss model synth`: a checkpoint of seeded random weights.

use std::error::Error as _;
use std::io;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use clap::ValueEnum;
use gptoss_runtime::checkpoint;
use gptoss_runtime::synth::{self, ExpertFormat, Found, Options, Plan};
use gptoss_runtime::{ErrorKind, ModelConfig};
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::{Error, Result};
use crate::model::gigabytes;
use crate::progress::Progress;
use crate::{input, interrupt};

/// Write a checkpoint of random weights in the layout of the released ones
///
/// The bytes follow from the shape and the seed alone, on every machine and with any number of threads.
/// What was interrupted is continued by the same command.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The shape: `20b`, `120b`, or a config.json of either layout
    #[arg(long, value_name = "20b|120b|CONFIG.json")]
    like: PathBuf,
    /// Write this many layers instead
    #[arg(long, value_name = "N")]
    layers: Option<NonZeroUsize>,
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

impl Layout {
    /// As `inspect` calls it.
    const fn name(self) -> &'static str {
        match self {
            Self::Hf => "hugging-face",
            Self::Original => "openai",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Experts {
    /// Blocks of four-bit floats, as released
    #[default]
    Mxfp4,
    /// Plain bf16, as fine-tunes have them
    Bf16,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let options = Options {
        layout: match args.layout {
            Layout::Hf => checkpoint::Layout::HuggingFace,
            Layout::Original => checkpoint::Layout::OpenAi,
        },
        experts: match args.experts {
            Experts::Mxfp4 => ExpertFormat::Mxfp4,
            Experts::Bf16 => ExpertFormat::Bf16,
        },
        seed: args.seed,
        shard_bytes: None,
    };
    let plan = Plan::new(&shape(args)?, &options)?;
    let folder = args.output.as_path();
    let found = synth::look(&plan, folder)?;
    if matches!(found, Found::Other { .. }) && !args.force {
        return Err(Error::usage(format!("{} is not empty", folder.display()))
            .help("--force writes into it and replaces the checkpoint there; other files stay"));
    }
    check_space(&plan, found, folder)?;
    if let Found::Unfinished { kept } = found {
        let [kept, total] = [kept, plan.len()].map(gigabytes);
        context.note(format_args!("continuing {}: {kept} of {total} are there", folder.display()));
    }
    write(&plan, folder, context)?;
    if context.json {
        let mut output = context.stdout();
        output.json(&report(args, &plan))?;
        output.finish()?;
    } else if !context.quiet {
        let files = plan.files().len();
        context.tell(format_args!("wrote {} ({files} files, {})", folder.display(), gigabytes(plan.len())));
    }
    Ok(ExitCode::SUCCESS)
}

/// The configuration that was asked for.
fn shape(args: &Args) -> Result<ModelConfig> {
    let mut config = match args.like.to_str() {
        Some("20b") => synth::gpt_oss_20b(),
        Some("120b") => synth::gpt_oss_120b(),
        _ => {
            let document = input::read_text(&args.like)
                .map_err(|error| error.or_help("a shape is `20b`, `120b` or the name of a config.json"))?;
            ModelConfig::from_json(&document.text)
                .map_err(|error| Error::from(error).in_file(document.name.as_str()))?
        }
    };
    if let Some(layers) = args.layers {
        // A pattern of layer types that is not the release's goes on as it began.
        config.layer_types = config.layer_types.iter().copied().cycle().take(layers.get()).collect();
    }
    Ok(config)
}

fn write(plan: &Plan, folder: &Path, context: &Context) -> Result<()> {
    let interrupted = interrupt::flag()?;
    let mut bar = Progress::new(context.quiet);
    let mut progress = |progress: synth::Progress<'_>| {
        bar.report(progress.written, progress.total);
        match interrupted.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    };
    let result = context.pool()?.install(|| synth::write(plan, folder, &mut progress));
    // The line of the bar is cleared before anything else is said.
    drop(bar);
    result.map_err(|error| {
        const CONTINUE: &str = "the same command continues; nothing loads until it is done";
        let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
        let is_full = source.is_some_and(|source| {
            matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        });
        match error.kind() {
            _ if is_full => Error::does_not_fit(format!("the disk of {} is full", folder.display()))
                .help(format!("make room; {CONTINUE}")),
            ErrorKind::Interrupted => Error::from(error).help(CONTINUE),
            _ => Error::from(error),
        }
    })
}

/// Refuses what will not fit on the disk, where the system tells how much is free.
fn check_space(plan: &Plan, found: Found, folder: &Path) -> Result<()> {
    let (kept, replaced) = match found {
        Found::Nothing => (0, 0),
        Found::Unfinished { kept } => (kept, 0),
        Found::Other { replaced } => (0, replaced),
    };
    let needed = plan.len() - kept;
    let Some(free) = free_space(folder).map(|free| free.saturating_add(replaced)) else { return Ok(()) };
    if needed <= free {
        return Ok(());
    }
    let [needed, free] = [needed, free].map(gigabytes);
    Err(Error::does_not_fit(format!("{needed} are needed, and the disk of {} has {free}", folder.display()))
        .help("choose another folder, or fewer layers with --layers"))
}

/// The bytes that are free for this user on the disk where a folder is, or will be.
#[cfg(unix)]
fn free_space(folder: &Path) -> Option<u64> {
    let folder = std::path::absolute(folder).ok()?;
    let status = folder.ancestors().find_map(|folder| rustix::fs::statvfs(folder).ok())?;
    Some(status.f_bavail.saturating_mul(status.f_frsize))
}

/// Not known on this system.
#[cfg(not(unix))]
fn free_space(_: &Path) -> Option<u64> {
    None
}

fn report(args: &Args, plan: &Plan) -> Value {
    let files: Vec<Value> =
        plan.files().iter().map(|file| json!({"name": file.name(), "bytes": file.len()})).collect();
    json!({
        "schema": "gptoss.model-synth/1",
        "folder": args.output.display().to_string(),
        "layout": args.layout.name(),
        "seed": args.seed,
        "bytes": plan.len(),
        "files": files,
    })
}
