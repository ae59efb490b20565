//! The number formats in which gpt-oss checkpoints hold their weights: bf16 and MXFP4, bit for bit.
//!
//! This crate knows nothing of text or chat; `harmony-format` does that, and the two do not know each other.

#![forbid(unsafe_code)]

pub mod dtype;
