//! The command `gptoss`.

#![forbid(unsafe_code)]

mod args;
mod calls;
mod color;
mod commands;
mod config;
mod context;
mod documents;
mod error;
mod excerpt;
mod html;
mod ids;
mod input;
mod interrupt;
mod lines;
mod model;
mod npy;
mod output;
mod output_file;
mod pretty;
mod progress;
mod rpc;
mod template;
mod token_text;
mod toolset;
mod transcript;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return args::report(&error),
    };
    let context = match context::Context::new(&cli.global) {
        Ok(context) => context,
        Err(error) => return error.report(cli.global.json, false),
    };
    match commands::run(cli.command, &context) {
        Ok(code) => code,
        Err(error) => context.report(&error),
    }
}
