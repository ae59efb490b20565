//! Findings as text with the place in the file, and as JSON.

use std::ops::Range;

use harmony_format::arguments::locate;
use harmony_format::lint::{Finding, Severity};
use serde_json::{Value, json};

use crate::color::{self, Paint};
use crate::excerpt::{Excerpt, printable};

/// The text that findings point into.
pub(super) enum Source<'a> {
    /// A Harmony conversation; the pointers of findings lead into it.
    Harmony(&'a str),
    /// A transcript; the ranges of findings count its bytes.
    Transcript(&'a str),
    /// A document whose conversation is another text.
    Other,
}

impl Source<'_> {
    fn place(&self, finding: &Finding) -> Option<(&str, Range<usize>)> {
        match self {
            Self::Harmony(text) => Some((text, place_in_json(text, finding)?)),
            Self::Transcript(text) => {
                let range = finding.tokens.clone()?;
                (range.start <= text.len()).then_some((*text, range))
            }
            Self::Other => None,
        }
    }
}

/// The value that a finding is about, or what is nearest around it: the text may write a content in another form.
fn place_in_json(text: &str, finding: &Finding) -> Option<Range<usize>> {
    // A list of messages on its own is a document, too.
    let is_list = text.trim_start().starts_with('[');
    let pointer = if is_list { finding.pointer.strip_prefix("/messages")? } else { &finding.pointer };
    let mut pointer = pointer;
    let span = loop {
        match locate(text, pointer) {
            Some(span) => break span,
            None => pointer = &pointer[..pointer.rfind('/')?],
        }
    };
    let raw = &text[span.clone()];
    match &finding.bytes {
        // Without escapes the bytes of a string are those of its text.
        Some(bytes) if raw.starts_with('"') && !raw.contains('\\') && bytes.end + 2 <= raw.len() => {
            Some(span.start + 1 + bytes.start..span.start + 1 + bytes.end)
        }
        _ => Some(span),
    }
}

/// A finding as lines of text.
pub(super) fn text(
    file: &str,
    line: Option<usize>,
    finding: &Finding,
    source: &Source<'_>,
    paint: Paint,
) -> String {
    let style = match finding.severity {
        Severity::Error => color::ERROR,
        Severity::Warning => color::WARNING,
        Severity::Info => color::HELP,
    };
    let label = paint.paint(style, format!("{}[{}]:", finding.severity, finding.code));
    let place = source.place(finding);
    let mut at = file.to_owned();
    if let Some(message) = finding.message {
        at += &format!(", message {message}");
    }
    match (&place, line) {
        (Some((text, span)), line) => {
            let (first, column) = Excerpt::place(text, span.start);
            at += &format!(", line {} column {column}", line.unwrap_or(first));
        }
        (None, Some(line)) => at += &format!(", line {line}"),
        (None, None) => {}
    }
    let said: String = finding.text.chars().map(printable).collect();
    let mut lines = format!("{label} {said} ({at})\n");
    if let Some((text, span)) = place {
        let (shown, carets) = Excerpt::of_text(text, span).render();
        let bar = paint.paint(color::DIM, "|");
        lines += &format!("  {bar} {shown}\n  {bar} {}\n", paint.paint(style, carets));
    }
    if !finding.fix.is_empty() {
        lines += &format!("{} --fix mends this\n", paint.paint(color::HELP, "help:"));
    }
    lines
}

/// All findings of a document as an object.
pub(super) fn object(file: &str, line: Option<usize>, findings: &[Finding], source: &Source<'_>) -> Value {
    let findings: Vec<Value> = findings
        .iter()
        .map(|finding| {
            let mut object = json!(finding);
            if let Some((text, span)) = source.place(finding) {
                let (first, column) = Excerpt::place(text, span.start);
                object["place"] = json!({"line": line.unwrap_or(first), "column": column});
            }
            object
        })
        .collect();
    match line {
        Some(line) => json!({"schema": "gptoss.lint/1", "file": file, "line": line, "findings": findings}),
        None => json!({"schema": "gptoss.lint/1", "file": file, "findings": findings}),
    }
}
