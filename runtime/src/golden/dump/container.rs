//! What kind of file a dump is, and the arrays in it.

mod npy;
mod npz;
mod raw;
mod safetensors;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use super::array::Array;
use crate::checkpoint::file;
use crate::error::{Error, ErrorKind, Result};
use crate::weights::Bytes;

/// The arrays of a dump, and what its files say about the run in words.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// In the order of the files; names are unique.
    pub(crate) arrays: Vec<Array>,
    /// Name and text, as `__metadata__` of safetensors has them.
    pub(crate) metadata: BTreeMap<String, String>,
    /// What was read otherwise than it stands there.
    pub(crate) notes: Vec<String>,
    /// Arrays that no value can be read from, and why.
    pub(crate) unreadable: Vec<(String, String)>,
}

/// The most arrays of a dump.
const MAX_ARRAYS: usize = 1 << 20;

/// Opens a file, or a folder of files.
pub(crate) fn open(path: &Path) -> Result<Contents> {
    let files = if path.is_dir() { list(path)? } else { vec![path.to_owned()] };
    let mut contents = Contents::default();
    for file in &files {
        open_file(file, &mut contents).map_err(|error| error.in_file(file).into_dump())?;
    }
    let mut seen = HashSet::new();
    for array in &contents.arrays {
        if !seen.insert(array.name.as_str()) {
            return Err(broken("the name stands twice").in_tensor(printable(&array.name)).in_file(path));
        }
        array.check().map_err(|error| error.in_file(path))?;
    }
    if contents.arrays.len() > MAX_ARRAYS {
        return Err(broken(format!("a dump has at most {MAX_ARRAYS} arrays")).in_file(path));
    }
    Ok(contents)
}

/// The files of a folder that are dumps by their ending, by name.
fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let cannot = |error| broken("cannot be read").in_file(folder).caused_by(error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if ["safetensors", "npy", "npz"].contains(&ending) || path.ends_with("manifest.json") {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        let rule = "the folder holds no .safetensors, .npy or .npz and no manifest.json";
        return Err(broken(rule).in_file(folder));
    }
    Ok(files)
}

/// Reads one file by what stands at its start, whatever its name.
fn open_file(path: &Path, contents: &mut Contents) -> Result<()> {
    let (bytes, _) = file::weights(path)?;
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    match &bytes[..] {
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => npy::read(stem, &bytes, contents),
        [b'P', b'K', 3 | 5, 4 | 6, ..] => npz::read(&bytes, contents),
        [0x80, 2..=5, ..] => Err(pickle()),
        [b'G', b'G', b'U', b'F', ..] => {
            Err(broken("this is a GGUF file: a model, not a dump of what it computed"))
        }
        text if text.trim_ascii_start().starts_with(b"{") => raw::read(path, text, contents),
        _ => safetensors::read(&bytes, contents),
    }
}

/// A file of Python objects, which would run code when it is read.
fn pickle() -> Error {
    broken(
        "this is a file of torch.save: a pickle, which may run code when it is read, so it is not read. \
         Convert it: python3 -c \"import sys, torch; from safetensors.torch import save_file; \
         save_file({k: v.contiguous() for k, v in torch.load(sys.argv[1], map_location='cpu', \
         weights_only=True).items()}, sys.argv[2])\" dump.pt dump.safetensors",
    )
}

/// What makes a dump unreadable.
pub(super) fn broken(rule: impl Into<String>) -> Error {
    Error::new(ErrorKind::Dump, rule)
}

/// A name of a file as messages show it: short, on one line.
pub(crate) fn printable(name: &str) -> String {
    let mut text: String = name.chars().take(120).flat_map(char::escape_debug).collect();
    if name.chars().nth(120).is_some() {
        text.push('…');
    }
    text
}

/// The bytes `range`, if they are there.
fn slice(bytes: &Bytes, start: u64, len: u64) -> Option<Bytes> {
    let start = usize::try_from(start).ok()?;
    let end = start.checked_add(usize::try_from(len).ok()?)?;
    (end <= bytes.len()).then(|| bytes.slice(start..end))
}
