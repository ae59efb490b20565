//! SHA-256 of the weights, the same for both layouts.

use std::fmt::Write as _;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::{Checkpoint, Part};
use crate::config::{LayerType, ModelConfig};

/// Rows of a transposed matrix that are gathered at once: a cache line of each column.
const GATHERED_ROWS: usize = 32;

impl Checkpoint {
    /// The SHA-256 of each of the [`parts`](Self::parts): of its elements in the order of [`Part::shape`], last axis
    /// fastest, bf16 as two bytes, little-endian. Runs in parallel on the current rayon pool.
    #[must_use]
    pub fn part_digests(&self) -> Vec<[u8; 32]> {
        self.parts.par_iter().map(|part| self.part_digest(part)).collect()
    }

    /// The SHA-256 of all weights, which does not depend on the layout, on how tensors are spread over files, or on what
    /// else the files hold.
    ///
    /// It is the SHA-256 of a text with a line for each of the [`parts`](Self::parts), the lines sorted by name:
    /// the digest of the part in lower-case hexadecimal, two spaces, the name, a space, the dtype, a space, the lengths
    /// of the axes with `x` between, a line feed. The embedding stands in for a missing unembedding without a line.
    #[must_use]
    pub fn weights_digest(&self) -> [u8; 32] {
        let mut lines: Vec<(&Part, [u8; 32])> = self.parts.iter().zip(self.part_digests()).collect();
        lines.sort_by_key(|(part, _)| &part.name);
        let mut text = String::new();
        for (part, digest) in lines {
            let (digest, dtype) = (hex(&digest), self.tensors[part.tensor].dtype);
            let shape: Vec<String> = part.shape.iter().map(usize::to_string).collect();
            line(&mut text, format_args!("{digest}  {} {dtype} {}", part.name, shape.join("x")));
        }
        Sha256::digest(text).into()
    }

    /// The SHA-256 that tells one model from another: of its weights and of what else its values depend on.
    ///
    /// It is the SHA-256 of a text of lines `name value`: `weights` with [`weights_digest`](Self::weights_digest) in
    /// hexadecimal, then the constants of the forward pass that the shapes of the weights do not fix.
    #[must_use]
    pub fn model_digest(&self) -> [u8; 32] {
        let mut text = String::new();
        line(&mut text, format_args!("weights {}", hex(&self.weights_digest())));
        constants(&mut text, &self.config);
        Sha256::digest(text).into()
    }

    fn part_digest(&self, part: &Part) -> [u8; 32] {
        let data = self.bytes(part);
        if !part.transposed {
            return Sha256::digest(&data[..]).into();
        }
        let (rows, cols) = (part.shape[1], part.shape[2]);
        let mut sha = Sha256::new();
        let mut gathered = vec![[0; 2]; GATHERED_ROWS * cols];
        for matrix in data.chunks_exact(2 * rows * cols) {
            let columns = matrix.as_chunks::<2>().0;
            for first in (0..rows).step_by(GATHERED_ROWS) {
                let count = GATHERED_ROWS.min(rows - first);
                for (col, column) in columns.chunks_exact(rows).enumerate() {
                    for (row, &element) in column[first..first + count].iter().enumerate() {
                        gathered[row * cols + col] = element;
                    }
                }
                sha.update(gathered[..count * cols].as_flattened());
            }
        }
        sha.finalize().into()
    }
}

/// What the values of a model depend on beside its weights and their shapes.
fn constants(text: &mut String, config: &ModelConfig) {
    let ModelConfig {
        // The shapes of the weights say the same.
        vocab_size: _,
        hidden_size: _,
        intermediate_size: _,
        num_experts: _,
        // Neither enters any value.
        max_position_embeddings: _,
        eos_token_ids: _,
        attention_bias: _,
        tie_word_embeddings: _,
        layer_types,
        num_attention_heads,
        num_key_value_heads,
        head_dim,
        experts_per_token,
        sliding_window,
        rms_norm_eps,
        swiglu_limit,
        rope,
    } = config;
    let layers = layer_types.iter().map(|layer| match layer {
        LayerType::Sliding => 's',
        LayerType::Full => 'f',
    });
    line(text, format_args!("layer_types {}", layers.collect::<String>()));
    line(text, format_args!("num_attention_heads {num_attention_heads}"));
    line(text, format_args!("num_key_value_heads {num_key_value_heads}"));
    line(text, format_args!("head_dim {head_dim}"));
    line(text, format_args!("experts_per_token {experts_per_token}"));
    line(text, format_args!("sliding_window {sliding_window}"));
    line(text, format_args!("rms_norm_eps {rms_norm_eps:e}"));
    line(text, format_args!("swiglu_limit {swiglu_limit:e}"));
    line(text, format_args!("rope_theta {:e}", rope.theta));
    line(text, format_args!("rope_factor {:e}", rope.factor));
    line(text, format_args!("rope_beta_fast {:e}", rope.beta_fast));
    line(text, format_args!("rope_beta_slow {:e}", rope.beta_slow));
    line(text, format_args!("rope_original_context {}", rope.original_context));
    line(text, format_args!("rope_truncate {}", rope.truncate));
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a string takes all that is written to it");
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
