//! The vocabulary for the official library, which would download it.

use std::fmt::Write as _;
use std::process::Command;
use std::{env, fs};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use harmony_format::Encoding;

/// The environment variable that names the folder of the vocabulary.
const VARIABLE: &str = "TIKTOKEN_ENCODINGS_BASE";

/// Runs this program again with the vocabulary in a folder of its own, unless it has one.
/// The exit code of that, or nothing if this program can go on itself.
///
/// # Panics
///
/// If the folder for temporary files cannot be written.
#[must_use]
pub fn run_again_with_vocabulary() -> Option<i32> {
    if env::var_os(VARIABLE).is_some() {
        return None;
    }
    let folder = env::temp_dir().join(format!("gptoss-official-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a writable folder for temporary files");
    fs::write(folder.join("o200k_base.tiktoken"), vocabulary()).expect("room for 4 MB");
    let program = env::current_exe().expect("this program");
    let status = Command::new(program).args(env::args_os().skip(1)).env(VARIABLE, &folder).status();
    // A folder that stays behind does no harm.
    let _ = fs::remove_dir_all(&folder);
    Some(status.ok().and_then(|status| status.code()).unwrap_or(1))
}

/// The published file, rebuilt from the embedded ranks; the official library compares its SHA-256.
fn vocabulary() -> String {
    let encoding = Encoding::o200k_harmony();
    let mut text = String::new();
    for rank in 0..199_998 {
        let token = encoding.token_bytes(rank).expect("the ranks have no gaps");
        BASE64_STANDARD.encode_string(token, &mut text);
        writeln!(text, " {rank}").expect("a string takes any text");
    }
    text
}
