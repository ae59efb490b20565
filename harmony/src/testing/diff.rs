//! What a failed assertion says: which message, which token, and all messages in short.

use std::fmt::Write as _;

use serde_json::Value;

use super::excerpt::{excerpt, excerpt_of_text, text, visible};
use super::transcript::View;
use crate::arguments::{equal, locate, push_key, show};
use crate::{Content, Encoding, Message, MessageKind, RenderOptions, SpecialToken, TokenId, Tool};

/// A message that is not as expected, and how.
pub(super) fn message(view: &View<'_>, index: usize, expected: &Message) -> String {
    let actual = view.messages[index];
    let mut report = format!("message {index} is not as expected: {}\n", fields(actual, expected));
    let encoding = Encoding::o200k_harmony();
    let tokens = (rendered(&encoding, actual), rendered(&encoding, expected));
    match tokens {
        (Some(actual), Some(expected)) if actual != expected => {
            let at = first_difference(&actual, &expected);
            report += &place(view, index, at, &encoding, &actual);
            report += &excerpt("actual", &encoding, &actual, at..actual.len().min(at + 1));
            report += &excerpt("expected", &encoding, &expected, at..expected.len().min(at + 1));
        }
        // They render alike, or do not render: a text in two items, a tool without a name.
        _ => {
            let _ = writeln!(report, "  actual   {}\n  expected {}", actual.to_json(), expected.to_json());
        }
    }
    report + &outline(view, Some(index))
}

/// A call whose arguments are not as expected.
pub(super) fn arguments(view: &View<'_>, index: usize, actual: Option<&Value>, expected: &Value) -> String {
    let message = view.messages[index];
    let content = message.text();
    let name = message.kind().tool().map_or("", Tool::name);
    let mut report = format!("message {index} calls {name} with other arguments: ");
    let range = match actual {
        None => {
            let _ = writeln!(report, "they are not JSON, expected {}", show(expected));
            0..content.len()
        }
        Some(actual) => {
            let mut pointer = String::new();
            let (here, there) = difference(actual, expected, &mut pointer);
            let _ = match (here, there) {
                (Some(here), Some(there)) if pointer.is_empty() => {
                    writeln!(report, "{}, expected {}", show(here), show(there))
                }
                (Some(here), Some(there)) => {
                    writeln!(report, "{pointer} is {}, expected {}", show(here), show(there))
                }
                (Some(here), None) => writeln!(report, "{pointer} is {}, expected nothing there", show(here)),
                (None, _) => {
                    writeln!(report, "{pointer} is missing, expected {}", show(there.unwrap_or(&Value::Null)))
                }
            };
            let parent = || pointer.rsplit_once('/').and_then(|(parent, _)| locate(&content, parent));
            locate(&content, &pointer).or_else(parent).unwrap_or(0..content.len())
        }
    };
    let encoding = Encoding::o200k_harmony();
    if let Some((tokens, at)) = token_of_content(&encoding, message, range.start) {
        report += &place(view, index, at, &encoding, &tokens);
    }
    report += &excerpt_of_text("content", &content, range);
    report + &outline(view, Some(index))
}

/// Where two lists of tokens differ first, with what is around it; none if they are equal.
pub(super) fn tokens(encoding: &Encoding, actual: &[TokenId], expected: &[TokenId]) -> Option<String> {
    if actual == expected {
        return None;
    }
    let at = first_difference(actual, expected);
    let named = |tokens: &[TokenId]| match tokens.get(at) {
        Some(&token) => format!("{token} {:?}", text(encoding, &[token])),
        None => "the end".to_owned(),
    };
    let mut report = format!("token {at} is {}, expected {}\n", named(actual), named(expected));
    if actual.len() != expected.len() {
        let _ = writeln!(report, "there are {} tokens, expected {}", actual.len(), expected.len());
    }
    report += &excerpt("actual", encoding, actual, at..actual.len().min(at + 1));
    report += &excerpt("expected", encoding, expected, at..expected.len().min(at + 1));
    Some(report)
}

/// All messages, one a line; an arrow at the one that a report is about.
pub(super) fn outline(view: &View<'_>, at: Option<usize>) -> String {
    if view.messages.is_empty() {
        return "there are no messages\n".to_owned();
    }
    let mut lines = "the messages are\n".to_owned();
    for (index, message) in view.messages.iter().enumerate() {
        let arrow = if at == Some(index) { '>' } else { ' ' };
        let _ = writeln!(lines, "{arrow} {index:2} {}", in_short(message));
    }
    if at == Some(view.messages.len()) {
        let _ = writeln!(lines, "> {:2} (end)", view.messages.len());
    }
    lines
}

/// One message in one line.
pub(super) fn in_short(message: &Message) -> String {
    const LONGEST: usize = 60;
    let what = match message.kind() {
        MessageKind::ToolCall(tool) => format!("call of {}", tool.name()),
        MessageKind::ToolResult(tool) => format!("result of {}", tool.name()),
        MessageKind::Other => match message.channel.as_deref() {
            Some(channel) => format!("{} on {}", message.author.role, visible(channel)),
            None => message.author.role.to_string(),
        },
        kind => kind.as_str().to_owned(),
    };
    let text = match message.content.as_slice() {
        [Content::System(_) | Content::Developer(_)] => return what,
        _ => visible(&message.text()),
    };
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{what}: {}…", &text[..end]),
        None => format!("{what}: {text}"),
    }
}

/// The fields that differ, in words.
fn fields(actual: &Message, expected: &Message) -> String {
    let mut differ = Vec::new();
    let mut field = |name: &str, actual: Option<&str>, expected: Option<&str>| {
        let shown =
            |value: Option<&str>| value.map_or_else(|| "none".to_owned(), |value| format!("{value:?}"));
        if actual != expected {
            differ.push(format!("its {name} is {}, not {}", shown(actual), shown(expected)));
        }
    };
    field("role", Some(actual.author.role.as_str()), Some(expected.author.role.as_str()));
    field("name", actual.author.name.as_deref(), expected.author.name.as_deref());
    field("recipient", actual.recipient.as_deref(), expected.recipient.as_deref());
    field("channel", actual.channel.as_deref(), expected.channel.as_deref());
    field("content type", actual.content_type.as_deref(), expected.content_type.as_deref());
    if actual.content != expected.content {
        differ.push("its content differs".to_owned());
    }
    differ.join(", ")
}

/// Which token it is, of the message and, if that is known, of the input.
fn place(view: &View<'_>, index: usize, at: usize, encoding: &Encoding, tokens: &[TokenId]) -> String {
    let mut place = format!("at token {at} of the message");
    let spans = view.spans(index);
    if let (Some(first), Some(last)) = (spans.first(), spans.last()) {
        let own: usize = spans.iter().map(ExactSizeIterator::len).sum();
        // The first message may lack what the prompt ended with: `<|start|>` and the role.
        let preset = tokens.len().saturating_sub(own);
        let as_rendered =
            spans.len() == 1 && own <= tokens.len() && (preset == 0 || (preset == 2 && first.start == 0));
        // Headers have several orders, so only a token of the content has the same place as where it renders.
        if as_rendered
            && content_start(encoding, tokens).is_some_and(|content| (content..tokens.len()).contains(&at))
        {
            let _ = write!(place, ", token {} of the input", first.start + at - preset);
        } else {
            let _ = write!(place, ", which is {}..{} of the input", first.start, last.end);
        }
    }
    place + "\n"
}

/// The tokens of a message as it renders; none if it does not.
fn rendered(encoding: &Encoding, message: &Message) -> Option<Vec<TokenId>> {
    encoding.render_message(message, false, &RenderOptions::storage()).ok()
}

/// The tokens of a message as it renders, and the one that holds a byte of its content.
fn token_of_content(encoding: &Encoding, message: &Message, byte: usize) -> Option<(Vec<TokenId>, usize)> {
    let tokens = rendered(encoding, message)?;
    let content = content_start(encoding, &tokens)?;
    let at = content + encoding.token_at_byte(&tokens[content..], byte);
    Some((tokens, at))
}

fn content_start(encoding: &Encoding, tokens: &[TokenId]) -> Option<usize> {
    let marker = encoding.marker_id(SpecialToken::Message)?;
    Some(tokens.iter().position(|&token| token == marker)? + 1)
}

fn first_difference(a: &[TokenId], b: &[TokenId]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// The first values that differ, and where: in the order of `actual`, then what only `expected` has.
fn difference<'a>(
    actual: &'a Value,
    expected: &'a Value,
    pointer: &mut String,
) -> (Option<&'a Value>, Option<&'a Value>) {
    match (actual, expected) {
        (Value::Object(a), Value::Object(b)) => {
            let keys = a.keys().chain(b.keys().filter(|&key| !a.contains_key(key)));
            for key in keys {
                match (a.get(key), b.get(key)) {
                    (Some(a), Some(b)) if equal(a, b) => {}
                    (a, b) => {
                        push_key(pointer, key);
                        return deeper(a, b, pointer);
                    }
                }
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            for index in 0..a.len().max(b.len()) {
                match (a.get(index), b.get(index)) {
                    (Some(a), Some(b)) if equal(a, b) => {}
                    (a, b) => {
                        push_key(pointer, &index.to_string());
                        return deeper(a, b, pointer);
                    }
                }
            }
        }
        _ => {}
    }
    (Some(actual), Some(expected))
}

fn deeper<'a>(
    actual: Option<&'a Value>,
    expected: Option<&'a Value>,
    pointer: &mut String,
) -> (Option<&'a Value>, Option<&'a Value>) {
    match (actual, expected) {
        (Some(actual), Some(expected)) => difference(actual, expected, pointer),
        other => other,
    }
}
