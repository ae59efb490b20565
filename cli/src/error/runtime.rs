//! Errors of the runtime as this program tells them: a code for each kind, and an exit code.

use std::error::Error as _;
use std::io;

use gptoss_runtime::ErrorKind;

use super::{BAD_INPUT, Error, INTERRUPTED, LIMIT, MODEL, USAGE};

impl From<gptoss_runtime::Error> for Error {
    fn from(error: gptoss_runtime::Error) -> Self {
        let (code, exit) = code(error.kind());
        let mut rule = String::new();
        if let Some(tensor) = error.tensor() {
            rule += &format!("{tensor}: ");
        }
        rule += error.rule();
        if let Some(source) = error.source() {
            rule += &format!(": {source}");
        }
        let mut this = Self::new(exit, Some(code), rule);
        if let Some(file) = error.file() {
            this = this.in_file(file.display());
        }
        match help(&error) {
            Some(help) => this.help(help),
            None => this,
        }
    }
}

/// The code of a kind of error, and the exit code that goes with it.
fn code(kind: ErrorKind) -> (&'static str, u8) {
    match kind {
        ErrorKind::Io => ("M001", MODEL),
        ErrorKind::Header => ("M002", MODEL),
        ErrorKind::Config => ("M003", MODEL),
        ErrorKind::MissingTensor => ("M004", MODEL),
        ErrorKind::DuplicateTensor => ("M005", MODEL),
        ErrorKind::Shape => ("M006", MODEL),
        ErrorKind::Dtype => ("M007", MODEL),
        ErrorKind::Weight => ("M008", MODEL),
        ErrorKind::NotFinite => ("M009", MODEL),
        ErrorKind::Isa => ("M010", USAGE),
        ErrorKind::Token => ("M011", BAD_INPUT),
        ErrorKind::Context => ("M012", LIMIT),
        ErrorKind::Cache => ("M013", BAD_INPUT),
        ErrorKind::Sampling => ("M014", USAGE),
        ErrorKind::Interrupted => ("M015", INTERRUPTED),
        ErrorKind::Packed => ("M016", MODEL),
        ErrorKind::Dump => ("M021", BAD_INPUT),
        _ => ("M000", MODEL),
    }
}

fn help(error: &gptoss_runtime::Error) -> Option<&'static str> {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    let is_dump = error.kind() == ErrorKind::Dump;
    if !is_dump && source.is_some_and(|source| source.kind() == io::ErrorKind::NotFound) {
        return Some("`gptoss model list` shows the models that are on this machine");
    }
    Some(match error.kind() {
        ErrorKind::MissingTensor => "`gptoss model verify` compares the files with those of the release",
        ErrorKind::Isa => "leave --isa out to use the best that this machine has",
        _ => return None,
    })
}
