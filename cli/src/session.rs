//! A conversation with a model: rendered, generated, parsed, and gone on from where the cache is.

pub(crate) mod args;
#[cfg(feature = "constrain")]
pub(crate) mod enforce;
#[cfg(not(feature = "constrain"))]
#[path = "session/enforce_nothing.rs"]
pub(crate) mod enforce;
pub(crate) mod example;
pub(crate) mod exchange;
pub(crate) mod memory;
pub(crate) mod setup;
pub(crate) mod speaker;
pub(crate) mod turn;

#[cfg(test)]
mod tests;
