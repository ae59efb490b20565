//! `gptoss model verify`: whether the files are those of a release.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use gptoss_runtime::ModelConfig;
use gptoss_runtime::synth::{self, Options, Plan, PlannedFile};
use gptoss_runtime::weights::Weights;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::color;
use crate::context::Context;
use crate::error::{DIFFERENT, Error, Result};
use crate::interrupt::Watch;
use crate::model::{grouped, hex, load};
use crate::progress::Progress;

/// Compare a checkpoint with the released files
///
/// The sizes, the headers and the small files of a release follow from its shape, byte by byte, and are compared with
/// what is there. A checkpoint of another shape, or in OpenAI's layout, is checked for consistency alone. The exit
/// code is 1 if something differs.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder of the checkpoint
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Read every byte, too: check each weight, and hash the files
    #[arg(long)]
    hash: bool,
}

/// The beginnings of SHA-256 of the weights of gpt-oss-20b, as third parties report them.
const HASHES_20B: [(&str, &str); 3] = [
    ("model-00000-of-00002.safetensors", "16d0f997dcfc4462"),
    ("model-00001-of-00002.safetensors", "4fbe328ab445455d"),
    ("model-00002-of-00002.safetensors", "a18106b209e9ab35"),
];

/// One line of the report.
struct Check {
    file: String,
    is_fine: bool,
    found: String,
    sha256: Option<String>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let watch = Watch::new(context)?;
    let release = release(&args.path);
    let mut checks = match &release {
        Some((_, plan)) => plan.files().iter().map(|file| compare(&args.path, file)).collect(),
        None => Vec::new(),
    };
    // What differs from the release need not be a model; the comparison says more than the error would.
    if checks.iter().all(|check| check.is_fine) {
        let checkpoint = load::open(&args.path, context)?;
        let layers = checkpoint.config().num_layers();
        let found = format!("{} tensors fit a configuration of {layers} layers", checkpoint.tensors().len());
        checks.push(Check { file: "tensors".into(), is_fine: true, found, sha256: None });
        if args.hash {
            Weights::load(&checkpoint)?;
            let found = "every weight is finite, every scale byte at most 252".to_owned();
            checks.push(Check { file: "weights".into(), is_fine: true, found, sha256: None });
            let total = checkpoint.files().iter().map(|file| file.size).sum();
            let mut progress = Progress::new(context.quiet);
            let mut done = 0;
            for file in checkpoint.files() {
                let digest = hash(&file.path, watch, |bytes| {
                    done += bytes;
                    progress.report(done, total);
                })?;
                note(&mut checks, &file.path, digest, release.as_ref().map(|(name, _)| *name));
            }
        }
    }
    let is_fine = checks.iter().all(|check| check.is_fine);
    write(&checks, release.map(|(name, _)| name), is_fine, context)?;
    Ok(ExitCode::from(if is_fine { 0 } else { DIFFERENT }))
}

/// The release whose shape a folder declares in Hugging Face's layout, and its files.
fn release(folder: &Path) -> Option<(&'static str, Plan)> {
    let text = fs::read_to_string(folder.join("config.json")).ok()?;
    let is_hugging_face = text.contains("\"model_type\"");
    let config = ModelConfig::from_json(&text).ok().filter(|_| is_hugging_face)?;
    let releases = [("gpt-oss-20b", synth::gpt_oss_20b()), ("gpt-oss-120b", synth::gpt_oss_120b())];
    releases.into_iter().find_map(|(name, released)| {
        // The tokens that end a generation stand in another file.
        let same =
            ModelConfig { eos_token_ids: released.eos_token_ids.clone(), ..config.clone() } == released;
        Some((name, same.then(|| Plan::new(&released, &Options::default()).ok()).flatten()?))
    })
}

/// Compares size and head, which is all there is of a small file.
fn compare(folder: &Path, released: &PlannedFile) -> Check {
    let check =
        |is_fine, found: String| Check { file: released.name().to_owned(), is_fine, found, sha256: None };
    let head = File::open(folder.join(released.name())).and_then(|file| {
        let size = file.metadata()?.len();
        let mut head = Vec::new();
        file.take(released.head().len() as u64).read_to_end(&mut head)?;
        Ok((size, head))
    });
    let (size, head) = match head {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return check(false, "is missing".into()),
        Err(error) => return check(false, format!("cannot be read: {error}")),
    };
    if head.starts_with(b"version https://git-lfs") {
        return check(false, "is a pointer of Git LFS, not the file".into());
    }
    if size != released.len() {
        let [size, released] = [size, released.len()].map(grouped);
        return check(false, format!("has {size} bytes, the release has {released}"));
    }
    let name = if released.len() == released.head().len() as u64 { "content" } else { "header" };
    match head.iter().zip(released.head()).position(|(found, released)| found != released) {
        Some(at) => check(false, format!("{name} differs from the release at byte {at}")),
        None => check(true, format!("{} bytes, {name} as in the release", grouped(size))),
    }
}

fn hash(path: &Path, watch: Watch, mut progress: impl FnMut(u64)) -> Result<String> {
    let cannot_read = |error| Error::from_read(path, &error);
    let mut file = File::open(path).map_err(cannot_read)?;
    let mut sha = Sha256::new();
    let mut buffer = vec![0; 4 << 20];
    loop {
        watch.check()?;
        match file.read(&mut buffer).map_err(cannot_read)? {
            0 => return Ok(hex(&sha.finalize())),
            count => {
                sha.update(&buffer[..count]);
                progress(count as u64);
            }
        }
    }
}

/// Adds a hash to the line of its file, and compares it with what is known.
fn note(checks: &mut Vec<Check>, path: &Path, digest: String, release: Option<&str>) {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let at = checks.iter().position(|check| check.file == name).unwrap_or_else(|| {
        let found = "no release is known to have this file".to_owned();
        checks.push(Check { file: name.clone(), is_fine: true, found, sha256: None });
        checks.len() - 1
    });
    let check = &mut checks[at];
    let known = HASHES_20B.iter().find(|(file, _)| release == Some("gpt-oss-20b") && *file == name);
    if let Some((_, known)) = known {
        check.is_fine = digest.starts_with(known);
        check.found += &match check.is_fine {
            true => ", the hash begins as third parties report".to_owned(),
            false => format!(", but third parties report a hash that begins with {known}"),
        };
    }
    check.sha256 = Some(digest);
}

fn write(checks: &[Check], release: Option<&str>, is_fine: bool, context: &Context) -> Result<()> {
    let mut out = context.stdout();
    if context.json {
        let list: Vec<_> = checks
            .iter()
            .map(|check| {
                json!({"file": check.file, "fine": check.is_fine, "found": check.found, "sha256": check.sha256})
            })
            .collect();
        out.json(&json!({
            "schema": "gptoss.model-verify/1",
            "release": release,
            "fine": is_fine,
            "checks": list,
        }))?;
    } else {
        match release {
            Some(release) => writeln!(out, "the shape is that of {release}")?,
            None => writeln!(out, "no release has this shape in this layout: checked for consistency alone")?,
        }
        for check in checks {
            let mark = match check.is_fine {
                true => out.paint.paint(color::GOOD, "ok "),
                false => out.paint.paint(color::ERROR, "bad"),
            };
            writeln!(out, "{mark} {}: {}", check.file, check.found)?;
            if let Some(digest) = &check.sha256 {
                writeln!(out, "    sha256 {digest}")?;
            }
        }
    }
    out.finish()
}
