//! A file's bytes: mapped with the feature `mmap`, read without it.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::weights::Bytes;

/// The longest JSON file beside the weights that is read.
const MAX_JSON: u64 = 8 << 20;

/// All bytes of a file of weights.
pub(super) fn weights(path: &Path) -> Result<Bytes> {
    let file = open(path)?;
    let bytes = map(&file).map_err(|error| io("cannot be mapped", path, error))?;
    let len = (*bytes).as_ref().len();
    Ok(Bytes::new(bytes, 0..len))
}

/// A small JSON file as text.
pub(super) fn json(path: &Path) -> Result<String> {
    let mut text = String::new();
    let read = open(path)?.take(MAX_JSON + 1).read_to_string(&mut text);
    read.map_err(|error| io("cannot be read", path, error))?;
    if text.len() as u64 > MAX_JSON {
        let rule = format!("a JSON file beside the weights has at most {MAX_JSON} bytes");
        return Err(Error::new(ErrorKind::Io, rule).in_file(path));
    }
    Ok(text)
}

fn open(path: &Path) -> Result<File> {
    let file = File::open(path).map_err(|error| io("cannot be opened", path, error))?;
    let metadata = file.metadata().map_err(|error| io("cannot be read", path, error))?;
    if !metadata.is_file() {
        return Err(Error::new(ErrorKind::Io, "is not a file").in_file(path));
    }
    Ok(file)
}

fn io(rule: &str, path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, rule).in_file(path).caused_by(error)
}

type Owner = Arc<dyn AsRef<[u8]> + Send + Sync>;

#[cfg(feature = "mmap")]
#[allow(unsafe_code, reason = "mapping a file is unsafe by nature; it is done here and nowhere else")]
fn map(file: &File) -> std::io::Result<Owner> {
    // SAFETY: the map is only read, as bytes. Like every user of a map this relies on nobody writing to the file while
    // the model is in use; a file that is cut off then ends the process by SIGBUS rather than giving wrong values.
    let map = unsafe { memmap2::Mmap::map(file) }?;
    Ok(Arc::new(map))
}

#[cfg(not(feature = "mmap"))]
fn map(mut file: &File) -> std::io::Result<Owner> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(Arc::new(bytes))
}
