//! What every command gets: the global flags, settled.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use gptoss_runtime::Profile;
use gptoss_runtime::simd::Isa;
use harmony_format::Encoding;

use crate::args::Global;
use crate::color::{self, ColorWhen, Paint};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::excerpt::printable;
use crate::model::{IsaChoice, Pages};
use crate::output::Output;

/// The global flags, settled from the command line, the environment and the configuration file in this order.
#[derive(Debug)]
pub(crate) struct Context {
    /// Write results and errors as JSON objects.
    pub(crate) json: bool,
    /// Write no notes and warnings.
    pub(crate) quiet: bool,
    /// Write more notes.
    pub(crate) verbose: bool,
    /// The number of threads for models and JSON Lines.
    pub(crate) threads: usize,
    /// The instruction set that was asked for; none is the best.
    pub(crate) isa: Option<Isa>,
    /// The profile that was asked for.
    pub(crate) profile: Option<Profile>,
    /// Where a model's weights lie.
    pub(crate) pages: Pages,
    /// When to write in colour.
    pub(crate) color: ColorWhen,
    /// The vocabulary where none is named.
    tokenizer: Option<PathBuf>,
}

impl Context {
    pub(crate) fn new(global: &Global) -> Result<Self> {
        let config = Config::load()?;
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            json: global.json,
            quiet: global.quiet || (config.quiet && !global.verbose),
            verbose: global.verbose || (config.verbose && !global.quiet),
            threads: global.threads.or(config.threads).map_or_else(cores, usize::from),
            isa: global.isa.or(config.isa).and_then(|IsaChoice(isa)| isa),
            profile: global.profile.or(config.profile),
            pages: global.pages.or(config.pages).unwrap_or_default(),
            color: global.color.or(config.color).unwrap_or_default(),
            tokenizer: config.tokenizer,
        })
    }

    /// Threads for work that is not a model's, as many as the flags say.
    pub(crate) fn pool(&self) -> Result<rayon::ThreadPool> {
        rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads)
            .build()
            .map_err(|error| Error::io(format!("cannot start threads: {error}")))
    }

    /// Standard output, buffered.
    pub(crate) fn stdout(&self) -> Output {
        Output::new(self.color)
    }

    /// The vocabulary: the embedded one by its name or by default, else a `tokenizer.json`.
    pub(crate) fn encoding(&self, tokenizer: Option<&Path>) -> Result<Encoding> {
        match tokenizer.or(self.tokenizer.as_deref()) {
            None => Ok(Encoding::o200k_harmony()),
            Some(name) if name.as_os_str() == "o200k_harmony" => Ok(Encoding::o200k_harmony()),
            Some(path) => {
                let bytes = crate::input::read_bytes(path)?;
                Encoding::from_tokenizer_json_bytes(&bytes)
                    .map_err(|error| Error::from(error).in_file(path.display()))
            }
        }
    }

    /// How text for standard error is painted.
    pub(crate) fn paint_stderr(&self) -> Paint {
        Paint(self.color.is_on(&std::io::stderr()))
    }

    /// Writes a line `warning: …` to standard error, unless `--quiet`.
    pub(crate) fn warn(&self, text: impl std::fmt::Display) {
        if !self.quiet {
            let label = self.paint_stderr().paint(color::WARNING, "warning:");
            let _ = writeln!(std::io::stderr(), "{label} {text}");
        }
    }

    /// Writes a line `note: …` to standard error, unless `--quiet`.
    pub(crate) fn note(&self, text: impl std::fmt::Display) {
        if !self.quiet {
            let label = self.paint_stderr().paint(color::HELP, "note:");
            let _ = writeln!(std::io::stderr(), "{label} {text}");
        }
    }

    /// Writes a line to standard error that was asked for, `--quiet` or not.
    pub(crate) fn tell(&self, text: impl std::fmt::Display) {
        let _ = writeln!(std::io::stderr(), "{text}");
    }

    /// Writes how far a tool is to standard error, unless `--quiet`.
    pub(crate) fn news(&self, text: &str) {
        if !self.quiet {
            let label = self.paint_stderr().paint(color::DIM, "tool:");
            let text: String = text.chars().map(printable).collect();
            let _ = writeln!(std::io::stderr(), "{label} {text}");
        }
    }

    /// Writes an error to standard error and returns its exit code.
    pub(crate) fn report(&self, error: &Error) -> ExitCode {
        error.report(self.json, self.reports_in_color())
    }

    /// Whether errors are written in colour.
    pub(crate) fn reports_in_color(&self) -> bool {
        self.paint_stderr().0
    }
}
