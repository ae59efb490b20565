//! The command `gptoss` as a user meets it: arguments and input in, output and exit code out.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(feature = "tiny")]
mod agent;
mod bad_input;
mod bench;
#[cfg(all(feature = "tiny", feature = "browser"))]
mod browser;
mod commands;
mod config;
mod docs;
mod golden;
mod golden_capture;
mod golden_explain;
mod help;
mod json_lines;
mod lint;
mod logits;
#[cfg(all(feature = "tiny", feature = "mcp"))]
mod mcp;
mod model;
mod model_pack;
mod model_synth;
mod parse;
mod render;
mod runs;
mod scale;
mod support;
mod talk;
#[cfg(feature = "tiny")]
mod tiny;
