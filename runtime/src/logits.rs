//! Rows of logits and their digest.

use std::fmt::Write as _;

use ndarray::{Array2, ArrayView2};
use sha2::{Digest, Sha256};

use crate::numerics::Real;
use crate::tap::TapValues;

/// Logits, `[rows, vocabulary]`: f32 in the profiles `bf16` and `f32`, f64 in `f64`.
#[derive(Clone, Debug, PartialEq)]
pub enum Logits {
    /// Of `bf16` and `f32`.
    F32(Array2<f32>),
    /// Of `f64`.
    F64(Array2<f64>),
}

impl Logits {
    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        match self {
            Self::F32(rows) => rows.nrows(),
            Self::F64(rows) => rows.nrows(),
        }
    }

    /// The logits of a row.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        match self {
            Self::F32(rows) => rows.ncols(),
            Self::F64(rows) => rows.ncols(),
        }
    }

    /// One logit in f64; exact.
    ///
    /// # Panics
    ///
    /// If there is no such row or token.
    #[must_use]
    pub fn get(&self, row: usize, token: usize) -> f64 {
        match self {
            Self::F32(rows) => f64::from(rows[[row, token]]),
            Self::F64(rows) => rows[[row, token]],
        }
    }

    /// The token with the greatest logit of a row, the lowest of equals.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    #[must_use]
    pub fn argmax(&self, row: usize) -> usize {
        let mut best = 0;
        for token in 1..self.vocab_size() {
            if self.get(row, token) > self.get(row, best) {
                best = token;
            }
        }
        best
    }

    /// The numbers as bytes, little-endian, row by row.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        fn bytes<R: Real>(rows: &Array2<R>) -> Vec<u8> {
            let mut bytes = Vec::with_capacity(rows.len() * R::BYTES);
            rows.iter().for_each(|&logit| logit.append_to(&mut bytes));
            bytes
        }
        match self {
            Self::F32(rows) => bytes(rows),
            Self::F64(rows) => bytes(rows),
        }
    }

    /// Clause 16: SHA-256 over [`Self::to_bytes`], in hex.
    #[must_use]
    pub fn digest(&self) -> String {
        hex(&Sha256::digest(self.to_bytes()))
    }
}

/// Lower-case hex of bytes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

/// A number type that logits and taps are made of.
pub trait Value: Real {
    /// Rows of this type as logits.
    fn into_logits(rows: Array2<Self>) -> Logits;
    /// Rows of this type for a tap.
    fn tap_values(rows: ArrayView2<'_, Self>) -> TapValues<'_>;
}

impl Value for f32 {
    fn into_logits(rows: Array2<Self>) -> Logits {
        Logits::F32(rows)
    }

    fn tap_values(rows: ArrayView2<'_, Self>) -> TapValues<'_> {
        TapValues::F32(rows)
    }
}

impl Value for f64 {
    fn into_logits(rows: Array2<Self>) -> Logits {
        Logits::F64(rows)
    }

    fn tap_values(rows: ArrayView2<'_, Self>) -> TapValues<'_> {
        TapValues::F64(rows)
    }
}
