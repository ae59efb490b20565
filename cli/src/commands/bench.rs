//! `gptoss bench`: how fast a model runs here, in llama-bench's words.

mod report;
mod stages;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::ValueEnum;
use gptoss_runtime::model::kv_cache::KvCache;
use gptoss_runtime::sampler::{Sampler, SamplerOptions};
use gptoss_runtime::weights::Storage;
use gptoss_runtime::{DraftCounts, GenerateOptions, Model, Rows, synth};

use crate::context::Context;
use crate::error::{Error, Result};
use crate::interrupt::Watch;
use crate::model::machine::{self, Bandwidth, Reader};
use crate::model::size::{self, Size};
use crate::model::{Packed, load, prompt};
use report::{Bench, Measured};
use stages::{Saved, Stages, Work};

/// Measure how fast a model reads prompts and generates
///
/// As in llama-bench, pp512 is a prompt of 512 tokens, tg128 are 128 tokens, one after another, and @ d4096 means that
/// 4096 tokens came before. The bandwidth of the memory is measured before and after each test, as decoding is bound by
/// it. The token ids follow from a fixed rule.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
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
    /// Generate a text that repeats a block of 64 ids, with drafts of up to N tokens; 0 for none
    ///
    /// The text is given, not sampled, since weights by chance do not repeat themselves: almost every draft is right, so
    /// that this is the most that drafts can gain.
    #[arg(long, value_name = "N", value_delimiter = ',')]
    draft: Vec<usize>,
    /// How often each test is repeated
    #[arg(short = 'r', long, value_name = "N", default_value = "5")]
    repetitions: NonZeroUsize,
    /// Positions that are computed at once
    #[arg(long, value_name = "N", default_value = "512")]
    chunk: NonZeroUsize,
    /// Use the matrices of a file that `gptoss model pack` wrote: FILE, auto (that of the checkpoint's folder, if there is
    /// one) or off [default: off]
    #[arg(long, value_name = "FILE|auto|off")]
    packed: Option<Packed>,
    /// Do not run each test once before it is measured
    #[arg(long)]
    no_warmup: bool,
    /// Tell where the time of each test goes, part by part of the forward pass
    #[arg(long)]
    profile_ops: bool,
    /// The format of the report
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

const EXAMPLES: &str = "Examples:
  gptoss bench --model gpt-oss-20b -p 128,512 -n 64 -d 0,4096 -r 3
  gptoss bench --model gpt-oss-20b -p 0 -n 128 --draft 0,8";

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

/// Ids that the text of a test with drafts repeats; the first of them stand before what is timed.
const BLOCK: usize = 64;

/// Bytes that no cache holds.
const MANY_BYTES: usize = 512 << 20;

/// What is measured: tokens of a prompt, or tokens one after another, behind others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Test {
    pub(crate) prompt: usize,
    pub(crate) generated: usize,
    pub(crate) depth: usize,
    /// The longest draft, if the text is one that repeats itself.
    pub(crate) draft: Option<usize>,
}

impl Test {
    /// The name in tables.
    pub(crate) fn name(self) -> String {
        let name = match self.prompt {
            0 => match self.draft {
                None => format!("tg{}", self.generated),
                Some(draft) => format!("tg{} r{BLOCK} draft{draft}", self.generated),
            },
            prompt => format!("pp{prompt}"),
        };
        if self.depth == 0 { name } else { format!("{name} @ d{}", self.depth) }
    }

    /// The tokens before those that are timed.
    fn before(self) -> usize {
        self.depth + if self.draft.is_some() { BLOCK } else { 0 }
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
    let watch = Watch::new(context)?;
    let start = Instant::now();
    let model = load::model(&args.model, args.packed.as_ref().unwrap_or(&Packed::Off), context)?;
    let load_seconds = start.elapsed().as_secs_f64();
    let load_bytes = machine::anonymous_memory();
    let mut bench = Bench {
        name: name(&args.model, &model),
        path: args.model.clone(),
        size: Size::of_checkpoint(&load::open(&args.model, context)?),
        profile: model.profile(),
        threads: model.threads(),
        chunk: args.chunk.get(),
        load_seconds,
        load_bytes,
        results: Vec::new(),
    };
    let mut before = bandwidths(&model)?;
    let saved = Saved::of(model.weights());
    for test in tests {
        if context.verbose {
            context.note(format!("{} is measured", test.name()));
        }
        let mut stages = Stages::new(watch);
        let (seconds, drafts) = measure(&model, test, args, &mut stages)?;
        let after = bandwidths(&model)?;
        let config = model.config();
        let middle = test.before() + test.tokens() / 2;
        bench.results.push(Measured {
            test,
            isa: model.isa(test.prompt.min(args.chunk.get())),
            stages: stages.seconds(),
            work: Work::of(config, &bench.size, model.profile(), test, &saved),
            seconds,
            drafts,
            bandwidth: before.0.and(&after.0),
            weights_bandwidth: before
                .1
                .as_ref()
                .zip(after.1.as_ref())
                .map(|(before, after)| before.and(after)),
            bytes_per_token: bench.size.bytes_per_token() - saved.total()
                + size::cache_bytes_per_token(config, model.profile(), middle),
            operations: bench.size.operations_per_position() * test.tokens() as u64
                + bench.size.operations_per_row() * (test.generated as u64).max(1)
                + size::attention_operations(config, test.before(), test.tokens()),
        });
        before = after;
    }
    let mut out = context.stdout();
    let format = if context.json { Format::Json } else { args.output };
    report::write(&bench, format, args.profile_ops, &mut out)?;
    out.finish()?;
    Ok(ExitCode::SUCCESS)
}

/// The tests in llama-bench's order: by depth, prompts before generation.
fn tests(args: &Args) -> Vec<Test> {
    let mut tests = Vec::new();
    let drafts: Vec<Option<usize>> = match &args.draft[..] {
        [] => vec![None],
        drafts => drafts.iter().copied().map(Some).collect(),
    };
    for &depth in &args.n_depth {
        let prompt = |&prompt: &usize| Test { prompt, generated: 0, depth, draft: None };
        tests.extend(args.n_prompt.iter().map(prompt));
        for &generated in &args.n_gen {
            tests.extend(drafts.iter().map(|&draft| Test { prompt: 0, generated, depth, draft }));
        }
    }
    tests.retain(|test| test.tokens() > 0);
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

/// How fast memory is read: huge pages, and the weights where they lie if they are larger than caches.
fn bandwidths(model: &Model) -> Result<(Bandwidth, Option<Bandwidth>)> {
    let threads = model.threads();
    // The memory is given back in between, as the model may need it.
    let reader = Reader::new(threads)
        .map_err(|error| Error::io(format!("no memory to measure its bandwidth with: {error}")))?;
    let of_weights = match &model.weights().unembedding.storage {
        Storage::Bf16 { data, .. } if data.len() >= MANY_BYTES => Some(Bandwidth::of(data, threads)),
        Storage::PackedBf16(packed) if packed.data().len() >= MANY_BYTES => {
            Some(Bandwidth::of(packed.data(), threads))
        }
        _ => None,
    };
    Ok((reader.measure(), of_weights))
}

/// The seconds of each repetition, and what became of the drafts of one.
fn measure(
    model: &Model,
    test: Test,
    args: &Args,
    tap: &mut Stages,
) -> Result<(Vec<f64>, Option<DraftCounts>)> {
    let longest = test.before().max(test.prompt).max(test.draft.unwrap_or(0) + 1);
    let chunk = args.chunk.get().min(longest);
    let mut filled = model.new_cache(test.before() + test.tokens(), chunk)?;
    let tokens = prompt(model.config(), filled.capacity());
    let (before, mut timed) = (&tokens[..test.before()], tokens[test.before()..].to_vec());
    for part in before.chunks(chunk) {
        model.forward_rows(part, Rows::None, &mut filled, tap)?;
    }
    if test.draft.is_some() {
        timed = before[test.depth..].iter().copied().cycle().take(test.generated).collect();
    }
    let run = |tap: &mut Stages| {
        let mut cache = filled.clone();
        tap.check()?;
        let start = Instant::now();
        let drafts = match test.draft {
            Some(draft) => Some(repeat(model, before, &timed, &mut cache, draft)?),
            None => {
                pass(model, test, &timed, &mut cache, tap)?;
                None
            }
        };
        Ok::<_, Error>((start.elapsed().as_secs_f64(), drafts))
    };
    if !args.no_warmup {
        run(tap)?;
    }
    tap.forget();
    let mut drafts = None;
    let seconds = (0..args.repetitions.get()).map(|_| {
        let (seconds, counts) = run(tap)?;
        drafts = counts;
        Ok(seconds)
    });
    Ok((seconds.collect::<Result<_>>()?, drafts))
}

/// Generates `text` after the tokens `before`, with drafts.
fn repeat(
    model: &Model,
    before: &[u32],
    text: &[u32],
    cache: &mut KvCache,
    draft: usize,
) -> Result<DraftCounts> {
    let options = GenerateOptions {
        sampler: Sampler::new(SamplerOptions::greedy())?,
        max_tokens: Some(text.len()),
        stop_tokens: Some(Vec::new()),
        forced: text.to_vec(),
        draft,
        ..GenerateOptions::default()
    };
    let mut generation = model.generate(before, cache, options)?;
    for step in generation.by_ref() {
        step?;
    }
    Ok(generation.draft_counts())
}

/// What is timed.
fn pass(model: &Model, test: Test, tokens: &[u32], cache: &mut KvCache, tap: &mut Stages) -> Result<()> {
    if test.prompt > 0 {
        model.prefill(tokens, cache, tap)?;
        tap.end();
    } else {
        for &token in tokens {
            model.forward(&[token], cache, tap)?;
            tap.end();
        }
    }
    Ok(())
}
