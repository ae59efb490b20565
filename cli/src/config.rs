//! The configuration file, `gptoss.toml`: defaults for global flags.

use std::env;
use std::path::PathBuf;

use gptoss_runtime::Profile;
use serde::{Deserialize, Deserializer};

use crate::color::ColorWhen;
use crate::error::{Error, Result};
use crate::excerpt::Excerpt;
use crate::input;
use crate::model::{IsaChoice, Pages};

/// What the file may say. The command line and the environment win over it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// As `--threads`.
    pub(crate) threads: Option<std::num::NonZeroUsize>,
    /// As `--isa`.
    pub(crate) isa: Option<IsaChoice>,
    /// As `--profile`.
    #[serde(default, deserialize_with = "profile")]
    pub(crate) profile: Option<Profile>,
    /// As `--pages`.
    pub(crate) pages: Option<Pages>,
    /// As `--color`.
    pub(crate) color: Option<ColorWhen>,
    /// As `--quiet`.
    #[serde(default)]
    pub(crate) quiet: bool,
    /// As `--verbose`.
    #[serde(default)]
    pub(crate) verbose: bool,
    /// As `--tokenizer`.
    pub(crate) tokenizer: Option<PathBuf>,
}

impl Config {
    /// Reads the file; one that is not there says nothing, unless `GPTOSS_CONFIG` names it.
    pub(crate) fn load() -> Result<Self> {
        let Some(path) = path() else { return Ok(Self::default()) };
        if !path.exists() && env::var_os("GPTOSS_CONFIG").is_none() {
            return Ok(Self::default());
        }
        let document = input::read_text(&path)?;
        Self::parse(&document.text).map_err(|error| error.in_file(&document.name))
    }

    fn parse(text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|error| {
            let this = Error::usage(error.message().lines().next().unwrap_or_default())
                .help("the keys are threads, isa, profile, pages, color, quiet, verbose and tokenizer");
            match error.span() {
                Some(span) => {
                    let (line, column) = Excerpt::place(text, span.start);
                    this.at_line(line, column).excerpt(Excerpt::of_text(text, span))
                }
                None => this,
            }
        })
    }
}

fn profile<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Option<Profile>, D::Error> {
    let name = String::deserialize(from)?;
    name.parse().map(Some).map_err(|error: gptoss_runtime::Error| serde::de::Error::custom(error.rule()))
}

/// Where the file is looked for: `GPTOSS_CONFIG`, or `gptoss/gptoss.toml` in the user's configuration folder.
pub(crate) fn path() -> Option<PathBuf> {
    let folder = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = folder("GPTOSS_CONFIG") {
        return Some(path);
    }
    let configuration = if cfg!(windows) {
        folder("APPDATA")
    } else if cfg!(target_os = "macos") {
        folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join("Library/Application Support")))
    } else {
        // A relative path there is to be ignored, says the XDG Base Directory Specification.
        folder("XDG_CONFIG_HOME")
            .filter(|path| path.is_absolute())
            .or_else(|| Some(folder("HOME")?.join(".config")))
    };
    Some(configuration?.join("gptoss").join("gptoss.toml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_are_read() {
        let config = Config::parse(
            "threads = 2\nisa = \"scalar\"\nprofile = \"f32\"\npages = \"huge\"\ncolor = \"never\"\nquiet = true\n",
        )
        .unwrap();
        assert_eq!(config.threads.map(usize::from), Some(2));
        assert_eq!(config.isa.map(|isa| isa.to_string()).as_deref(), Some("scalar"));
        assert_eq!(config.profile, Some(Profile::F32));
        assert_eq!(config.pages, Some(Pages::Huge));
        assert_eq!(config.color, Some(ColorWhen::Never));
        assert!(config.quiet && !config.verbose);
    }

    #[test]
    fn an_unknown_key_or_a_wrong_value_is_an_error_with_its_place() {
        for text in [
            "thread = 2",
            "threads = 0",
            "color = \"red\"",
            "profile = \"f16\"",
            "isa = \"sse\"",
            "pages = 4",
            "quiet = ",
        ] {
            let error = Config::parse(text).unwrap_err().to_json();
            assert_eq!(error["code"], "usage", "{text}");
            assert_eq!(error["place"]["line"], 1, "{text}");
        }
    }
}
