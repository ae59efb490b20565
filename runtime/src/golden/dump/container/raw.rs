//! Bare elements in files, and a JSON manifest that says what they are.

use std::collections::HashMap;
use std::path::{Component, Path};

use serde::Deserialize;
use serde_json::Value;

use super::{Array, Contents, broken, printable, slice};
use crate::checkpoint::file;
use crate::error::Result;
use crate::golden::dump::array::{Element, Stored};
use crate::weights::Bytes;

/// The name of the format, in the manifest's field `format`.
const FORMAT: &str = "gptoss.raw/1";

/// The longest manifest that is read.
const MAX_MANIFEST: usize = 64 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: String,
    /// What safetensors has in `__metadata__`; lists may be lists here.
    #[serde(default)]
    metadata: serde_json::Map<String, Value>,
    arrays: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    /// Beside the manifest.
    file: String,
    /// Bytes before the first element.
    #[serde(default)]
    offset: u64,
    dtype: String,
    shape: Vec<u64>,
    /// In elements; rows of the last axis one after the other where none are given.
    strides: Option<Vec<u64>>,
    #[serde(default)]
    endian: Endian,
    positions: Option<Vec<u32>>,
}

#[derive(Clone, Copy, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Endian {
    #[default]
    Little,
    Big,
}

pub(super) fn read(path: &Path, text: &[u8], contents: &mut Contents) -> Result<()> {
    if text.len() > MAX_MANIFEST {
        return Err(broken(format!("a manifest has at most {MAX_MANIFEST} bytes")));
    }
    let manifest: Manifest = serde_json::from_slice(text)
        .map_err(|error| broken("is not a manifest of bare arrays").caused_by(error))?;
    if manifest.format != FORMAT {
        return Err(broken(format!(
            "the field format is {FORMAT:?}, found {:?}",
            printable(&manifest.format)
        )));
    }
    for (name, value) in manifest.metadata {
        let text = match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        contents.metadata.insert(name, text);
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut files: HashMap<String, Bytes> = HashMap::new();
    for entry in manifest.arrays {
        let name = printable(&entry.name);
        let bytes = match files.get(&entry.file) {
            Some(bytes) => bytes.clone(),
            None => {
                check_beside(&entry.file).map_err(|error| error.in_tensor(&name))?;
                let (bytes, _) = file::weights(&folder.join(&entry.file))?;
                files.insert(entry.file.clone(), bytes.clone());
                bytes
            }
        };
        let array = array(entry, &bytes).map_err(|error| error.in_tensor(&name))?;
        contents.arrays.push(array);
    }
    Ok(())
}

/// A manifest names files in its folder or below, and no others.
fn check_beside(file: &str) -> Result<()> {
    let is_beside = !file.is_empty()
        && !file.contains('\\')
        && Path::new(file).components().all(|part| matches!(part, Component::Normal(_)));
    if is_beside {
        return Ok(());
    }
    Err(broken(format!("a manifest names files in its own folder, found {:?}", printable(file))))
}

fn array(entry: Entry, bytes: &Bytes) -> Result<Array> {
    let element = Element::by_name(&entry.dtype)
        .ok_or_else(|| broken(format!("the type {:?} is not known", printable(&entry.dtype))))?;
    let mut axes = Array::contiguous(&entry.shape, false)
        .ok_or_else(|| broken(format!("the shape {:?} is too large", entry.shape)))?;
    if let Some(strides) = entry.strides {
        if strides.len() != axes.len() {
            return Err(broken(format!("{} strides for {} axes", strides.len(), axes.len())));
        }
        axes.iter_mut().zip(strides).for_each(|(axis, stride)| axis.1 = stride);
    }
    let rest = (bytes.len() as u64).checked_sub(entry.offset);
    let data = rest.and_then(|rest| slice(bytes, entry.offset, rest));
    let data = data.ok_or_else(|| {
        broken(format!("starts at byte {}, and the file has {}", entry.offset, bytes.len()))
    })?;
    Ok(Array {
        name: entry.name,
        element,
        is_big_endian: entry.endian == Endian::Big,
        axes,
        stored: Stored::Plain(data),
        positions: entry.positions,
    })
}
