//! Damaged checkpoints: each is an error that names the file, the tensor and the rule, or computes; none panics, takes a
//! second or 64 MiB.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod attempt;
mod checkpoint;
mod configs;
mod files;
mod named;
#[cfg(unix)]
mod shrinking;
mod sound;
