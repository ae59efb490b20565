//! `gptoss chat`: a conversation with a model.

mod command;
mod editor;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use harmony_format::{Conversation, Message, Role};

use crate::agent::citations::{self, Shown};
use crate::agent::sandbox::{self, Wishes};
use crate::color;
use crate::commands::run::view::{Show, View};
use crate::context::Context;
use crate::documents;
use crate::error::{Error, Result};
use crate::interrupt;
use crate::output::Output;
use crate::output_file::OutputFile;
use crate::session::args::{ModelArgs, SamplingArgs};
use crate::session::enforce::Rules;
use crate::session::exchange::{self, Asides};
use crate::session::setup::{self, Enforcement, Setup, SetupArgs, ToolChoice};
use crate::session::turn::{End, Session};
use command::{COMMANDS, Command, Line};
use editor::{Lines, Typed};

/// Talk with a model
///
/// Lines that begin with a slash are commands; /help lists them. A line that ends in a backslash goes on. Ctrl-C stops an
/// answer, Ctrl-D ends the program.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A conversation to go on with: Harmony, Chat or Responses
    #[arg(long, value_name = "FILE")]
    conversation: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    setup: SetupArgs,
    #[command(flatten)]
    sampling: SamplingArgs,
    /// What is shown: final, all, or channels with commas between them
    #[arg(long, value_name = "CHANNELS", default_value = "all")]
    show: Show,
    /// Keep the lines that are typed here, for the next time [default: they are forgotten]
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<ExitCode> {
    if context.json {
        return Err(Error::usage("chat is for people; `gptoss run --json` is for programs"));
    }
    let mut ask = sandbox::ask;
    let setup = args.setup.read(
        &args.model.model,
        args.conversation.is_some(),
        &mut wishes(args, &mut ask),
        context,
    )?;
    let interrupt = interrupt::flag()?;
    let session = args.model.session(context)?;
    let mut chat = Chat {
        args,
        context,
        session,
        setup,
        conversation: Conversation::default(),
        enforcement: None,
        rules: None,
        show: args.show.clone(),
        asides: Asides::default(),
        shown: Vec::new(),
        sampling: args.sampling.clone(),
        interrupt,
    };
    if let Some(path) = &args.conversation {
        chat.load(path)?;
    }
    chat.prepare()?;
    let mut lines = Lines::new(args.history.as_deref())?;
    let is_terminal = std::io::stdin().is_terminal();
    if is_terminal {
        chat.greet();
    }
    chat.go_on_with_what_was_read(&mut lines)?;
    loop {
        match lines.read("> ")? {
            Typed::End => return Ok(ExitCode::SUCCESS),
            Typed::Interrupt => context.note("Ctrl-D or /quit ends the program"),
            Typed::Line(line) => match chat.line(&line, &mut lines) {
                Ok(true) => {}
                Ok(false) => return Ok(ExitCode::SUCCESS),
                // Nobody is there to put it right.
                Err(error) if !is_terminal || error.is_closed_pipe() => return Err(error),
                Err(error) => {
                    context.report(&error);
                }
            },
        }
    }
}

/// Who types is asked what tools may do.
fn wishes<'a>(args: &Args, ask: &'a mut dyn FnMut(&str) -> bool) -> Wishes<'a> {
    let is_terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    Wishes { sandbox: args.setup.sandbox, ask: is_terminal.then_some(ask) }
}

/// A conversation as it grows.
struct Chat<'a> {
    args: &'a Args,
    context: &'a Context,
    session: Session,
    setup: Setup,
    conversation: Conversation,
    enforcement: Option<Enforcement>,
    /// The vocabulary, made ready for grammars once one was needed.
    rules: Option<Rc<Rules>>,
    show: Show,
    asides: Asides,
    /// The pages of which the model was shown lines.
    shown: Vec<Shown>,
    /// As on the command line, but for the seed, which /retry changes.
    sampling: SamplingArgs,
    interrupt: &'static Arc<AtomicBool>,
}

impl Chat<'_> {
    fn greet(&self) {
        let model = &self.session.speaker.name;
        let text = format!("{model}, {} positions; /help lists the commands", self.session.capacity());
        self.context.note(text);
    }

    /// Puts the setup into the conversation, and makes what answers are held to.
    fn prepare(&mut self) -> Result<()> {
        self.setup.apply(&mut self.conversation)?;
        let (speaker, rules) = (&self.session.speaker, &mut self.rules);
        self.enforcement = self.setup.enforcement(&self.conversation, speaker, rules, self.context)?;
        Ok(())
    }

    /// Does what a line asks for; false where that is to end.
    fn line(&mut self, line: &str, lines: &mut Lines) -> Result<bool> {
        match Line::read(line) {
            Line::Empty => {}
            Line::Wrong(why) => self.context.tell(why),
            Line::Command(Command::Quit) => return Ok(false),
            Line::Command(command) => self.command(command, lines)?,
            Line::Say(text) => {
                self.conversation.messages.push(Message::new(Role::User, text));
                self.answer(lines)?;
            }
        }
        Ok(true)
    }

    fn command(&mut self, command: Command, lines: &mut Lines) -> Result<()> {
        match command {
            Command::Effort(effort) => {
                self.setup.effort = Some(effort);
                self.prepare()?;
            }
            Command::System(text) => {
                let developer = setup::developer(&mut self.conversation)?;
                developer.instructions.clone_from(&text);
                self.setup.system = text;
                self.prepare()?;
            }
            Command::Tools(None) => {
                let names = setup::tool_names(&self.conversation);
                self.context.tell(if names.is_empty() { "no tools".to_owned() } else { names.join("\n") });
            }
            Command::Tools(Some(choice)) => {
                let mut ask = sandbox::ask;
                let tools = ToolChoice::read(&choice, &mut wishes(self.args, &mut ask), self.context)?;
                setup::remove_tools(&mut self.conversation);
                self.setup.tools = tools;
                self.prepare()?;
            }
            Command::Show(channels) => match channels.parse() {
                Ok(show) => self.show = show,
                Err(why) => self.context.tell(why),
            },
            Command::Save(file) => self.save(Path::new(&file))?,
            Command::Load(file) => {
                self.load(Path::new(&file))?;
                self.prepare()?;
                self.go_on_with_what_was_read(lines)?;
            }
            Command::Retry => self.retry(lines)?,
            Command::Undo => match self.last_of_user() {
                Some(at) => {
                    let text = self.conversation.messages[at].text();
                    self.conversation.messages.truncate(at);
                    self.context.tell(format!("taken back: {}", crate::token_text::shortened(&text, 60)));
                }
                None => self.context.tell("there is nothing to take back"),
            },
            Command::Drop => self.drop_oldest(lines)?,
            Command::Tokens => self.tokens()?,
            Command::Help => {
                for (name, takes, does) in COMMANDS {
                    self.context.tell(format!("{:<28} {does}", format!("{name} {takes}")));
                }
            }
            Command::Quit => {}
        }
        Ok(())
    }

    /// Lets the model answer, call by call.
    fn answer(&mut self, lines: &mut Lines) -> Result<()> {
        loop {
            let done = match self.answer_once() {
                Err(error) if error.code() == Some("M012") => return Err(error.or_help(FULL)),
                done => done?,
            };
            match done.end {
                End::Interrupted => self.context.note("stopped"),
                End::MaxTokens => self.context.note("cut off at --max-tokens"),
                End::ContextFull => {
                    let rule =
                        format!("cut off: the context of {} positions is full", self.session.capacity());
                    return Err(Error::cut_off(rule).help(FULL));
                }
                End::Return | End::Call => {}
            }
            let Some(call) = done.open_call().map(|call| call.message.clone()) else { return Ok(()) };
            let name = call.recipient.clone().unwrap_or_default();
            self.context.tell(format!("what does {name} answer? an empty line: nothing"));
            let typed = lines.read("result> ")?;
            let Typed::Line(result) = typed else { return Ok(()) };
            if result.trim().is_empty() {
                return Ok(());
            }
            self.conversation.messages.push(exchange::result_of(&call, result));
        }
    }

    fn answer_once(&mut self) -> Result<exchange::Exchange> {
        self.interrupt.store(false, Ordering::Relaxed);
        let options = self.sampling.turn(&self.args.model, &self.conversation)?;
        let mut out = self.context.stdout();
        let mut view = View::new(self.show.clone(), out.paint, Output::is_terminal());
        let context = self.context;
        let asides = &mut self.asides;
        let is_example = matches!(self.setup.tools, ToolChoice::Example);
        let done = exchange::exchange(
            &mut self.session,
            &mut self.conversation,
            &options,
            self.enforcement.as_ref(),
            &mut self.setup.tools,
            &mut |told| {
                if is_example {
                    asides.example(&told, context);
                }
                view.tell(&told, &mut out)?;
                Asides::tell(&told, context);
                Ok(out.flush()?)
            },
        );
        view.end(&mut out)?;
        out.finish()?;
        let mut done = done?;
        self.shown.append(&mut done.shown);
        if let Some(answer) = done.answer() {
            exchange::tell_sources(&citations::resolve(&answer.message.text(), &self.shown), context);
        }
        if !context.quiet {
            let (used, capacity) = (self.session.memory.cache.len(), self.session.capacity());
            let text = format!("{}; {used} of {capacity}", done.usage().brief());
            context.tell(format_args!("{}\n", context.paint_stderr().paint(color::DIM, text)));
        }
        Ok(done)
    }

    /// A conversation that was read may wait for an answer.
    fn go_on_with_what_was_read(&mut self, lines: &mut Lines) -> Result<()> {
        match self.conversation.messages.last().map(|last| last.author.role) {
            Some(Role::User | Role::Tool) => self.answer(lines),
            _ => Ok(()),
        }
    }

    fn last_of_user(&self) -> Option<usize> {
        self.conversation.messages.iter().rposition(|message| message.author.role == Role::User)
    }

    fn retry(&mut self, lines: &mut Lines) -> Result<()> {
        let Some(at) = self.last_of_user() else {
            self.context.tell("there is nothing to answer");
            return Ok(());
        };
        self.conversation.messages.truncate(at + 1);
        self.sampling.seed = self.sampling.seed.wrapping_add(1);
        let sampler = self.sampling.sampler(&self.args.model.model)?;
        if sampler.options().temperature == 0.0 {
            self.context.note("the temperature is 0, where another seed changes nothing: --temperature");
        }
        self.answer(lines)
    }

    /// Forgets the oldest message of the user, and all up to the next.
    fn drop_oldest(&mut self, lines: &mut Lines) -> Result<()> {
        let messages = &mut self.conversation.messages;
        let of_user: Vec<usize> =
            (0..messages.len()).filter(|&at| messages[at].author.role == Role::User).collect();
        let [first, second, ..] = of_user[..] else {
            self.context.tell("there is nothing older than your last message");
            return Ok(());
        };
        let text = messages[first].text();
        messages.drain(first..second);
        self.context.tell(format!("forgotten: {}", crate::token_text::shortened(&text, 60)));
        self.go_on_with_what_was_read(lines)
    }

    fn tokens(&self) -> Result<()> {
        let prompt = self.session.memory.prompt(&self.conversation, &self.session.speaker.encoding)?;
        let (length, capacity) = (prompt.tokens.len(), self.session.capacity());
        let held = self.session.memory.cache.len();
        self.context.tell(format!(
            "{length} tokens in {} messages, {} of reasoning left out; {held} positions computed; room for {capacity}",
            self.conversation.messages.len(),
            prompt.dropped.len(),
        ));
        Ok(())
    }

    fn save(&self, path: &Path) -> Result<()> {
        let mut file = OutputFile::create(path)?;
        file.write(self.conversation.to_json().as_bytes())?;
        file.write(b"\n")?;
        file.finish()?;
        self.context.tell(format!("{} messages saved", self.conversation.messages.len()));
        Ok(())
    }

    fn load(&mut self, path: &Path) -> Result<()> {
        self.conversation = documents::open(path, self.context)?;
        Ok(())
    }
}

const FULL: &str =
    "/drop forgets the oldest exchange, /undo takes back your last message; --context gives more room";
