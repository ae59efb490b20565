//! Tools that are really run: what answers the calls of a model.

#[cfg(feature = "browser")]
mod browser;
mod bubble;
pub(crate) mod citations;
mod command;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod confine;
mod http;
pub(crate) mod launch;
#[cfg(feature = "mcp")]
mod mcp;
pub(crate) mod process;
#[cfg(all(feature = "python", unix))]
mod python;
#[cfg_attr(not(feature = "python"), allow(dead_code, reason = "only notebooks need it"))]
pub(crate) mod sandbox;
#[cfg_attr(not(feature = "python"), allow(dead_code, reason = "only notebooks need it"))]
pub(crate) mod scratch;
pub(crate) mod table;
pub(crate) mod tape;
pub(crate) mod text;
pub(crate) mod toolbox;

use std::sync::atomic::AtomicBool;

use harmony_format::Message;
use serde_json::json;

use crate::error::Result;

/// What a tool answered to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// What the model is told.
    pub(crate) text: String,
    /// Whether the call failed; the model is told so by the text.
    pub(crate) has_failed: bool,
    /// The page of which the text is a view.
    pub(crate) page: Option<citations::Shown>,
}

impl Answer {
    /// The result of a call.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), has_failed: false, page: None }
    }

    /// A call that failed, as the models were trained to be told of it.
    pub(crate) fn failed(why: impl Into<String>) -> Self {
        Self { text: json!({"error": why.into()}).to_string(), has_failed: true, page: None }
    }
}

/// What runs tools.
pub(crate) trait Tools {
    /// Answers a call; nothing if the tool is not run here. A tool that fails is answered for, too: an error ends the run.
    /// `news` hears how far the call is, in lines.
    ///
    /// # Errors
    ///
    /// If the run cannot go on: Ctrl-C, or a replay that came to another call than the record.
    fn answer(
        &mut self,
        call: &Message,
        interrupt: &AtomicBool,
        news: &mut dyn FnMut(&str),
    ) -> Result<Option<Answer>>;

    /// The most calls between a message of the user and its answer.
    fn most_calls(&self) -> usize {
        MOST_CALLS
    }
}

/// Calls that are answered before a model must come to its answer, where nothing else is said.
pub(crate) const MOST_CALLS: usize = 16;
