//! What a notebook shows of a cell, as text: streams in order, results, errors with their traceback.

use std::sync::LazyLock;

use jupyter_protocol::{JupyterMessageContent as Content, Media, MediaType, Payload};
use regex::Regex;

use super::wire::Received;
use crate::agent::text;

/// Bytes that are kept of errors, however long the output before them was.
const MOST_OF_ERRORS: usize = 8000;

/// The output of a cell as it grows.
#[derive(Debug)]
pub(super) struct Shown {
    parts: Vec<Part>,
    /// Bytes that may still be kept.
    room: usize,
    room_for_errors: usize,
    most: usize,
    left_out: u64,
    /// Whether the next output takes the place of all before.
    is_to_be_cleared: bool,
    has_failed: bool,
}

#[derive(Debug)]
struct Part {
    text: String,
    kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// What was printed goes on where it stopped.
    Stream,
    /// A display, which may have a name by which it is updated.
    Display(Option<String>),
    Error,
}

impl Shown {
    /// Keeps `most` bytes.
    pub(super) fn new(most: usize) -> Self {
        Self {
            parts: Vec::new(),
            room: most,
            room_for_errors: MOST_OF_ERRORS,
            most,
            left_out: 0,
            is_to_be_cleared: false,
            has_failed: false,
        }
    }

    /// Adds what a kernel published.
    pub(super) fn add(&mut self, received: &Received) {
        self.left_out += received.left_out;
        match received.typed() {
            Some(Content::StreamContent(stream)) => self.print(&stream.text),
            Some(Content::DisplayData(display)) => {
                let id = display.transient.and_then(|transient| transient.display_id);
                self.display(&described(&display.data), id);
            }
            Some(Content::ExecuteResult(result)) => {
                let id = result.transient.and_then(|transient| transient.display_id);
                self.display(&described(&result.data), id);
            }
            Some(Content::UpdateDisplayData(update)) => {
                self.update(&described(&update.data), update.transient.display_id.as_deref());
            }
            Some(Content::ErrorOutput(error)) => {
                let traceback = match error.traceback.is_empty() {
                    true => format!("{}: {}", error.ename, error.evalue),
                    false => error.traceback.join("\n"),
                };
                self.fail(&traceback);
            }
            Some(Content::ClearOutput(clear)) if clear.wait => self.is_to_be_cleared = true,
            Some(Content::ClearOutput(_)) => self.clear(),
            Some(Content::ExecuteReply(reply)) => {
                for payload in reply.payload {
                    // What help commands answer.
                    if let Payload::Page { data, .. } = payload {
                        self.display(&described(&data), None);
                    }
                }
            }
            // A display whose data is not what its type says.
            None if received.content["data"].is_object() => {
                let plain = received.content["data"]["text/plain"].as_str();
                self.display(plain.unwrap_or("[a display that cannot be read]"), None);
            }
            _ => {}
        }
    }

    /// Whether it ended with an error.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed
    }

    fn print(&mut self, text: &str) {
        self.begin();
        let text = self.kept(text);
        match self.parts.last_mut() {
            Some(Part { text: last, kind: Kind::Stream }) => last.push_str(text),
            _ if text.is_empty() => {}
            _ => self.parts.push(Part { text: text.to_owned(), kind: Kind::Stream }),
        }
    }

    fn display(&mut self, text: &str, id: Option<String>) {
        self.begin();
        // Each takes a line, so that there is room for so many only.
        if self.room == 0 || id.as_ref().is_some_and(|id| id.len() > self.room) {
            self.left_out += text.len() as u64;
            return;
        }
        self.room -= id.as_ref().map_or(0, String::len);
        let text = self.kept(text).to_owned();
        self.room = self.room.saturating_sub(1);
        self.parts.push(Part { text, kind: Kind::Display(id) });
    }

    fn update(&mut self, text: &str, id: Option<&str>) {
        let of_it = |part: &&mut Part| matches!(&part.kind, Kind::Display(known) if id.is_some() && known.as_deref() == id);
        for part in self.parts.iter_mut().filter(of_it) {
            let room = self.room + part.text.len();
            part.text = text::cut(text.to_owned(), room);
            self.room = room.saturating_sub(part.text.len());
        }
    }

    fn fail(&mut self, traceback: &str) {
        self.begin();
        self.has_failed = true;
        if self.room_for_errors == 0 {
            self.left_out += traceback.len() as u64;
            return;
        }
        let text = text::cut(without_escapes(traceback), self.room_for_errors);
        self.room_for_errors = self.room_for_errors.saturating_sub(text.len().max(1));
        self.parts.push(Part { text, kind: Kind::Error });
    }

    /// Before new output is added.
    fn begin(&mut self) {
        if std::mem::take(&mut self.is_to_be_cleared) {
            self.clear();
        }
    }

    fn clear(&mut self) {
        *self = Self { has_failed: self.has_failed, ..Self::new(self.most) };
    }

    /// As much of a text as there is room for.
    fn kept<'a>(&mut self, text: &'a str) -> &'a str {
        let end = (0..=self.room.min(text.len())).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        self.room -= end;
        if end < text.len() {
            self.room = 0;
        }
        self.left_out += (text.len() - end) as u64;
        &text[..end]
    }

    /// The text of it all.
    pub(super) fn finish(self) -> String {
        let mut all = String::new();
        for part in self.parts {
            let text = match part.kind {
                Kind::Stream => overwritten(&without_escapes(&part.text)),
                Kind::Display(_) => without_escapes(&part.text),
                Kind::Error => part.text,
            };
            if !all.is_empty() && !all.ends_with('\n') {
                all.push('\n');
            }
            all.push_str(&text);
        }
        if all.ends_with('\n') {
            all.pop();
        }
        match self.left_out {
            0 => all,
            left_out => all + &text::note(left_out),
        }
    }
}

/// What is shown of a result that comes in several formats: its text, and which images there are.
fn described(media: &Media) -> String {
    let mut text: Option<(u8, &str)> = None;
    let mut notes = Vec::new();
    for format in &media.content {
        let (rank, of_this) = match format {
            MediaType::Plain(text) => (0, text),
            MediaType::Markdown(text) => (1, text),
            MediaType::Latex(text) => (2, text),
            MediaType::Html(text) => (3, text),
            MediaType::Svg(text) => {
                notes.push(format!("[image/svg+xml, {} bytes]", text.len()));
                continue;
            }
            MediaType::Png(data) | MediaType::Jpeg(data) | MediaType::Gif(data) => {
                notes.push(format!("[{}, {} bytes]", format.mime_type(), text::decoded_length(data)));
                continue;
            }
            _ => continue,
        };
        if text.is_none_or(|(best, _)| rank < best) {
            text = Some((rank, of_this));
        }
    }
    notes.sort();
    if text.is_none() && notes.is_empty() {
        notes = media.content.iter().map(|format| format!("[{}]", format.mime_type())).collect();
        notes.sort();
    }
    let text = text.map(|(_, text)| text.to_owned());
    text.into_iter().chain(notes).collect::<Vec<_>>().join("\n")
}

/// A text without what tells a terminal how to show it.
fn without_escapes(text: &str) -> String {
    static ESCAPES: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-Z\\^-~]")
            .expect("the pattern is right")
    });
    ESCAPES.replace_all(text, "").into_owned()
}

/// A text of which each line is what a carriage return left of it, as a progress bar means it.
fn overwritten(text: &str) -> String {
    let line = |line: &str| match line.trim_end_matches('\r').rsplit_once('\r') {
        Some((_, last)) => last.to_owned(),
        None => line.trim_end_matches('\r').to_owned(),
    };
    match text.contains('\r') {
        true => text.split('\n').map(line).collect::<Vec<_>>().join("\n"),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn received(kind: &str, content: Value) -> Received {
        Received { kind: kind.to_owned(), parent: None, content, left_out: 0 }
    }

    fn stream(name: &str, text: &str) -> Received {
        received("stream", json!({"name": name, "text": text}))
    }

    fn shown(most: usize, all: &[Received]) -> String {
        let mut shown = Shown::new(most);
        all.iter().for_each(|received| shown.add(received));
        shown.finish()
    }

    #[test]
    fn streams_results_and_errors_come_in_order() {
        let result = json!({"execution_count": 1, "data": {"text/plain": "7"}, "metadata": {}});
        let error =
            json!({"ename": "E", "evalue": "v", "traceback": ["\u{1b}[0;31mE\u{1b}[0m  Traceback", "E: v"]});
        let all = [
            stream("stdout", "a"),
            stream("stderr", "b\n"),
            stream("stdout", "c"),
            received("execute_result", result),
            received("error", error),
        ];
        assert_eq!(shown(100, &all), "ab\nc\n7\nE  Traceback\nE: v");
    }

    #[test]
    fn formats_are_text_and_notes() {
        let figure = json!({"text/plain": "<Figure>", "text/html": "<b>", "image/png": "iVBORw0KGgo=\n"});
        let all = [received("display_data", json!({"data": figure, "metadata": {}, "transient": {}}))];
        assert_eq!(shown(100, &all), "<Figure>\n[image/png, 8 bytes]");
        let html = json!({"data": {"text/html": "<b>", "application/x": 1}, "metadata": {}});
        assert_eq!(shown(100, &[received("display_data", html)]), "<b>");
        let widget = json!({"data": {"application/vnd.x+json": {}}, "metadata": {}});
        assert_eq!(shown(100, &[received("display_data", widget)]), "[application/vnd.x+json]");
        // Not what its type says: the text is still told.
        let table =
            json!({"data": {"application/vnd.dataresource+json": 1, "text/plain": "t"}, "metadata": {}});
        assert_eq!(shown(100, &[received("display_data", table)]), "t");
    }

    #[test]
    fn displays_are_updated_and_outputs_cleared() {
        let display = |kind: &str, text: &str| {
            let content =
                json!({"data": {"text/plain": text}, "metadata": {}, "transient": {"display_id": "d"}});
            received(kind, content)
        };
        let all =
            [display("display_data", "0 %"), stream("stdout", "x"), display("update_display_data", "9 %")];
        assert_eq!(shown(100, &all), "9 %\nx");
        let clear = |wait: bool| received("clear_output", json!({"wait": wait}));
        assert_eq!(shown(100, &[stream("stdout", "a"), clear(false), stream("stdout", "b")]), "b");
        assert_eq!(shown(100, &[stream("stdout", "a"), clear(true)]), "a");
        assert_eq!(shown(100, &[stream("stdout", "a"), clear(true), stream("stdout", "b")]), "b");
    }

    #[test]
    fn what_is_too_much_is_counted_and_errors_are_kept() {
        let error = json!({"ename": "E", "evalue": "v", "traceback": ["E: v"]});
        let all = [
            stream("stdout", "12345€"),
            stream("stdout", "more"),
            received("error", error),
            Received { left_out: 1000, ..stream("stdout", "x") },
        ];
        assert_eq!(shown(6, &all), "12345\nE: v\n[output cut: 1008 more bytes]");
        // Displays of nothing are not free.
        let empty = received("display_data", json!({"data": {}, "metadata": {}}));
        let mut shown = Shown::new(100);
        (0..100_000).for_each(|_| shown.add(&empty));
        assert!(shown.parts.len() <= 100);
        let error = received("error", json!({"ename": "", "evalue": "", "traceback": [""]}));
        (0..100_000).for_each(|_| shown.add(&error));
        assert!(shown.parts.len() <= 100 + MOST_OF_ERRORS);
    }

    #[test]
    fn what_terminals_obey_is_left_out() {
        let text = "\u{1b}[1;31mred\u{1b}[0m \u{1b}]0;title\u{7}\u{1b}(B\u{1b}c\u{1b}[2J.";
        assert_eq!(without_escapes(text), "red .");
        assert_eq!(without_escapes("[0m \\x1b[31m"), "[0m \\x1b[31m");
        assert_eq!(overwritten(" 0%\r50%\r99%\r\nnext\r\nlast\r"), "99%\nnext\nlast");
        assert_eq!(shown(100, &[stream("stderr", "1%\u{1b}"), stream("stderr", "[K\r2%")]), "2%");
    }
}
