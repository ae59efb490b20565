//! The arguments: global flags and the list of commands.

use std::ffi::OsStr;
use std::process::ExitCode;

use clap::{ArgAction, Args, Parser, Subcommand};
use gptoss_runtime::Profile;

use crate::color::ColorWhen;
use crate::commands;
use crate::error::Error;
use crate::model::{IsaChoice, Pages};

/// Work with gpt-oss-20b and gpt-oss-120b: their chat format, Harmony, and the models themselves, on a CPU.
///
/// Results go to standard output, everything else to standard error. FILE may be `-` for standard input.
#[derive(Debug, Parser)]
#[command(name = "gptoss", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 checked and found different, 2 usage, 3 bad input, \
    4 model missing, corrupt or unsupported, 5 does not fit or a limit was reached, \
    6 repaired where --fail-on-repair asked, 130 interrupted.";

/// Flags that every command takes.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Threads for models and JSON Lines [default: one for each core]
    #[arg(
        long,
        global = true,
        value_name = "N",
        env = "GPTOSS_THREADS",
        hide_env = true,
        help_heading = "Global"
    )]
    pub(crate) threads: Option<std::num::NonZeroUsize>,
    /// Instructions of the model's kernels: auto (the best), scalar, avx2, avx512, avx512bf16 or neon
    #[arg(
        long,
        global = true,
        value_name = "ISA",
        env = "GPTOSS_ISA",
        hide_env = true,
        hide_short_help = true,
        help_heading = "Global"
    )]
    pub(crate) isa: Option<IsaChoice>,
    /// Which values of the model are rounded to what: bf16, f32 or f64 [default: bf16]
    #[arg(
        long,
        global = true,
        value_name = "PROFILE",
        env = "GPTOSS_PROFILE",
        hide_env = true,
        hide_short_help = true,
        help_heading = "Global"
    )]
    pub(crate) profile: Option<Profile>,
    /// Where a model's weights lie: map (in the mapped files) or huge (copied into huge pages) [default: map]
    #[arg(
        long,
        global = true,
        value_name = "PAGES",
        env = "GPTOSS_PAGES",
        hide_env = true,
        hide_short_help = true,
        help_heading = "Global"
    )]
    pub(crate) pages: Option<Pages>,
    /// When to write in colour [default: auto]
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        env = "GPTOSS_COLOR",
        hide_env = true,
        help_heading = "Global"
    )]
    pub(crate) color: Option<ColorWhen>,
    /// Write results and errors as JSON objects
    #[arg(long, global = true, help_heading = "Global")]
    pub(crate) json: bool,
    /// Write no notes and warnings
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Global")]
    pub(crate) quiet: bool,
    /// Write more notes
    #[arg(short, long, global = true, action = ArgAction::SetTrue, help_heading = "Global")]
    pub(crate) verbose: bool,
}

/// The commands, in the order of the help page.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(commands::demo::Args),
    Render(commands::render::Args),
    Parse(commands::parse::Args),
    Lint(commands::lint::Args),
    Convert(commands::convert::Args),
    Tokens(commands::tokens::Args),
    Tools(commands::tools::Args),
    Grammar(commands::grammar::Args),
    Template(commands::template::Args),
    View(commands::view::Args),
    Rpc(commands::rpc::Args),
    Run(commands::run::Args),
    Chat(commands::chat::Args),
    Complete(commands::complete::Args),
    Eval(commands::eval::Args),
    Logits(commands::logits::Args),
    Bench(commands::bench::Args),
    Golden(commands::golden::Args),
    Model(commands::model::Args),
    Doctor(commands::doctor::Args),
    Completions(commands::completions::Args),
    Man(commands::man::Args),
    Schema(commands::schema::Args),
}

/// Writes what the argument parser has to say: help on standard output, an error on standard error.
pub(crate) fn report(error: &clap::Error) -> ExitCode {
    let is_error = error.use_stderr();
    if is_error && std::env::args_os().any(|arg| arg == OsStr::new("--json")) {
        let text = error.to_string();
        let line = text.lines().next().unwrap_or_default();
        let rule = line.strip_prefix("error: ").unwrap_or(line);
        return Error::usage(rule).report(true, false);
    }
    // A reader that has gone away is no reason to complain.
    let _ = error.print();
    ExitCode::from(if is_error { crate::error::USAGE } else { 0 })
}
