//! A cache to a file.

use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{BLOCK, Element, Layout, first_position, hex};
use crate::error::{Error, ErrorKind, Result};
use crate::model::kv_cache::Cache;
use crate::numerics::Arithmetic;

pub(super) fn save<A: Arithmetic<Stored: Element>>(
    cache: &Cache<A>,
    path: &Path,
    model: &[u8; 32],
) -> Result<()> {
    let io_error = |error| Error::new(ErrorKind::Io, "cannot be saved").in_file(path).caused_by(error);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".kv-cache-").tempfile_in(folder).map_err(io_error)?;
    write(cache, model, file.as_file_mut()).map_err(io_error)?;
    file.as_file().sync_all().map_err(io_error)?;
    file.persist(path).map_err(|error| io_error(error.error))?;
    Ok(())
}

/// Writes the whole file.
pub(in super::super) fn write<A: Arithmetic<Stored: Element>>(
    cache: &Cache<A>,
    model: &[u8; 32],
    out: impl Write + Seek,
) -> io::Result<()> {
    let length = cache.len();
    let layout = Layout::new::<A>(&cache.shape, length, cache.held, model);
    let mut out = Output { out, sha: Sha256::new(), block: Vec::new() };
    out.bytes(&layout.header)?;
    for (layer, layer_type) in cache.layers.iter().zip(&cache.shape.layer_types) {
        let first = first_position(*layer_type, cache.held);
        for head in layer {
            head.runs(first..length).try_for_each(|run| out.elements(run.keys))?;
        }
        for head in layer {
            head.runs(first..length).try_for_each(|run| out.elements(run.values))?;
        }
    }
    out.elements(cache.tokens())?;
    let digest = hex(&out.sha.finalize());
    out.out.seek(SeekFrom::Start(layout.digest_at as u64))?;
    out.out.write_all(digest.as_bytes())?;
    out.out.flush()
}

/// A writer and the digest of what it took.
struct Output<W> {
    out: W,
    sha: Sha256,
    block: Vec<u8>,
}

impl<W: Write> Output<W> {
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sha.update(bytes);
        self.out.write_all(bytes)
    }

    fn elements<T: Element>(&mut self, elements: &[T]) -> io::Result<()> {
        for part in elements.chunks(BLOCK / size_of::<T>()) {
            let mut block = std::mem::take(&mut self.block);
            block.clear();
            part.iter().for_each(|element| element.append_to(&mut block));
            self.bytes(&block)?;
            self.block = block;
        }
        Ok(())
    }
}
