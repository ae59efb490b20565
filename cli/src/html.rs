//! A transcript as one self-contained page: nothing is loaded from elsewhere, nothing in the input can act on it.

use std::fmt::{self, Display, Write};

use harmony_format::{Role, TokenId};
use serde::Serialize;

use crate::agent::citations::Source;
use crate::transcript::{Block, End, Note, Run, Transcript, Turn};

/// What all pages look like: colours, fonts.
pub(crate) const BASE_STYLE: &str = include_str!("html/base.css");
const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");
/// SHA-256 of [`SCRIPT`] in base64: the page allows this script and no other.
const SCRIPT_HASH: &str = "baFqWwYAyRPTIdFr7PE66gAbJbTB7ZzhnEsnTwZruE4=";

/// Reasoning longer than this is folded at first, in a run on record all; all reasoning can be.
const LONG_REASONING: usize = 400;
/// Other content longer than this is folded at first.
const LONG_CONTENT: usize = 3000;
/// Characters of folded text that are shown.
const PREVIEW: usize = 160;

/// The page.
pub(crate) fn page(title: &str, transcript: &Transcript) -> String {
    let mut page = Page { html: String::new(), runs: Vec::new(), is_run: !transcript.facts.is_empty() };
    // Writing to a string cannot fail.
    let _ = page.write(title, transcript);
    page.html
}

struct Page<'a> {
    html: String,
    /// The texts that the script can cut into tokens.
    runs: Vec<&'a Run>,
    /// Whether a run on record is shown.
    is_run: bool,
}

impl<'a> Page<'a> {
    fn write(&mut self, title: &str, transcript: &'a Transcript) -> fmt::Result {
        let title = Text(title);
        write!(
            self.html,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
             style-src 'unsafe-inline'; script-src 'sha256-{SCRIPT_HASH}'; img-src data:\">\n\
             <link rel=\"icon\" href=\"data:,\">\n\
             <meta name=\"generator\" content=\"gptoss {version}\">\n<title>{title}</title>\n\
             <style>\n{BASE_STYLE}{STYLE}</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#content\">Skip to the messages</a>\n\
             <header class=\"bar\">\n<h1>{title}</h1>\n<p class=\"counts\">{counts}</p>\n<div class=\"tools\">\n\
             <label class=\"switch\"><input type=\"checkbox\" id=\"frames\"> Headers and markers</label>\n\
             <button type=\"button\" class=\"needs-script\" id=\"fold\" aria-pressed=\"false\">Unfold all</button>\n\
             <button type=\"button\" class=\"needs-script\" id=\"theme\">Theme</button>\n</div>\n</header>\n\
             <div class=\"frame\">\n",
            version = env!("CARGO_PKG_VERSION"),
            counts = counts(transcript),
        )?;
        self.outline(transcript)?;
        self.html.push_str("<main id=\"content\">\n");
        self.facts(transcript)?;
        self.notes(transcript)?;
        if transcript.blocks.is_empty() {
            self.html.push_str("<p class=\"none\">There are no messages.</p>\n");
        }
        for block in &transcript.blocks {
            match block {
                Block::Turn(turn) => self.turn(turn, &transcript.notes)?,
                Block::Raw { run, note } => self.raw(run, *note, transcript.notes.get(*note))?,
            }
        }
        let data: Vec<_> = self.runs.iter().map(|run| data(run)).collect();
        // In a script element only `<` could end it early.
        let data = serde_json::to_string(&data).map_err(|_| fmt::Error)?.replace('<', "\\u003c");
        write!(
            self.html,
            "</main>\n</div>\n<div id=\"tip\" role=\"status\"></div>\n\
             <script type=\"application/json\" id=\"data\">{data}</script>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
        )
    }

    fn outline(&mut self, transcript: &Transcript) -> fmt::Result {
        self.html.push_str(
            "<nav aria-label=\"Messages\">\n<details open><summary>Messages</summary>\n<h2>Messages</h2>\n<ol>\n",
        );
        for block in &transcript.blocks {
            match block {
                Block::Turn(turn) => {
                    let to = turn.recipient.as_deref().map(|to| format!(" → {to}")).unwrap_or_default();
                    writeln!(
                        self.html,
                        "<li><a class=\"{}\" href=\"#m{}\"><span class=\"dot\"></span><span class=\"who\">{}{}</span>\
                         <span class=\"size\">{}</span></a></li>",
                        tone(turn),
                        turn.index,
                        Text(&turn.author()),
                        Text(&to),
                        turn.tokens(),
                    )?;
                }
                Block::Raw { run, note } => writeln!(
                    self.html,
                    "<li><a class=\"bad\" href=\"#r{note}\"><span class=\"dot\"></span><span class=\"who\">{}</span>\
                     <span class=\"size\">{}</span></a></li>",
                    Text(transcript.notes.get(*note).map_or("raw", |note| &note.name)),
                    run.ids.len(),
                )?,
            }
        }
        self.html.push_str("</ol>\n</details>\n</nav>\n");
        Ok(())
    }

    /// What is known of a run on record.
    fn facts(&mut self, transcript: &Transcript) -> fmt::Result {
        if transcript.facts.is_empty() {
            return Ok(());
        }
        self.html.push_str("<section class=\"notes\" aria-labelledby=\"run\">\n<h2 id=\"run\">Run</h2>\n<dl class=\"facts\">\n");
        for (name, value) in &transcript.facts {
            writeln!(self.html, "<div><dt>{name}</dt><dd>{}</dd></div>", Text(value))?;
        }
        self.html.push_str("</dl>\n</section>\n");
        Ok(())
    }

    fn notes(&mut self, transcript: &Transcript) -> fmt::Result {
        if transcript.notes.is_empty() {
            return Ok(());
        }
        self.html.push_str(
            "<section class=\"notes\" aria-labelledby=\"repairs\">\n<h2 id=\"repairs\">Repairs</h2>\n<ol>\n",
        );
        let mut turns = vec![None; transcript.notes.len()];
        for turn in transcript.turns() {
            for &note in &turn.notes {
                turns[note] = Some(turn.index);
            }
        }
        for (index, (note, turn)) in transcript.notes.iter().zip(turns).enumerate() {
            let target = turn.map_or_else(|| format!("r{index}"), |turn| format!("m{turn}"));
            writeln!(
                self.html,
                "<li><a class=\"code\" href=\"#{target}\">{}</a> {}</li>",
                Text(&note.code),
                Why(note)
            )?;
        }
        self.html.push_str("</ol>\n</section>\n");
        Ok(())
    }

    fn turn(&mut self, turn: &'a Turn, notes: &[Note]) -> fmt::Result {
        let is_call = turn.recipient.as_deref().is_some_and(|to| to != "assistant" && to != "all");
        // Calls of built-in tools and their results are in the channel, too.
        let is_reasoning =
            turn.channel.as_deref() == Some("analysis") && turn.role == Role::Assistant && !is_call;
        let limit = match is_reasoning {
            // Of a run, what was done comes first.
            true if self.is_run => 0,
            true => LONG_REASONING,
            false => LONG_CONTENT,
        };
        let is_long = turn.content.text.len() > limit;
        let folds = is_reasoning || is_long;
        writeln!(
            self.html,
            "<article class=\"turn {}{}{}{}\" id=\"m{}\" aria-labelledby=\"h{}\">",
            tone(turn),
            if is_call { " call" } else { "" },
            if matches!(turn.end, End::Dropped { .. }) { " dropped" } else { "" },
            if turn.has_failed { " failed" } else { "" },
            turn.index,
            turn.index,
        )?;
        let (open, close) = match (folds, is_long) {
            (false, _) => ("<div class=\"head\">", "</div>"),
            (true, true) => ("<details><summary class=\"head\">", "</summary>"),
            (true, false) => ("<details open><summary class=\"head\">", "</summary>"),
        };
        self.html.push_str(open);
        self.head(turn)?;
        if folds {
            let preview: String =
                turn.content.text.split_whitespace().fold(String::new(), |mut line, word| {
                    if line.len() < PREVIEW {
                        line = line + word + " ";
                    }
                    line
                });
            write!(self.html, "<span class=\"preview\">{}</span>", Text(preview.trim_end()))?;
        }
        writeln!(self.html, "{close}")?;
        for &note in &turn.notes {
            if let Some(note) = notes.get(note) {
                writeln!(
                    self.html,
                    "<p class=\"why\"><span class=\"code\">{}</span> {}</p>",
                    Text(&note.code),
                    Why(note)
                )?;
            }
        }
        self.tokens("tokens top", &turn.header)?;
        self.content(&turn.content, &format!("message {}", turn.index))?;
        self.sources(turn)?;
        self.tokens("tokens end", &turn.stop)?;
        self.html.push_str(if folds { "</details></article>\n" } else { "</article>\n" });
        Ok(())
    }

    fn head(&mut self, turn: &Turn) -> fmt::Result {
        write!(self.html, "<h2 class=\"role\" id=\"h{}\">{}</h2>", turn.index, Text(&turn.author()))?;
        if let Some(to) = &turn.recipient {
            write!(self.html, "<span class=\"to\"><span aria-label=\"to\">→</span> {}</span>", Text(to))?;
        }
        if let Some(channel) = &turn.channel {
            write!(self.html, "<span class=\"channel\">{}</span>", Text(channel))?;
        }
        if let Some(content_type) = &turn.content_type {
            write!(self.html, "<span class=\"type\">{}</span>", Text(content_type))?;
        }
        if turn.has_failed {
            self.html.push_str("<span class=\"state\">failed</span>");
        }
        match turn.end {
            End::Whole => {}
            End::Cut => self.html.push_str("<span class=\"state\">has no end</span>"),
            End::Dropped { because_of } => write!(
                self.html,
                "<span class=\"state\">left out of the next prompt, message {because_of} is final</span>"
            )?,
        }
        let took = turn.seconds.map(|seconds| format!(" · {seconds:.2} s")).unwrap_or_default();
        write!(
            self.html,
            "<span class=\"meta\">#{} · {}{took}</span>",
            turn.index,
            count(turn.tokens(), "token")
        )
    }

    /// What an answer cites: links to pages of the web, and to the messages that showed them.
    fn sources(&mut self, turn: &Turn) -> fmt::Result {
        if turn.sources.is_empty() {
            return Ok(());
        }
        self.html.push_str("<ol class=\"sources\" aria-label=\"Sources\">\n");
        for (citation, by) in &turn.sources {
            let mark = Text(&citation.mark);
            match by {
                Some(index) => write!(self.html, "<li><a href=\"#m{index}\">{mark}</a> ")?,
                None => write!(self.html, "<li>{mark} ")?,
            }
            match &citation.source {
                Source::Page { url, title } => {
                    let is_web = url.starts_with("https://") || url.starts_with("http://");
                    let name = if title.is_empty() { url } else { title };
                    match is_web {
                        true => write!(
                            self.html,
                            "<a href=\"{}\" rel=\"noopener noreferrer\" target=\"_blank\">{}</a>",
                            Text(url),
                            Text(name)
                        )?,
                        false => write!(self.html, "{}", Text(name))?,
                    }
                    if !url.is_empty() {
                        write!(self.html, " <code>{}</code>", Text(url))?;
                    }
                    match citation.lines {
                        Some((first, last)) if first == last => write!(self.html, " line {first}")?,
                        Some((first, last)) => write!(self.html, " lines {first} to {last}")?,
                        None => {}
                    }
                }
                Source::Unresolved(why) => write!(self.html, "<span class=\"state\">{}</span>", Text(why))?,
            }
            self.html.push_str("</li>\n");
        }
        self.html.push_str("</ol>\n");
        Ok(())
    }

    fn raw(&mut self, run: &'a Run, index: usize, note: Option<&Note>) -> fmt::Result {
        let (code, name) = note.map_or(("", "raw"), |note| (&note.code, &note.name));
        writeln!(
            self.html,
            "<article class=\"raw bad\" id=\"r{index}\" aria-labelledby=\"n{index}\">\n<div class=\"head\">\
             <h2 class=\"role\" id=\"n{index}\">{}</h2><span class=\"code\">{}</span>\
             <span class=\"meta\">{}, in no message</span></div>",
            Text(name),
            Text(code),
            count(run.ids.len(), "token"),
        )?;
        if let Some(note) = note {
            writeln!(self.html, "<p class=\"why\">{}</p>", Text(&note.text))?;
        }
        self.content(run, &format!("tokens {}", run.first))?;
        self.html.push_str("</article>\n");
        Ok(())
    }

    /// A text whose tokens can be looked at.
    fn content(&mut self, run: &'a Run, name: &str) -> fmt::Result {
        let number = self.number(run);
        writeln!(
            self.html,
            "<div class=\"text\" dir=\"auto\" tabindex=\"0\" role=\"group\" \
             aria-label=\"Text of {name}; the arrow keys walk over its tokens\" data-run=\"{number}\">{}</div>",
            Text(&run.text)
        )
    }

    /// A part of the frame of a message; nothing if there is none.
    fn tokens(&mut self, class: &str, run: &'a Run) -> fmt::Result {
        if run.ids.is_empty() {
            return Ok(());
        }
        let number = self.number(run);
        writeln!(self.html, "<div class=\"{class}\" data-run=\"{number}\">{}</div>", Text(&run.text))
    }

    fn number(&mut self, run: &'a Run) -> usize {
        self.runs.push(run);
        self.runs.len() - 1
    }
}

/// A class for the colour; never from the input.
fn tone(turn: &Turn) -> &'static str {
    match turn.tone() {
        "analysis" => "analysis",
        "commentary" => "commentary",
        "final" => "final",
        "user" => "user",
        "developer" => "developer",
        "tool" => "tool",
        "system" | "assistant" => "system",
        _ => "other",
    }
}

fn counts(transcript: &Transcript) -> String {
    let dropped = transcript.turns().filter(|turn| matches!(turn.end, End::Dropped { .. })).count();
    let mut parts = vec![count(transcript.turns().count(), "message"), count(transcript.tokens, "token")];
    if dropped > 0 {
        parts.push(format!("{dropped} left out of the next prompt"));
    }
    if !transcript.notes.is_empty() {
        parts.push(count(transcript.notes.len(), "repair"));
    }
    parts.join(" · ")
}

fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// What the script needs to know of a run: ids, and how the text is shared out, in units of UTF-16.
#[derive(Serialize)]
struct Data<'a> {
    first: usize,
    ids: &'a [TokenId],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lens: Vec<usize>,
}

fn data(run: &Run) -> Data<'_> {
    let mut at = 0;
    let lens = run.lens.iter().map(|len| {
        let piece = &run.text[at..at + len];
        at += len;
        piece.encode_utf16().count()
    });
    Data { first: run.first, ids: &run.ids, lens: lens.collect() }
}

/// What was found and what was made of it.
struct Why<'a>(&'a Note);

impl Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Note { name, tokens, found, text, .. } = self.0;
        write!(f, "<b>{}</b>: {}", Text(name), Text(text))?;
        if !found.is_empty() {
            write!(f, ". Found <code>{}</code>", Text(found))?;
        }
        write!(f, " <span class=\"none\">at token {}</span>", tokens.start)
    }
}

/// Text in an element or a quoted attribute, of HTML or of XML.
///
/// A carriage return would become a line feed and NUL would vanish; the script counts on the length of the text. Other
/// control characters have no meaning in a page, act on a terminal that shows its source, and have no place in XML, nor
/// have U+FFFE and U+FFFF.
pub(crate) struct Text<'a>(pub(crate) &'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let special = |c: char| match c {
            '&' | '<' | '>' | '"' | '\'' => true,
            '\u{fffe}' | '\u{ffff}' => true,
            c => c.is_control() && c != '\n' && c != '\t',
        };
        let mut rest = self.0;
        while let Some((at, c)) = rest.char_indices().find(|&(_, c)| special(c)) {
            f.write_str(&rest[..at])?;
            f.write_str(match c {
                '&' => "&amp;",
                '<' => "&lt;",
                '>' => "&gt;",
                '"' => "&quot;",
                '\'' => "&#39;",
                '\r' => "&#13;",
                _ => "\u{fffd}",
            })?;
            rest = &rest[at + c.len_utf8()..];
        }
        f.write_str(rest)
    }
}

#[cfg(test)]
mod tests;
