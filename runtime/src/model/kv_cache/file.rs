//! Saved caches: a safetensors file that holds everything to go on from.
//!
//! Tensors, each `[key heads, positions, head_dim]` in the profile's dtype: `layers.0.keys`, `layers.0.values`, and so
//! on; full layers from position 0, sliding layers from `sliding_first` on. Last `tokens`, `U32`, one a position.
//! The metadata names the version of this format and of the numerics contract, profile, model digest, shape, length,
//! and `sha256`: the SHA-256 of the whole file in which these 64 digits are zeros.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::cache::{Cache, Shape};
use super::head::Head;
use super::{KvCache, each};
use crate::config::{LayerType, ModelConfig};
use crate::error::{Error, ErrorKind, Result};
use crate::numerics::{Arithmetic, CONTRACT_VERSION, Real};
use crate::profile::Profile;

/// The version of this format.
const FORMAT_VERSION: u32 = 1;

/// Bytes that are read or written at once.
const BLOCK: usize = 1 << 18;

impl KvCache {
    /// Saves this cache to `path`, from where [`load`](Self::load) reads it; `model_digest` identifies the weights.
    ///
    /// The file is a safetensors file. It is written beside `path` under another name, synced, and renamed: what
    /// stood at `path` stays until the new file is whole, and nothing stays behind on an error. Its owner alone can
    /// read it, for it holds the conversation.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] if the file cannot be written, as on a full disk.
    pub fn save(&self, path: impl AsRef<Path>, model_digest: &[u8; 32]) -> Result<()> {
        each!(self, cache => save(cache, path.as_ref(), model_digest))
    }

    /// Loads a cache that [`save`](Self::save) wrote, with room for `capacity` positions and passes of `chunk`.
    ///
    /// What is computed from it has the same bits as from the cache that was saved. It can be truncated to the same
    /// lengths if `chunk` is at least that of the cache that was saved; with a smaller one, sliding layers keep fewer
    /// positions.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] if the file cannot be read; [`ErrorKind::Cache`], with the file and the rule, if it is
    /// damaged, no saved cache, or of another profile, model, shape or version; [`ErrorKind::Context`] if it holds
    /// more than `capacity` positions, and as [`Cache::new`].
    pub fn load(
        path: impl AsRef<Path>,
        config: &ModelConfig,
        profile: Profile,
        model_digest: &[u8; 32],
        capacity: usize,
        chunk: usize,
    ) -> Result<Self> {
        let path = path.as_ref();
        let mut cache = Self::new(config, profile, capacity, chunk)?;
        each!(&mut cache, cache => load(cache, path, config, model_digest)).map_err(|e| e.in_file(path))?;
        Ok(cache)
    }
}

/// A number as safetensors files hold it.
pub(super) trait Element: Copy {
    const DTYPE: &str;
    fn append_to(self, out: &mut Vec<u8>);
    /// The number of `size_of::<Self>()` bytes.
    fn read(bytes: &[u8]) -> Self;
}

macro_rules! element {
    ($type:ty, $dtype:literal) => {
        impl Element for $type {
            const DTYPE: &str = $dtype;

            fn append_to(self, out: &mut Vec<u8>) {
                out.extend(self.to_le_bytes());
            }

            fn read(bytes: &[u8]) -> Self {
                Self::from_le_bytes(bytes.try_into().expect("as many bytes as the number has"))
            }
        }
    };
}
element!(u16, "BF16");
element!(f32, "F32");
element!(f64, "F64");
element!(u32, "U32");

fn save<A: Arithmetic<Stored: Element>>(cache: &Cache<A>, path: &Path, model: &[u8; 32]) -> Result<()> {
    let io_error = |error| Error::new(ErrorKind::Io, "cannot be saved").in_file(path).caused_by(error);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".kv-cache-").tempfile_in(folder).map_err(io_error)?;
    write(cache, model, file.as_file_mut()).map_err(io_error)?;
    file.as_file().sync_all().map_err(io_error)?;
    file.persist(path).map_err(|error| io_error(error.error))?;
    Ok(())
}

/// Writes the whole file.
pub(super) fn write<A: Arithmetic<Stored: Element>>(
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

/// Where everything lies in a file.
struct Layout {
    /// The start of the file up to the first tensor; the digest is zeros.
    header: Vec<u8>,
    /// Where in the header the digest lies.
    digest_at: usize,
    /// Bytes of the file.
    size: u64,
}

impl Layout {
    fn new<A: Arithmetic<Stored: Element>>(
        shape: &Shape,
        length: usize,
        held: usize,
        model: &[u8; 32],
    ) -> Self {
        const DIGEST_KEY: &str = "\"sha256\":\"";
        let metadata = json!({
            "format": "gptoss KV cache",
            "format_version": FORMAT_VERSION.to_string(),
            "contract_version": CONTRACT_VERSION.to_string(),
            "profile": A::PROFILE.name(),
            "model": hex(model),
            "layer_types": layer_types(shape),
            "key_heads": shape.key_heads.to_string(),
            "head_dim": shape.head_dim.to_string(),
            "sliding_window": shape.window.to_string(),
            "length": length.to_string(),
            "sliding_first": held.to_string(),
            "sha256": "0".repeat(64),
        });
        let mut header = Map::new();
        header.insert("__metadata__".into(), metadata);
        let mut end = 0_u64;
        let mut tensor = |name: String, dtype: &str, shape: &[usize], bytes: usize| {
            let start = end;
            end += shape.iter().map(|&n| n as u64).product::<u64>() * bytes as u64;
            header.insert(name, json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, end] }));
        };
        for (layer, &layer_type) in shape.layer_types.iter().enumerate() {
            let dims = [shape.key_heads, length - first_position(layer_type, held), shape.head_dim];
            for part in ["keys", "values"] {
                let name = format!("layers.{layer}.{part}");
                tensor(name, A::Stored::DTYPE, &dims, size_of::<A::Stored>());
            }
        }
        tensor("tokens".into(), u32::DTYPE, &[length], 4);
        let mut text = Value::Object(header).to_string();
        let digest_at = 8 + text.find(DIGEST_KEY).expect("the metadata was just written") + DIGEST_KEY.len();
        // Tensors start at a multiple of 8.
        text.push_str(&" ".repeat(text.len().next_multiple_of(8) - text.len()));
        let header = [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
        let size = header.len() as u64 + end;
        Self { header, digest_at, size }
    }
}

/// The first position that a layer holds.
fn first_position(layer_type: LayerType, held: usize) -> usize {
    if layer_type == LayerType::Sliding { held } else { 0 }
}

fn layer_types(shape: &Shape) -> String {
    let name = |layer_type: &LayerType| match layer_type {
        LayerType::Sliding => "sliding",
        LayerType::Full => "full",
    };
    shape.layer_types.iter().map(name).collect::<Vec<_>>().join(" ")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn damaged(rule: impl Into<String>) -> Error {
    Error::new(ErrorKind::Cache, rule)
}

fn load<A: Arithmetic<Stored: Element>>(
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
pub(super) fn read<A: Arithmetic<Stored: Element>>(
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
            ("format", "gptoss KV cache".into(), "a file of the format"),
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
