//! `gptoss bench`: how fast a model runs here, in llama-bench's words.

mod report;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::ValueEnum;
use gptoss_runtime::model::kv_cache::KvCache;
use gptoss_runtime::{Model, Rows, synth};

use crate::context::Context;
use crate::error::{Error, Result};
use crate::interrupt::Watch;
use crate::model::machine::{self, Bandwidth, Reader};
use crate::model::size::{self, Size};
use crate::model::{load, prompt};
use report::{Bench, Measured};

/// Measure how fast a model reads prompts and generates
///
/// As in llama-bench, pp512 is a prompt of 512 tokens, tg128 are 128 tokens, one after another, and @ d4096 means that
/// 4096 tokens came before. The bandwidth of the memory is measured before and after each test, as decoding is bound by
/// it. The token ids follow from a fixed rule.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Args {
    /// The checkpoint: a folder, or a file with config.json beside it
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// Tokens of a prompt; several with commas between them, 0 for no such test
    #[arg(short = 'p', long, value_name = "N", value_delimiter = ',', default_value = "512")]
    n_prompt: Vec<usize>,
    /// Tokens to generate
    #[arg(short = 'n', long, value_name = "N", value_delimiter = ',', default_value = "128")]
    n_gen: Vec<usize>,
    /// Tokens that come before
    #[arg(short = 'd', long, value_name = "N", value_delimiter = ',', default_value = "0")]
    n_depth: Vec<usize>,
    /// How often each test is repeated
    #[arg(short = 'r', long, value_name = "N", default_value = "5")]
    repetitions: NonZeroUsize,
    /// Positions that are computed at once
    #[arg(long, value_name = "N", default_value = "512")]
    chunk: NonZeroUsize,
    /// Do not run each test once before it is measured
    #[arg(long)]
    no_warmup: bool,
    /// The format of the report
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

const EXAMPLE: &str = "Example:
  gptoss bench --model gpt-oss-20b -p 128,512 -n 64 -d 0,4096 -r 3";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table in Markdown
    #[default]
    Md,
    /// A JSON object
    Json,
    /// A line a test, with commas
    Csv,
}

/// What is measured: tokens of a prompt, or tokens one after another, behind others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Test {
    pub(crate) prompt: usize,
    pub(crate) generated: usize,
    pub(crate) depth: usize,
}

impl Test {
    /// The name in tables.
    pub(crate) fn name(self) -> String {
        let name = match self.prompt {
            0 => format!("tg{}", self.generated),
            prompt => format!("pp{prompt}"),
        };
        if self.depth == 0 { name } else { format!("{name} @ d{}", self.depth) }
    }

    /// The tokens that are timed.
    pub(crate) fn tokens(self) -> usize {
        self.prompt + self.generated
    }
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let tests = tests(args);
    if tests.is_empty() {
        return Err(Error::usage("there is nothing to measure: -p and -n are 0"));
    }
    let mut watch = Watch::new(context)?;
    let start = Instant::now();
    let model = load::model(&args.model, context)?;
    let load_seconds = start.elapsed().as_secs_f64();
    let load_bytes = machine::anonymous_memory();
    let mut bench = Bench {
        name: name(&args.model, &model),
        path: args.model.clone(),
        size: Size::of_checkpoint(&load::open(&args.model, context)?),
        profile: model.profile(),
        isa: model.isa(),
        threads: model.threads(),
        chunk: args.chunk.get(),
        load_seconds,
        load_bytes,
        results: Vec::new(),
    };
    let mut before = bandwidth(model.threads())?;
    for test in tests {
        if context.verbose {
            context.note(format!("{} is measured", test.name()));
        }
        let seconds = measure(&model, test, args, &mut watch)?;
        let after = bandwidth(model.threads())?;
        let config = model.config();
        let middle = test.depth + test.tokens() / 2;
        bench.results.push(Measured {
            test,
            seconds,
            bandwidth: before.and(&after),
            bytes_per_token: bench.size.bytes_per_token()
                + size::cache_bytes_per_token(config, model.profile(), middle),
            operations: bench.size.operations_per_position() * test.tokens() as u64
                + bench.size.operations_per_row() * (test.generated as u64).max(1)
                + size::attention_operations(config, test.depth, test.tokens()),
        });
        before = after;
    }
    let mut out = context.stdout();
    let format = if context.json { Format::Json } else { args.output };
    report::write(&bench, format, &mut out)?;
    out.finish()?;
    Ok(ExitCode::SUCCESS)
}

/// The tests in llama-bench's order: by depth, prompts before generation.
fn tests(args: &Args) -> Vec<Test> {
    let mut tests = Vec::new();
    for &depth in &args.n_depth {
        let prompts = args.n_prompt.iter().map(|&prompt| Test { prompt, generated: 0, depth });
        let generations = args.n_gen.iter().map(|&generated| Test { prompt: 0, generated, depth });
        tests.extend(prompts.chain(generations).filter(|test| test.tokens() > 0));
    }
    tests
}

/// The name of a release if the model has its shape, else that of its folder.
fn name(path: &Path, model: &Model) -> String {
    let same = |released: gptoss_runtime::ModelConfig| {
        released.layer_types == model.config().layer_types
            && released.num_experts == model.config().num_experts
            && released.hidden_size == model.config().hidden_size
    };
    match () {
        () if same(synth::gpt_oss_20b()) => "gpt-oss 20b".to_owned(),
        () if same(synth::gpt_oss_120b()) => "gpt-oss 120b".to_owned(),
        () => path.file_name().map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned()),
    }
}

fn bandwidth(threads: usize) -> Result<Bandwidth> {
    // The memory is given back in between, as the model may need it.
    let reader = Reader::new(threads)
        .map_err(|error| Error::io(format!("no memory to measure its bandwidth with: {error}")))?;
    Ok(reader.measure())
}

/// The seconds of each repetition.
fn measure(model: &Model, test: Test, args: &Args, watch: &mut Watch) -> Result<Vec<f64>> {
    let tokens = prompt(model.config(), test.depth + test.tokens());
    let (depth, timed) = tokens.split_at(test.depth);
    let chunk = args.chunk.get().min(test.depth.max(test.prompt).max(1));
    let mut filled = model.new_cache(tokens.len(), chunk)?;
    for part in depth.chunks(chunk) {
        model.forward_rows(part, Rows::None, &mut filled, watch)?;
    }
    let run = |watch: &mut Watch| {
        let mut cache = filled.clone();
        let start = Instant::now();
        pass(model, test, timed, &mut cache, watch)?;
        Ok::<_, Error>(start.elapsed().as_secs_f64())
    };
    if !args.no_warmup {
        run(watch)?;
    }
    (0..args.repetitions.get()).map(|_| run(watch)).collect()
}

/// What is timed.
fn pass(model: &Model, test: Test, tokens: &[u32], cache: &mut KvCache, watch: &mut Watch) -> Result<()> {
    if test.prompt > 0 {
        model.prefill(tokens, cache, watch)?;
    } else {
        for &token in tokens {
            model.forward(&[token], cache, watch)?;
        }
    }
    Ok(())
}
