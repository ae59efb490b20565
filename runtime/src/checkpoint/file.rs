//! A file's bytes: mapped with the feature `mmap`, read without it.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use crate::error::{Error, ErrorKind, Result};
use crate::weights::Bytes;

/// The longest JSON file beside the weights that is read.
const MAX_JSON: u64 = 8 << 20;

/// All bytes of a file of weights, and when it was last modified if the system knows.
pub(crate) fn weights(path: &Path) -> Result<(Bytes, Option<SystemTime>)> {
    let file = open(path)?;
    let modified = file.metadata().and_then(|metadata| metadata.modified()).ok();
    let bytes = map(&file).map_err(|error| io("cannot be mapped", path, error))?;
    let len = (*bytes).as_ref().len();
    Ok((Bytes::new(bytes, 0..len), modified))
}

/// The length of a file now, and when it was last modified if the system knows.
pub(super) fn state(path: &Path) -> Result<(u64, Option<SystemTime>)> {
    let metadata = std::fs::metadata(path).map_err(|error| io("cannot be read", path, error))?;
    Ok((metadata.len(), metadata.modified().ok()))
}

/// A small JSON file as text; an error of kind `kind` if it is none.
pub(super) fn json(path: &Path, kind: ErrorKind) -> Result<String> {
    let broken = |rule: String| Error::new(kind, rule).in_file(path);
    let mut bytes = Vec::new();
    let read = open(path)?.take(MAX_JSON + 1).read_to_end(&mut bytes);
    read.map_err(|error| io("cannot be read", path, error))?;
    if bytes.len() as u64 > MAX_JSON {
        return Err(broken(format!("a JSON file beside the weights has at most {MAX_JSON} bytes")));
    }
    String::from_utf8(bytes).map_err(|error| broken("is not UTF-8".to_owned()).caused_by(error.utf8_error()))
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
fn map(file: &File) -> std::io::Result<Owner> {
    Ok(Arc::new(super::map::map(file)?))
}

#[cfg(not(feature = "mmap"))]
fn map(mut file: &File) -> std::io::Result<Owner> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(Arc::new(bytes))
}
