//! `gptoss model list`: the checkpoints in the cache of Hugging Face's tools.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::color;
use crate::context::Context;
use crate::error::Result;
use crate::model::gigabytes;

/// List the gpt-oss checkpoints on this machine
///
/// They are looked for where Hugging Face's tools keep what they download: in `HF_HUB_CACHE`, in `HF_HOME`, or in the
/// user's cache folder. Nothing is downloaded. Without `--json` the paths alone go to a pipe, one a line.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// A checkpoint that was found.
#[derive(Debug, PartialEq)]
struct Found {
    name: String,
    revision: String,
    path: PathBuf,
    bytes: u64,
    /// Files that the index names and that are not there.
    missing: usize,
}

pub(crate) fn run(_args: &Args, context: &Context) -> Result<ExitCode> {
    let folder = cache();
    let found = folder.as_deref().map(search).unwrap_or_default();
    let mut out = context.stdout();
    if context.json {
        let models: Vec<Value> = found.iter().map(Found::json).collect();
        out.json(&json!({"schema": "gptoss.model-list/1", "folder": folder, "models": models}))?;
    } else {
        for model in &found {
            if crate::output::Output::is_terminal() {
                let name = out.paint.paint(color::BOLD, &model.name);
                let state = match model.missing {
                    0 => String::new(),
                    missing => format!(", {missing} files missing"),
                };
                writeln!(out, "{name} {} ({}{state})", model.revision, gigabytes(model.bytes))?;
                writeln!(out, "  {}", model.path.display())?;
            } else {
                writeln!(out, "{}", model.path.display())?;
            }
        }
        if found.is_empty() {
            let place = folder.map_or_else(
                || "no cache folder is known".to_owned(),
                |folder| format!("none in {}", folder.display()),
            );
            context.note(format!("no gpt-oss checkpoints: {place}"));
        }
    }
    out.finish()?;
    Ok(ExitCode::SUCCESS)
}

impl Found {
    fn json(&self) -> Value {
        json!({
            "name": self.name,
            "revision": self.revision,
            "path": self.path,
            "bytes": self.bytes,
            "missing_files": self.missing,
        })
    }
}

/// The folder in which Hugging Face's tools keep downloads.
fn cache() -> Option<PathBuf> {
    let folder = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = folder("HF_HUB_CACHE") {
        return Some(path);
    }
    if let Some(path) = folder("HF_HOME") {
        return Some(path.join("hub"));
    }
    let user = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")))?;
    Some(user.join("huggingface").join("hub"))
}

/// The checkpoints below a folder of downloads, by name and revision.
fn search(folder: &Path) -> Vec<Found> {
    let mut found = Vec::new();
    for download in entries(folder) {
        let name = download.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let Some(name) = name.strip_prefix("models--") else { continue };
        for path in entries(&download.join("snapshots")) {
            if !is_gpt_oss(&path) {
                continue;
            }
            let revision =
                path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let (bytes, missing) = files(&path);
            found.push(Found { name: name.replace("--", "/"), revision, path, bytes, missing });
        }
    }
    found.sort_by(|a, b| (&a.name, &a.revision).cmp(&(&b.name, &b.revision)));
    found
}

/// What is in a folder; a folder that cannot be read has nothing.
fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default()
}

/// Whether the configuration in a folder says so.
fn is_gpt_oss(folder: &Path) -> bool {
    let config = fs::read(folder.join("config.json")).ok();
    let config: Option<Value> = config.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    config.is_some_and(|config| config["model_type"] == "gpt_oss")
}

/// Bytes of the safetensors files in a folder, and how many files of its index are missing.
fn files(folder: &Path) -> (u64, usize) {
    let is_weights = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "safetensors");
    let bytes = entries(folder)
        .iter()
        .filter(|path| is_weights(path))
        .filter_map(|path| fs::metadata(path).ok())
        .map(|metadata| metadata.len())
        .sum();
    let index = fs::read(folder.join("model.safetensors.index.json")).ok();
    let index: Value = index.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    let named: BTreeSet<&str> =
        index["weight_map"].as_object().into_iter().flatten().filter_map(|(_, file)| file.as_str()).collect();
    (bytes, named.iter().filter(|file| !folder.join(file).exists()).count())
}
