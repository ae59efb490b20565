//! `gptoss run`: one question to a model, and its answer as it comes.

pub(crate) mod view;

use std::io::{IsTerminal, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use harmony_format::{Conversation, Message, MessageKind, Role};
use serde_json::{Value, json};

use crate::agent::Tools as _;
use crate::agent::citations::{self, Citation};
use crate::agent::sandbox::Wishes;
use crate::agent::tape::{Recorder, Replayer, Settings, Tape, Timed};
use crate::context::Context;
use crate::documents;
use crate::error::{DIFFERENT, Error, Result};
use crate::input;
use crate::interrupt::Watch;
use crate::output::Output;
use crate::output_file::OutputFile;
use crate::session::args::{Enforce, ModelArgs, SamplingArgs};
use crate::session::exchange::{self, Asides, Exchange};
use crate::session::setup::{Setup, SetupArgs, ToolChoice};
use crate::session::speaker::ModelChoice;
use crate::session::turn::{End, Session, Told, TurnOptions};
use view::{Show, View};

/// Ask a model, and see how it thinks, calls tools and answers
///
/// The default model is a tiny one that is part of this program. It knows little: greetings, small sums, and how to call
/// tools such as the example get_weather.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// What the user says; `-`, or nothing where standard input is no terminal, reads it from there
    #[arg(value_name = "PROMPT")]
    prompt: Option<String>,
    /// A conversation to go on with: Harmony, Chat or Responses; PROMPT is added to it
    #[arg(long, value_name = "FILE")]
    conversation: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    setup: SetupArgs,
    #[command(flatten)]
    sampling: SamplingArgs,
    /// What is shown: final, all, or channels with commas between them [default: all on a terminal, else final]
    #[arg(long, value_name = "CHANNELS", conflicts_with = "ndjson")]
    show: Option<Show>,
    /// Write each event as a JSON object on a line of its own
    #[arg(long, conflicts_with = "json")]
    ndjson: bool,
    /// Keep the whole run: what it began with, every call and its result, what was said
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Run again what --record kept, with results from there: nothing outside is touched, and what is said must be the same
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = [
            "prompt", "conversation", "record", "effort", "system", "tools", "sandbox", "schema", "date", "enforce", "max_tokens",
            "temperature", "top_p", "top_k", "min_p", "seed", "context_length",
        ]
    )]
    replay: Option<PathBuf>,
}

const EXAMPLES: &str = "Examples:
  gptoss run \"What is the weather in Paris?\"
  gptoss run --model gpt-oss-20b --effort high --show final \"Prove that there are infinitely many primes.\"
  gptoss run --conversation chat.json --tools tools.json --json
  gptoss run --model gpt-oss-20b --tools tools.toml --record run.json \"What time is it in Oslo?\"
  gptoss run --model gpt-oss-20b --replay run.json
  git diff | gptoss run --model gpt-oss-20b --system \"Write a commit message.\"";

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    // Tools may be started while their file is read.
    let watch = Watch::new(context)?;
    let tape = args.replay.as_deref().map(Tape::read).transpose()?;
    let (mut conversation, has_conversation) = match &tape {
        Some(tape) => (tape.conversation.clone(), true),
        None => conversation(args, context)?,
    };
    let mut model = args.model.clone();
    let mut sampling = args.sampling.clone();
    // Nobody is asked: the answer may be for a program.
    let mut wishes = Wishes { sandbox: args.setup.sandbox, ask: None };
    let mut setup = args.setup.read(&args.model.model, has_conversation, &mut wishes, context)?;
    match &tape {
        Some(tape) => settle(tape, &mut model, &mut sampling, &mut setup, context)?,
        None => {
            setup.apply(&mut conversation)?;
            check_last(&conversation, &setup)?;
        }
    }
    let options = sampling.turn(&model, &conversation)?;
    let mut session = model.session(context)?;
    if let Some(tape) = &tape {
        check_model(tape, &model.model)?;
    }
    let enforcement = setup.enforcement(&conversation, &session.speaker, &mut None, context)?;
    watch.check()?;
    let record = match &args.record {
        Some(path) => {
            // A file that cannot be written is told before there is something to lose.
            let file = OutputFile::create(path)?;
            let settings = settings(&session, &options, enforcement.is_some(), setup.tools.most_calls());
            let digest = model.model.digest()?;
            Some((file, Tape::begin(model.model.to_string(), digest, settings, conversation.clone())))
        }
        None => None,
    };

    let mut out = context.stdout();
    let automatic = if Output::is_terminal() { Show::All } else { Show::final_only() };
    let show = args.show.clone().unwrap_or(automatic);
    let is_text = !context.json && !args.ndjson;
    let mut view = View::new(show, out.paint, Output::is_terminal());
    let mut asides = Asides::default();
    let is_example = matches!(setup.tools, ToolChoice::Example);
    let mut replayer = tape.as_ref().map(Replayer::new);
    let mut recorder = Recorder::new(match &mut replayer {
        Some(replayer) => replayer,
        None => &mut setup.tools,
    });
    let began = Instant::now();
    let done = exchange::exchange(
        &mut session,
        &mut conversation,
        &options,
        enforcement.as_ref(),
        &mut recorder,
        &mut |told| {
            if is_example {
                asides.example(&told, context);
            }
            if args.ndjson {
                out.json(&event(&told))?;
                out.flush()?;
            } else if is_text {
                view.tell(&told, &mut out)?;
                out.flush()?;
                Asides::tell(&told, context);
            } else if matches!(told, Told::News { .. }) {
                Asides::tell(&told, context);
            }
            Ok(())
        },
    );
    let took = began.elapsed();
    let calls = recorder.calls;
    let done = match done {
        Ok(done) => done,
        Err(error) => {
            view.end(&mut out)?;
            out.finish()?;
            let is_full = error.code() == Some("M012");
            return Err(if is_full { error.or_help("give it more: --context") } else { error });
        }
    };
    let citations = done.answer().map(|answer| citations::resolve(&answer.message.text(), &done.shown));
    let citations = citations.unwrap_or_default();
    if args.ndjson {
        if !citations.is_empty() {
            out.json(&json!({"type": "citations", "citations": citations}))?;
        }
        out.json(&json!({"type": "done", "stop": done.end.name(), "usage": done.usage().to_json()}))?;
    } else if context.json {
        out.json(&object(&done, &citations, &model.model))?;
    } else {
        view.end(&mut out)?;
    }
    out.finish()?;
    if is_text {
        exchange::tell_sources(&citations, context);
    }
    context.note(done.usage());
    let said: Vec<Message> = done.messages.iter().map(|said| said.message.clone()).collect();
    if let Some((file, mut tape)) = record {
        tape.calls = calls;
        tape.messages = said;
        tape.answers = done.turns.iter().copied().map(Timed::from).collect();
        tape.end = done.end.name().to_owned();
        tape.seconds = took.as_secs_f64();
        tape.write(file)?;
    } else if let Some(tape) = &tape {
        tape.check_messages(&said, done.end.name())?;
    }
    ending(&done, &session, &setup, context)
}

/// Sets everything as it was when the record was made.
fn settle(
    tape: &Tape,
    model: &mut ModelArgs,
    sampling: &mut SamplingArgs,
    setup: &mut Setup,
    context: &Context,
) -> Result<()> {
    let settings = &tape.settings;
    let profile = context.profile.unwrap_or_default().to_string();
    if profile != settings.profile {
        let rule = format!("the record was made in the profile {}, and this is {profile}", settings.profile);
        return Err(Error::usage(rule).help(format!("--profile {}", settings.profile)));
    }
    if model.model == ModelChoice::Tiny {
        let Ok(choice) = tape.model.parse();
        model.model = choice;
    }
    model.context_length = NonZeroUsize::new(settings.context);
    *sampling = SamplingArgs {
        max_tokens: settings.max_tokens.and_then(NonZeroUsize::new),
        temperature: Some(settings.temperature),
        top_p: settings.top_p,
        top_k: settings.top_k,
        min_p: settings.min_p,
        seed: settings.seed,
    };
    setup.tools = ToolChoice::Own;
    setup.enforce = if settings.enforced { Enforce::Always } else { Enforce::Off };
    Ok(())
}

/// The model must be the one of the record.
fn check_model(tape: &Tape, model: &ModelChoice) -> Result<()> {
    if model.digest()? == tape.model_digest {
        return Ok(());
    }
    let rule = format!("{model} is not the model of the record, which was {}", tape.model);
    Err(Error::changed(rule).help("name it: --model DIR"))
}

/// What a run depends on besides the model and the conversation.
fn settings(session: &Session, options: &TurnOptions, enforced: bool, most_calls: usize) -> Settings {
    let sampler = options.sampler.options();
    Settings {
        profile: session.speaker.model.profile().to_string(),
        temperature: sampler.temperature,
        top_p: sampler.top_p,
        top_k: sampler.top_k,
        min_p: sampler.min_p,
        seed: sampler.seed,
        max_tokens: options.max_tokens,
        context: session.capacity(),
        enforced,
        most_calls,
    }
}

/// The conversation that the model is to go on with, and whether it was read from a file.
fn conversation(args: &Args, context: &Context) -> Result<(Conversation, bool)> {
    let mut conversation = match &args.conversation {
        Some(path) => documents::open(path, context)?,
        None => Conversation::default(),
    };
    let from_input = || -> Result<Option<String>> {
        if args.conversation.as_deref().is_some_and(input::is_stdin) {
            return Err(Error::usage("standard input cannot be the conversation and the prompt"));
        }
        let text = input::read_text(Path::new("-"))?.text;
        let text =
            text.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text)).unwrap_or(&text);
        Ok(Some(text.to_owned()))
    };
    let prompt = match args.prompt.as_deref() {
        Some("-") => from_input()?,
        Some(prompt) => Some(prompt.to_owned()),
        None if args.conversation.is_some() => None,
        None if !std::io::stdin().is_terminal() => from_input()?,
        None => None,
    };
    match prompt {
        Some(prompt) if prompt.trim().is_empty() => return Err(no_prompt()),
        Some(prompt) => conversation.messages.push(Message::new(Role::User, prompt)),
        None if args.conversation.is_none() => return Err(no_prompt()),
        None => {}
    }
    Ok((conversation, args.conversation.is_some()))
}

fn no_prompt() -> Error {
    Error::usage("there is nothing to answer: the prompt is empty")
        .help("gptoss run \"What is the weather in Paris?\", or `gptoss chat` to talk")
}

/// The model must have something to answer.
fn check_last(conversation: &Conversation, setup: &Setup) -> Result<()> {
    let Some(last) = conversation.messages.last() else { return Err(no_prompt()) };
    let rule = match (last.author.role, last.kind()) {
        (Role::Assistant, MessageKind::Final) => {
            "the conversation ends with the assistant's answer, there is nothing to answer".to_owned()
        }
        (Role::Assistant, MessageKind::ToolCall(_)) if !setup.tools.is_run() => {
            let name = last.recipient.as_deref().unwrap_or_default();
            format!("the conversation ends with a call of {name}, and its result is missing")
        }
        (Role::System | Role::Developer, _) => {
            "the conversation has no message of the user, there is nothing to answer".to_owned()
        }
        _ => return Ok(()),
    };
    let help = match last.kind() {
        MessageKind::ToolCall(_) => "add a message of role tool to it",
        _ => "add what the user says next as PROMPT",
    };
    Err(Error::input("M019", rule).help(help))
}

/// A line of `--ndjson`.
pub(crate) fn event(told: &Told<'_>) -> Value {
    match told {
        Told::Prompt { tokens, reused, dropped } => {
            json!({"type": "prompt", "tokens": tokens, "reused": reused, "dropped": dropped})
        }
        Told::Event(event) => json!(event),
        Told::Call(call) => json!({
            "type": "tool_call",
            "tool": call.recipient,
            "arguments": exchange::arguments(call),
        }),
        Told::News { call, text } => json!({"type": "tool_progress", "tool": call.recipient, "text": text}),
        Told::Result { message, has_failed } => {
            json!({"type": "tool_result", "message": message, "failed": has_failed})
        }
    }
}

/// The object of `--json`.
fn object(done: &Exchange, citations: &[Citation], model: &ModelChoice) -> Value {
    let messages: Vec<_> = done.messages.iter().map(|said| &said.message).collect();
    let statuses: Vec<_> = done.messages.iter().map(|said| said.status.as_str()).collect();
    let call = done
        .open_call()
        .map(|call| json!({"tool": call.message.recipient, "arguments": exchange::arguments(&call.message)}));
    json!({
        "schema": "gptoss.run/1",
        "model": model.to_string(),
        "answer": done.answer().map(|answer| answer.message.text()),
        "call": call,
        "citations": citations,
        "stop": done.end.name(),
        "messages": messages,
        "statuses": statuses,
        "diagnostics": done.diagnostics,
        "usage": done.usage().to_json(),
    })
}

/// The exit code, and what is to be said at the end.
fn ending(done: &Exchange, session: &Session, setup: &Setup, context: &Context) -> Result<ExitCode> {
    let written = done.usage().generated;
    match done.end {
        End::Interrupted => return Err(Error::interrupted()),
        End::MaxTokens => {
            return Err(Error::cut_off(format!("the answer was cut off after {written} tokens"))
                .help("give it more: --max-tokens"));
        }
        End::ContextFull => {
            let rule =
                format!("the answer was cut off: the context of {} positions is full", session.capacity());
            return Err(Error::cut_off(rule).help("give it more: --context"));
        }
        End::Return | End::Call => {}
    }
    if let (Some(schema), Some(answer)) = (&setup.schema, done.answer()) {
        let text = answer.message.text();
        let misfit = match serde_json::from_str(&text) {
            Ok(value) => harmony_format::arguments::check(schema, &value).into_iter().next(),
            Err(_) => {
                context.report(&Error::different("the answer is no JSON"));
                return Ok(ExitCode::from(DIFFERENT));
            }
        };
        if let Some(misfit) = misfit {
            let rule = format!("the answer does not fit the schema: {} {}", misfit.pointer, misfit.text);
            context.report(&Error::different(rule));
            return Ok(ExitCode::from(DIFFERENT));
        }
    }
    Ok(ExitCode::SUCCESS)
}
