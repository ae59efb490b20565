//! Answers and calls in turn: the model calls a tool, reads the result and goes on.

use harmony_format::{
    Author, Conversation, Diagnostic, Event, Message, MessageKind, ParsedMessage, Role, Status, channel,
    recover,
};
use serde_json::Value;

use super::example;
use super::setup::Enforcement;
use super::turn::{End, Session, Told, TurnOptions, Usage, is_fault};
use crate::agent::citations::{Citation, Shown};
use crate::agent::{Answer, Tools};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::excerpt::printable;

/// What was said from a message of the user on, until the model answered or came to a call that is not run here.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// What the model said, and what tools answered; the latter are complete.
    pub(crate) messages: Vec<ParsedMessage>,
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// How the last answer ended.
    pub(crate) end: End,
    /// The pages of which the model was shown lines.
    pub(crate) shown: Vec<Shown>,
    /// What each answer took.
    pub(crate) turns: Vec<Spoken>,
}

/// What an answer took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spoken {
    /// The messages that the model said in it.
    pub(crate) messages: usize,
    pub(crate) usage: Usage,
}

impl Exchange {
    /// What all answers took.
    pub(crate) fn usage(&self) -> Usage {
        let mut sum = Usage::default();
        self.turns.iter().for_each(|turn| sum.add(&turn.usage));
        sum
    }

    /// The answer, if there is one.
    pub(crate) fn answer(&self) -> Option<&ParsedMessage> {
        self.messages.last().filter(|last| last.kind() == MessageKind::Final)
    }

    /// The call that nobody answered, if there is one.
    pub(crate) fn open_call(&self) -> Option<&ParsedMessage> {
        self.messages.last().filter(|last| is_call(last))
    }
}

/// Whether a message is a call that came to its end.
fn is_call(message: &ParsedMessage) -> bool {
    matches!(message.kind(), MessageKind::ToolCall(_)) && message.status != Status::Incomplete
}

/// Lets the model go on until it answers, and answers its calls meanwhile. What is said is added to the conversation:
/// all of it but reasoning and calls that were cut off.
pub(crate) fn exchange(
    session: &mut Session,
    conversation: &mut Conversation,
    options: &TurnOptions,
    enforcement: Option<&Enforcement>,
    tools: &mut dyn Tools,
    tell: &mut dyn FnMut(Told<'_>) -> Result<()>,
) -> Result<Exchange> {
    let mut all =
        Exchange { end: End::Return, messages: vec![], diagnostics: vec![], turns: vec![], shown: vec![] };
    // A conversation that is read may end with a call.
    if let Some(call) =
        conversation.messages.last().filter(|last| matches!(last.kind(), MessageKind::ToolCall(_))).cloned()
        && let Some(answer) = call_tool(&call, options, tools, tell)?
    {
        add_result(session, &mut all, conversation, &call, answer, tell)?;
    }
    let most = tools.most_calls();
    for answered in 0..=most {
        let mut enforcer = enforcement.map(Enforcement::next);
        let turn = session.answer(conversation, options, enforcer.as_mut(), tell)?;
        all.turns.push(Spoken { messages: turn.parsed.messages.len(), usage: turn.usage });
        all.end = turn.end;
        let before = all.messages.len();
        all.diagnostics.extend(turn.parsed.diagnostics.into_iter().map(|mut diagnostic| {
            diagnostic.message = diagnostic.message.map(|index| before + index);
            diagnostic
        }));
        let keeps = |message: &&ParsedMessage| {
            let is_cut = message.status == Status::Incomplete;
            !(is_cut && matches!(message.kind(), MessageKind::Reasoning | MessageKind::ToolCall(_)))
        };
        let said = &turn.parsed.messages;
        conversation.messages.extend(said.iter().filter(keeps).map(|said| said.message.clone()));
        all.messages.extend(turn.parsed.messages);
        if matches!(turn.end, End::Interrupted | End::MaxTokens | End::ContextFull) {
            return Ok(all);
        }
        let Some(call) = all.open_call().map(|call| call.message.clone()) else { return Ok(all) };
        if answered == most {
            break;
        }
        let Some(answer) = call_tool(&call, options, tools, tell)? else { return Ok(all) };
        add_result(session, &mut all, conversation, &call, answer, tell)?;
    }
    Err(Error::cut_off(format!("the model called tools {most} times and did not answer")))
}

/// What a tool answers to a call; nothing if it is not run here.
fn call_tool(
    call: &Message,
    options: &TurnOptions,
    tools: &mut dyn Tools,
    tell: &mut dyn FnMut(Told<'_>) -> Result<()>,
) -> Result<Option<Answer>> {
    tell(Told::Call(call))?;
    let mut told = Ok(());
    let answer = tools.answer(call, &options.interrupt, &mut |text| {
        if told.is_ok() {
            told = tell(Told::News { call, text });
        }
    })?;
    told.map(|()| answer)
}

fn add_result(
    session: &Session,
    all: &mut Exchange,
    conversation: &mut Conversation,
    call: &Message,
    answer: Answer,
    tell: &mut dyn FnMut(Told<'_>) -> Result<()>,
) -> Result<()> {
    let length = answer.text.len();
    let text = session.fitting(conversation, answer.text)?;
    // Lines that were left out cannot be cited.
    all.shown.extend(answer.page.and_then(|page| page.left_by(length, &text)));
    let result = result_of(call, text);
    tell(Told::Result { message: &result, has_failed: answer.has_failed })?;
    conversation.messages.push(result.clone());
    all.messages
        .push(ParsedMessage { message: result, status: Status::Complete(harmony_format::SpecialToken::End) });
    Ok(())
}

/// The message in which a tool answers a call.
pub(crate) fn result_of(call: &Message, text: impl Into<String>) -> Message {
    let name = call.recipient.as_deref().unwrap_or_default();
    let channel = call.channel.as_deref().unwrap_or(channel::COMMENTARY);
    Message::new(Author::new(Role::Tool, name), text.into())
        .with_recipient(Role::Assistant.as_str())
        .with_channel(channel)
}

/// The arguments of a call; what is no JSON is a string.
pub(crate) fn arguments(call: &Message) -> Value {
    let text = call.text();
    recover::arguments(&text).value.unwrap_or(Value::String(text))
}

/// What is said beside answers: that a tool is an example, once, and what had to be repaired.
#[derive(Debug, Default)]
pub(crate) struct Asides {
    is_example_told: bool,
}

impl Asides {
    /// Says that the tool whose result is told is an example, where that was not said before.
    pub(crate) fn example(&mut self, told: &Told<'_>, context: &Context) {
        if matches!(told, Told::Result { .. }) && !std::mem::replace(&mut self.is_example_told, true) {
            context.note(example::NOTE);
        }
    }

    /// Warns of what was malformed, and says how far a tool is.
    pub(crate) fn tell(told: &Told<'_>, context: &Context) {
        match told {
            Told::Event(Event::Repair(repair)) if is_fault(repair) => {
                context.warn(format_args!("repaired: {} {}", repair.repair, repair.note));
            }
            Told::News { text, .. } => context.news(text),
            _ => {}
        }
    }
}

/// Says what the marks of an answer stand for, each once.
pub(crate) fn tell_sources(citations: &[Citation], context: &Context) {
    for (index, citation) in citations.iter().enumerate() {
        if !citations[..index].iter().any(|before| before.mark == citation.mark) {
            // Titles are the words of others.
            let line: String = citation.to_string().chars().map(printable).collect();
            context.note(line);
        }
    }
}

/// Answers calls of the example tool, and tells the model that there is no other.
pub(crate) fn call_example(call: &Message) -> Answer {
    let is_example = call
        .recipient
        .as_deref()
        .is_some_and(|name| name == example::NAME || Some(name) == example::NAME.strip_prefix("functions."));
    match is_example {
        true => Answer::new(example::call(&arguments(call)).to_string()),
        false => Answer::failed("not found"),
    }
}
