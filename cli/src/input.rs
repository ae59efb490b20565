//! Reading FILE arguments: files and standard input, whole or line by line.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use crate::error::{Error, Result};
use crate::excerpt::Excerpt;

/// The longest document or line that is read.
pub(crate) const LIMIT: usize = 256 << 20;

/// A text that was read, with the name that errors give it.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// The name that errors give to a file.
pub(crate) fn name(path: &Path) -> String {
    if is_stdin(path) { "standard input".into() } else { path.display().to_string() }
}

/// Whether FILE is `-`.
pub(crate) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// An open file or standard input.
pub(crate) type Reader = BufReader<Box<dyn Read + Send>>;

/// Wraps what is read in a buffer.
pub(crate) fn buffered(from: impl Read + Send + 'static) -> Reader {
    BufReader::with_capacity(1 << 18, Box::new(from))
}

/// Opens a file or standard input.
pub(crate) fn open(path: &Path) -> Result<Reader> {
    if is_stdin(path) {
        return Ok(buffered(io::stdin()));
    }
    let file = File::open(path).map_err(|error| cannot_read(path, &error))?;
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(Error::io(format!("a file is needed, {} is a directory", path.display())));
    }
    Ok(buffered(file))
}

/// Reads a whole file.
pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    read_rest(path, &mut open(path)?, Vec::new())
}

/// Reads what is left of an open file behind `bytes`, up to the limit.
pub(crate) fn read_rest(path: &Path, from: &mut Reader, mut bytes: Vec<u8>) -> Result<Vec<u8>> {
    let room = (LIMIT + 1).saturating_sub(bytes.len());
    from.take(room as u64).read_to_end(&mut bytes).map_err(|error| cannot_read(path, &error))?;
    if bytes.len() > LIMIT {
        return Err(Error::limit(format!("a document may have at most {} MiB", LIMIT >> 20))
            .in_file(name(path))
            .help("split it, or write one conversation a line and pass --jsonl"));
    }
    Ok(bytes)
}

/// Reads a whole file as text.
pub(crate) fn read_text(path: &Path) -> Result<Document> {
    text(path, read_bytes(path)?)
}

/// Takes bytes as the text of a file.
pub(crate) fn text(path: &Path, bytes: Vec<u8>) -> Result<Document> {
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Document { name: name(path), text }),
        Err(error) => Err(not_utf8(error.as_bytes(), error.utf8_error().valid_up_to()).in_file(name(path))),
    }
}

/// The error for bytes that are not UTF-8 from `at` on.
pub(crate) fn not_utf8(bytes: &[u8], at: usize) -> Error {
    let start = bytes[..at].iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
    let line = bytes[..at].iter().filter(|&&byte| byte == b'\n').count() + 1;
    // What follows the bad byte may not be UTF-8 either; the excerpt ends soon behind it.
    let end = bytes.len().min(at + 40);
    let end = bytes[at..end].iter().position(|&byte| byte == b'\n').map_or(end, |newline| at + newline);
    let shown = format!(
        "{}{}",
        std::str::from_utf8(&bytes[start..at]).unwrap_or_default(),
        String::from_utf8_lossy(&bytes[at..end])
    );
    let byte = bytes.get(at).copied().unwrap_or_default();
    Error::input("H008", format!("text must be UTF-8, byte {byte:#04x} at offset {at} is not"))
        .at_line(line, at - start + 1)
        .excerpt(Excerpt::new(shown, at - start..at - start))
        .help("convert the file to UTF-8 first, for example with iconv")
}

pub(crate) fn cannot_read(path: &Path, error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Error::io(format!("no such file: {}", name(path))),
        io::ErrorKind::IsADirectory => Error::io(format!("a file is needed, {} is a directory", name(path))),
        _ => Error::io(format!("cannot read {}: {error}", name(path))),
    }
}
