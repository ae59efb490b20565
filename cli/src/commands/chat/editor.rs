//! The line that a user types: edited and remembered on a terminal, read as it is from anything else.

use std::path::Path;

use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Config, Context, Editor, Helper};

use super::command::COMMANDS;
use crate::error::{Error, Result};

/// What was typed.
pub(super) enum Typed {
    Line(String),
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-D, or the end of the input.
    End,
}

/// Reads lines.
pub(super) struct Lines {
    editor: Editor<Commands, DefaultHistory>,
    /// Where lines are kept between sessions.
    file: Option<std::path::PathBuf>,
}

impl Lines {
    /// A reader of lines, with those of earlier sessions where there is a file of them.
    pub(super) fn new(file: Option<&Path>) -> Result<Self> {
        let config = Config::builder().auto_add_history(true).build();
        let mut editor = Editor::with_config(config).map_err(|error| cannot_read(&error))?;
        editor.set_helper(Some(Commands));
        if let Some(file) = file.filter(|file| file.exists()) {
            editor.load_history(file).map_err(|error| {
                Error::io(format!("the history cannot be read: {error}")).in_file(file.display())
            })?;
        }
        Ok(Self { editor, file: file.map(Path::to_owned) })
    }

    /// Reads a line; one that ends in a backslash goes on.
    pub(super) fn read(&mut self, prompt: &str) -> Result<Typed> {
        match self.editor.readline(prompt) {
            Ok(line) => Ok(Typed::Line(line.replace("\\\n", "\n"))),
            Err(ReadlineError::Interrupted) => Ok(Typed::Interrupt),
            Err(ReadlineError::Eof) => Ok(Typed::End),
            Err(error) => Err(cannot_read(&error)),
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            // The conversation is over, and what was said is said.
            let _ = self.editor.save_history(file);
        }
    }
}

fn cannot_read(error: &ReadlineError) -> Error {
    Error::io(format!("lines cannot be read: {error}"))
}

/// Completes commands, and lets a line that ends in a backslash go on.
struct Commands;

impl Helper for Commands {}
impl Highlighter for Commands {}

impl Hinter for Commands {
    type Hint = String;
}

impl Validator for Commands {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(match context.input().ends_with('\\') {
            true => ValidationResult::Incomplete,
            false => ValidationResult::Valid(None),
        })
    }
}

impl Completer for Commands {
    type Candidate = Pair;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let begun = &line[..at];
        if !begun.starts_with('/') || begun.contains(' ') {
            return Ok((at, Vec::new()));
        }
        let names = COMMANDS.iter().map(|(name, ..)| *name).filter(|name| name.starts_with(begun));
        let pairs = names.map(|name| Pair { display: name.to_owned(), replacement: format!("{name} ") });
        Ok((0, pairs.collect()))
    }
}
