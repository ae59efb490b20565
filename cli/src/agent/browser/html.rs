//! Pages of HTML as text with numbered links.
//!
//! The tags are read as they come, without a tree: the memory is a small multiple of the page, however it is nested.

mod layout;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::time::{Duration, Instant};

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};

use super::page::without_marks;
use super::url;
use layout::Layout;

/// How long a page is read.
const TIME: Duration = Duration::from_secs(5);
/// Bytes that are read between looks at the clock.
const CHUNK: usize = 4096;
/// Bytes of the text of a page.
const MOST_TEXT: usize = 4 << 20;
/// Tags and texts in a link; what has more is not one.
const MOST_IN_LINK: usize = 1000;

/// What a page says.
#[derive(Debug, Default)]
pub(super) struct Text {
    /// Its own title.
    pub(super) title: Option<String>,
    pub(super) text: String,
    /// The URLs of its links.
    pub(super) links: Vec<String>,
}

/// The text of a page with the URL `base`.
pub(super) fn text(html: &str, base: &str) -> Text {
    let began = Instant::now();
    let html = without_marks(html);
    let sink = Sink(RefCell::new(Reader { base: base.to_owned(), ..Reader::default() }));
    let tokenizer = Tokenizer::new(sink, TokenizerOpts::default());
    let queue = BufferQueue::default();
    let mut rest = html.as_str();
    let mut is_cut = false;
    while !rest.is_empty() && !is_cut {
        let end = (CHUNK..rest.len()).find(|&at| rest.is_char_boundary(at)).unwrap_or(rest.len());
        let (chunk, after) = rest.split_at(end);
        rest = after;
        queue.push_back(StrTendril::from(chunk));
        // It stops for scripts alone, and nothing is ever run.
        let _ = tokenizer.feed(&queue);
        is_cut = began.elapsed() > TIME || tokenizer.sink.0.borrow().layout.len() > MOST_TEXT;
    }
    if !is_cut {
        tokenizer.end();
    }
    let mut reader = tokenizer.sink.0.take();
    reader.finish();
    let mut text = reader.layout.finish();
    if is_cut {
        text += "\n\n[page cut]";
    }
    Text { title: reader.title, text, links: reader.links }
}

/// What the tags and texts of a page are told to.
struct Sink(RefCell<Reader>);

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _: u64) -> TokenSinkResult<()> {
        let mut reader = self.0.borrow_mut();
        match token {
            Token::CharacterTokens(text) => reader.take(Piece::Text(text.to_string())),
            Token::TagToken(tag) => {
                let raw = raw_kind(&tag);
                reader.take(Piece::of(&tag));
                if let Some(raw) = raw {
                    return TokenSinkResult::RawData(raw);
                }
            }
            Token::CommentToken(_) => reader.take(Piece::Between),
            Token::DoctypeToken(_) | Token::NullCharacterToken | Token::EOFToken | Token::ParseError(_) => {}
        }
        TokenSinkResult::Continue
    }
}

/// How the content of an element is read that has no tags in it.
fn raw_kind(tag: &Tag) -> Option<RawKind> {
    if tag.kind != TagKind::StartTag {
        return None;
    }
    match &*tag.name {
        "title" | "textarea" => Some(RawKind::Rcdata),
        "style" | "xmp" | "iframe" | "noembed" | "noframes" => Some(RawKind::Rawtext),
        "script" => Some(RawKind::ScriptData),
        _ => None,
    }
}

/// A part of a page.
#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Start {
        name: String,
        /// The target of a link.
        href: Option<String>,
        /// What an image or an abbreviation stands for, or the first number of a list.
        says: Option<String>,
    },
    End(String),
    /// What parts two texts and says nothing.
    Between,
}

impl Piece {
    fn of(tag: &Tag) -> Self {
        let name = tag.name.to_string();
        if tag.kind == TagKind::EndTag {
            return Self::End(name);
        }
        let attribute = |wanted: &str| {
            tag.attrs
                .iter()
                .find(|attribute| &*attribute.name.local == wanted)
                .map(|attribute| attribute.value.to_string())
        };
        let says = match name.as_str() {
            "img" => attribute("alt").or_else(|| attribute("title")),
            "abbr" => attribute("title"),
            "ol" => attribute("start"),
            _ => None,
        };
        let href = (name == "a").then(|| attribute("href")).flatten();
        Self::Start { name, href, says }
    }
}

/// A link, a raised or a lowered word whose end is not read yet.
#[derive(Debug)]
struct Open {
    name: String,
    /// The target of a link.
    href: Option<String>,
    /// Its start and what followed.
    pieces: Vec<Piece>,
}

/// Turns pieces into lines of text and links.
#[derive(Debug, Default)]
struct Reader {
    base: String,
    layout: Layout,
    title: Option<String>,
    is_in_title: bool,
    links: Vec<String>,
    numbers: std::collections::HashMap<String, usize>,
    images: usize,
    /// Formulas that are open; what they say is left out.
    formulas: usize,
    open: Option<Open>,
}

impl Reader {
    fn take(&mut self, piece: Piece) {
        let Some(open) = &mut self.open else { return self.begin(piece) };
        if open.href.is_none() {
            // A raised or lowered word: one text alone.
            match (&piece, open.pieces.get_mut(1)) {
                (Piece::Text(text), Some(Piece::Text(word))) => word.push_str(text),
                (Piece::Text(_), None) => open.pieces.push(piece),
                (Piece::End(name), _) if *name == open.name => self.close_word(),
                _ => {
                    self.give_up();
                    self.take(piece);
                }
            }
            return;
        }
        match &piece {
            Piece::End(name) if name == "a" => {
                if !self.close_link() {
                    self.give_up();
                    self.piece(piece);
                }
            }
            Piece::Start { name, .. } if name == "a" => {
                if !self.close_link() {
                    self.give_up();
                }
                self.take(piece);
            }
            _ => {
                open.pieces.push(piece);
                if open.pieces.len() > MOST_IN_LINK {
                    self.give_up();
                }
            }
        }
    }

    fn begin(&mut self, piece: Piece) {
        match &piece {
            Piece::Start { name, href, .. }
                if self.formulas == 0 && (href.is_some() || matches!(name.as_str(), "sup" | "sub")) =>
            {
                let (name, href) = (name.clone(), href.clone());
                self.open = Some(Open { name, href, pieces: vec![piece] });
            }
            _ => self.piece(piece),
        }
    }

    /// What is open is no link and no word: it is read as it stands.
    fn give_up(&mut self) {
        let Some(open) = self.open.take() else { return };
        let mut pieces = open.pieces.into_iter();
        if let Some(first) = pieces.next() {
            self.piece(first);
        }
        for piece in pieces {
            self.take(piece);
        }
    }

    fn close_word(&mut self) {
        let Some(open) = self.open.take() else { return };
        if let Some(Piece::Text(word)) = open.pieces.get(1)
            && word.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
        {
            let sign = if open.name == "sup" { '^' } else { '_' };
            self.layout.text(&format!("{sign}{{{word}}}"));
            return;
        }
        for piece in open.pieces {
            self.piece(piece);
        }
        self.piece(Piece::End(open.name));
    }

    /// Tells a link as a number and what it says; whether it is one.
    fn close_link(&mut self) -> bool {
        let Some(Open { href: Some(href), pieces, .. }) = &self.open else { return false };
        let trimmed = href.trim();
        let starts = |scheme: &str| {
            trimmed.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        };
        if starts("mailto:") || starts("javascript:") {
            return false;
        }
        let said = said(&pieces[1..]);
        if said.is_empty() {
            return false;
        }
        if trimmed.starts_with('#') {
            self.layout.text(&said);
            self.open = None;
            return true;
        }
        let Some(target) = url::join(&self.base, href) else { return false };
        let links = &mut self.links;
        let number = *self.numbers.entry(target.clone()).or_insert_with(|| {
            links.push(target.clone());
            links.len() - 1
        });
        self.layout.text(&mark(number, &said, &self.base, &target));
        self.open = None;
        true
    }

    fn piece(&mut self, piece: Piece) {
        match piece {
            Piece::Text(text) if self.is_in_title => {
                self.title.get_or_insert_default().push_str(&text);
                self.layout.hidden(&text);
            }
            Piece::Text(_) if self.formulas > 0 => {}
            Piece::Text(text) => self.layout.text(&text),
            Piece::Between => self.layout.between(),
            Piece::Start { name, says, .. } => match name.as_str() {
                "math" => self.formulas += 1,
                _ if self.formulas > 0 => {}
                "img" => {
                    let number = self.images;
                    self.images += 1;
                    let image = match says.filter(|says| !says.is_empty()) {
                        Some(says) => format!("[Image {number}: {says}]"),
                        None => format!("[Image {number}]"),
                    };
                    self.layout.text(&image);
                }
                "title" => {
                    self.is_in_title = self.title.is_none();
                    self.layout.start(&name, None);
                }
                _ => self.layout.start(&name, says.as_deref()),
            },
            Piece::End(name) => match name.as_str() {
                "math" => self.formulas = self.formulas.saturating_sub(1),
                _ if self.formulas > 0 => {}
                "title" => {
                    self.is_in_title = false;
                    self.layout.end(&name);
                }
                _ => self.layout.end(&name),
            },
        }
    }

    fn finish(&mut self) {
        while self.open.is_some() {
            self.give_up();
        }
    }
}

/// What the pieces of a link say, on a line.
fn said(pieces: &[Piece]) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut is_going_on = false;
    for piece in pieces {
        if let Piece::Text(text) = piece {
            match texts.last_mut() {
                Some(last) if is_going_on => last.push_str(text),
                _ => texts.push(text.clone()),
            }
        }
        is_going_on = matches!(piece, Piece::Text(_));
    }
    let mut line = String::new();
    for c in texts.join(" ").chars() {
        match c {
            c if c.is_whitespace() && line.ends_with(' ') => {}
            c if c.is_whitespace() => line.push(' '),
            '†' => line.push('‡'),
            c => line.push(c),
        }
    }
    line
}

/// A link as models know them.
pub(super) fn mark(number: usize, said: &str, base: &str, target: &str) -> String {
    let domain = url::domain(target);
    match domain == url::domain(base) {
        true => format!("【{number}†{said}】"),
        false => format!("【{number}†{said}†{domain}】"),
    }
}
