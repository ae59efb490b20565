//! `gptoss tokens`: text and token ids.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use harmony_format::{Encoding, TokenId};
use serde_json::json;

use crate::context::Context;
use crate::error::Result;
use crate::{ids, input};

/// Encode, decode and count tokens
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
    /// The vocabulary: o200k_harmony or a tokenizer.json
    #[arg(long, global = true, value_name = "FILE", env = "GPTOSS_TOKENIZER", hide_env = true)]
    tokenizer: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Write the token ids of a text, as a JSON array
    Encode(Text),
    /// Write the text of token ids: a JSON array, or numbers with white space between them
    Decode {
        /// The token ids
        file: PathBuf,
    },
    /// Write how many tokens a text has
    Count(Text),
    /// List the special tokens
    Special,
}

#[derive(Debug, clap::Args)]
struct Text {
    /// The text
    file: PathBuf,
    /// Let the spellings of special tokens, such as <|start|>, be those tokens; only for text that a renderer wrote
    #[arg(long)]
    allow_special: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let encoding = context.encoding(args.tokenizer.as_deref())?;
    let mut out = context.stdout();
    let schema = "gptoss.tokens/1";
    match &args.action {
        Action::Encode(text) => {
            let ids = encode(text, &encoding)?;
            if context.json {
                out.json(&json!({"schema": schema, "encoding": encoding.name(), "ids": ids}))?;
            } else {
                out.json(&ids)?;
            }
        }
        Action::Decode { file } => {
            let document = input::read_text(file)?;
            let place = |error: crate::error::Error| error.in_file(&document.name);
            let ids = ids::read(&document.text).map_err(place)?;
            let bytes =
                encoding.decode_bytes(&ids).map_err(|error| place(ids::locate(error, &document.text)))?;
            if context.json {
                let text = String::from_utf8_lossy(&bytes);
                let is_utf8 = std::str::from_utf8(&bytes).is_ok();
                out.json(
                    &json!({"schema": schema, "encoding": encoding.name(), "text": text, "is_utf8": is_utf8}),
                )?;
            } else {
                out.write_all(&bytes)?;
            }
        }
        Action::Count(text) => {
            let count = encode(text, &encoding)?.len();
            if context.json {
                out.json(&json!({"schema": schema, "encoding": encoding.name(), "count": count}))?;
            } else {
                writeln!(out, "{count}")?;
            }
        }
        Action::Special => {
            let tokens = encoding.special_tokens();
            if context.json {
                let list: Vec<_> = tokens.iter().map(|(id, text)| json!({"id": id, "text": text})).collect();
                out.json(&json!({"schema": schema, "encoding": encoding.name(), "special": list}))?;
            } else {
                for (id, text) in tokens {
                    writeln!(out, "{id}\t{text}")?;
                }
            }
        }
    }
    out.finish()?;
    Ok(ExitCode::SUCCESS)
}

fn encode(text: &Text, encoding: &Encoding) -> Result<Vec<TokenId>> {
    let document = input::read_text(&text.file)?;
    Ok(if text.allow_special {
        encoding.encode(&document.text, harmony_format::AllowedSpecial::All)
    } else {
        encoding.encode_ordinary(&document.text)
    })
}
