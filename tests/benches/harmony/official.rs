//! The vocabulary for the official library, which would download it.

use std::fmt::Write as _;
use std::process::Command;
use std::{env, fs};

const VARIABLE: &str = "TIKTOKEN_ENCODINGS_BASE";

pub(crate) fn vocabulary_is_missing() -> bool {
    env::var_os(VARIABLE).is_none()
}

/// Writes the vocabulary to a folder of its own and runs this program again with it; the exit code of that.
pub(crate) fn run_again_with_vocabulary() -> i32 {
    let folder = env::temp_dir().join(format!("harmony-bench-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a writable folder for temporary files");
    fs::write(folder.join("o200k_base.tiktoken"), vocabulary())
        .expect("a writable folder for temporary files");
    let program = env::current_exe().expect("this program");
    let status = Command::new(program).args(env::args_os().skip(1)).env(VARIABLE, &folder).status();
    // A folder that stays behind does no harm.
    let _ = fs::remove_dir_all(&folder);
    status.ok().and_then(|status| status.code()).unwrap_or(1)
}

/// The published file, rebuilt from the ranks of `tiktoken-rs`; the official library compares its SHA-256.
fn vocabulary() -> String {
    let bpe = tiktoken_rs::o200k_base_singleton();
    let mut text = String::new();
    for rank in 0..199_998 {
        base64(&bpe.decode_bytes(&[rank]).expect("the ranks have no gaps"), &mut text);
        writeln!(text, " {rank}").expect("a string takes any text");
    }
    text
}

fn base64(bytes: &[u8], text: &mut String) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| usize::from(chunk.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            text.push(if digit <= chunk.len() { DIGITS[bits >> (18 - 6 * digit) & 63].into() } else { '=' });
        }
    }
}
