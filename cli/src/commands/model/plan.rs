//! `gptoss model plan`: whether a model fits this machine, and how fast it can be.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use gptoss_runtime::synth::{gpt_oss_20b, gpt_oss_120b};
use gptoss_runtime::{ModelConfig, Profile};
use serde_json::{Value, json};

use crate::color;
use crate::context::Context;
use crate::error::{Error, LIMIT, Result};
use crate::input;
use crate::model::machine::{Bandwidth, Memory, Reader};
use crate::model::size::{self, Group, Size};
use crate::model::{gigabytes, grouped, load};

/// Say whether a model fits this machine, and how fast it can be at most
///
/// Decoding reads every weight that takes part in a token from memory, so its limit is the bandwidth of the memory,
/// which is measured. The exit code is 5 if the model does not fit.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// The model: `20b`, `120b`, a checkpoint, or a config.json
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// Positions: the prompt and what is generated
    #[arg(long, value_name = "N", default_value_t = 4096)]
    context: usize,
    /// Do not measure the bandwidth, and say nothing of the speed
    #[arg(long)]
    no_measure: bool,
}

const EXAMPLE: &str = "Example:
  gptoss model plan 20b --context 32768";

/// Positions of a prefill step, for the estimate.
const CHUNK: usize = 128;

/// What the answer is made of.
struct Plan {
    name: String,
    profile: Profile,
    context: usize,
    size: Size,
    cache: u64,
    cache_per_token: u64,
    activations: u64,
    memory: Option<Memory>,
    bandwidth: Option<Bandwidth>,
    threads: usize,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let (name, config, size) = model(args, context)?;
    let most = config.max_position_embeddings;
    if args.context == 0 || args.context > most {
        let rule = format!("--context is from 1 to {most}, the most that this model was made for");
        return Err(Error::usage(rule));
    }
    let profile = context.profile.unwrap_or_default();
    let bandwidth = match args.no_measure {
        true => None,
        false => Some(measure(context.threads)?),
    };
    let plan = Plan {
        name,
        profile,
        context: args.context,
        cache: size::cache_bytes(&config, profile, args.context, CHUNK),
        cache_per_token: size::cache_bytes_per_token(&config, profile, args.context - 1),
        activations: activations(&config, profile),
        size,
        memory: Memory::read(),
        bandwidth,
        threads: context.threads,
    };
    let mut out = context.stdout();
    if context.json {
        out.json(&plan.json())?;
    } else {
        plan.write(&mut out)?;
    }
    out.finish()?;
    Ok(ExitCode::from(if plan.fits() == Some(false) { LIMIT } else { 0 }))
}

/// The name, the shape and the bytes of what MODEL names.
fn model(args: &Args, context: &Context) -> Result<(String, ModelConfig, Size)> {
    let path = &args.model;
    let (name, config) = match path.to_str() {
        Some("20b") => ("gpt-oss-20b".to_owned(), gpt_oss_20b()),
        Some("120b") => ("gpt-oss-120b".to_owned(), gpt_oss_120b()),
        _ if path.extension().is_some_and(|extension| extension == "json") => {
            let document = input::read_text(path)?;
            let config =
                ModelConfig::from_json(&document.text).map_err(|error| Error::from(error).or_file(path))?;
            (path.display().to_string(), config)
        }
        _ => {
            let checkpoint = load::open(path, context)?;
            let size = Size::of_checkpoint(&checkpoint);
            return Ok((path.display().to_string(), checkpoint.config().clone(), size));
        }
    };
    let size = Size::of_config(&config);
    Ok((name, config, size))
}

fn measure(threads: usize) -> Result<Bandwidth> {
    let reader = Reader::new(threads)
        .map_err(|error| Error::io(format!("no memory to measure its bandwidth with: {error}")))?;
    Ok(reader.measure())
}

/// An estimate of the memory of intermediate values: a chunk of rows of each, and a row of logits.
fn activations(config: &ModelConfig, profile: Profile) -> u64 {
    let number = if profile == Profile::F64 { 8 } else { 4 };
    let experts = config.experts_per_token * (3 * config.intermediate_size + config.hidden_size);
    let row = 4 * config.hidden_size + 2 * (config.query_size() + config.key_value_size()) + experts;
    ((CHUNK * row + config.vocab_size) * number) as u64
}

impl Plan {
    /// Weights that must be in memory to be fast: of the embedding, only the rows of the tokens that occur.
    fn needed(&self) -> u64 {
        self.size.total() - self.size.bytes(Group::Embedding) + self.cache + self.activations
    }

    fn fits(&self) -> Option<bool> {
        self.memory.map(|memory| self.needed() <= memory.available)
    }

    /// Tokens a second that the bandwidth allows after no and after all but one of the positions.
    fn decode(&self) -> Option<[f64; 2]> {
        let bandwidth = self.bandwidth.as_ref()?.median();
        let weights = self.size.bytes_per_token();
        Some([weights, weights + self.cache_per_token].map(|bytes| bandwidth / bytes as f64))
    }

    fn json(&self) -> Value {
        let bandwidth = self.bandwidth.as_ref();
        json!({
            "schema": "gptoss.model-plan/1",
            "model": self.name,
            "profile": self.profile.name(),
            "context": self.context,
            "threads": self.threads,
            "parameters": self.size.parameters(),
            "active_parameters": self.size.active_parameters(),
            "bytes": {
                "weights": self.size.total(),
                "cache": self.cache,
                "activations": self.activations,
                "needed": self.needed(),
                "available": self.memory.map(|memory| memory.available),
                "total": self.memory.map(|memory| memory.total),
            },
            "fits": self.fits(),
            "bytes_per_token": {"weights": self.size.bytes_per_token(), "cache": self.cache_per_token},
            "bandwidth": bandwidth.map(|passes| json!({"best": passes.best(), "median": passes.median()})),
            "decode_limit": self.decode().map(|[first, last]| json!({"first": first, "last": last})),
            "operations_per_position": self.size.operations_per_position(),
        })
    }

    fn write(&self, out: &mut crate::output::Output) -> Result<()> {
        let context = grouped(self.context as u64);
        let mut line = |name: &str, value: &str, note: &str| -> Result<()> {
            Ok(writeln!(out, "{}", format!("{name:<12} {value:>11}  {note}").trim_end())?)
        };
        let size = &self.size;
        let parameters = format!(
            "{} parameters, {} active",
            grouped(size.parameters()),
            grouped(size.active_parameters())
        );
        line("weights", &gigabytes(size.total()), &parameters)?;
        let cache = format!("keys and values of {context} positions, profile {}", self.profile);
        line("cache", &gigabytes(self.cache), &cache)?;
        line("activations", &gigabytes(self.activations), &format!("estimate, {CHUNK} positions at once"))?;
        line("needed", &gigabytes(self.needed()), "of the embedding only the rows that occur")?;
        if let Some(memory) = self.memory {
            line("available", &gigabytes(memory.available), &format!("of {}", gigabytes(memory.total)))?;
        }
        let per_token = size.bytes_per_token();
        let cache = format!("and {} of the cache at the last position", gigabytes(self.cache_per_token));
        line("per token", &gigabytes(per_token), &cache)?;
        if let Some(bandwidth) = &self.bandwidth {
            let passes =
                format!("median, best {}/s, {} threads", gigabytes(bandwidth.best() as u64), self.threads);
            line("bandwidth", &format!("{}/s", gigabytes(bandwidth.median() as u64)), &passes)?;
        }
        if let Some([first, last]) = self.decode() {
            let last = format!("tokens/s at most, {last:.2} at position {context}");
            line("decode", &format!("{first:.2}"), &last)?;
        }
        let operations = format!("{:.2} GFLOP", size.operations_per_position() as f64 / 1e9);
        line("prefill", &operations, "a position, without attention; the processor is the limit")?;
        let name = &self.name;
        let (style, verdict) = match self.fits() {
            Some(true) => (color::GOOD, format!("{name} fits")),
            Some(false) => (
                color::ERROR,
                format!("{name} does not fit: weights would be read from the disk for every token"),
            ),
            None => (color::WARNING, "how much memory is available is not known here".to_owned()),
        };
        let verdict = out.paint.paint(style, verdict);
        writeln!(out, "{verdict}")?;
        Ok(())
    }
}
