//! Opening a dump as the flags say, and telling what was found in it.

use std::io::Write;
use std::path::{Path, PathBuf};

use gptoss_runtime::ModelConfig;
use gptoss_runtime::golden::{Dump, Matched, Matching, Table};

use crate::color;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::excerpt::printable;
use crate::input;
use crate::output::Output;

/// The flags that say which dump it is.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// The dump: safetensors, .npy, .npz, a manifest of bare arrays, or a folder of these
    pub(super) dump: PathBuf,
    /// The checkpoint that the other program ran: a folder, or a file with config.json beside it
    #[arg(long, value_name = "DIR")]
    pub(super) model: PathBuf,
    /// A table of names and layouts, as TOML or JSON
    #[arg(long, value_name = "FILE")]
    pub(super) names: Option<PathBuf>,
}

impl Args {
    /// Opens the dump of a model of this shape.
    pub(super) fn open(&self, config: &ModelConfig) -> Result<Dump> {
        let table = self.names.as_deref().map(table).transpose()?;
        Dump::open(&self.dump, config, table.as_ref()).map_err(|error| {
            let is_name = table.is_some() && error.file().is_none();
            let error = Error::from(error);
            if is_name {
                error.in_file(self.names.as_deref().unwrap_or(Path::new("")).display())
            } else {
                error
            }
        })
    }
}

/// Reads a table: JSON if it starts so, TOML else.
fn table(path: &Path) -> Result<Table> {
    let document = input::read_text(path)?;
    let read = match document.text.trim_start().starts_with('{') {
        true => serde_json::from_str(&document.text).map_err(|error| error.to_string()),
        false => toml::from_str(&document.text).map_err(|error| error.message().to_owned()),
    };
    read.map_err(|rule| {
        Error::input("M021", format!("is not a table of names: {rule}"))
            .in_file(document.name)
            .help("docs/golden-checks.md shows one")
    })
}

/// Tells which arrays hold which values.
pub(super) fn tell(matching: &Matching, context: &Context, out: &mut Output) -> Result<()> {
    let paint = out.paint;
    let Matching { matched, unmatched, notes } = matching;
    let schemes: std::collections::BTreeSet<String> =
        matched.iter().map(|matched| matched.scheme.to_string()).collect();
    let by = if schemes.is_empty() {
        String::new()
    } else {
        format!(", named as {}", Vec::from_iter(schemes).join(", "))
    };
    let values: usize = matched.iter().map(|matched| matched.sites).sum();
    let title = format!(
        "{} of {} arrays matched{by}: {values} values",
        matched.len(),
        matched.len() + unmatched.len()
    );
    writeln!(out, "{}", paint.paint(color::BOLD, title))?;
    if context.verbose {
        for Matched { name, value, shape, dtype, .. } in matched {
            writeln!(out, "  {} {dtype} {shape:?} is {value}", one_line(name))?;
        }
    }
    let mut guesses: Vec<(&str, Vec<&Matched>)> = Vec::new();
    for matched in matched {
        for guess in &matched.guesses {
            match guesses.iter_mut().find(|(known, _)| known == guess) {
                Some((_, all)) => all.push(matched),
                None => guesses.push((guess, vec![matched])),
            }
        }
    }
    for (guess, of) in guesses {
        writeln!(
            out,
            "  {} {guess}: {}",
            paint.paint(color::WARNING, "guessed"),
            names(of.iter().map(|matched| matched.name.as_str()))
        )?;
    }
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for unmatched in unmatched {
        match reasons.iter_mut().find(|(why, _)| *why == unmatched.why) {
            Some((_, all)) => all.push(&unmatched.name),
            None => reasons.push((&unmatched.why, vec![&unmatched.name])),
        }
    }
    for (why, of) in reasons {
        writeln!(
            out,
            "  {} {}: {}",
            paint.paint(color::WARNING, "left"),
            one_line(why),
            names(of.into_iter())
        )?;
    }
    for note in notes {
        writeln!(out, "  {} {}", paint.paint(color::HELP, "note"), one_line(note))?;
    }
    Ok(())
}

/// A few names, and how many more there are.
pub(super) fn names<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 4;
    let count = names.len();
    let shown: Vec<String> = names.take(SHOWN).map(one_line).collect();
    let rest = if count > SHOWN { format!(" and {} more", count - SHOWN) } else { String::new() };
    shown.join(", ") + &rest
}

/// What a file says cannot steer the terminal.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(printable).collect()
}
