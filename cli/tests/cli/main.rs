//! The command `gptoss` as a user meets it: arguments and input in, output and exit code out.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_input;
mod bench;
mod commands;
mod config;
mod docs;
mod help;
mod json_lines;
mod lint;
mod logits;
mod model;
mod model_pack;
mod model_synth;
mod parse;
mod render;
mod scale;
mod support;
