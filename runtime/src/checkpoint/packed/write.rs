//! From a checkpoint to a file of its packed matrices, which appears whole or not at all.

use std::io::{BufWriter, Seek as _, SeekFrom, Write as _};
use std::ops::ControlFlow;
use std::path::Path;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::{FORMAT, TABLE, candidates, files, panel_rows};
use crate::checkpoint::{Checkpoint, Part, digest::hex};
use crate::error::{Error, ErrorKind, Result};
use crate::numerics::CONTRACT_VERSION;
use crate::weights::load::check_finite;
use crate::weights::packed_bf16::{PackedBf16, gains};

/// What [`write()`] made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Matrices that are in the file.
    pub packed: usize,
    /// Matrices that stay as they are, as packing would not make them smaller.
    pub plain: usize,
    /// Bytes of the packed matrices as the checkpoint has them.
    pub original: u64,
    /// Bytes of the file.
    pub size: u64,
}

/// A matrix whose data are written, with what follows the data of all.
struct Entry<'a> {
    part: &'a Part,
    /// Bytes of the data.
    data: u64,
    /// Tables, starts and escaped groups.
    rest: [Vec<u8>; 3],
    packed_hash: String,
    original_hash: String,
}

/// Packs the matrices of a checkpoint of which each token reads everything, and writes them to `path`.
///
/// The file is written under a temporary name in the same folder and renamed when it is on the disk; it replaces one that
/// is there. `progress` is told how many bytes of the originals of how many are done, and ends the work by breaking. Runs
/// in parallel on the current rayon pool, with some 64 MiB of memory.
///
/// # Errors
///
/// [`ErrorKind::Weight`] with an element that is a NaN or infinite, [`ErrorKind::Io`] if the file cannot be written or
/// the checkpoint was written to meanwhile, [`ErrorKind::Interrupted`] if `progress` broke.
pub fn write(
    checkpoint: &Checkpoint,
    path: &Path,
    progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>,
) -> Result<Summary> {
    let parts: Vec<&Part> = candidates(checkpoint).collect();
    let total: u64 = parts.iter().map(|part| part.range.len() as u64).sum();
    let failed = |error| Error::new(ErrorKind::Io, "cannot be written").in_file(path).caused_by(error);
    let mut builder = tempfile::Builder::new();
    builder.prefix(".gptoss-packed-");
    // As for any new file, the user's mask decides.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let file = builder.tempfile_in(folder.unwrap_or(Path::new("."))).map_err(failed)?;
    let mut to = BufWriter::with_capacity(1 << 20, file);

    // The header comes last, into room for its longest form.
    let longest: Vec<Entry<'_>> = parts.iter().map(|part| Entry::longest(part)).collect();
    let room = (8 + header(checkpoint, &longest).len()).next_multiple_of(64);
    to.write_all(&vec![0; room]).map_err(failed)?;
    let (mut entries, mut done) = (Vec::new(), 0);
    for part in parts {
        check_finite(checkpoint, part)?;
        let start = to.stream_position().map_err(failed)?;
        let entry = write_matrix(checkpoint, part, &mut to, failed, &mut |bytes| {
            done += bytes;
            progress(done, total)
        })?;
        if entry.gains() {
            entries.push(entry);
        } else {
            to.seek(SeekFrom::Start(start)).map_err(failed)?;
        }
    }
    for piece in entries.iter().flat_map(|entry| &entry.rest) {
        to.write_all(piece).map_err(failed)?;
    }
    let end = to.stream_position().map_err(failed)?;
    let mut header = header(checkpoint, &entries);
    header.resize(room - 8, b' ');
    to.seek(SeekFrom::Start(0)).map_err(failed)?;
    to.write_all(&(header.len() as u64).to_le_bytes()).map_err(failed)?;
    to.write_all(&header).map_err(failed)?;
    let file: NamedTempFile = to.into_inner().map_err(|error| failed(error.into_error()))?;
    // A matrix that gained nothing may have been the last.
    file.as_file().set_len(end).map_err(failed)?;
    checkpoint.check_unchanged()?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(Summary {
        packed: entries.len(),
        plain: longest.len() - entries.len(),
        original: entries.iter().map(|entry| entry.part.range.len() as u64).sum(),
        size: end,
    })
}

impl<'a> Entry<'a> {
    fn longest(part: &'a Part) -> Self {
        let hash = "0".repeat(64);
        // Offsets are sums of lengths, and far from overflowing.
        let data = 2 * part.range.len() as u64 + (1 << 20);
        Self {
            part,
            data,
            rest: [Vec::new(), Vec::new(), Vec::new()],
            packed_hash: hash.clone(),
            original_hash: hash,
        }
    }

    /// Type, shape and bytes of the four tensors.
    fn tensors(&self) -> [(&'static str, &'static str, Value, u64); 4] {
        let rows = self.part.shape[0] as u64;
        let [tables, starts, escaped] = self.rest.each_ref().map(|piece| piece.len() as u64);
        [
            ("data", "U8", json!([self.data]), self.data),
            ("tables", "U8", json!([rows, TABLE]), tables),
            ("starts", "U32", json!([rows + 1]), starts),
            ("escaped", "U16", json!([escaped / 2]), escaped),
        ]
    }

    /// As [`PackedBf16::gains`].
    fn gains(&self) -> bool {
        let size: u64 = self.tensors().iter().map(|(.., bytes)| bytes).sum();
        gains(size as usize, self.rest[2].len() / 2, self.part.range.len())
    }
}

/// Packs a matrix panel by panel.
fn write_matrix<'a>(
    checkpoint: &Checkpoint,
    part: &'a Part,
    to: &mut BufWriter<NamedTempFile>,
    failed: impl Fn(std::io::Error) -> Error,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<Entry<'a>> {
    let (bytes, cols) = (checkpoint.bytes(part), part.shape[1]);
    let (mut packed_hash, mut original_hash) = (Sha256::new(), Sha256::new());
    let (mut data, mut tables, mut starts, mut escaped) = (0, Vec::new(), vec![0], Vec::new());
    for panel in bytes.chunks((2 * cols * panel_rows(cols)).max(1)) {
        let rows = panel.len() / (2 * cols);
        let (packed, ()) =
            rayon::join(|| PackedBf16::pack(rows, cols, panel), || original_hash.update(panel));
        let pieces = packed.pieces();
        to.write_all(pieces.data).map_err(&failed)?;
        packed_hash.update(pieces.data);
        data += pieces.data.len() as u64;
        tables.extend_from_slice(pieces.tables);
        let before = escaped.len() as u32;
        starts.extend(pieces.starts[1..].iter().map(|start| before + start));
        escaped.extend_from_slice(pieces.escaped);
        if progress(panel.len() as u64).is_break() {
            return Err(Error::new(ErrorKind::Interrupted, "packing was interrupted"));
        }
    }
    let starts: Vec<u8> = starts.iter().flat_map(|start| start.to_le_bytes()).collect();
    let escaped: Vec<u8> = escaped.iter().flat_map(|group| group.to_le_bytes()).collect();
    let rest = [tables, starts, escaped];
    rest.iter().for_each(|piece| packed_hash.update(piece));
    Ok(Entry {
        part,
        data,
        rest,
        packed_hash: hex(&packed_hash.finalize()),
        original_hash: hex(&original_hash.finalize()),
    })
}

/// The JSON of the header: the data of all matrices first, so that they keep the places in cache lines that rows have.
fn header(checkpoint: &Checkpoint, entries: &[Entry<'_>]) -> Vec<u8> {
    let mut metadata = Map::new();
    metadata.insert("format".to_owned(), FORMAT.into());
    metadata.insert("contract".to_owned(), CONTRACT_VERSION.to_string().into());
    metadata.insert("files".to_owned(), files(checkpoint).into());
    for entry in entries {
        let name = &entry.part.name;
        metadata.insert(format!("packed.{name}"), entry.packed_hash.as_str().into());
        metadata.insert(format!("original.{name}"), entry.original_hash.as_str().into());
    }
    let mut header = Map::new();
    header.insert("__metadata__".to_owned(), metadata.into());
    let tensors: Vec<_> = entries.iter().map(|entry| (&entry.part.name, entry.tensors())).collect();
    let data = tensors.iter().map(|(name, tensors)| (name, &tensors[0]));
    let rest =
        tensors.iter().flat_map(|(name, tensors)| tensors[1..].iter().map(move |tensor| (name, tensor)));
    let mut offset = 0;
    for (name, (what, dtype, shape, bytes)) in data.chain(rest) {
        let end = offset + bytes;
        let tensor = json!({"dtype": dtype, "shape": shape, "data_offsets": [offset, end]});
        header.insert(format!("{name}.{what}"), tensor);
        offset = end;
    }
    serde_json::to_vec(&header).expect("strings and numbers are JSON")
}
