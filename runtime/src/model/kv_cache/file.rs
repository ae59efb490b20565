//! Saved caches: a safetensors file that holds everything to go on from.
//!
//! Tensors, each `[key heads, positions, head_dim]` in the profile's dtype: `layers.0.keys`, `layers.0.values`, and so
//! on; full layers from position 0, sliding layers from `sliding_first` on. Last `tokens`, `U32`, one a position.
//! The metadata names the version of this format and of the numerics contract, profile, model digest, shape, length,
//! and `sha256`: the SHA-256 of the whole file in which these 64 digits are zeros.

mod read;
mod write;

use std::path::Path;

use serde_json::{Map, Value, json};

use super::cache::Shape;
use super::{KvCache, each};
use crate::config::{LayerType, ModelConfig};
use crate::error::Result;
use crate::numerics::{Arithmetic, CONTRACT_VERSION};
use crate::profile::Profile;

#[cfg(test)]
pub(super) use {read::read, write::write};

/// The name of this format.
const FORMAT: &str = "gptoss KV cache";

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
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the file cannot be written, as on a full disk.
    pub fn save(&self, path: impl AsRef<Path>, model_digest: &[u8; 32]) -> Result<()> {
        each!(self, cache => write::save(cache, path.as_ref(), model_digest))
    }

    /// Loads a cache that [`save`](Self::save) wrote, with room for `capacity` positions and passes of `chunk`.
    ///
    /// What is computed from it has the same bits as from the cache that was saved. It can be truncated to the same
    /// lengths if `chunk` is at least that of the cache that was saved; with a smaller one, sliding layers keep fewer
    /// positions.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if the file cannot be read; [`ErrorKind::Cache`](crate::ErrorKind::Cache), with the file and the rule, if it is
    /// damaged, no saved cache, or of another profile, model, shape or version; [`ErrorKind::Context`](crate::ErrorKind::Context) if it holds
    /// more than `capacity` positions, and as [`Cache::new`](super::Cache::new).
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
        each!(&mut cache, cache => read::load(cache, path, config, model_digest))
            .map_err(|e| e.in_file(path))?;
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
            "format": FORMAT,
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
