//! The ordinary tokens, checked.

use std::fmt::Write;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

use crate::layout::ORDINARY;

/// SHA-256 of the published file `o200k_base.tiktoken`.
const SHA256: &str = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d";

/// The bytes of the ordinary tokens, by id.
///
/// # Panics
///
/// If they are not those of the published file.
pub(crate) fn tokens() -> Vec<Vec<u8>> {
    let bpe = tiktoken_rs::o200k_base_singleton();
    let tokens: Vec<Vec<u8>> =
        (0..ORDINARY).map(|id| bpe.decode_bytes(&[id]).expect("o200k_base has no gaps")).collect();
    let mut hash = Sha256::new();
    let mut line = String::new();
    for (rank, token) in tokens.iter().enumerate() {
        line.clear();
        BASE64_STANDARD.encode_string(token, &mut line);
        writeln!(line, " {rank}").expect("a string takes any text");
        hash.update(&line);
    }
    let hash = hash.finalize().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    assert_eq!(hash, SHA256, "the ranks of tiktoken-rs are not those of o200k_base.tiktoken");
    tokens
}
