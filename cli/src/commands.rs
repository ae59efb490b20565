//! The commands, a file each.

pub(crate) mod bench;
pub(crate) mod chat;
pub(crate) mod complete;
pub(crate) mod completions;
pub(crate) mod convert;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod eval;
pub(crate) mod golden;
pub(crate) mod grammar;
pub(crate) mod lint;
pub(crate) mod logits;
pub(crate) mod man;
pub(crate) mod model;
pub(crate) mod parse;
pub(crate) mod render;
pub(crate) mod rpc;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod template;
pub(crate) mod tokens;
pub(crate) mod tools;
pub(crate) mod view;

use std::process::ExitCode;

use crate::args::Command;
use crate::context::Context;
use crate::error::Result;

/// Runs a command.
pub(crate) fn run(command: Command, context: &Context) -> Result<ExitCode> {
    match command {
        Command::Demo(args) => demo::run(&args, context),
        Command::Render(args) => render::run(&args, context),
        Command::Parse(args) => parse::run(&args, context),
        Command::Lint(args) => lint::run(&args, context),
        Command::Convert(args) => convert::run(&args, context),
        Command::Tokens(args) => tokens::run(&args, context),
        Command::Tools(args) => tools::run(&args, context),
        Command::Grammar(args) => grammar::run(&args, context),
        Command::Template(args) => template::run(&args, context),
        Command::View(args) => view::run(&args, context),
        Command::Rpc(args) => rpc::run(&args, context),
        Command::Run(args) => run::run(&args, context),
        Command::Chat(args) => chat::run(&args, context),
        Command::Complete(args) => complete::run(&args, context),
        Command::Eval(args) => eval::run(&args, context),
        Command::Logits(args) => logits::run(&args, context),
        Command::Bench(args) => bench::run(&args, context),
        Command::Golden(args) => golden::run(&args, context),
        Command::Model(args) => model::run(&args, context),
        Command::Doctor(args) => doctor::run(&args, context),
        Command::Completions(args) => completions::run(&args, context),
        Command::Man(args) => man::run(&args, context),
        Command::Schema(args) => schema::run(&args, context),
    }
}
