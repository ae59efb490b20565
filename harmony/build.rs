//! Writes the tables of the vocabulary o200k_harmony, which the crate embeds.
//!
//! The ranks come from the crate `tiktoken-rs`; the text that `openai.com` publishes for them is
//! rebuilt and its SHA-256 compared, so that no other vocabulary can slip in. Nothing is downloaded.

#[path = "build/classes.rs"]
mod classes;
#[path = "src/encoding/o200k/layout.rs"]
#[allow(dead_code, reason = "the crate reads with what is not needed to write")]
mod layout;
#[path = "build/ranks.rs"]
mod ranks;
#[path = "build/tables.rs"]
mod tables;

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    for path in ["build.rs", "build", "src/encoding/o200k/layout.rs"] {
        println!("cargo::rerun-if-changed={path}");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    let tokens = ranks::tokens();
    tables::write(&out, &tokens)?;
    classes::write(&out)
}

fn write(out: &Path, name: &str, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    fs::write(out.join(name), bytes)
}
