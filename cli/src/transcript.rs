//! A conversation or a model's output as a reader sees it: turns and raw parts in order, each with its tokens.

use std::ops::Range;

use harmony_format::{
    Conversation, Diagnostic, DropPolicy, Encoding, Owner, Parsed, Part, RenderOptions, Result, Role,
    Segment, SpecialToken, Status, TokenId, channel,
};

use crate::agent::citations::{self, Citation, Shown};
use crate::agent::tape::Tape;

/// What `view` shows.
#[derive(Debug, Default)]
pub(crate) struct Transcript {
    /// In the order of the tokens.
    pub(crate) blocks: Vec<Block>,
    /// What was repaired.
    pub(crate) notes: Vec<Note>,
    /// The number of tokens.
    pub(crate) tokens: usize,
    /// What is known of the run that it is on record of: names and values.
    pub(crate) facts: Vec<(&'static str, String)>,
}

/// A turn or what is none.
#[derive(Debug)]
pub(crate) enum Block {
    Turn(Box<Turn>),
    /// Tokens that are in no message.
    Raw {
        run: Run,
        /// Index of the note that says why.
        note: usize,
    },
}

/// A message with its tokens.
#[derive(Debug)]
pub(crate) struct Turn {
    /// Index of the message, from 0.
    pub(crate) index: usize,
    pub(crate) role: Role,
    pub(crate) name: Option<String>,
    pub(crate) recipient: Option<String>,
    pub(crate) channel: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) end: End,
    /// Everything up to and with `<|message|>`.
    pub(crate) header: Run,
    pub(crate) content: Run,
    /// What ended the message; may be empty.
    pub(crate) stop: Run,
    /// Indices of the notes about this message.
    pub(crate) notes: Vec<usize>,
    /// Seconds that the tool took for this result, or the model for the answer that ends here, if they are on record.
    pub(crate) seconds: Option<f64>,
    /// Whether it is the result of a call that failed, if that is on record.
    pub(crate) has_failed: bool,
    /// What the marks of an answer cite, with the message that showed it.
    pub(crate) sources: Vec<(Citation, Option<usize>)>,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It has all its parts.
    Whole,
    /// It has no end.
    Cut,
    /// The next prompt leaves it out: the final message with this index made it obsolete.
    Dropped { because_of: usize },
}

/// A repair.
#[derive(Debug)]
pub(crate) struct Note {
    /// The stable code, such as `R01`.
    pub(crate) code: String,
    /// Its name, such as `stray-stop`.
    pub(crate) name: String,
    pub(crate) tokens: Range<usize>,
    pub(crate) found: String,
    pub(crate) text: String,
}

/// Consecutive tokens and their text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Run {
    /// Index of the first token over the whole transcript.
    pub(crate) first: usize,
    pub(crate) ids: Vec<TokenId>,
    pub(crate) text: String,
    /// For each token how many bytes of `text` it completes; 0 for one that begins a character and does not end it.
    /// Empty where text and tokens do not match.
    pub(crate) lens: Vec<usize>,
}

impl Run {
    fn new(encoding: &Encoding, tokens: &[TokenId], range: Range<usize>) -> Self {
        let ids = tokens[range.clone()].to_vec();
        let mut run = Self { first: range.start, ids, text: String::new(), lens: Vec::new() };
        let mut pending: Vec<u8> = Vec::new();
        for (at, &id) in run.ids.iter().enumerate() {
            pending.extend_from_slice(encoding.token_bytes(id).unwrap_or("\u{fffd}".as_bytes()));
            let is_last = at + 1 == run.ids.len();
            let whole = match std::str::from_utf8(&pending) {
                Ok(_) => pending.len(),
                // A character that may go on in the next token waits for it.
                Err(error) if error.error_len().is_none() && !is_last => error.valid_up_to(),
                Err(_) => pending.len(),
            };
            let before = run.text.len();
            run.text += &String::from_utf8_lossy(&pending[..whole]);
            pending.drain(..whole);
            run.lens.push(run.text.len() - before);
        }
        run
    }

    /// Tokens whose text is known from elsewhere.
    fn with_text(self, text: &str) -> Self {
        if self.text == text { self } else { Self { text: text.to_owned(), lens: Vec::new(), ..self } }
    }
}

impl Transcript {
    /// A conversation, rendered as for storage; what the next prompt would leave out is marked.
    pub(crate) fn of_conversation(encoding: &Encoding, conversation: &Conversation) -> Result<Self> {
        let options = RenderOptions::storage().drop(DropPolicy::None);
        let rendered = encoding.render_detailed(conversation, &options)?;
        let dropped = conversation.dropped(DropPolicy::Reference);
        let mut dropped = dropped.iter().peekable();
        let mut segments = rendered.segments.as_slice();
        let mut blocks = Vec::with_capacity(conversation.messages.len());
        for (index, message) in conversation.messages.iter().enumerate() {
            // Segments and dropped messages are in the order of the messages.
            let of_message = segments.partition_point(|segment| segment.message <= Some(index));
            let (own, rest) = segments.split_at(of_message);
            segments = rest;
            let [header, content, stop] = ranges(own);
            let run = |range| Run::new(encoding, &rendered.tokens, range);
            let end = dropped
                .next_if(|dropped| dropped.message == index)
                .map_or(End::Whole, |dropped| End::Dropped { because_of: dropped.because_of });
            blocks.push(Block::Turn(Box::new(Turn {
                index,
                role: message.author.role,
                name: message.author.name.clone(),
                recipient: message.recipient.clone(),
                channel: message.channel.clone(),
                content_type: message.content_type.clone(),
                end,
                header: run(header),
                content: run(content),
                stop: run(stop),
                notes: Vec::new(),
                seconds: None,
                has_failed: false,
                sources: Vec::new(),
            })));
        }
        Ok(Self { blocks, notes: Vec::new(), tokens: rendered.tokens.len(), facts: Vec::new() })
    }

    /// Adds what a record knows besides its messages.
    pub(crate) fn with_record(mut self, tape: &Tape) -> Self {
        let times = tape.times();
        let first = tape.conversation.messages.len();
        let pages = tape.pages();
        let shown: Vec<Shown> = pages.iter().map(|(_, page)| page.clone()).collect();
        for block in &mut self.blocks {
            let Block::Turn(turn) = block else { continue };
            let Some(&time) = turn.index.checked_sub(first).and_then(|at| times.get(at)) else { continue };
            (turn.seconds, turn.has_failed) = time;
            if turn.channel.as_deref() == Some(channel::FINAL) {
                let sources = citations::resolve(&turn.content.text, &shown).into_iter().map(|citation| {
                    let by = pages.iter().rfind(|(_, page)| page.cursor == citation.cursor);
                    (citation, by.map(|(at, _)| first + at))
                });
                turn.sources = sources.collect();
            }
        }
        let sum = |seconds: &mut dyn Iterator<Item = f64>| format!("{:.2} s", seconds.sum::<f64>());
        let said: usize = tape.answers.iter().map(|answer| answer.generated).sum();
        let failed = tape.calls.iter().filter(|call| call.failed).count();
        let settings = &tape.settings;
        let digest: String = tape.model_digest.chars().take(16).collect();
        self.facts = vec![
            ("model", format!("{} ({digest}…), {}", tape.model, settings.profile)),
            (
                "sampling",
                match settings.temperature {
                    0.0 => "greedy".to_owned(),
                    temperature => {
                        format!("temperature {temperature}, top-p {}, seed {}", settings.top_p, settings.seed)
                    }
                },
            ),
            (
                "answers",
                format!(
                    "{}, {said} tokens, {}",
                    tape.answers.len(),
                    sum(&mut tape.answers.iter().map(|answer| answer.seconds))
                ),
            ),
            (
                "calls",
                format!(
                    "{}{}, {}",
                    tape.calls.len(),
                    if failed > 0 { format!(", {failed} failed") } else { String::new() },
                    sum(&mut tape.calls.iter().map(|call| call.seconds))
                ),
            ),
            ("ended with", format!("{}, after {:.2} s", tape.end, tape.seconds)),
        ];
        self
    }

    /// What was parsed from tokens.
    pub(crate) fn of_parsed(encoding: &Encoding, tokens: &[TokenId], parsed: &Parsed) -> Self {
        let mut owned: Vec<Vec<Range<usize>>> = vec![Vec::new(); parsed.messages.len()];
        for span in &parsed.spans {
            if let Owner::Message(index) = span.owner {
                owned[index].push(span.tokens.clone());
            }
        }
        let mut notes: Vec<Vec<usize>> = vec![Vec::new(); parsed.messages.len()];
        for (note, diagnostic) in parsed.diagnostics.iter().enumerate() {
            // A repair may be about a message that never came.
            if let Some(notes) = diagnostic.message.and_then(|message| notes.get_mut(message)) {
                notes.push(note);
            }
        }
        let mut blocks = Vec::new();
        for span in &parsed.spans {
            match span.owner {
                Owner::Diagnostic(note) => {
                    blocks.push(Block::Raw { run: Run::new(encoding, tokens, span.tokens.clone()), note });
                }
                // A message stands where its first tokens are.
                Owner::Message(index) if owned[index].first() == Some(&span.tokens) => {
                    let whole = span.tokens.start..owned[index].last().map_or(0, |last| last.end);
                    let turn = Turn::of_parsed(encoding, tokens, parsed, index, &owned[index], whole);
                    let notes = std::mem::take(&mut notes[index]);
                    blocks.push(Block::Turn(Box::new(Turn { notes, ..turn })));
                }
                Owner::Message(_) => {}
            }
        }
        Self {
            blocks,
            notes: parsed.diagnostics.iter().map(Note::of).collect(),
            tokens: tokens.len(),
            facts: Vec::new(),
        }
    }

    /// The messages.
    pub(crate) fn turns(&self) -> impl Iterator<Item = &Turn> {
        self.blocks.iter().filter_map(|block| match block {
            Block::Turn(turn) => Some(&**turn),
            Block::Raw { .. } => None,
        })
    }
}

/// The tokens of a rendered message, given its segments: header, content, stop.
fn ranges(segments: &[Segment]) -> [Range<usize>; 3] {
    let of = |wanted: fn(Part) -> bool| {
        let mut parts = segments.iter().filter(|segment| wanted(segment.part));
        let first = parts.next().map(|segment| segment.tokens.clone())?;
        Some(first.start..parts.next_back().map_or(first.end, |last| last.tokens.end))
    };
    let header = of(|part| !matches!(part, Part::Content(_) | Part::Stop)).unwrap_or_default();
    let stop = of(|part| part == Part::Stop).unwrap_or(header.end..header.end);
    [header.clone(), header.end..stop.start, stop]
}

impl Turn {
    fn of_parsed(
        encoding: &Encoding,
        tokens: &[TokenId],
        parsed: &Parsed,
        index: usize,
        owned: &[Range<usize>],
        whole: Range<usize>,
    ) -> Self {
        let message = &parsed.messages[index].message;
        let is = |at: usize, marker: SpecialToken| encoding.marker(tokens[at]) == Some(marker);
        let mut of_message = owned.iter().flat_map(Clone::clone);
        let header_end =
            of_message.find(|&at| is(at, SpecialToken::Message)).map_or(whole.start, |at| at + 1);
        let stop_start = match parsed.messages[index].status {
            Status::Complete(marker) if header_end < whole.end && is(whole.end - 1, marker) => whole.end - 1,
            _ => whole.end,
        };
        let run = |range| Run::new(encoding, tokens, range);
        let end = match parsed.messages[index].status {
            Status::Incomplete => End::Cut,
            _ => End::Whole,
        };
        Self {
            index,
            role: message.author.role,
            name: message.author.name.clone(),
            recipient: message.recipient.clone(),
            channel: message.channel.clone(),
            content_type: message.content_type.clone(),
            end,
            header: run(whole.start..header_end),
            content: run(header_end..stop_start).with_text(&message.text()),
            stop: run(stop_start..whole.end),
            notes: Vec::new(),
            seconds: None,
            has_failed: false,
            sources: Vec::new(),
        }
    }

    /// The word that a reader knows the message by: that it is a tool's, its channel, or else its role.
    pub(crate) fn tone(&self) -> &str {
        match self.channel.as_deref() {
            _ if self.role == Role::Tool => "tool",
            Some(channel @ ("analysis" | "commentary" | "final")) => channel,
            Some(_) => "other",
            None => self.role.as_str(),
        }
    }

    /// The number of tokens, frame included.
    pub(crate) fn tokens(&self) -> usize {
        self.header.ids.len() + self.content.ids.len() + self.stop.ids.len()
    }

    /// Who writes: the role, for tools with their name.
    pub(crate) fn author(&self) -> String {
        match &self.name {
            Some(name) if self.role == Role::Tool => name.clone(),
            Some(name) => format!("{}:{name}", self.role),
            None => self.role.to_string(),
        }
    }
}

impl Note {
    fn of(diagnostic: &Diagnostic) -> Self {
        Self {
            code: diagnostic.repair.code().to_owned(),
            name: diagnostic.repair.name().to_owned(),
            tokens: diagnostic.tokens.clone(),
            found: diagnostic.found.clone(),
            text: diagnostic.note.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_run_is_shared_out_among_its_tokens() {
        let encoding = Encoding::o200k_harmony();
        let tokens = encoding.encode_ordinary("héllo 👋🏾 世界\u{1F9FF}x");
        let run = Run::new(&encoding, &tokens, 0..tokens.len());
        assert_eq!(run.text, "héllo 👋🏾 世界\u{1F9FF}x");
        assert_eq!(run.lens.len(), tokens.len());
        assert_eq!(run.lens.iter().sum::<usize>(), run.text.len());
        let mut at = 0;
        for len in &run.lens {
            at += len;
            assert!(run.text.is_char_boundary(at));
        }
    }

    #[test]
    fn what_is_no_character_is_shown_as_such() {
        let encoding = Encoding::o200k_harmony();
        let run = Run::new(&encoding, &[61138, 4_000_000_000, 61138], 0..3);
        assert!(run.text.contains('\u{fffd}'));
        assert_eq!(run.lens.iter().sum::<usize>(), run.text.len());
    }
}
