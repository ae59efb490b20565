//! `gptoss model inspect`: what is in a checkpoint.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use gptoss_runtime::checkpoint::{Checkpoint, Layout};
use gptoss_runtime::{LayerType, ModelConfig};
use serde_json::{Value, json};

use crate::color;
use crate::context::Context;
use crate::error::Result;
use crate::model::ranges::Ranges;
use crate::model::size::{Group, Size};
use crate::model::{gigabytes, grouped, load, short};
use crate::output::Output;

/// Show what is in a checkpoint: shape, parameters, bytes, tensors, ranges of scale bytes and sinks
///
/// Every header is read and checked against the configuration. Of the weights only scale bytes and sinks are read.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The checkpoint: a folder, or a file with config.json beside it
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// List every tensor, not one line for the same tensor of all layers
    #[arg(long)]
    tensors: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let checkpoint = load::open(&args.path, context)?;
    let size = Size::of_checkpoint(&checkpoint);
    let ranges = Ranges::read(&checkpoint);
    let mut out = context.stdout();
    if context.json {
        out.json(&to_json(&checkpoint, &size, &ranges))?;
    } else {
        write_config(&mut out, &checkpoint)?;
        write_size(&mut out, &size)?;
        write_ranges(&mut out, &ranges)?;
        write_files(&mut out, &checkpoint)?;
        match args.tensors {
            true => write_tensors(&mut out, &checkpoint)?,
            false => write_kinds(&mut out, &checkpoint)?,
        }
    }
    out.finish()?;
    Ok(ExitCode::SUCCESS)
}

fn title(out: &mut Output, text: &str) -> Result<()> {
    let text = out.paint.paint(color::BOLD, text);
    Ok(writeln!(out, "\n{text}")?)
}

fn layout(checkpoint: &Checkpoint) -> &'static str {
    match checkpoint.layout() {
        Layout::HuggingFace => "hugging-face",
        Layout::OpenAi => "openai",
    }
}

/// Layers by what they see: `s` slides, `f` is full.
fn layer_types(config: &ModelConfig) -> String {
    let letter = |layer: &LayerType| if *layer == LayerType::Sliding { 's' } else { 'f' };
    config.layer_types.iter().map(letter).collect()
}

fn write_config(out: &mut Output, checkpoint: &Checkpoint) -> Result<()> {
    let config = checkpoint.config();
    let path = out.paint.paint(color::BOLD, checkpoint.path().display());
    writeln!(out, "{path}")?;
    let rope = &config.rope;
    let fields = [
        ("layout", layout(checkpoint).to_owned()),
        ("layers", format!("{} ({})", config.num_layers(), layer_types(config))),
        ("sliding window", config.sliding_window.to_string()),
        ("hidden size", config.hidden_size.to_string()),
        (
            "heads",
            format!(
                "{} of {}, {} for keys and values",
                config.num_attention_heads, config.head_dim, config.num_key_value_heads
            ),
        ),
        (
            "experts",
            format!(
                "{} of {} a layer, {} in each",
                config.experts_per_token, config.num_experts, config.intermediate_size
            ),
        ),
        ("vocabulary", config.vocab_size.to_string()),
        ("context", config.max_position_embeddings.to_string()),
        (
            "rope",
            format!(
                "theta {}, factor {}, beta {} to {}, original context {}{}",
                rope.theta,
                rope.factor,
                rope.beta_slow,
                rope.beta_fast,
                rope.original_context,
                if rope.truncate { ", ramp truncated" } else { "" }
            ),
        ),
        ("norm epsilon", format!("{:e}", config.rms_norm_eps)),
        ("swiglu limit", config.swiglu_limit.to_string()),
    ];
    for (name, value) in fields {
        writeln!(out, "  {name:<15} {value}")?;
    }
    Ok(())
}

fn write_size(out: &mut Output, size: &Size) -> Result<()> {
    title(out, "parameters")?;
    let (all, active) = (size.parameters(), size.active_parameters());
    writeln!(out, "  {:<15} {:>16}  {}", "all", grouped(all), short(all))?;
    let active_short = short(active);
    writeln!(out, "  {:<15} {:>16}  {active_short}, without the embedding", "active", grouped(active))?;
    title(out, "bytes")?;
    writeln!(out, "  {:<15} {:>16}  {:>16}", "", "all", "read for a token")?;
    for group in Group::ALL {
        let bytes = size.bytes(group);
        if bytes > 0 {
            let read = size.bytes_per_token_of(group);
            writeln!(out, "  {:<15} {:>16}  {:>16}", group.name(), grouped(bytes), grouped(read))?;
        }
    }
    let (total, read) = (size.total(), size.bytes_per_token());
    writeln!(out, "  {:<15} {:>16}  {:>16}", "total", grouped(total), grouped(read))?;
    Ok(())
}

fn write_ranges(out: &mut Output, ranges: &Ranges) -> Result<()> {
    title(out, "ranges")?;
    if let Some(scales) = &ranges.scales {
        let mut line = format!("{} to {}, {} below 78", scales.min, scales.max, grouped(scales.below_78));
        if scales.invalid > 0 {
            line += &format!(", {} above 252, which is not valid", grouped(scales.invalid));
        }
        writeln!(out, "  {:<15} {line}", "scale bytes")?;
    }
    let (min, max) = ranges.sinks;
    writeln!(out, "  {:<15} {min} to {max}", "sinks")?;
    Ok(())
}

fn write_files(out: &mut Output, checkpoint: &Checkpoint) -> Result<()> {
    title(out, "files")?;
    for file in checkpoint.files() {
        let name = file.path.file_name().unwrap_or_default().to_string_lossy();
        writeln!(out, "  {name}  {} bytes, {} of header", grouped(file.size), grouped(file.header_len))?;
    }
    Ok(())
}

fn write_tensors(out: &mut Output, checkpoint: &Checkpoint) -> Result<()> {
    title(out, "tensors")?;
    let width = checkpoint.tensors().iter().map(|tensor| tensor.name.len()).max().unwrap_or_default();
    for tensor in checkpoint.tensors() {
        let file = checkpoint.files()[tensor.file].path.file_name().unwrap_or_default().to_string_lossy();
        writeln!(
            out,
            "  {:<width$}  {:<4}  {:<20} {:>14}  {file}",
            tensor.name,
            tensor.dtype.name(),
            shape(&tensor.shape),
            tensor.range.len()
        )?;
    }
    Ok(())
}

/// One line for the tensors whose names, types and shapes differ in the layer alone.
fn write_kinds(out: &mut Output, checkpoint: &Checkpoint) -> Result<()> {
    title(out, &format!("tensors ({})", checkpoint.tensors().len()))?;
    let mut kinds: Vec<(String, &str, String, usize, u64)> = Vec::new();
    for tensor in checkpoint.tensors() {
        let name: Vec<&str> = tensor
            .name
            .split('.')
            .map(|word| if word.parse::<usize>().is_ok() { "N" } else { word })
            .collect();
        let (name, dtype, shape) = (name.join("."), tensor.dtype.name(), shape(&tensor.shape));
        let bytes = tensor.range.len() as u64;
        match kinds.iter_mut().find(|kind| kind.0 == name && kind.1 == dtype && kind.2 == shape) {
            Some(kind) => (kind.3, kind.4) = (kind.3 + 1, kind.4 + bytes),
            None => kinds.push((name, dtype, shape, 1, bytes)),
        }
    }
    kinds.sort();
    let width = kinds.iter().map(|kind| kind.0.len()).max().unwrap_or_default();
    for (name, dtype, shape, count, bytes) in kinds {
        writeln!(out, "  {name:<width$}  {count:>3} x {dtype:<4}  {shape:<20} {:>10}", gigabytes(bytes))?;
    }
    Ok(())
}

fn shape(shape: &[usize]) -> String {
    format!("[{}]", shape.iter().map(usize::to_string).collect::<Vec<_>>().join(", "))
}

fn to_json(checkpoint: &Checkpoint, size: &Size, ranges: &Ranges) -> Value {
    let config = checkpoint.config();
    let rope = &config.rope;
    let groups: serde_json::Map<String, Value> = Group::ALL
        .into_iter()
        .filter(|&group| size.bytes(group) > 0)
        .map(|group| {
            let numbers = json!({"all": size.bytes(group), "per_token": size.bytes_per_token_of(group)});
            (group.name().replace(' ', "_"), numbers)
        })
        .collect();
    let files: Vec<Value> = checkpoint
        .files()
        .iter()
        .map(|file| json!({"path": file.path, "bytes": file.size, "header_bytes": file.header_len}))
        .collect();
    let tensors: Vec<Value> = checkpoint
        .tensors()
        .iter()
        .map(|tensor| {
            json!({
                "name": tensor.name,
                "dtype": tensor.dtype.name(),
                "shape": tensor.shape,
                "file": tensor.file,
                "range": [tensor.range.start, tensor.range.end],
            })
        })
        .collect();
    let scales = ranges.scales.as_ref().map(|scales| {
        json!({"min": scales.min, "max": scales.max, "below_78": scales.below_78, "invalid": scales.invalid})
    });
    json!({
        "schema": "gptoss.model-inspect/1",
        "path": checkpoint.path(),
        "layout": layout(checkpoint),
        "config": {
            "layer_types": layer_types(config),
            "vocab_size": config.vocab_size,
            "hidden_size": config.hidden_size,
            "intermediate_size": config.intermediate_size,
            "num_attention_heads": config.num_attention_heads,
            "num_key_value_heads": config.num_key_value_heads,
            "head_dim": config.head_dim,
            "num_experts": config.num_experts,
            "experts_per_token": config.experts_per_token,
            "sliding_window": config.sliding_window,
            "rms_norm_eps": config.rms_norm_eps,
            "swiglu_limit": config.swiglu_limit,
            "rope": {
                "theta": rope.theta,
                "factor": rope.factor,
                "beta_fast": rope.beta_fast,
                "beta_slow": rope.beta_slow,
                "original_context": rope.original_context,
                "truncate": rope.truncate,
            },
            "max_position_embeddings": config.max_position_embeddings,
            "eos_token_ids": config.eos_token_ids,
        },
        "parameters": size.parameters(),
        "active_parameters": size.active_parameters(),
        "bytes": size.total(),
        "bytes_per_token": size.bytes_per_token(),
        "groups": groups,
        "scale_bytes": scales,
        "sinks": {"min": ranges.sinks.0, "max": ranges.sinks.1},
        "files": files,
        "tensors": tensors,
    })
}
