//! Findings as text with the place in the file, and as JSON.

use std::ops::Range;

use harmony_format::arguments::Locator;
use harmony_format::lint::{Finding, Severity};
use serde_json::{Value, json};

use crate::color::{self, Paint};
use crate::excerpt::{Excerpt, LineStarts, printable};

/// The text that findings point into.
pub(super) struct Source<'a> {
    text: &'a str,
    kind: Kind<'a>,
    starts: LineStarts,
}

enum Kind<'a> {
    /// A Harmony conversation; the pointers of findings lead into it.
    Harmony {
        locator: Locator<'a>,
        /// The bytes that are a backslash.
        escapes: Vec<usize>,
    },
    /// A transcript; the ranges of findings count its bytes.
    Transcript,
    /// A document whose conversation is another text.
    Other,
}

impl<'a> Source<'a> {
    pub(super) fn harmony(text: &'a str) -> Self {
        let escapes = text.bytes().enumerate().filter(|&(_, byte)| byte == b'\\').map(|(at, _)| at).collect();
        Self::new(text, Kind::Harmony { locator: Locator::new(text), escapes })
    }

    pub(super) fn transcript(text: &'a str) -> Self {
        Self::new(text, Kind::Transcript)
    }

    pub(super) fn other() -> Self {
        Self::new("", Kind::Other)
    }

    fn new(text: &'a str, kind: Kind<'a>) -> Self {
        Self { text, kind, starts: LineStarts::of(text) }
    }

    fn place(&mut self, finding: &Finding) -> Option<Range<usize>> {
        match &mut self.kind {
            Kind::Harmony { locator, escapes } => place_in_json(self.text, locator, escapes, finding),
            Kind::Transcript => finding.tokens.clone().filter(|range| range.start <= self.text.len()),
            Kind::Other => None,
        }
    }
}

/// The value that a finding is about, or what is nearest around it: the text may write a content in another form.
fn place_in_json(
    text: &str,
    locator: &mut Locator<'_>,
    escapes: &[usize],
    finding: &Finding,
) -> Option<Range<usize>> {
    // A list of messages on its own is a document, too.
    let is_list = text.trim_start().starts_with('[');
    let pointer = if is_list { finding.pointer.strip_prefix("/messages")? } else { &finding.pointer };
    let mut pointer = pointer;
    let span = loop {
        match locator.locate(pointer) {
            Some(span) => break span,
            None => pointer = &pointer[..pointer.rfind('/')?],
        }
    };
    let is_plain_string = || {
        let first = escapes.partition_point(|&at| at < span.start);
        text[span.start..].starts_with('"') && escapes.get(first).is_none_or(|&at| at >= span.end)
    };
    match &finding.bytes {
        // Without escapes the bytes of a string are those of its text.
        Some(bytes) if bytes.end + 2 <= span.len() && is_plain_string() => {
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
    source: &mut Source<'_>,
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
        (Some(span), line) => {
            let (first, column) = source.starts.place(span.start);
            at += &format!(", line {} column {column}", line.unwrap_or(first));
        }
        (None, Some(line)) => at += &format!(", line {line}"),
        (None, None) => {}
    }
    let said: String = finding.text.chars().map(printable).collect();
    let mut lines = format!("{label} {said} ({at})\n");
    if let Some(span) = place {
        let (shown, carets) = Excerpt::of_text(source.text, span).render();
        let bar = paint.paint(color::DIM, "|");
        lines += &format!("  {bar} {shown}\n  {bar} {}\n", paint.paint(style, carets));
    }
    if !finding.fix.is_empty() {
        lines += &format!("{} --fix mends this\n", paint.paint(color::HELP, "help:"));
    }
    lines
}

/// All findings of a document as an object.
pub(super) fn object(
    file: &str,
    line: Option<usize>,
    findings: &[Finding],
    source: &mut Source<'_>,
) -> Value {
    let findings: Vec<Value> = findings
        .iter()
        .map(|finding| {
            let mut object = json!(finding);
            if let Some(span) = source.place(finding) {
                let (first, column) = source.starts.place(span.start);
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
