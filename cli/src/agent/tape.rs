//! A run on record: what it began with, every call and its result, what was said. Replayed, nothing outside is touched.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use harmony_format::{Conversation, Message, Role};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use super::citations::Shown;
use super::{Answer, Tools};
use crate::error::{Error, Result};
use crate::input;
use crate::output_file::OutputFile;
use crate::session::exchange::Spoken;

/// The name of the layout.
const SCHEMA: &str = "gptoss.record/1";

/// A run on record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tape {
    schema: String,
    /// The model as it was named.
    pub(crate) model: String,
    /// The SHA-256 that tells it from others, in hexadecimal.
    pub(crate) model_digest: String,
    pub(crate) settings: Settings,
    /// What the model was given, tools and all.
    pub(crate) conversation: Conversation,
    /// Calls and their results, in order.
    pub(crate) calls: Vec<Taped>,
    /// What the model said, and what tools answered.
    pub(crate) messages: Vec<Message>,
    /// What each answer of the model took, in order; a replay may be slower or faster.
    pub(crate) answers: Vec<Timed>,
    /// How the run ended.
    pub(crate) end: String,
    /// What the run took, from its first prompt to its end.
    pub(crate) seconds: f64,
}

/// What a run depends on besides the model and the conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) profile: String,
    pub(crate) temperature: f64,
    pub(crate) top_p: f64,
    pub(crate) top_k: Option<usize>,
    pub(crate) min_p: f64,
    pub(crate) seed: u64,
    pub(crate) max_tokens: Option<usize>,
    /// Positions that there was room for.
    pub(crate) context: usize,
    /// Whether answers were held to the grammar of the conversation.
    pub(crate) enforced: bool,
    /// Calls before the model had to answer.
    pub(crate) most_calls: usize,
}

/// A call on record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Taped {
    /// The tool as the model named it.
    pub(crate) tool: String,
    /// The content of the call.
    pub(crate) arguments: String,
    /// What the model was told; none if nothing answered.
    pub(crate) result: Option<String>,
    /// Whether the call failed.
    pub(crate) failed: bool,
    /// The page of which the result is a view, for citations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) page: Option<Shown>,
    /// How long the tool took; a replay does not wait.
    pub(crate) seconds: f64,
}

/// What an answer of the model took.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Timed {
    /// The messages that it has.
    pub(crate) messages: usize,
    /// Tokens of the prompt, and those of them that were in the cache.
    pub(crate) prompt: usize,
    pub(crate) reused: usize,
    /// Tokens that the model said.
    pub(crate) generated: usize,
    /// Until the first token that the model chose.
    pub(crate) first_seconds: f64,
    pub(crate) seconds: f64,
}

impl From<Spoken> for Timed {
    fn from(spoken: Spoken) -> Self {
        let Spoken { messages, usage } = spoken;
        Self {
            messages,
            prompt: usage.prompt,
            reused: usage.reused,
            generated: usage.generated,
            first_seconds: usage.first.as_secs_f64(),
            seconds: (usage.first + usage.rest).as_secs_f64(),
        }
    }
}

impl Tape {
    /// A run that begins.
    pub(crate) fn begin(
        model: String,
        model_digest: String,
        settings: Settings,
        conversation: Conversation,
    ) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            model,
            model_digest,
            settings,
            conversation,
            calls: Vec::new(),
            messages: Vec::new(),
            answers: Vec::new(),
            end: String::new(),
            seconds: 0.0,
        }
    }

    /// Reads a record.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let document = input::read_text(path)?;
        Self::parse(&document.text).map_err(|error| error.in_file(&document.name))
    }

    fn parse(text: &str) -> Result<Self> {
        let read: std::result::Result<Self, _> = serde_json::from_str(text);
        let tape = read.map_err(|error| {
            Error::in_document(error.into(), text)
                .or_help("a record is what `gptoss run --record FILE` writes")
        })?;
        if tape.schema != SCHEMA {
            let rule = format!("the record is of {:?}, and this program reads {SCHEMA:?}", tape.schema);
            return Err(Error::input("T002", rule));
        }
        Ok(tape)
    }

    /// The record that a document is, if it is one.
    ///
    /// # Errors
    ///
    /// If it says that it is one, and is not.
    pub(crate) fn of_document(value: &Value, text: &str) -> Result<Option<Self>> {
        match value.get("schema").and_then(Value::as_str) == Some(SCHEMA) {
            true => Self::parse(text).map(Some),
            false => Ok(None),
        }
    }

    /// The conversation with all that was said.
    pub(crate) fn whole(&self) -> Conversation {
        let mut conversation = self.conversation.clone();
        conversation.messages.extend_from_slice(&self.messages);
        conversation
    }

    /// The pages of which lines were shown, each with the place of its message among those after the conversation.
    pub(crate) fn pages(&self) -> Vec<(usize, Shown)> {
        let results =
            self.messages.iter().enumerate().filter(|(_, message)| message.author.role == Role::Tool);
        let calls = self.calls.iter().filter(|call| call.result.is_some());
        let shown = |((at, message), call): ((usize, &Message), &Taped)| {
            let length = call.result.as_ref().map_or(0, String::len);
            Some((at, call.page.clone()?.left_by(length, &message.text())?))
        };
        results.zip(calls).filter_map(shown).collect()
    }

    /// What the messages after the conversation took, in seconds, and whether they are results of calls that failed: results
    /// what the tool took, the last message of an answer what the answer took.
    pub(crate) fn times(&self) -> Vec<(Option<f64>, bool)> {
        let mut calls = self.calls.iter().filter(|call| call.result.is_some());
        let mut answers = self.answers.iter();
        let mut left = 0;
        let mut answer: Option<&Timed> = None;
        let time = |message: &Message| {
            if message.author.role == Role::Tool {
                let call = calls.next();
                return (call.map(|call| call.seconds), call.is_some_and(|call| call.failed));
            }
            if left == 0 {
                answer = answers.find(|answer| answer.messages > 0);
                left = answer.map_or(0, |answer| answer.messages);
            }
            left = left.saturating_sub(1);
            (answer.filter(|_| left == 0).map(|answer| answer.seconds), false)
        };
        self.messages.iter().map(time).collect()
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub(crate) fn write(&self, mut file: OutputFile) -> Result<()> {
        let text = serde_json::to_string_pretty(self).map_err(|error| Error::io(error.to_string()))?;
        file.write(text.as_bytes())?;
        file.write(b"\n")?;
        file.finish()
    }

    /// An error that shows how what was said now differs from the record, if it does.
    ///
    /// # Errors
    ///
    /// [`T003`](Error) with the first message that differs, or with what is missing.
    pub(crate) fn check_messages(&self, said: &[Message], end: &str) -> Result<()> {
        for (index, (recorded, now)) in self.messages.iter().zip(said).enumerate() {
            if recorded != now {
                return Err(differs(
                    &format!("message {} of the answer is not the recorded one", index + 1),
                    &shown(recorded),
                    &shown(now),
                ));
            }
        }
        let (recorded, now) = (self.messages.len(), said.len());
        if recorded != now || self.end != end {
            let rule = format!(
                "the run has {now} messages and ended with {end}, the record {recorded} and {}",
                self.end
            );
            return Err(Error::changed(rule));
        }
        Ok(())
    }
}

/// A message as lines: its JSON, and its text below.
fn shown(message: &Message) -> String {
    let header = [
        Some(message.author.role.to_string()),
        message.author.name.clone(),
        message.channel.clone(),
        message.recipient.as_ref().map(|recipient| format!("to={recipient}")),
        message.content_type.clone(),
    ];
    let header: Vec<String> = header.into_iter().flatten().collect();
    format!("{}\n{}\n", header.join(" "), message.text())
}

/// Runs tools and writes down what they answer.
pub(crate) struct Recorder<'a> {
    tools: &'a mut dyn Tools,
    pub(crate) calls: Vec<Taped>,
}

impl<'a> Recorder<'a> {
    pub(crate) fn new(tools: &'a mut dyn Tools) -> Self {
        Self { tools, calls: Vec::new() }
    }
}

impl Tools for Recorder<'_> {
    fn answer(
        &mut self,
        call: &Message,
        interrupt: &AtomicBool,
        news: &mut dyn FnMut(&str),
    ) -> Result<Option<Answer>> {
        let began = Instant::now();
        let answer = self.tools.answer(call, interrupt, news)?;
        self.calls.push(Taped {
            tool: call.recipient.clone().unwrap_or_default(),
            arguments: call.text(),
            result: answer.as_ref().map(|answer| answer.text.clone()),
            failed: answer.as_ref().is_some_and(|answer| answer.has_failed),
            page: answer.as_ref().and_then(|answer| answer.page.clone()),
            seconds: began.elapsed().as_secs_f64(),
        });
        Ok(answer)
    }

    fn most_calls(&self) -> usize {
        self.tools.most_calls()
    }
}

/// Answers calls from a record.
pub(crate) struct Replayer {
    calls: VecDeque<Taped>,
    done: usize,
    most_calls: usize,
}

impl Replayer {
    pub(crate) fn new(tape: &Tape) -> Self {
        Self { calls: tape.calls.clone().into(), done: 0, most_calls: tape.settings.most_calls }
    }
}

impl Tools for Replayer {
    fn answer(&mut self, call: &Message, _: &AtomicBool, _: &mut dyn FnMut(&str)) -> Result<Option<Answer>> {
        self.done += 1;
        let tool = call.recipient.as_deref().unwrap_or_default();
        let Some(recorded) = self.calls.pop_front() else {
            let rule = format!("call {} of {tool} is not on record", self.done);
            return Err(differs(&rule, "", &lines(tool, &call.text())));
        };
        if recorded.tool != tool || recorded.arguments != call.text() {
            let rule = format!("call {} is not the recorded one", self.done);
            let before = lines(&recorded.tool, &recorded.arguments);
            return Err(differs(&rule, &before, &lines(tool, &call.text())));
        }
        let answer =
            recorded.result.map(|text| Answer { text, has_failed: recorded.failed, page: recorded.page });
        Ok(answer)
    }

    fn most_calls(&self) -> usize {
        self.most_calls
    }
}

/// A call as lines that can be compared: the tool, and its arguments with a line for each.
fn lines(tool: &str, arguments: &str) -> String {
    let pretty = serde_json::from_str::<Value>(arguments)
        .ok()
        .and_then(|value| serde_json::to_string_pretty(&value).ok())
        // Two texts of the same value are two calls.
        .map(|pretty| format!("{pretty}\nas written: {arguments}"));
    format!("{tool}\n{}\n", pretty.as_deref().unwrap_or(arguments))
}

fn differs(rule: &str, before: &str, now: &str) -> Error {
    let diff = TextDiff::from_lines(before, now);
    let lines: Vec<String> = diff
        .iter_all_changes()
        .filter(|change| change.tag() != ChangeTag::Equal)
        .map(|change| {
            let sign = if change.tag() == ChangeTag::Delete { '-' } else { '+' };
            format!("{sign} {}", change.value().trim_end_matches('\n'))
        })
        .collect();
    Error::changed(rule).below(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Echo;

    impl Tools for Echo {
        fn answer(
            &mut self,
            call: &Message,
            _: &AtomicBool,
            _: &mut dyn FnMut(&str),
        ) -> Result<Option<Answer>> {
            Ok(Some(Answer::new(call.text().to_uppercase())))
        }
    }

    fn call(tool: &str, text: &str) -> Message {
        Message::new(Role::Assistant, text).with_recipient(tool).with_channel("commentary")
    }

    fn tape() -> Tape {
        let settings = Settings {
            profile: "bf16".to_owned(),
            temperature: 0.0,
            top_p: 1.0,
            top_k: None,
            min_p: 0.0,
            seed: 0,
            max_tokens: None,
            context: 100,
            enforced: true,
            most_calls: 16,
        };
        let mut tape = Tape::begin("tiny".to_owned(), "00".to_owned(), settings, Conversation::default());
        let mut echo = Echo;
        let mut recorder = Recorder::new(&mut echo);
        let never = AtomicBool::new(false);
        for text in ["{\"a\":1}", "b"] {
            recorder.answer(&call("functions.f", text), &never, &mut |_| {}).unwrap();
        }
        tape.calls = recorder.calls;
        tape
    }

    #[test]
    fn the_same_calls_have_the_same_answers() {
        let mut replayer = Replayer::new(&tape());
        let never = AtomicBool::new(false);
        for (text, answer) in [("{\"a\":1}", "{\"A\":1}"), ("b", "B")] {
            let found = replayer.answer(&call("functions.f", text), &never, &mut |_| {}).unwrap();
            assert_eq!(found, Some(Answer::new(answer)));
        }
        let error = replayer.answer(&call("functions.f", "c"), &never, &mut |_| {}).unwrap_err();
        assert_eq!(error.code(), Some("T003"));
    }

    #[test]
    fn another_call_is_shown_beside_the_recorded_one() {
        let never = AtomicBool::new(false);
        for (tool, text, shown) in [
            ("functions.f", "{\"a\":2}", "- as written: {\"a\":1}\n+   \"a\": 2\n+ as written: {\"a\":2}"),
            ("functions.f", "{ \"a\": 1}", "- as written: {\"a\":1}\n+ as written: { \"a\": 1}"),
            ("functions.g", "{\"a\":1}", "- functions.f\n+ functions.g"),
        ] {
            let error = Replayer::new(&tape()).answer(&call(tool, text), &never, &mut |_| {}).unwrap_err();
            let rest = error.to_json()["below"].to_string();
            for line in shown.lines() {
                let quoted = serde_json::to_string(line).unwrap();
                assert!(rest.contains(&quoted), "{quoted} in {rest}");
            }
        }
    }

    #[test]
    fn lines_that_had_no_room_were_not_shown() {
        let display = "[0] T\n**viewing lines [0 - 2] of 2**\n\nL0: a\nL1: b\nL2: c";
        let mut tape = tape();
        let page = Shown { cursor: 0, url: "t".into(), title: "T".into(), first_line: 0, last_line: 2 };
        tape.calls.truncate(1);
        (tape.calls[0].result, tape.calls[0].page) = (Some(display.to_owned()), Some(page.clone()));
        let told = |text: &str| Message::new(Role::Tool, text).with_recipient("assistant");
        tape.messages = vec![call("browser.open", "{}"), told(display)];
        assert_eq!(tape.pages(), [(1, page.clone())]);
        tape.messages[1] =
            told("[0] T\n**viewing lines [0 - 2] of 2**\n\nL0: a\nL1: b\n[output cut: 5 more bytes]");
        assert_eq!(tape.pages(), [(1, Shown { last_line: 1, ..page })]);
    }

    #[test]
    fn another_answer_is_a_difference() {
        let mut tape = tape();
        tape.messages = vec![Message::new(Role::Assistant, "yes").with_channel("final")];
        tape.end = "return".to_owned();
        tape.check_messages(&tape.messages, "return").unwrap();
        assert!(tape.check_messages(&[], "return").is_err());
        assert!(tape.check_messages(&tape.messages, "call").is_err());
        let other = [Message::new(Role::Assistant, "no").with_channel("final")];
        let error = tape.check_messages(&other, "return").unwrap_err();
        assert_eq!(error.exit(), crate::error::DIFFERENT);
        assert_eq!(error.to_json()["below"], serde_json::json!(["- yes", "+ no"]));
    }
}
