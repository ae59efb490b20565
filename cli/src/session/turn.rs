//! One answer: the prompt is rendered, tokens are generated, and events are told as they come.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use gptoss_runtime::sampler::Sampler;
use gptoss_runtime::{DraftCounts, ErrorKind, GenerateOptions, StopReason};
use harmony_format::{
    Conversation, Diagnostic, Encoding, Event, Message, ParseOptions, Parsed, Repair, Role, SpecialToken,
    Status, TokenId,
};
use serde_json::{Value, json};

use super::enforce::{Choice, Enforcer};
use super::memory::Memory;
use super::speaker::Speaker;
use crate::error::Result;

/// A model and what it remembers of the conversation.
pub(crate) struct Session {
    pub(crate) speaker: Speaker,
    pub(crate) memory: Memory,
}

/// How an answer is generated.
#[derive(Clone, Debug)]
pub(crate) struct TurnOptions {
    pub(crate) sampler: Sampler,
    /// The most tokens of the answer; without it the context is the limit.
    pub(crate) max_tokens: Option<usize>,
    pub(crate) draft: usize,
    /// Full names of the tools that exist.
    pub(crate) tools: Vec<String>,
    pub(crate) interrupt: Arc<AtomicBool>,
}

/// What is told while an answer comes.
#[derive(Debug)]
pub(crate) enum Told<'a> {
    /// The prompt is read: so many tokens, of which so many did not have to be computed.
    Prompt { tokens: usize, reused: usize, dropped: usize },
    /// What the parser says to a token.
    Event(&'a Event),
    /// A tool is about to be called.
    Call(&'a Message),
    /// A line in which it says how far the call is.
    News { call: &'a Message, text: &'a str },
    /// What the tool answers.
    Result { message: &'a Message, has_failed: bool },
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With the token that ends a turn.
    Return,
    /// With a call of a tool.
    Call,
    /// As many tokens as were asked for are there.
    MaxTokens,
    /// There is no room for more.
    ContextFull,
    /// The user pressed Ctrl-C.
    Interrupted,
}

impl End {
    fn of(stop: StopReason, is_call: bool) -> Self {
        match stop {
            StopReason::StopToken if is_call => Self::Call,
            StopReason::StopToken => Self::Return,
            StopReason::MaxTokens => Self::MaxTokens,
            _ => Self::ContextFull,
        }
    }

    /// `return`, `call`, `max_tokens`, `context_full` or `interrupted`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Return => "return",
            Self::Call => "call",
            Self::MaxTokens => "max_tokens",
            Self::ContextFull => "context_full",
            Self::Interrupted => "interrupted",
        }
    }
}

/// An answer.
pub(crate) struct Turn {
    pub(crate) parsed: Parsed,
    pub(crate) end: End,
    pub(crate) usage: Usage,
}

impl Turn {
    /// Whether the model said nothing malformed, and every message came to its end.
    pub(crate) fn is_well_formed(&self) -> bool {
        let messages = &self.parsed.messages;
        !messages.is_empty()
            && messages.iter().all(|message| message.status != Status::Incomplete)
            && !self.parsed.diagnostics.iter().any(is_fault)
    }
}

/// Whether a repair tells of something malformed.
///
/// A content type on channel `final` is not malformed: models write it before JSON, and the parser notes it only because
/// the official one takes it for a recipient. An answer that was cut off is told by its end.
pub(crate) fn is_fault(diagnostic: &Diagnostic) -> bool {
    match diagnostic.repair {
        Repair::LoneType => diagnostic.found != "<|constrain|>json",
        Repair::Unfinished => false,
        _ => true,
    }
}

/// What answers cost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Tokens of prompts.
    pub(crate) prompt: usize,
    /// Those of them that were in the cache.
    pub(crate) reused: usize,
    /// Tokens that the model said.
    pub(crate) generated: usize,
    /// Those of them that the grammar left no choice about.
    pub(crate) forced: usize,
    /// What the grammar took to say which tokens are legal.
    pub(crate) grammar: Duration,
    pub(crate) drafts: DraftCounts,
    /// Until the prompt was read and the first token chosen.
    pub(crate) first: Duration,
    /// Tokens up to that one; those before it were given by the grammar, before the prompt was read.
    pub(crate) at_first: usize,
    /// From there to the end.
    pub(crate) rest: Duration,
}

impl Usage {
    /// Adds those of the next answer.
    pub(crate) fn add(&mut self, next: &Self) {
        if self.generated == 0 {
            (self.first, self.at_first) = (next.first, next.at_first);
        } else {
            self.rest += next.first;
        }
        self.prompt += next.prompt;
        self.reused += next.reused;
        self.generated += next.generated;
        self.forced += next.forced;
        self.grammar += next.grammar;
        self.drafts.passes += next.drafts.passes;
        self.drafts.drafted += next.drafts.drafted;
        self.drafts.accepted += next.drafts.accepted;
        self.rest += next.rest;
    }

    /// What does not depend on the machine.
    pub(crate) fn to_json(self) -> Value {
        json!({
            "prompt_tokens": self.prompt,
            "reused_tokens": self.reused,
            "generated_tokens": self.generated,
            "forced_tokens": self.forced,
        })
    }

    fn counts(&self) -> String {
        let Self { prompt, reused, generated, .. } = self;
        format!("{prompt} tokens read ({reused} of them computed before), {generated} written")
    }

    /// The same as in full, in fewer words.
    pub(crate) fn brief(&self) -> String {
        let mut text = self.counts();
        if let Some(speed) = self.speed() {
            text += &format!(", {speed} a second");
        }
        text
    }

    /// Tokens a second after the first.
    fn speed(&self) -> Option<String> {
        let more = self.generated.checked_sub(self.at_first);
        let more = more.filter(|&more| more > 0 && self.at_first > 0 && !self.rest.is_zero())?;
        let speed = more as f64 / self.rest.as_secs_f64();
        let digits = if speed < 10.0 { 2 } else { 0 };
        Some(format!("{speed:.digits$}"))
    }
}

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.counts())?;
        if !self.grammar.is_zero() && self.generated > 0 {
            let each = self.grammar.as_secs_f64() * 1e3 / self.generated as f64;
            write!(f, " ({} given by the grammar, which took {each:.2} ms a token)", self.forced)?;
        }
        write!(f, "; the first after {}", milliseconds(self.first))?;
        if let Some(speed) = self.speed() {
            write!(f, ", then {speed} a second")?;
        }
        if self.drafts.drafted > 0 {
            write!(f, "; {} of {} drafted tokens were right", self.drafts.accepted, self.drafts.drafted)?;
        }
        Ok(())
    }
}

fn milliseconds(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds @ 10.0.. => format!("{seconds:.0} s"),
        seconds @ 1.0.. => format!("{seconds:.1} s"),
        seconds => format!("{:.0} ms", seconds * 1e3),
    }
}

impl Session {
    /// A session with room for `capacity` positions.
    pub(crate) fn new(speaker: Speaker, capacity: usize) -> Result<Self> {
        let memory = Memory::new(&speaker.model, capacity)?;
        Ok(Self { speaker, memory })
    }

    /// Positions that there is room for.
    pub(crate) fn capacity(&self) -> usize {
        self.memory.cache.capacity()
    }

    /// As much of the result of a tool as there is room for after `conversation`, with an eighth of the context left to
    /// answer in; what was left out is said.
    pub(crate) fn fitting(&self, conversation: &Conversation, text: String) -> Result<String> {
        /// For the header of the result, and for saying what was left out.
        const FRAME: usize = 64;
        let encoding = &self.speaker.encoding;
        let taken = self.memory.prompt(conversation, encoding)?.tokens.len() + FRAME;
        let room = (self.capacity() - self.capacity() / 8).saturating_sub(taken);
        let tokens = encoding.encode_ordinary(&text);
        if tokens.len() <= room {
            return Ok(text);
        }
        let kept = encoding.decode_bytes(&tokens[..room])?.len();
        Ok(crate::agent::text::cut(text, kept))
    }

    /// Lets the model go on with a conversation until it answers, calls a tool or comes to a limit.
    ///
    /// What `tell` is told adds up to what is returned. An error of `tell` ends the answer.
    pub(crate) fn answer(
        &mut self,
        conversation: &Conversation,
        options: &TurnOptions,
        mut enforcer: Option<&mut Enforcer>,
        tell: &mut dyn FnMut(Told<'_>) -> Result<()>,
    ) -> Result<Turn> {
        let began = Instant::now();
        let encoding = &self.speaker.encoding;
        let prompt = self.memory.prompt(conversation, encoding)?;
        let mut context = prompt.tokens;
        let start = beginning(encoding, &context).to_vec();
        let last = conversation.messages.last().map(|message| message.author.role);
        self.memory.settle(&context, !matches!(last, Some(Role::Tool | Role::Assistant)));

        let prompt_length = context.len();
        let capacity = self.capacity();
        let stop_tokens = self.speaker.stop_tokens();
        let mut stream = encoding
            .stream(ParseOptions::recover().role(Role::Assistant).tools(options.tools.iter().cloned()));
        let mut usage = Usage { prompt: prompt_length, ..Usage::default() };
        let mut reused = None;
        let mut end = None;
        while end.is_none() {
            let pause = self.memory.pause_at().unwrap_or(usize::MAX).max(context.len() + 1);
            let given = context.len() - prompt_length;
            let generate = GenerateOptions {
                sampler: options.sampler,
                max_tokens: options.max_tokens.map(|most| most.saturating_sub(given)),
                stop_tokens: Some(stop_tokens.clone()),
                interrupt: Some(options.interrupt.clone()),
                draft: options.draft,
                ..GenerateOptions::default()
            };
            let mut generation = self.speaker.model.generate(&context, &mut self.memory.cache, generate)?;
            if reused.is_none() {
                reused = Some(generation.reused());
                usage.reused = generation.reused();
                let dropped = prompt.dropped.len();
                tell(Told::Prompt { tokens: prompt_length, reused: usage.reused, dropped })?;
            }
            while end.is_none() && context.len() < pause {
                let given = context.len() - prompt_length;
                let room = capacity + 1 - context.len();
                let left = options.max_tokens.map_or(room, |most| room.min(most - given));
                let step = match enforcer.as_deref_mut() {
                    None => generation.next(),
                    Some(enforcer) => {
                        let asked = Instant::now();
                        let choice = enforcer.choose(left)?;
                        usage.grammar += asked.elapsed();
                        match choice {
                            Choice::Only(token) => {
                                usage.forced += 1;
                                generation.force(token)
                            }
                            Choice::Of(allowed) => generation.next_allowed(allowed),
                        }
                    }
                };
                let step = match step {
                    None => {
                        end = Some(End::MaxTokens);
                        break;
                    }
                    Some(Err(error)) if error.kind() == ErrorKind::Interrupted => {
                        end = Some(End::Interrupted);
                        break;
                    }
                    Some(step) => step?,
                };
                usage.generated += 1;
                if usage.at_first == 0 && usage.generated > usage.forced {
                    (usage.first, usage.at_first) = (began.elapsed(), usage.generated);
                }
                context.push(step.token);
                if let Some(enforcer) = enforcer.as_deref_mut() {
                    let told = Instant::now();
                    enforcer.take(step.token)?;
                    usage.grammar += told.elapsed();
                }
                let is_call = encoding.marker(step.token) == Some(SpecialToken::Call);
                end = step.stop.map(|stop| End::of(stop, is_call));
                for event in stream.push(step.token)? {
                    tell(Told::Event(&event))?;
                }
            }
            let counts = generation.draft_counts();
            usage.drafts.passes += counts.passes;
            usage.drafts.drafted += counts.drafted;
            usage.drafts.accepted += counts.accepted;
            if end.is_none() {
                self.memory.keep_base();
            }
        }
        for event in stream.finish()? {
            tell(Told::Event(&event))?;
        }
        usage.rest = began.elapsed().saturating_sub(usage.first);
        let parsed = stream.into_parsed();
        let said = &context[prompt_length..];
        self.memory.remember(&self.speaker.encoding, &start, said, &parsed);
        Ok(Turn { parsed, end: end.unwrap_or(End::Interrupted), usage })
    }
}

/// The tokens of a prompt from its last `<|start|>` on.
fn beginning<'a>(encoding: &Encoding, prompt: &'a [TokenId]) -> &'a [TokenId] {
    let is_start = |&token: &TokenId| encoding.marker(token) == Some(SpecialToken::Start);
    &prompt[prompt.iter().rposition(is_start).unwrap_or(prompt.len())..]
}
