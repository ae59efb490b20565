//! `gptoss complete`: raw text or token ids in, their continuation out.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::ValueEnum;
use gptoss_runtime::sampler::{LogSoftmax, Logprob};
use gptoss_runtime::{ErrorKind, GenerateOptions, Logits, Rows, Step, StopReason};
use harmony_format::TokenId;
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::{Error, Result};
use crate::interrupt::{self, Watch};
use crate::output::Output;
use crate::session::args::{ModelArgs, SamplingArgs};
use crate::session::speaker::Speaker;
use crate::session::turn::Usage;
use crate::utf8::Characters;
use crate::{ids, input, token_text};

/// Continue raw text or token ids
///
/// The text is read as it is, with nothing put around it. Spellings of the markers are the markers, so a prompt of
/// `gptoss render` goes in here. Generation ends with a token that ends a turn.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The text or the ids
    file: PathBuf,
    /// What the file holds
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    from: From,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    sampling: SamplingArgs,
    /// Write the input, too
    #[arg(long)]
    echo: bool,
    /// Write a line for each token: its log-probability, and the N likeliest tokens in its place
    #[arg(long, value_name = "N")]
    logprobs: Option<usize>,
    /// Go on after tokens that end a turn
    #[arg(long)]
    ignore_stop: bool,
    /// Write token ids: a JSON array, or with --logprobs lines without text
    #[arg(long, conflicts_with_all = ["json", "logprobs"])]
    ids: bool,
}

const EXAMPLES: &str = "Examples:
  gptoss render chat.json | gptoss complete - --model gpt-oss-20b -n 64
  echo '[200006,1428,200008]' | gptoss complete - --from ids -n 8 --logprobs 5 --model gpt-oss-20b";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum From {
    /// Text in which the spellings of the markers are the markers
    #[default]
    Text,
    /// Text in which they are text
    Ordinary,
    /// Token ids: a JSON array, or numbers with white space between them
    Ids,
}

/// A token, and where it was asked for, how likely it was.
struct Scored {
    token: TokenId,
    logprob: Option<f64>,
    top: Vec<Logprob>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let watch = Watch::new(context)?;
    let began = Instant::now();
    let document = input::read_text(&args.file)?;
    let mut session = args.model.session(context)?;
    let speaker = &session.speaker;
    let prompt = match args.from {
        From::Text => speaker.encoding.encode_prompt(&document.text),
        From::Ordinary => speaker.encoding.encode_ordinary(&document.text),
        From::Ids => ids::read(&document.text).map_err(|error| error.in_file(&document.name))?,
    };
    if prompt.is_empty() {
        return Err(
            Error::input("M011", "there is nothing to continue, the input is empty").in_file(document.name)
        );
    }
    let mut sink = Sink::new(args, context);
    let mut usage = Usage { prompt: prompt.len(), ..Usage::default() };
    if args.echo {
        let scored = match args.logprobs {
            Some(count) => score(&prompt, count, speaker, &mut session.memory.cache, watch)?,
            None => prompt.iter().map(|&token| Scored { token, logprob: None, top: Vec::new() }).collect(),
        };
        for scored in scored {
            sink.write(scored, speaker)?;
        }
        usage.reused = session.memory.cache.len().saturating_sub(1);
    }
    let options = GenerateOptions {
        sampler: args.sampling.sampler(&args.model.model)?,
        max_tokens: Some(args.sampling.max_tokens.map_or(128, usize::from)),
        stop_tokens: Some(if args.ignore_stop { Vec::new() } else { speaker.stop_tokens() }),
        logprobs: args.logprobs,
        interrupt: Some(interrupt::flag()?.clone()),
        draft: args.model.draft,
        ..GenerateOptions::default()
    };
    let mut stop = "interrupted";
    let mut generation = speaker.model.generate(&prompt, &mut session.memory.cache, options)?;
    for step in generation.by_ref() {
        let Step { token, logprob, top_logprobs: top, stop: ends } = match step {
            Err(error) if error.kind() == ErrorKind::Interrupted => break,
            step => step?,
        };
        if usage.generated == 0 {
            (usage.first, usage.at_first) = (began.elapsed(), 1);
        }
        usage.generated += 1;
        stop = match ends {
            Some(StopReason::StopToken) => "stop",
            Some(StopReason::MaxTokens) => "max_tokens",
            Some(_) => "context_full",
            None => stop,
        };
        sink.write(Scored { token, logprob, top }, speaker)?;
    }
    usage.drafts = generation.draft_counts();
    usage.rest = began.elapsed().saturating_sub(usage.first);
    sink.finish(stop, &usage, speaker)?;
    context.note(usage);
    match stop {
        "interrupted" => Err(Error::interrupted()),
        "context_full" => {
            let rule = format!("the context of {} positions is full", session.capacity());
            Err(Error::cut_off(rule).help("give it more: --context"))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// The log-probabilities of a prompt's tokens; the first has none, as nothing stands before it.
fn score(
    prompt: &[TokenId],
    count: usize,
    speaker: &Speaker,
    cache: &mut gptoss_runtime::model::kv_cache::KvCache,
    mut watch: Watch,
) -> Result<Vec<Scored>> {
    /// Rows of logits that are held at once: 51 MB of the vocabulary of gpt-oss.
    const ROWS: usize = 64;
    let mut scored = vec![Scored { token: prompt[0], logprob: None, top: Vec::new() }];
    for chunk in prompt.chunks(ROWS) {
        let logits = speaker.model.forward_rows(chunk, Rows::All, cache, &mut watch)?;
        for row in 0..chunk.len() {
            let Some(&token) = prompt.get(scored.len()) else { break };
            let (logprob, top) = match &logits {
                Logits::F32(rows) => of_row(&rows.row(row).to_vec(), token, count)?,
                Logits::F64(rows) => of_row(&rows.row(row).to_vec(), token, count)?,
            };
            scored.push(Scored { token, logprob: Some(logprob), top });
        }
    }
    Ok(scored)
}

fn of_row<R: gptoss_runtime::numerics::Real>(
    row: &[R],
    token: TokenId,
    count: usize,
) -> Result<(f64, Vec<Logprob>)> {
    let softmax = LogSoftmax::new(row)?;
    Ok((softmax.of(token).value, softmax.best(count)))
}

/// Where tokens go.
struct Sink<'a> {
    args: &'a Args,
    is_json: bool,
    is_terminal: bool,
    out: Output,
    characters: Characters,
    tokens: Vec<Scored>,
}

impl<'a> Sink<'a> {
    fn new(args: &'a Args, context: &Context) -> Self {
        Self {
            args,
            is_json: context.json,
            is_terminal: Output::is_terminal(),
            out: context.stdout(),
            characters: Characters::default(),
            tokens: Vec::new(),
        }
    }

    fn write(&mut self, scored: Scored, speaker: &Speaker) -> Result<()> {
        if self.is_json || self.args.ids {
            self.tokens.push(scored);
            return Ok(());
        }
        if self.args.logprobs.is_some() {
            line(&mut self.out, &scored, speaker)?;
        } else {
            let bytes = speaker.encoding.token_bytes(scored.token).unwrap_or_default();
            let text = self.characters.push(bytes);
            self.out.write_all(shown(&text, self.is_terminal).as_bytes())?;
        }
        Ok(self.out.flush()?)
    }

    fn finish(mut self, stop: &str, usage: &Usage, speaker: &Speaker) -> Result<()> {
        if self.is_json {
            let ids: Vec<TokenId> = self.tokens.iter().map(|scored| scored.token).collect();
            let text = speaker.encoding.decode_lossy(&ids)?;
            let logprobs = self.args.logprobs.map(|_| {
                self.tokens.iter().map(|scored| scored_json(scored, speaker)).collect::<Vec<Value>>()
            });
            self.out.json(&json!({
                "schema": "gptoss.complete/1",
                "model": speaker.name,
                "text": text,
                "ids": ids,
                "logprobs": logprobs,
                "stop": stop,
                "usage": usage.to_json(),
            }))?;
        } else if self.args.ids {
            let ids: Vec<TokenId> = self.tokens.iter().map(|scored| scored.token).collect();
            self.out.json(&ids)?;
        } else if self.args.logprobs.is_none() {
            let rest = self.characters.finish();
            self.out.write_all(rest.as_bytes())?;
            if self.is_terminal {
                self.out.write_all(b"\n")?;
            }
        }
        self.out.finish()
    }
}

fn shown(text: &str, is_terminal: bool) -> String {
    match is_terminal {
        true => text
            .chars()
            .map(|c| if matches!(c, '\n' | '\t') { c } else { crate::excerpt::printable(c) })
            .collect(),
        false => text.to_owned(),
    }
}

/// Id, text and log-probability of a token, and the likeliest in its place.
fn line(out: &mut impl Write, scored: &Scored, speaker: &Speaker) -> Result<()> {
    let text = token_text::padded(&speaker.encoding, scored.token, 20);
    // What rounds to zero has no sign.
    let rounded = |value: f64| if value > -5e-5 { 0.0 } else { value };
    let logprob = scored.logprob.map_or_else(|| "-".to_owned(), |value| format!("{:.4}", rounded(value)));
    write!(out, "{:>6}  {text} {logprob:>9}", scored.token)?;
    for top in &scored.top {
        write!(out, "  {} {:.4}", token_text::shown(&speaker.encoding, top.token), rounded(top.value))?;
    }
    Ok(writeln!(out)?)
}

fn scored_json(scored: &Scored, speaker: &Speaker) -> Value {
    let text = |token: TokenId| {
        let bytes = speaker.encoding.token_bytes(token).unwrap_or_default();
        String::from_utf8_lossy(bytes).into_owned()
    };
    let top: Vec<Value> = scored
        .top
        .iter()
        .map(|top| json!({"id": top.token, "text": text(top.token), "logprob": finite(top.value)}))
        .collect();
    json!({
        "id": scored.token,
        "text": text(scored.token),
        "logprob": scored.logprob.and_then(finite),
        "top": top,
    })
}

/// JSON has no infinity; a token that cannot be has none.
fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}
