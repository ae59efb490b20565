//! `gptoss doctor`: is everything in order.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use gptoss_runtime::simd::Isa;
use harmony_format::{Conversation, Encoding, Message, ParseOptions, RenderOptions, Role, SpecialToken};
use serde_json::json;

use crate::color;
use crate::config;
use crate::context::Context;
use crate::error::{DIFFERENT, Result};
use crate::model::gigabytes;
use crate::model::machine::{self, Memory};

/// Check this program and its surroundings
///
/// The exit code is 1 if something is not in order.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// One line of the report.
struct Check {
    name: &'static str,
    is_fine: bool,
    found: String,
}

pub(crate) fn run(_args: &Args, context: &Context) -> Result<ExitCode> {
    let checks = [
        version(),
        vocabulary(),
        round_trip(),
        configuration(),
        threads(context),
        instructions(context),
        memory(),
        terminal(context),
    ];
    let is_fine = checks.iter().all(|check| check.is_fine);
    let mut out = context.stdout();
    if context.json {
        let list: Vec<_> = checks
            .iter()
            .map(|check| json!({"check": check.name, "fine": check.is_fine, "found": check.found}))
            .collect();
        out.json(&json!({"schema": "gptoss.doctor/1", "fine": is_fine, "checks": list}))?;
    } else {
        for check in &checks {
            let mark = if check.is_fine {
                out.paint.paint(color::GOOD, "ok ")
            } else {
                out.paint.paint(color::ERROR, "bad")
            };
            writeln!(out, "{mark} {:<14} {}", check.name, check.found)?;
        }
    }
    out.finish()?;
    Ok(ExitCode::from(if is_fine { 0 } else { DIFFERENT }))
}

fn version() -> Check {
    let found =
        format!("{} for {}-{}", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH, std::env::consts::OS);
    Check { name: "version", is_fine: true, found }
}

/// SHA-256 of `o200k_base.tiktoken`: each ordinary token as Base64, a space, its id and a line feed, by ascending id.
const O200K_BASE: &str = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d";

/// Hashes the embedded vocabulary in the form in which it is published.
fn vocabulary() -> Check {
    use sha2::{Digest, Sha256};
    let encoding = Encoding::o200k_harmony();
    let mut hash = Sha256::new();
    let mut count = 0;
    for id in 0..200_000 {
        let Some(bytes) = encoding.token_bytes(id) else { continue };
        if encoding.is_special(id) {
            continue;
        }
        hash.update(format!("{} {id}\n", BASE64_STANDARD.encode(bytes)));
        count += 1;
    }
    let mut digest = String::new();
    for byte in hash.finalize() {
        let _ = write!(digest, "{byte:02x}");
    }
    let special = encoding.special_tokens().len();
    let is_fine =
        digest == O200K_BASE && SpecialToken::ALL.iter().all(|&marker| encoding.marker_id(marker).is_some());
    let found = format!(
        "{}: {count} ordinary and {special} special tokens, sha256 {}",
        encoding.name(),
        &digest[..16]
    );
    Check { name: "vocabulary", is_fine, found }
}

/// Renders a conversation and parses it back.
fn round_trip() -> Check {
    let encoding = Encoding::o200k_harmony();
    let conversation = Conversation::new([
        Message::new(Role::User, "What is 2 + 2?"),
        Message::new(Role::Assistant, "2 + 2 = 4.").with_channel("final"),
    ]);
    let parsed = encoding
        .render(&conversation, &RenderOptions::storage())
        .and_then(|tokens| encoding.parse(&tokens, &ParseOptions::strict()));
    let (is_fine, found) = match parsed {
        Ok(parsed) => {
            let messages: Vec<_> = parsed.messages.into_iter().map(|parsed| parsed.message).collect();
            match messages == conversation.messages {
                true => (true, "a rendered conversation is parsed back".to_owned()),
                false => (false, "a rendered conversation is parsed back to another one".to_owned()),
            }
        }
        Err(error) => (false, error.to_string()),
    };
    Check { name: "round trip", is_fine, found }
}

fn configuration() -> Check {
    let found = match config::path() {
        Some(path) if path.exists() => format!("read from {}", path.display()),
        Some(path) => format!("none at {}", path.display()),
        None => "no configuration folder is known".into(),
    };
    Check { name: "configuration", is_fine: true, found }
}

fn threads(context: &Context) -> Check {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Check { name: "threads", is_fine: true, found: format!("{} used, {cores} available", context.threads) }
}

fn instructions(context: &Context) -> Check {
    let (best, products) = (Isa::best(), Isa::best_for_products());
    let available: Vec<_> = Isa::available().map(Isa::name).collect();
    let (is_fine, used) = match context.isa {
        Some(isa) if !isa.is_available() => (false, format!("{isa} was asked for and is not there")),
        None if products != best => (true, format!("{best} used, {products} by long prompts")),
        isa => (true, format!("{} used", isa.unwrap_or(best))),
    };
    let processor = machine::processor().map_or_else(String::new, |name| format!(", {name}"));
    let found = format!("{used}, {} available{processor}", available.join(" "));
    Check { name: "instructions", is_fine, found }
}

fn memory() -> Check {
    let found = Memory::read().map_or_else(
        || "not known on this system".to_owned(),
        |memory| format!("{} available of {}", gigabytes(memory.available), gigabytes(memory.total)),
    );
    Check { name: "memory", is_fine: true, found }
}

fn terminal(context: &Context) -> Check {
    let is_terminal = std::io::stdout().is_terminal();
    let is_on = context.color.is_on(&std::io::stdout());
    let found = format!(
        "standard output is {} terminal, colour is {}",
        if is_terminal { "a" } else { "no" },
        if is_on { "on" } else { "off" }
    );
    Check { name: "terminal", is_fine: true, found }
}
