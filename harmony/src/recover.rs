//! The repairs of malformed output, one function a repair, each with its code.

/// A named repair; its code is stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Repair {
    /// `R01`: a stop token after the end of a message.
    StrayStop,
}
