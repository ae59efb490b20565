//! Tensors to files: which file holds what, and its header.

use std::fmt::Write as _;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::content::{CHUNK, Part};
use super::tensors::{self, Tensor};
use super::{ExpertFormat, Options, json};
use crate::checkpoint::Layout;
use crate::config::ModelConfig;
use crate::dtype::mxfp4;
use crate::error::{Error, ErrorKind, Result};

/// What a checkpoint will consist of, known to the byte before anything is written.
#[derive(Clone, Debug)]
pub struct Plan {
    files: Vec<PlannedFile>,
}

/// A file of a [`Plan`].
#[derive(Clone, Debug)]
pub struct PlannedFile {
    name: String,
    /// What comes before the tensors; all there is of a text file.
    head: Vec<u8>,
    parts: Vec<Part>,
}

impl Plan {
    /// Plans a checkpoint of `config`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if the sizes contradict each other, or the layout or the format of the experts cannot
    /// hold the configuration.
    pub fn new(config: &ModelConfig, options: &Options) -> Result<Self> {
        check(config, options)?;
        let tensors = tensors::all(config, options);
        let total = tensors.iter().map(Tensor::len).sum();
        let limit = options.shard_bytes.unwrap_or(match options.layout {
            Layout::HuggingFace => 4_800_000_000,
            Layout::OpenAi if total <= 20_000_000_000 => u64::MAX,
            Layout::OpenAi => 10_000_000_000,
        });
        let order: Vec<(String, &'static str)> =
            tensors.iter().map(|tensor| (tensor.name.clone(), tensor.kind)).collect();
        let shards = shards(tensors, limit);
        let count = shards.len();
        let shard_name = |index: usize| match options.layout {
            _ if count == 1 => "model.safetensors".to_owned(),
            // The release counts from 0 and names the last index.
            Layout::HuggingFace => format!("model-{index:05}-of-{:05}.safetensors", count - 1),
            Layout::OpenAi => format!("model--{:05}-of-{count:05}.safetensors", index + 1),
        };
        let mut of_shard = Vec::new();
        for (index, shard) in shards.iter().enumerate() {
            of_shard.extend(shard.iter().map(|_| shard_name(index)));
        }
        let mut files: Vec<PlannedFile> = shards
            .into_iter()
            .enumerate()
            .map(|(index, shard)| PlannedFile::of_tensors(shard_name(index), shard))
            .collect();
        let mut text = |name: &str, text: String| {
            files.push(PlannedFile { name: name.to_owned(), head: text.into_bytes(), parts: Vec::new() });
        };
        match options.layout {
            Layout::HuggingFace => {
                if count > 1 {
                    let names = order.iter().map(|(name, _)| name.as_str());
                    let files = of_shard.iter().map(String::as_str);
                    text("model.safetensors.index.json", json::index(total, names.zip(files)));
                }
                text("generation_config.json", json::generation_config(config));
                text("config.json", json::hugging_face(config, options.experts));
            }
            Layout::OpenAi => {
                let kinds = order.iter().map(|(name, kind)| (name.as_str(), *kind));
                text("dtypes.json", format!("{{{}}}", json::pairs(kinds)));
                text("config.json", json::openai(config));
            }
        }
        Ok(Self { files })
    }

    /// The files in the order in which they are written, the configuration last.
    #[must_use]
    pub fn files(&self) -> &[PlannedFile] {
        &self.files
    }

    /// The bytes of all files.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.files.iter().map(PlannedFile::len).sum()
    }

    /// Whether there is nothing to write, which no plan has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// What tells this plan from others: a hash over the names, headers and streams of its files.
    pub(super) fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for file in &self.files {
            hash.update(&file.name);
            hash.update(&file.head);
            for part in &file.parts {
                hash.update(part.stream.word(0).to_le_bytes());
            }
        }
        hash.finalize().iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

impl PlannedFile {
    fn of_tensors(name: String, mut tensors: Vec<Tensor>) -> Self {
        tensors.sort_by(|one, other| (one.dtype, &one.name).cmp(&(other.dtype, &other.name)));
        let head = json::header(&tensors);
        let parts = tensors.into_iter().flat_map(|tensor| tensor.parts).collect();
        Self { name, head, parts }
    }

    /// The name in the folder.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The size in bytes.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "no file is empty")]
    pub fn len(&self) -> u64 {
        self.head.len() as u64 + self.parts.iter().map(|part| part.len).sum::<u64>()
    }

    /// What stands before the tensors: the length of the header and the header; of a text file, everything.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// The whole file.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head.clone();
        let mut batch = Vec::new();
        for pieces in self.batches() {
            fill(&pieces, &mut batch);
            bytes.extend_from_slice(&batch);
        }
        bytes
    }

    /// What comes after the head, in pieces of at most a chunk, and those in batches of a bounded size.
    pub(super) fn batches(&self) -> impl Iterator<Item = Vec<Piece<'_>>> {
        const BATCH: usize = 16 * CHUNK;
        let mut pieces = self
            .parts
            .iter()
            .flat_map(|part| {
                (0..part.len).step_by(CHUNK).map(move |start| Piece {
                    part,
                    start,
                    len: (part.len - start).min(CHUNK as u64) as usize,
                })
            })
            .peekable();
        std::iter::from_fn(move || {
            let mut room = BATCH;
            let mut batch = Vec::new();
            while let Some(piece) = pieces.next_if(|piece| piece.len <= room) {
                room -= piece.len;
                batch.push(piece);
            }
            (!batch.is_empty()).then_some(batch)
        })
    }
}

/// A run of bytes of a part.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'a> {
    part: &'a Part,
    start: u64,
    len: usize,
}

/// Makes `out` the bytes of `pieces`, in parallel.
pub(super) fn fill(pieces: &[Piece<'_>], out: &mut Vec<u8>) {
    out.resize(pieces.iter().map(|piece| piece.len).sum(), 0);
    let mut rest = out.as_mut_slice();
    let mut targets = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let (target, after) = rest.split_at_mut(piece.len);
        targets.push((piece, target));
        rest = after;
    }
    targets.into_par_iter().for_each(|(piece, target)| piece.part.fill(piece.start, target));
}

/// Cuts a list of tensors where a file would hold more than `limit` bytes.
fn shards(tensors: Vec<Tensor>, limit: u64) -> Vec<Vec<Tensor>> {
    let mut shards = vec![Vec::new()];
    let mut bytes = 0;
    for tensor in tensors {
        let len = tensor.len();
        if bytes > 0 && bytes + len > limit {
            shards.push(Vec::new());
            bytes = 0;
        }
        bytes += len;
        shards.last_mut().expect("there is one from the start").push(tensor);
    }
    shards
}

fn check(config: &ModelConfig, options: &Options) -> Result<()> {
    let broken = |rule: String| Err(Error::new(ErrorKind::Config, rule));
    // A reader's rules, whoever made the configuration. Which tokens end a generation has other places.
    let plain = |config: ModelConfig| ModelConfig { eos_token_ids: Vec::new(), ..config };
    let read = ModelConfig::from_json(&json::hugging_face(config, options.experts))?;
    if plain(read) != plain(config.clone()) {
        return broken("a config.json cannot hold this configuration".to_owned());
    }
    if options.experts == ExpertFormat::Mxfp4 {
        for (name, size) in
            [("hidden_size", config.hidden_size), ("intermediate_size", config.intermediate_size)]
        {
            if !size.is_multiple_of(mxfp4::BLOCK_LEN) {
                return broken(format!(
                    "{name} must be a multiple of 32 where experts are MXFP4, found {size}"
                ));
            }
        }
    }
    // Three sizes below 2^31 may multiply beyond 64 bits.
    let sizes = [
        config.num_experts as u128 * config.hidden_size as u128 * config.intermediate_size as u128,
        config.vocab_size as u128 * config.hidden_size as u128,
        config.query_size() as u128 * config.hidden_size as u128,
    ];
    if sizes.iter().sum::<u128>() * config.num_layers() as u128 > 1 << 50 {
        return broken("a model of more than 2^50 parameters cannot be written".to_owned());
    }
    if options.layout == Layout::OpenAi {
        let read = ModelConfig::from_json(&json::openai(config))?;
        if read != plain(config.clone()) {
            let rule = "OpenAI's layout cannot hold this configuration: it has alternating layers, biases, an \
                        unembedding of its own, an unrounded YaRN ramp and a context of \
                        initial_context_length * rope_scaling_factor";
            return broken(rule.to_owned());
        }
    }
    Ok(())
}
