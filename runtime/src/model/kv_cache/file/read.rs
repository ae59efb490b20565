//! A file to a cache; everything is checked.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{BLOCK, Element, FORMAT, FORMAT_VERSION, Layout, first_position, hex, layer_types};
use crate::config::{LayerType, ModelConfig};
use crate::error::{Error, ErrorKind, Result};
use crate::model::kv_cache::cache::{Cache, Shape};
use crate::model::kv_cache::head::Head;
use crate::numerics::{Arithmetic, CONTRACT_VERSION, Real};

pub(super) fn load<A: Arithmetic<Stored: Element>>(
    cache: &mut Cache<A>,
    path: &Path,
    config: &ModelConfig,
    model: &[u8; 32],
) -> Result<()> {
    let io_error = |error| Error::new(ErrorKind::Io, "cannot be read").caused_by(error);
    // A pipe would be waited for.
    if !fs::metadata(path).map_err(io_error)?.is_file() {
        return Err(Error::new(ErrorKind::Io, "is no file"));
    }
    let file = File::open(path).map_err(io_error)?;
    let size = file.metadata().map_err(io_error)?.len();
    read(cache, file, size, config, model)
}

/// Reads the whole file of `size` bytes into an empty cache.
pub(in super::super) fn read<A: Arithmetic<Stored: Element>>(
    cache: &mut Cache<A>,
    input: impl Read,
    size: u64,
    config: &ModelConfig,
    model: &[u8; 32],
) -> Result<()> {
    let mut input = Input { input, sha: Sha256::new(), block: Vec::new() };
    let mut header = input.header(size, 4096 + 512 * config.num_layers() as u64)?;
    let metadata = Metadata::parse(&header[8..])?;
    let (length, held) = metadata.check::<A>(&cache.shape, model)?;
    if length > cache.capacity() {
        let rule = format!("holds {length} positions, and there is room for {}", cache.capacity());
        return Err(Error::new(ErrorKind::Context, rule));
    }
    let layout = Layout::new::<A>(&cache.shape, length, held, model);
    if let Some(digest) = header.get_mut(layout.digest_at..layout.digest_at + 64) {
        digest.fill(b'0');
    }
    if header != layout.header {
        return Err(damaged("has a header other than its metadata calls for"));
    }
    if size != layout.size {
        return Err(damaged(format!("has {size} bytes; its header calls for {}", layout.size)));
    }
    input.sha.update(&header);

    let valid = |&value: &A::Stored| {
        let real = A::restore(value);
        real.is_finite() && A::store(A::b(real)) == value
    };
    for (index, layer_type) in cache.shape.layer_types.clone().into_iter().enumerate() {
        let first = first_position(layer_type, held);
        // A smaller chunk keeps fewer positions.
        let kept = first.max(length.saturating_sub(if layer_type == LayerType::Sliding {
            cache.slots()
        } else {
            length
        }));
        for head in &mut cache.layers[index] {
            head.grow(length)?;
        }
        for buffer in [Head::keys_mut, Head::values_mut] {
            for head in &mut cache.layers[index] {
                let places = head.places(kept..length);
                input.skip((kept - first) * config.head_dim, valid)?;
                for place in places {
                    input.elements(&mut buffer(head)[place], valid)?;
                }
            }
        }
    }
    let mut tokens = vec![0; length];
    input.elements(&mut tokens, |&token: &u32| (token as usize) < config.vocab_size)?;
    if hex(&input.sha.finalize()) != metadata.digest()? {
        return Err(damaged("is damaged: its SHA-256 is not the one in its metadata"));
    }
    cache.restore(tokens, held);
    Ok(())
}

/// The metadata of a header.
struct Metadata(BTreeMap<String, String>);

impl Metadata {
    fn parse(header: &[u8]) -> Result<Self> {
        #[derive(serde::Deserialize)]
        struct Header {
            #[serde(rename = "__metadata__")]
            metadata: BTreeMap<String, String>,
        }
        let header: Header = serde_json::from_slice(header)
            .map_err(|error| damaged("is no saved cache: its header has no metadata").caused_by(error))?;
        Ok(Self(header.metadata))
    }

    fn get(&self, key: &str) -> Result<&str> {
        let value = self.0.get(key).map(String::as_str);
        value.ok_or_else(|| damaged(format!("is no saved cache: its metadata lacks {key:?}")))
    }

    fn digest(&self) -> Result<&str> {
        self.get("sha256")
    }

    /// Checks that the file is for this model and profile; returns its length and where sliding layers start.
    fn check<A: Arithmetic>(&self, shape: &Shape, model: &[u8; 32]) -> Result<(usize, usize)> {
        for (key, expected, what) in [
            ("format", FORMAT.into(), "a file of the format"),
            ("format_version", FORMAT_VERSION.to_string(), "of the format version"),
            ("contract_version", CONTRACT_VERSION.to_string(), "of the numerics contract version"),
            ("profile", A::PROFILE.name().into(), "of the profile"),
            ("model", hex(model), "of the model with the digest"),
            ("layer_types", layer_types(shape), "of a model with the layers"),
            ("key_heads", shape.key_heads.to_string(), "of a model whose key heads number"),
            ("head_dim", shape.head_dim.to_string(), "of a model whose heads have a size of"),
            ("sliding_window", shape.window.to_string(), "of a model with a window of"),
        ] {
            let found = self.get(key)?;
            if found != expected {
                return Err(damaged(format!("is {what} {found:?}, where {expected:?} is needed")));
            }
        }
        let number = |key| {
            let value = self.get(key)?;
            value.parse::<usize>().map_err(|_| damaged(format!("{key} is no number: {value:?}")))
        };
        let (length, held) = (number("length")?, number("sliding_first")?);
        // The next position sees `window - 1` positions before it.
        let sliding = shape.layer_types.contains(&LayerType::Sliding);
        let most = if sliding { length.saturating_add(1).saturating_sub(shape.window) } else { 0 };
        if held > most {
            return Err(damaged("sliding layers lack positions that the next one sees"));
        }
        Ok((length, held))
    }
}

/// A reader and the digest of what it gave.
struct Input<R> {
    input: R,
    sha: Sha256,
    block: Vec<u8>,
}

impl<R: Read> Input<R> {
    /// The start of the file up to the first tensor. It does not enter the digest yet.
    fn header(&mut self, size: u64, most: u64) -> Result<Vec<u8>> {
        let mut start = [0; 8];
        if size < 8 {
            return Err(damaged(format!("is no saved cache: it has {size} bytes")));
        }
        self.exact(&mut start)?;
        let length = u64::from_le_bytes(start);
        if length > most.min(size - 8) {
            return Err(damaged(format!("is no saved cache of this model: a header of {length} bytes")));
        }
        let mut header = vec![0; 8 + length as usize];
        header[..8].copy_from_slice(&start);
        self.exact(&mut header[8..])?;
        Ok(header)
    }

    fn exact(&mut self, bytes: &mut [u8]) -> Result<()> {
        self.input.read_exact(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => damaged("ended early while it was read"),
            _ => Error::new(ErrorKind::Io, "cannot be read").caused_by(error),
        })
    }

    fn elements<T: Element>(&mut self, elements: &mut [T], valid: impl Fn(&T) -> bool) -> Result<()> {
        for part in elements.chunks_mut(BLOCK / size_of::<T>()) {
            let mut block = std::mem::take(&mut self.block);
            block.resize(size_of_val(part), 0);
            self.exact(&mut block)?;
            self.sha.update(&block);
            for (element, bytes) in part.iter_mut().zip(block.chunks_exact(size_of::<T>())) {
                *element = T::read(bytes);
            }
            self.block = block;
            if !part.iter().all(&valid) {
                return Err(damaged("holds a number that no cache of this model and profile holds"));
            }
        }
        Ok(())
    }

    fn skip<T: Element + Default>(&mut self, count: usize, valid: impl Fn(&T) -> bool) -> Result<()> {
        self.elements(&mut vec![T::default(); count], valid)
    }
}

fn damaged(rule: impl Into<String>) -> Error {
    Error::new(ErrorKind::Cache, rule)
}
