//! Two prompts of one conversation: messages are matched, and what differs in a pair is explained.

use harmony_format::{Encoding, SpecialToken, TokenId};
use serde::Serialize;
use serde_json::Value;

use super::catalog::Kind;
use super::message::{Message, split};
use super::sections;

/// A difference, explained or not.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Difference {
    #[serde(skip)]
    pub(crate) kind: Kind,
    pub(crate) code: &'static str,
    pub(crate) name: &'static str,
    /// Index of the message among those of our prompt, or of the template's where it is only there.
    pub(crate) message: usize,
    /// What our prompt has.
    pub(crate) ours: String,
    /// What the template wrote.
    pub(crate) template: String,
    /// The tokens that differ, of a difference that is not explained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tokens: Option<[Vec<TokenId>; 2]>,
}

/// Messages beyond this square are matched by their place.
const MATCH_LIMIT: usize = 4_000_000;
/// What it costs to leave a message without a partner, in hundredths.
const GAP: u32 = 50;

/// All differences of two prompts, in the order of our prompt.
pub(crate) fn compare(encoding: &Encoding, ours: &[TokenId], theirs: &[TokenId]) -> Vec<Difference> {
    if ours == theirs {
        return Vec::new();
    }
    let (ours, theirs) = (split(encoding, ours), split(encoding, theirs));
    let mut report = Report { encoding, differences: Vec::new() };
    let mut has_call = false;
    for pair in pairs(&ours, &theirs) {
        match pair {
            (Some(index), Some(other)) => report.pair(index, &ours[index], &theirs[other]),
            (Some(index), None) => {
                let message = &ours[index];
                report.add(
                    missing(message, has_call),
                    index,
                    header_and_text(encoding, message),
                    String::new(),
                );
            }
            (None, Some(index)) => {
                let message = &theirs[index];
                report.add(added(message), index, String::new(), header_and_text(encoding, message));
            }
            (None, None) => {}
        }
        if let Some(message) = pair.0.map(|index| &ours[index]) {
            has_call = message.is_call() || (has_call && message.author != "user");
        }
    }
    report.differences
}

/// Why a message of ours has no partner. `has_call`: a call came before it in this turn.
fn missing(message: &Message, has_call: bool) -> Kind {
    match message.author.as_str() {
        _ if message.content.is_none() => Kind::GenerationPrompt,
        "system" | "developer" => Kind::PromptMessageMissing,
        _ if message.is_reasoning() => Kind::ReasoningKept,
        _ if message.is_call() && has_call => Kind::CallMissing,
        _ => Kind::MessageMissing,
    }
}

fn added(message: &Message) -> Kind {
    if message.content.is_none() {
        Kind::GenerationPrompt
    } else if message.is_reasoning() {
        Kind::ReasoningKept
    } else {
        Kind::MessageAdded
    }
}

fn header_and_text(encoding: &Encoding, message: &Message) -> String {
    encoding.decode_lossy(&message.tokens).unwrap_or_default()
}

/// The cheapest way to match the messages in order.
fn pairs(ours: &[Message], theirs: &[Message]) -> Vec<(Option<usize>, Option<usize>)> {
    let (rows, columns) = (ours.len(), theirs.len());
    if rows.saturating_mul(columns) > MATCH_LIMIT {
        return (0..rows.max(columns))
            .map(|at| ((at < rows).then_some(at), (at < columns).then_some(at)))
            .collect();
    }
    // cost[i][j]: of the messages from i and from j on.
    let width = columns + 1;
    let mut cost = vec![0_u32; (rows + 1) * width];
    for row in (0..=rows).rev() {
        for column in (0..=columns).rev() {
            let at = row * width + column;
            cost[at] = match (row < rows, column < columns) {
                (false, false) => 0,
                (true, false) => cost[at + width] + GAP,
                (false, true) => cost[at + 1] + GAP,
                (true, true) => (cost[at + width + 1] + price(&ours[row], &theirs[column]))
                    .min(cost[at + width] + GAP)
                    .min(cost[at + 1] + GAP),
            };
        }
    }
    let (mut row, mut column) = (0, 0);
    let mut pairs = Vec::with_capacity(rows.max(columns));
    while row < rows || column < columns {
        let at = row * width + column;
        let both = row < rows
            && column < columns
            && cost[at] == cost[at + width + 1] + price(&ours[row], &theirs[column]);
        if both {
            pairs.push((Some(row), Some(column)));
            row += 1;
            column += 1;
        } else if row < rows && cost[at] == cost[at + width] + GAP {
            pairs.push((Some(row), None));
            row += 1;
        } else {
            pairs.push((None, Some(column)));
            column += 1;
        }
    }
    pairs
}

/// How unlike two messages are, in hundredths; more than two gaps for those that are never partners.
fn price(ours: &Message, theirs: &Message) -> u32 {
    const NEVER: u32 = 2 * GAP + 1;
    let (Some(a), Some(b)) = (&ours.content, &theirs.content) else {
        return if ours.content == theirs.content { 10 } else { NEVER };
    };
    if ours.author != theirs.author && !(is_tool(ours) && is_tool(theirs)) {
        return NEVER;
    }
    let channel = if ours.channel == theirs.channel { 0 } else { 5 };
    let content =
        match ours.author.as_str() {
            _ if a == b => 0,
            "system" | "developer" => 30,
            _ if ours.is_call() && theirs.is_call() => {
                if ours.recipient == theirs.recipient && same_json(a, b) { 5 } else { 70 }
            }
            _ if is_quoted(a, b) => 5,
            _ if is_cut_at_marker(a, b) => 20,
            _ => 75,
        };
    content + channel
}

fn is_tool(message: &Message) -> bool {
    !["user", "assistant", "system", "developer"].contains(&message.author.as_str())
}

fn same_json(a: &str, b: &str) -> bool {
    match (serde_json::from_str::<Value>(a), serde_json::from_str::<Value>(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

/// Whether the template wrote our text as a JSON string.
fn is_quoted(ours: &str, theirs: &str) -> bool {
    theirs.starts_with('"') && serde_json::from_str::<String>(theirs).is_ok_and(|text| text == ours)
}

/// Whether our text spells a marker, and the template's message ends there.
fn is_cut_at_marker(ours: &str, theirs: &str) -> bool {
    ours.strip_prefix(theirs)
        .is_some_and(|rest| SpecialToken::ALL.iter().any(|marker| rest.starts_with(marker.as_str())))
}

struct Report<'a> {
    encoding: &'a Encoding,
    differences: Vec<Difference>,
}

impl Report<'_> {
    fn add(&mut self, kind: Kind, message: usize, ours: String, template: String) {
        let entry = kind.entry();
        let (code, name) = (entry.code, entry.name);
        self.differences.push(Difference { kind, code, name, message, ours, template, tokens: None });
    }

    fn unknown(&mut self, index: usize, ours: &[TokenId], theirs: &[TokenId]) {
        let prefix = ours.iter().zip(theirs).take_while(|(a, b)| a == b).count();
        let (ours, theirs) = (&ours[prefix..], &theirs[prefix..]);
        let suffix = ours.iter().rev().zip(theirs.iter().rev()).take_while(|(a, b)| a == b).count();
        let (ours, theirs) = (&ours[..ours.len() - suffix], &theirs[..theirs.len() - suffix]);
        let text = |tokens| self.encoding.decode_lossy(tokens).unwrap_or_default();
        let (our_text, their_text) = (text(ours), text(theirs));
        self.add(Kind::Unknown, index, our_text, their_text);
        if let Some(difference) = self.differences.last_mut() {
            difference.tokens = Some([ours.to_vec(), theirs.to_vec()]);
        }
    }

    fn pair(&mut self, index: usize, ours: &Message, theirs: &Message) {
        if ours.tokens == theirs.tokens {
            return;
        }
        let before = self.differences.len();
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let word =
            |stop: Option<SpecialToken>| stop.map_or_else(String::new, |stop| stop.as_str().to_owned());
        let mut is_explained = true;
        if ours.content.is_none() {
            let (a, b) = (header_and_text(self.encoding, ours), header_and_text(self.encoding, theirs));
            return self.add(Kind::GenerationPrompt, index, a, b);
        }
        let addressed = |message: &Message| {
            format!(
                "{}{}",
                message.author,
                message.recipient.as_deref().map(|to| format!(" to={to}")).unwrap_or_default()
            )
        };
        if ours.author != theirs.author || ours.recipient != theirs.recipient {
            if is_tool(ours) {
                self.add(Kind::ToolRecipient, index, addressed(ours), addressed(theirs));
            } else {
                is_explained = false;
            }
        } else if ours.recipient.is_some()
            && ours.is_recipient_after_channel != theirs.is_recipient_after_channel
        {
            let place =
                |after: bool| if after { "after the channel" } else { "before the channel" }.to_owned();
            let (a, b) = (place(ours.is_recipient_after_channel), place(theirs.is_recipient_after_channel));
            self.add(Kind::RecipientPosition, index, a, b);
        }
        if ours.channel != theirs.channel {
            let is_analysis = theirs.channel.as_deref() == Some("analysis");
            let kind = if is_analysis && !ours.is_call() { Kind::ContentAsReasoning } else { Kind::Channel };
            self.add(kind, index, text(&ours.channel), text(&theirs.channel));
        }
        if ours.has_constrain && !theirs.has_constrain {
            let a = format!("<|constrain|>{}", text(&ours.content_type));
            self.add(Kind::ConstrainMissing, index, a, text(&theirs.content_type));
            is_explained &= ours.content_type == theirs.content_type;
        } else {
            is_explained &=
                ours.has_constrain == theirs.has_constrain && ours.content_type == theirs.content_type;
        }
        let mut is_cut = false;
        if let (Some(a), Some(b)) = (&ours.content, &theirs.content)
            && a != b
        {
            is_cut = is_cut_at_marker(a, b);
            is_explained &= self.content(index, ours, a, b);
        }
        if ours.stop != theirs.stop && !is_cut {
            self.add(Kind::Stop, index, word(ours.stop), word(theirs.stop));
        }
        // Behind a marker that a text spelled anything may follow.
        is_explained &= is_cut || ours.stray == theirs.stray;
        if !is_explained || self.differences.len() == before {
            self.unknown(index, &ours.tokens, &theirs.tokens);
        }
    }

    /// Whether the difference of the contents could be explained.
    fn content(&mut self, index: usize, message: &Message, ours: &str, theirs: &str) -> bool {
        let found = match message.author.as_str() {
            "system" => sections::system(ours, theirs),
            "developer" => sections::developer(ours, theirs),
            _ if message.is_call() && same_json(ours, theirs) => {
                vec![(Kind::ArgumentsRewritten, ours.to_owned(), theirs.to_owned())]
            }
            _ if is_quoted(ours, theirs) => {
                vec![(Kind::ToolOutputQuoted, ours.to_owned(), theirs.to_owned())]
            }
            _ if is_cut_at_marker(ours, theirs) => {
                vec![(Kind::MarkerInText, ours.to_owned(), theirs.to_owned())]
            }
            _ => return false,
        };
        let mut is_explained = true;
        for (kind, ours, theirs) in found {
            if kind == Kind::Unknown {
                is_explained = false;
            } else {
                self.add(kind, index, ours, theirs);
            }
        }
        is_explained
    }
}

#[cfg(test)]
mod tests;
