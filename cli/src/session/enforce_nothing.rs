//! In place of `enforce.rs` where the program is built without the feature `constrain`.

use std::convert::Infallible;

use harmony_format::Encoding;
use harmony_format::grammar::Grammar;
use serde_json::Value;

use crate::error::{Error, Result};

/// Which tokens may come next.
#[allow(dead_code, reason = "there are no rules that could say so")]
pub(crate) enum Choice<'a> {
    /// Only this one.
    Only(u32),
    /// Those whose bit is set.
    Of(&'a [u32]),
}

/// There is none.
pub(crate) struct Rules(Infallible);

/// There is none.
#[derive(Clone)]
pub(crate) struct Enforcer(Infallible);

impl Rules {
    pub(crate) fn new(_: &Encoding, _: usize) -> Result<Self> {
        Err(Error::usage("this program was built without enforced output").help("pass --enforce off"))
    }

    pub(crate) fn refusal(&self, _: impl IntoIterator<Item = (String, Value)>) -> Option<Error> {
        match self.0 {}
    }

    pub(crate) fn enforce(&self, _: &Grammar) -> Result<Enforcer> {
        match self.0 {}
    }
}

impl Enforcer {
    pub(crate) fn choose(&mut self, _: usize) -> Result<Choice<'_>> {
        match self.0 {}
    }

    pub(crate) fn take(&mut self, _: u32) -> Result<()> {
        match self.0 {}
    }
}
