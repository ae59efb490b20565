//! `gptoss logits`: what a model says to token ids.

use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::ValueEnum;
use gptoss_runtime::checkpoint::packed::PackedFile;
use gptoss_runtime::weights::Weights;
use gptoss_runtime::{ModelConfig, Profile, Rows, reference};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::context::Context;
use crate::error::{Error, Result};
use crate::interrupt::Watch;
use crate::model::{Packed, hex, load};
use crate::npy::{self, Number};
use crate::output::Output;
use crate::output_file::OutputFile;
use crate::{ids, input};

/// Compute the logits of token ids
///
/// For the same ids, profile and weights the result has the same bits on every machine, with any --isa, --threads and
/// --chunk, and with --reference.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The checkpoint: a folder, or a file with config.json beside it
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// The token ids: `1,2,3`, or `@FILE` with a JSON array or numbers
    #[arg(long, value_name = "IDS")]
    ids: String,
    /// Compute by the plain loops of the reference, slowly
    #[arg(long, conflicts_with = "chunk")]
    reference: bool,
    /// Positions that are computed at once [default: 512]
    #[arg(long, value_name = "N")]
    chunk: Option<NonZeroUsize>,
    /// Use the matrices of a file that `gptoss model pack` wrote: FILE, auto (that of the checkpoint's folder, if there is
    /// one) or off [default: off]
    #[arg(long, value_name = "FILE|auto|off")]
    packed: Option<Packed>,
    /// Whose logits are wanted: those of every id, or of the last one
    #[arg(long, value_enum, default_value_t, value_name = "ROWS")]
    rows: Which,
    /// Write them here as a NumPy array `[rows, vocabulary]`: float32, or float64 in the profile f64
    #[arg(short, long, value_name = "OUT.npy", required_unless_present = "digest")]
    output: Option<PathBuf>,
    /// Write the SHA-256 of the numbers: little-endian, row by row
    #[arg(long)]
    digest: bool,
}

const EXAMPLES: &str = "Examples:
  gptoss logits --model gpt-oss-20b --ids 200006,1428,200008 --digest
  gptoss logits --model gpt-oss-20b --ids @ids.json --rows last --profile f32 -o logits.npy";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Which {
    /// Of every id
    #[default]
    All,
    /// Of the last one
    Last,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let to_stdout = args.output.as_deref().is_some_and(input::is_stdin);
    if to_stdout && Output::is_terminal() {
        return Err(Error::usage("an array is not written to a terminal").help("name a file: -o logits.npy"));
    }
    if to_stdout && (args.digest || context.json) {
        return Err(Error::usage("standard output cannot take the array and the digest"));
    }
    let tokens = read_ids(&args.ids)?;
    let mut watch = Watch::new(context)?;
    let start = Instant::now();
    let profile = context.profile.unwrap_or_default();
    let (vocab_size, seconds, mut sink) = if args.reference {
        let checkpoint = load::open(&args.model, context)?;
        check_ids(&tokens, checkpoint.config())?;
        let packed = load::packed_file(&args.model, args.packed.as_ref().unwrap_or(&Packed::Off));
        let weights = match packed {
            None => Weights::load(&checkpoint)?,
            Some(file) => Weights::load_packed(&checkpoint, &PackedFile::open(&file, &checkpoint)?)?,
        };
        let mut sink = Sink::create(args, profile, tokens.len(), checkpoint.config().vocab_size)?;
        let logits = reference::forward(checkpoint.config(), &weights, profile, &tokens, &mut watch)?;
        let bytes = logits.to_bytes();
        match args.rows {
            Which::All => sink.write(&bytes)?,
            Which::Last => sink.write(&bytes[bytes.len() / tokens.len() * (tokens.len() - 1)..])?,
        }
        (checkpoint.config().vocab_size, start.elapsed().as_secs_f64(), sink)
    } else {
        let model = load::model(&args.model, args.packed.as_ref().unwrap_or(&Packed::Off), context)?;
        check_ids(&tokens, model.config())?;
        let chunk = args.chunk.map_or(512, NonZeroUsize::get).min(tokens.len());
        let mut cache = model.new_cache(tokens.len(), chunk)?;
        let mut sink = Sink::create(args, profile, tokens.len(), model.config().vocab_size)?;
        let start = Instant::now();
        for part in tokens.chunks(chunk) {
            let is_last = cache.len() + part.len() == tokens.len();
            let rows = match args.rows {
                Which::All => Rows::All,
                Which::Last if is_last => Rows::Last,
                Which::Last => Rows::None,
            };
            let logits = model.forward_rows(part, rows, &mut cache, &mut watch)?;
            sink.write(&logits.to_bytes())?;
        }
        (model.config().vocab_size, start.elapsed().as_secs_f64(), sink)
    };
    if context.verbose {
        let speed = tokens.len() as f64 / seconds;
        context.note(format!("{} tokens in {seconds:.3} s, {speed:.2} tokens/s", tokens.len()));
    }
    watch.check()?;
    let digest = sink.digest.take().map(|hash| hex(&hash.finalize()));
    sink.finish()?;
    let mut out = context.stdout();
    if context.json {
        out.json(&json!({
            "schema": "gptoss.logits/1",
            "profile": profile.name(),
            "tokens": tokens.len(),
            "rows": if args.rows == Which::All { tokens.len() } else { 1 },
            "vocab_size": vocab_size,
            "digest": digest,
            "file": args.output,
        }))?;
    } else if let Some(digest) = digest {
        writeln!(out, "{digest}")?;
    }
    out.finish()?;
    Ok(ExitCode::SUCCESS)
}

/// Reads `1,2,3` or `@FILE`.
pub(crate) fn read_ids(text: &str) -> Result<Vec<u32>> {
    let (name, text) = match text.strip_prefix('@') {
        Some(path) => {
            let document = input::read_text(Path::new(path))?;
            (document.name, document.text)
        }
        None => ("--ids".to_owned(), text.to_owned()),
    };
    let ids = ids::read(&text).map_err(|error| error.in_file(&name))?;
    if ids.is_empty() {
        return Err(Error::input("M011", "at least one token id is needed").in_file(name));
    }
    Ok(ids)
}

/// All ids are checked before the first is computed.
pub(crate) fn check_ids(tokens: &[u32], config: &ModelConfig) -> Result<()> {
    match tokens.iter().position(|&token| token as usize >= config.vocab_size) {
        Some(at) => {
            let (token, size) = (tokens[at], config.vocab_size);
            let rule = format!("token {token} is outside the vocabulary of {size}");
            Err(Error::input("M011", rule).in_file(format!("--ids, token {at}")))
        }
        None => Ok(()),
    }
}

/// Where rows of logits go.
struct Sink {
    digest: Option<Sha256>,
    file: Option<OutputFile>,
    stdout: Option<std::io::StdoutLock<'static>>,
}

impl Sink {
    fn create(args: &Args, profile: Profile, tokens: usize, vocab_size: usize) -> Result<Self> {
        let mut sink = Self { digest: args.digest.then(Sha256::new), file: None, stdout: None };
        match args.output.as_deref() {
            None => return Ok(sink),
            Some(path) if input::is_stdin(path) => sink.stdout = Some(std::io::stdout().lock()),
            Some(path) => sink.file = Some(OutputFile::create(path)?),
        }
        let rows = if args.rows == Which::All { tokens } else { 1 };
        let number = if profile == Profile::F64 { Number::F64 } else { Number::F32 };
        sink.write_array(&npy::header(number, rows, vocab_size))?;
        Ok(sink)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if let Some(digest) = &mut self.digest {
            digest.update(bytes);
        }
        self.write_array(bytes)
    }

    fn write_array(&mut self, bytes: &[u8]) -> Result<()> {
        if let Some(file) = &mut self.file {
            file.write(bytes)?;
        }
        if let Some(stdout) = &mut self.stdout {
            stdout.write_all(bytes)?;
        }
        Ok(())
    }

    fn finish(self) -> Result<()> {
        if let Some(mut stdout) = self.stdout {
            stdout.flush()?;
        }
        self.file.map_or(Ok(()), OutputFile::finish)
    }
}
