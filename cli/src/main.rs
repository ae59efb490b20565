//! The command `gptoss`.

#![forbid(unsafe_code)]

mod agent;
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
mod session;
mod template;
mod token_text;
mod toolset;
mod transcript;
mod utf8;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    if let Some(code) = agent::launch::become_tool().or_else(agent::scratch::become_sweeper) {
        return code;
    }
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
