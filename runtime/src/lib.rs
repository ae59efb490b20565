//! Runs OpenAI's gpt-oss models on a CPU: tokens in, logits and tokens out, with one bit pattern for every value.
//!
//! This crate knows nothing of text or chat; `harmony-format` does that, and the two do not know each other.

#![deny(unsafe_code)]

pub mod checkpoint;
pub mod config;
pub mod draft;
pub mod dtype;
mod error;
pub mod generate;
pub mod golden;
pub mod kernels;
mod logits;
pub mod model;
pub mod numerics;
mod ops;
mod profile;
pub mod reference;
pub mod sampler;
pub mod simd;
pub mod synth;
pub mod tap;
mod threads;
pub mod weights;

pub use config::{LayerType, ModelConfig, RopeConfig};
pub use error::{Error, ErrorKind, Result};
pub use generate::{DraftCounts, GenerateOptions, Generation, Step, StopReason};
pub use logits::{Logits, Value};
pub use model::{Model, ModelOptions, Rows};
pub use profile::Profile;
