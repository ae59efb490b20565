//! Assertions, diffs and proptest strategies for tests.

pub mod strategies;
