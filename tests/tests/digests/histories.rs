//! Ways in which a cache can come about. Each computes the logits of every token of a prompt.

use std::path::Path;

use gptoss_runtime::model::kv_cache::KvCache;
use gptoss_runtime::{Model, Rows};

/// A way in which a cache comes about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum History {
    /// Chunk by chunk.
    Fresh,
    /// Two thirds chunk by chunk, then token by token.
    Resumed,
    /// Other tokens are computed after two thirds, and dropped.
    Truncated,
    /// Two thirds, then a fork goes on while the first computes other tokens.
    Forked,
    /// Two thirds, then from a file.
    SavedAndLoaded,
    /// Two thirds, then passes that end with drafted tokens, all of them wrong, which are dropped.
    Drafted,
}

impl History {
    pub(crate) const ALL: [Self; 6] =
        [Self::Fresh, Self::Resumed, Self::Truncated, Self::Forked, Self::SavedAndLoaded, Self::Drafted];
}

const MODEL_DIGEST: [u8; 32] = [1; 32];

/// The logits of every token as bytes (clause 16).
pub(crate) fn logits(
    model: &Model,
    tokens: &[u32],
    chunk: usize,
    history: History,
    folder: &Path,
) -> Vec<u8> {
    let capacity = tokens.len() + chunk;
    let mut cache = model.new_cache(capacity, chunk).unwrap();
    let (front, back) = tokens.split_at(tokens.len() * 2 / 3);
    let others: Vec<u32> = back.iter().rev().take(chunk).map(|&token| token ^ 1).collect();
    let mut bytes = Vec::new();
    match history {
        History::Fresh => run(model, tokens, chunk, &mut cache, &mut bytes),
        History::Resumed => {
            run(model, front, chunk, &mut cache, &mut bytes);
            run(model, back, 1, &mut cache, &mut bytes);
        }
        History::Truncated => {
            run(model, front, chunk, &mut cache, &mut bytes);
            run(model, &others, chunk, &mut cache, &mut Vec::new());
            cache.truncate(front.len()).unwrap();
            run(model, back, chunk, &mut cache, &mut bytes);
        }
        History::Forked => {
            run(model, front, chunk, &mut cache, &mut bytes);
            let mut fork = cache.clone();
            run(model, &others, chunk, &mut cache, &mut Vec::new());
            run(model, back, chunk, &mut fork, &mut bytes);
            cache = fork;
        }
        History::SavedAndLoaded => {
            run(model, front, chunk, &mut cache, &mut bytes);
            let path = folder.join("cache.safetensors");
            cache.save(&path, &MODEL_DIGEST).unwrap();
            let (config, profile) = (model.config(), model.profile());
            cache = KvCache::load(&path, config, profile, &MODEL_DIGEST, capacity, chunk).unwrap();
            run(model, back, chunk, &mut cache, &mut bytes);
        }
        History::Drafted => {
            run(model, front, chunk, &mut cache, &mut bytes);
            for right in back.chunks(chunk.div_ceil(2)) {
                let wrong = others.iter().copied().take(chunk - right.len());
                let pass: Vec<u32> = right.iter().copied().chain(wrong).collect();
                let logits = model.forward_rows(&pass, Rows::All, &mut cache, &mut ()).unwrap().to_bytes();
                bytes.extend(&logits[..logits.len() / pass.len() * right.len()]);
                cache.truncate(cache.len() - (pass.len() - right.len())).unwrap();
            }
        }
    }
    assert_eq!(cache.tokens(), tokens);
    bytes
}

fn run(model: &Model, tokens: &[u32], chunk: usize, cache: &mut KvCache, bytes: &mut Vec<u8>) {
    for part in tokens.chunks(chunk) {
        bytes.extend(model.forward_rows(part, Rows::All, cache, &mut ()).unwrap().to_bytes());
    }
}
