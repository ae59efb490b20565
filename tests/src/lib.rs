//! What the test binaries share.

#[cfg(feature = "differential")]
pub mod official;
#[cfg(feature = "wgsl")]
pub mod wgsl;

use std::fs;
use std::path::{Path, PathBuf};

/// The folder `fixtures` of the repository.
///
/// # Panics
///
/// If the crate does not lie in the repository.
#[must_use]
pub fn fixtures_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository").join("fixtures")
}

/// The case folders of one subject, sorted by name; at least one.
///
/// # Panics
///
/// If there is no such subject, or no case in it.
#[must_use]
pub fn fixtures(subject: &str) -> Vec<PathBuf> {
    let root = fixtures_root().join(subject);
    let entries = fs::read_dir(&root).unwrap_or_else(|error| panic!("{}: {error}", root.display()));
    let mut cases: Vec<_> =
        entries.map(|entry| entry.expect("a readable folder").path()).filter(|path| path.is_dir()).collect();
    cases.sort();
    assert!(!cases.is_empty(), "{} has no cases", root.display());
    cases
}
