//! Colours: when, and which.

use std::fmt;
use std::io::IsTerminal;

use anstyle::{AnsiColor, Style};

/// When to write in colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ColorWhen {
    /// On a terminal, unless `NO_COLOR` is set; `CLICOLOR_FORCE` overrules both.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl ColorWhen {
    pub(crate) fn is_on(self, stream: &(impl IsTerminal + anstream::stream::RawStream)) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => !matches!(anstream::AutoStream::choice(stream), anstream::ColorChoice::Never),
        }
    }
}

/// Wraps text in a style, or leaves it alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint(pub(crate) bool);

impl Paint {
    pub(crate) fn paint<T: fmt::Display>(self, style: Style, text: T) -> Painted<T> {
        Painted { style: self.0.then_some(style), text }
    }
}

/// Text in a style.
pub(crate) struct Painted<T> {
    style: Option<Style>,
    text: T,
}

impl<T: fmt::Display> fmt::Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.style {
            Some(style) => write!(f, "{style}{}{style:#}", self.text),
            None => self.text.fmt(f),
        }
    }
}

pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();
pub(crate) const WARNING: Style = AnsiColor::Yellow.on_default().bold();
pub(crate) const HELP: Style = AnsiColor::Cyan.on_default();
pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const MARKER: Style = AnsiColor::BrightBlack.on_default();

/// The colour of a channel; a message without one has the colour of its role.
pub(crate) fn channel(channel: Option<&str>, role: &str) -> Style {
    match (channel, role) {
        (Some("analysis"), _) => AnsiColor::Yellow.on_default(),
        (Some("commentary"), _) => AnsiColor::Magenta.on_default(),
        (Some("final"), _) => AnsiColor::Green.on_default(),
        (Some(_), _) => AnsiColor::Red.on_default(),
        (None, "user") => AnsiColor::Cyan.on_default(),
        (None, _) => AnsiColor::Blue.on_default(),
    }
}
