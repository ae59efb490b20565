//! Assertions, diffs and proptest strategies for tests.
