//! Caches against a model that keeps every position.

mod damage;
mod history;

use super::*;
use crate::config::{LayerType, RopeConfig};
use crate::error::ErrorKind;

/// A model of two sliding layers and a full one between them.
pub(super) fn config(window: usize, key_heads: usize, head_dim: usize) -> ModelConfig {
    ModelConfig {
        vocab_size: 1000,
        hidden_size: 8,
        intermediate_size: 8,
        layer_types: vec![LayerType::Sliding, LayerType::Full, LayerType::Sliding],
        num_attention_heads: key_heads,
        num_key_value_heads: key_heads,
        head_dim,
        num_experts: 1,
        experts_per_token: 1,
        sliding_window: window,
        rms_norm_eps: 1e-5,
        swiglu_limit: 7.0,
        rope: RopeConfig {
            theta: 150_000.0,
            factor: 32.0,
            beta_fast: 32.0,
            beta_slow: 1.0,
            original_context: 4096,
            truncate: false,
        },
        max_position_embeddings: 131_072,
        attention_bias: true,
        tie_word_embeddings: false,
        eos_token_ids: Vec::new(),
    }
}

/// Appends `count` positions whose elements are `seed` and up.
fn append(cache: &mut Cache<F32>, count: usize, seed: usize) {
    let first = cache.len();
    cache.reserve(count).unwrap();
    for layer in 0..3 {
        for head in cache.layer_mut(layer) {
            for position in first..first + count {
                let (key, value) = head.entry_mut(position);
                key.fill((seed + position) as f32);
                value.fill(-((seed + position) as f32));
            }
        }
    }
    cache.advance(&vec![1; count]);
}

#[test]
fn capacities_that_no_model_has_are_errors_of_the_context() {
    let config = config(4, 2, 2);
    for (capacity, chunk) in [(0, 1), (1, 0), (131_073, 1), (usize::MAX, usize::MAX)] {
        let error = KvCache::new(&config, Profile::F64, capacity, chunk).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Context, "{capacity} {chunk}");
    }
    let huge = ModelConfig { max_position_embeddings: usize::MAX, ..config };
    assert_eq!(Cache::<F64>::new(&huge, usize::MAX / 2, 1).unwrap_err().kind(), ErrorKind::Context);
}

#[test]
fn memory_is_taken_as_positions_come() {
    let mut cache = Cache::<F32>::new(&config(4, 2, 2), 131_072, 131_072).unwrap();
    assert_eq!(cache.bytes(), 0);
    append(&mut cache, 100, 0);
    // Layers, heads, head_dim, keys and values, bytes.
    assert_eq!(cache.bytes(), 100 * 3 * 2 * 2 * 2 * 4);
    cache.clear();
    assert_eq!(cache.bytes(), 0);
}

#[test]
fn sliding_layers_stop_growing_and_full_layers_hold_131072_positions() {
    let mut cache = Cache::<F32>::new(&config(4, 1, 2), 131_072, 64).unwrap();
    for step in 0..2048 {
        append(&mut cache, 64, step);
    }
    assert_eq!(cache.len(), 131_072);
    assert_eq!(cache.bytes(), (131_072 + 2 * 68) * 2 * 2 * 4);
    assert_eq!(cache.reserve(1).unwrap_err().kind(), ErrorKind::Context);
    assert_eq!(cache.runs(1, 0, 0..131_072).count(), 1);
}

#[test]
fn a_sliding_layer_gives_a_chunk_of_positions_back_and_no_more() {
    let mut cache = Cache::<F32>::new(&config(4, 1, 2), 100, 8).unwrap();
    for _ in 0..40 {
        append(&mut cache, 1, 0);
    }
    assert_eq!(cache.least_truncation(), 31);
    let error = cache.truncate(30).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Context);
    assert!(error.rule().contains("31"), "{error}");
    assert_eq!(cache.len(), 40);
    cache.truncate(31).unwrap();
    assert_eq!(cache.runs(0, 0, 28..31).count(), 1);
    cache.truncate(0).unwrap();
    assert_eq!((cache.len(), cache.least_truncation()), (0, 0));
}

#[test]
fn a_pass_that_fails_leaves_what_the_next_one_reads() {
    let mut cache = Cache::<F32>::new(&config(4, 1, 2), 100, 8).unwrap();
    for _ in 0..20 {
        append(&mut cache, 1, 0);
    }
    cache.reserve(8).unwrap();
    for head in cache.layer_mut(0) {
        head.write(20, &[7.0; 16], &[7.0; 16]);
    }
    append(&mut cache, 1, 0);
    let keys: Vec<f32> = cache.runs(0, 0, 17..21).flat_map(|run| run.keys.to_vec()).collect();
    assert_eq!(keys, [17.0, 17.0, 18.0, 18.0, 19.0, 19.0, 20.0, 20.0]);
}
