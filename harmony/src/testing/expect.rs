//! A transcript, step by step.

use serde_json::Value;

use super::transcript::View;
use super::{Transcript, assert, diff};
use crate::{Message, MessageKind, Tool};

/// Begins a list of what a transcript is expected to hold, in order.
///
/// Each step is about the next message, and panics in its own line if that is something else.
/// What the model thought is passed over where no step asks for it; see [`Expect::with_reasoning`].
///
/// ```
/// use harmony_format::testing::expect;
/// use harmony_format::{Encoding, ParseOptions, Role};
/// use serde_json::json;
///
/// let encoding = Encoding::o200k_harmony();
/// let said = encoding.encode_prompt(
///     "<|channel|>analysis<|message|>I need the weather.<|end|>\
///      <|start|>assistant<|channel|>commentary<|message|>Let me look.<|end|>\
///      <|start|>assistant to=functions.get_weather<|channel|>commentary<|message|>{\"city\": \"Paris\"}<|call|>",
/// );
/// let parsed = encoding.parse(&said, &ParseOptions::recover().role(Role::Assistant))?;
/// expect(&parsed)
///     .no_repairs()
///     .preamble("Let me look.")
///     .call("functions.get_weather", json!({"city": "Paris"}))
///     .end();
/// # Ok::<(), harmony_format::Error>(())
/// ```
#[must_use = "nothing is checked without steps"]
pub fn expect(actual: &(impl Transcript + ?Sized)) -> Expect<'_> {
    Expect { view: View::new(actual), next: 0, reasoning: false }
}

/// The steps of a transcript; see [`expect`].
#[must_use = "what is left is only checked by `end`"]
pub struct Expect<'a> {
    view: View<'a>,
    /// The message that the next step is about.
    next: usize,
    /// Whether reasoning that no step asks for is passed over (`false`) or one message too many.
    reasoning: bool,
}

impl Expect<'_> {
    /// From here on, each message of reasoning needs its step, too.
    ///
    /// ```should_panic
    /// use harmony_format::testing::expect;
    /// use harmony_format::{Message, Role};
    ///
    /// let messages = [
    ///     Message::new(Role::Assistant, "Easy.").with_channel("analysis"),
    ///     Message::new(Role::Assistant, "4").with_channel("final"),
    /// ];
    /// expect(&messages).final_text("4").end(); // passes
    /// expect(&messages).with_reasoning().reasoning("Easy.").final_text("4").end(); // passes
    /// expect(&messages).with_reasoning().final_text("4").end(); // panics
    /// ```
    pub fn with_reasoning(mut self) -> Self {
        self.reasoning = true;
        self
    }

    /// Nothing was repaired while the transcript was parsed. True of messages that were not parsed.
    ///
    /// # Panics
    ///
    /// If something was; the report lists the repairs.
    #[track_caller]
    pub fn no_repairs(self) -> Self {
        let diagnostics = self.view.parsed.map_or(&[][..], |parsed| &parsed.diagnostics);
        if !diagnostics.is_empty() {
            let mut report = format!("the transcript was repaired, {} times\n", diagnostics.len());
            for diagnostic in diagnostics {
                let (tokens, found) = (&diagnostic.tokens, &diagnostic.found);
                report += &format!(
                    "  {} at {}..{}, {found:?}: {}\n",
                    diagnostic.repair, tokens.start, tokens.end, diagnostic.note
                );
            }
            panic!("{report}");
        }
        self
    }

    /// The next message is reasoning with this text.
    ///
    /// # Panics
    ///
    /// If it is something else.
    #[track_caller]
    pub fn reasoning(self, text: &str) -> Self {
        self.text(MessageKind::Reasoning, text)
    }

    /// The next message is a preamble with this text: `commentary` to nobody.
    ///
    /// # Panics
    ///
    /// If it is something else.
    #[track_caller]
    pub fn preamble(self, text: &str) -> Self {
        self.text(MessageKind::Preamble, text)
    }

    /// The next message is a final answer with this text.
    ///
    /// # Panics
    ///
    /// If it is something else.
    #[track_caller]
    pub fn final_text(self, text: &str) -> Self {
        self.text(MessageKind::Final, text)
    }

    /// The next message calls this tool with these arguments; they are compared as by [`assert_calls`](super::assert_calls).
    ///
    /// # Panics
    ///
    /// If it is something else.
    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "so that `json!(…)` can be written in the call")]
    pub fn call(mut self, name: &str, arguments: Value) -> Self {
        let is_call = |kind: MessageKind<'_>| matches!(kind, MessageKind::ToolCall(_));
        let wanted = || format!("a call of {}", Tool::from_name(name).name());
        let checked = self
            .take(is_call, wanted)
            .and_then(|index| assert::check_call(&self.view, index, name, &arguments));
        self.unless(checked)
    }

    /// The next message is the output of this tool, with this text.
    ///
    /// # Panics
    ///
    /// If it is something else.
    #[track_caller]
    pub fn result(mut self, name: &str, text: &str) -> Self {
        let tool = Tool::from_name(name);
        let wanted = || format!("a result of {}", tool.name());
        let checked = self
            .take(|kind| kind == MessageKind::ToolResult(tool), wanted)
            .and_then(|index| assert::check_text(&self.view, index, text));
        self.unless(checked)
    }

    /// The next message is this one, in every field.
    ///
    /// # Panics
    ///
    /// If it is another.
    #[track_caller]
    pub fn message(mut self, expected: &Message) -> Self {
        let reasoning = expected.kind() == MessageKind::Reasoning;
        let checked = self
            .take(|kind| reasoning || kind != MessageKind::Reasoning, || diff::in_short(expected))
            .and_then(|index| {
                if self.view.messages[index] == expected {
                    Ok(())
                } else {
                    Err(diff::message(&self.view, index, expected))
                }
            });
        self.unless(checked)
    }

    /// The messages that are left are these, in every field; reasoning on either side is passed over
    /// unless [`with_reasoning`](Self::with_reasoning) was said.
    ///
    /// ```
    /// use harmony_format::testing::expect;
    /// use harmony_format::{Message, Role};
    ///
    /// let actual = [
    ///     Message::new(Role::Assistant, "Easy.").with_channel("analysis"),
    ///     Message::new(Role::Assistant, "4").with_channel("final"),
    /// ];
    /// expect(&actual).messages(&[Message::new(Role::Assistant, "4").with_channel("final")]);
    /// ```
    ///
    /// # Panics
    ///
    /// If they are others.
    #[track_caller]
    pub fn messages(self, expected: &(impl Transcript + ?Sized)) {
        let counts = |message: &Message| self.reasoning || message.kind() != MessageKind::Reasoning;
        if let Err(report) = assert::check_messages(&self.view, self.next, &expected.messages(), counts) {
            panic!("{report}");
        }
    }

    /// There is no further message.
    ///
    /// # Panics
    ///
    /// If there is.
    #[track_caller]
    pub fn end(self) {
        self.messages(&[]);
    }

    #[track_caller]
    fn text(mut self, wanted: MessageKind<'_>, text: &str) -> Self {
        let name = || match wanted {
            MessageKind::Final => format!("a final answer, {text:?}"),
            kind => format!("a {}, {text:?}", kind.as_str()),
        };
        let checked = self
            .take(|kind| kind == wanted, name)
            .and_then(|index| assert::check_text(&self.view, index, text));
        self.unless(checked)
    }

    #[track_caller]
    fn unless(self, checked: Result<(), String>) -> Self {
        if let Err(report) = checked {
            panic!("{report}");
        }
        self
    }

    /// The index of the next message, which must be of this kind; reasoning before it is passed over if it may be.
    fn take(
        &mut self,
        fits: impl Fn(MessageKind<'_>) -> bool,
        wanted: impl Fn() -> String,
    ) -> Result<usize, String> {
        while let Some(message) = self.view.messages.get(self.next) {
            let index = self.next;
            self.next += 1;
            let kind = message.kind();
            if fits(kind) {
                return Ok(index);
            }
            if self.reasoning || kind != MessageKind::Reasoning {
                let outline = diff::outline(&self.view, Some(index));
                return Err(format!("message {index} is not {}\n{outline}", wanted()));
            }
        }
        let outline = diff::outline(&self.view, Some(self.next));
        Err(format!("there is no further message, expected {}\n{outline}", wanted()))
    }
}
