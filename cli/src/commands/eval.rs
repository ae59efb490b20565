//! `gptoss eval`: conversations whose next calls and answers are known.

mod case;
mod score;

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use harmony_format::{
    Conversation, Message, MessageKind, ParsedMessage, ReasoningEffort, Status, Tool, arguments,
};
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::{DIFFERENT, Error, Result};
use crate::input;
use crate::interrupt::Watch;
use crate::progress::Progress;
use crate::session::args::{Effort, Enforce, ModelArgs, SamplingArgs};
use crate::session::exchange;
use crate::session::setup::{self, Setup, ToolChoice};
use crate::session::turn::{End, Session};
use case::{Case, Expected};
use score::{Count, Outcome, Table};

/// Let a model go on with conversations, and count what is as expected
///
/// A line of the file is a JSON object with `conversation`, a Harmony, Chat or Responses document, and `expect`, what comes
/// next: `{"call": {"name": …, "arguments": …}}`, compared as JSON, or as text where the arguments are a string, or an
/// answer, `{"exact": …}`, `{"json": …}` or `{"regex": …}`. A list is answer after answer; the `result` of a call is what
/// the model reads next.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The cases, one a line
    file: PathBuf,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    sampling: SamplingArgs,
    /// Efforts that each case is run with [default: what it says itself]
    #[arg(long, value_enum, value_name = "EFFORT", value_delimiter = ',')]
    effort: Vec<Effort>,
    /// Whether tokens that would break the format, name an unknown tool or misfit a schema are barred
    #[arg(long, value_enum, default_value = "off", value_name = "WHEN")]
    enforce: Enforce,
    /// Write a line for each case as it is done; cases that stand there already are not run again
    #[arg(short, long, value_name = "RESULTS.jsonl")]
    output: Option<PathBuf>,
    /// Only so many cases
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Exit with code 1 if less than this share of the cases passes, in percent
    #[arg(long, value_name = "PERCENT")]
    fail_under: Option<f64>,
}

const EXAMPLES: &str = "Examples:
  gptoss eval cases.jsonl --model gpt-oss-20b --effort low,medium,high -o results.jsonl
  gptoss eval cases.jsonl --json --fail-under 90";

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    let cases = cases(args)?;
    let watch = Watch::new(context)?;
    let mut runner = Runner::new(args, context)?;
    let mut results = match &args.output {
        Some(path) => Some(Results::open(path, &runner)?),
        None => None,
    };
    let mut outcomes = results.as_mut().map_or_else(Vec::new, |results| std::mem::take(&mut results.done));
    let before = outcomes.len();
    let done: HashSet<(String, ReasoningEffort)> =
        outcomes.iter().map(|outcome| (outcome.id.clone(), outcome.effort)).collect();
    let mut progress = Progress::new(context.quiet);
    let all: Vec<(&Case, Option<ReasoningEffort>)> = cases
        .iter()
        .flat_map(|case| {
            let asked = args.effort.iter().map(|&effort| Some(effort.into()));
            let own = args.effort.is_empty().then_some(None);
            asked.chain(own).map(move |effort| (case, effort))
        })
        .collect();
    let mut interrupted = false;
    for (index, (case, effort)) in all.iter().enumerate() {
        progress.count(index, all.len());
        let effort = effort.unwrap_or_else(|| own_effort(case));
        if done.contains(&(case.id.clone(), effort)) {
            continue;
        }
        match runner.run(case, effort)? {
            Some(outcome) => {
                if let Some(results) = &mut results {
                    results.write(&outcome)?;
                }
                outcomes.push(outcome);
            }
            None => {
                interrupted = true;
                break;
            }
        }
    }
    drop(progress);
    if before > 0 {
        context.note(format!("{before} cases were done before"));
    }
    let table = Table::of(&outcomes);
    let mut out = context.stdout();
    if context.json {
        let mut object = json!({"schema": "gptoss.eval/1", "model": runner.session.speaker.name});
        if let (Some(object), serde_json::Value::Object(rows)) = (object.as_object_mut(), table.to_json()) {
            object.extend(rows);
        }
        out.json(&object)?;
    } else {
        table.write(&mut out)?;
    }
    out.finish()?;
    if interrupted || watch.check().is_err() {
        let error = Error::interrupted();
        return Err(match &args.output {
            Some(_) => error.help("the same command goes on where this one ended"),
            None => error.help("with -o RESULTS.jsonl, the same command would go on where this one ended"),
        });
    }
    let fails = args.fail_under.is_some_and(|least| table.passed() < least);
    Ok(ExitCode::from(if fails { DIFFERENT } else { 0 }))
}

/// Reads the cases; each id stands once.
fn cases(args: &Args) -> Result<Vec<Case>> {
    let document = input::read_text(&args.file)?;
    let mut ids = HashSet::new();
    let mut cases = Vec::new();
    let lines = document.text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    for (index, line) in lines.take(args.limit.unwrap_or(usize::MAX)) {
        let number = index + 1;
        let place = |error: Error| error.on_line(number).in_file(&document.name);
        let case = Case::read(line, number).map_err(place)?;
        if !ids.insert(case.id.clone()) {
            return Err(place(Error::input("H001", format!("the id {:?} stands twice", case.id))));
        }
        cases.push(case);
    }
    if cases.is_empty() {
        return Err(Error::input("H001", "a case is needed, the file has none").in_file(document.name));
    }
    Ok(cases)
}

fn own_effort(case: &Case) -> ReasoningEffort {
    let mut conversation = case.conversation.clone();
    let said = || setup::system(&mut conversation).and_then(|system| system.reasoning_effort);
    case.effort.or_else(said).unwrap_or(ReasoningEffort::Medium)
}

/// Runs cases, one after another.
struct Runner<'a> {
    args: &'a Args,
    context: &'a Context,
    session: Session,
    rules: Option<std::rc::Rc<crate::session::enforce::Rules>>,
    settings: String,
}

impl<'a> Runner<'a> {
    fn new(args: &'a Args, context: &'a Context) -> Result<Self> {
        let options = *args.sampling.sampler(&args.model.model)?.options();
        let session = args.model.session(context)?;
        let settings = format!(
            "temperature {} top-k {:?} top-p {} min-p {} seed {} enforce {:?} profile {}",
            options.temperature,
            options.top_k,
            options.top_p,
            options.min_p,
            options.seed,
            args.enforce,
            context.profile.unwrap_or_default(),
        );
        Ok(Self { args, context, session, rules: None, settings })
    }

    /// Runs a case; nothing if it was interrupted.
    fn run(&mut self, case: &Case, effort: ReasoningEffort) -> Result<Option<Outcome>> {
        let setup = Setup {
            effort: Some(effort),
            system: None,
            tools: ToolChoice::Own,
            schema: None,
            date: None,
            enforce: self.args.enforce,
        };
        let mut conversation = case.conversation.clone();
        setup.apply(&mut conversation)?;
        let enforcement =
            setup.enforcement(&conversation, &self.session.speaker, &mut self.rules, self.context)?;
        let options = self.args.sampling.turn(&self.args.model, &conversation)?;
        let mut outcome = Outcome {
            id: case.id.clone(),
            model: self.session.speaker.name.clone(),
            effort,
            settings: self.settings.clone(),
            passed: true,
            well_formed: true,
            calls: Count::default(),
            answers: Count::default(),
            generated_tokens: 0,
            why: None,
            said: Vec::new(),
        };
        self.session.memory.clear();
        let mut expected = case.expected.iter();
        for step in expected.by_ref() {
            let mut enforcer = enforcement.as_ref().map(setup::Enforcement::next);
            let turn = self.session.answer(&conversation, &options, enforcer.as_mut(), &mut |_| Ok(()))?;
            if turn.end == End::Interrupted {
                return Ok(None);
            }
            outcome.well_formed &= turn.is_well_formed();
            outcome.generated_tokens += turn.usage.generated;
            let said = turn.parsed.messages;
            outcome.well_formed &= said.last().is_some_and(|last| fits(&last.message, &conversation));
            outcome.said.extend(said.iter().map(|message| json!(message.message)));
            let is_right = judge(step, said.last(), &mut outcome);
            let Some(last) = said.last().filter(|_| is_right).map(|last| last.message.clone()) else { break };
            conversation.messages.extend(said.into_iter().map(|message| message.message));
            if let Expected::Call { result: Some(result), .. } = step {
                conversation.messages.push(exchange::result_of(&last, result.clone()));
            }
        }
        // What was not reached is not right.
        for step in expected {
            count(step, false, &mut outcome);
        }
        Ok(Some(outcome))
    }
}

fn count(step: &Expected, right: bool, outcome: &mut Outcome) {
    match step {
        Expected::Call { .. } => outcome.calls.add(right),
        Expected::Answer(_) => outcome.answers.add(right),
    }
    outcome.passed &= right;
}

/// Whether the last message of an answer is what was expected.
fn judge(step: &Expected, last: Option<&ParsedMessage>, outcome: &mut Outcome) -> bool {
    let last = last.filter(|last| last.status != Status::Incomplete).map(|last| &last.message);
    let why = match (step, last) {
        (_, None) => Some("nothing came to its end".to_owned()),
        (Expected::Call { tool, arguments, .. }, Some(message)) => match called(message) {
            None => Some(format!("a call of {tool} was expected, and none came")),
            Some(name) if name != Tool::from_name(tool) => {
                Some(format!("a call of {tool} was expected, and one of {} came", name.name()))
            }
            Some(_) if !arguments.fits(&message.text()) => {
                Some(format!("other arguments of {tool} were expected: {}", message.text()))
            }
            Some(_) => None,
        },
        (Expected::Answer(matcher), Some(message)) => {
            let is_answer = message.kind() == MessageKind::Final;
            (!is_answer || !matcher.fits(&message.text()))
                .then(|| format!("another answer was expected: {}", message.text()))
        }
    };
    count(step, why.is_none(), outcome);
    outcome.why = why;
    outcome.why.is_none()
}

/// Whether a call names a tool that is declared and fits its schema, and an answer fits the response format.
fn fits(message: &Message, conversation: &Conversation) -> bool {
    let fits = |schema: &Value| {
        serde_json::from_str(&message.text()).is_ok_and(|value| arguments::check(schema, &value).is_empty())
    };
    match message.kind() {
        MessageKind::ToolCall(called) => {
            let mut namespaces = setup::namespaces(conversation);
            namespaces.any(|namespace| {
                let mut tools = namespace.tools.iter();
                let tool = tools
                    .find(|tool| Tool::from_name(&format!("{}.{}", namespace.name, tool.name)) == called);
                match tool {
                    Some(tool) => tool.parameters.as_ref().is_none_or(fits),
                    // A namespace without tools is a tool itself, and takes any text.
                    None => namespace.tools.is_empty() && Tool::from_name(&namespace.name) == called,
                }
            })
        }
        MessageKind::Final => setup::format(conversation).is_none_or(|format| fits(&format.schema)),
        _ => false,
    }
}

fn called(message: &Message) -> Option<Tool<'_>> {
    match message.kind() {
        MessageKind::ToolCall(tool) => Some(tool),
        _ => None,
    }
}

/// The file of results: what stands in it is done.
struct Results {
    file: std::fs::File,
    path: PathBuf,
    done: Vec<Outcome>,
}

impl Results {
    fn open(path: &Path, runner: &Runner<'_>) -> Result<Self> {
        let text = if path.exists() { input::read_text(path)?.text } else { String::new() };
        // A line that was cut off is done again.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut done = Vec::new();
        for (index, line) in text[..whole].lines().enumerate() {
            let place = |error: Error| error.on_line(index + 1).in_file(path.display());
            let outcome: Outcome = serde_json::from_str(line).map_err(|error| {
                place(Error::in_document(error.into(), line).help("this is no file of results; name another"))
            })?;
            if outcome.model != runner.session.speaker.name || outcome.settings != runner.settings {
                let rule = format!("these results are of {} with {}", outcome.model, outcome.settings);
                return Err(place(Error::input("M019", rule)).help("name another file of results"));
            }
            done.push(outcome);
        }
        let cannot = |error: std::io::Error| Error::io(format!("cannot write {}: {error}", path.display()));
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(cannot)?;
        file.set_len(whole as u64).map_err(cannot)?;
        Ok(Self { file, path: path.to_owned(), done })
    }

    fn write(&mut self, outcome: &Outcome) -> Result<()> {
        let line = serde_json::to_string(outcome).map_err(std::io::Error::from)? + "\n";
        self.file
            .write_all(line.as_bytes())
            .map_err(|error| Error::io(format!("cannot write {}: {error}", self.path.display())))
    }
}
