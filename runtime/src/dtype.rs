//! The types of stored numbers.

pub mod bf16;
pub mod mxfp4;
