//! A page that a model reads.

/// What the URL of the source of a page begins with.
pub(super) const SOURCE: &str = "view-source:";
/// Characters of a title.
const TITLE: usize = 300;

/// A page: a document, a result of a search or of `find`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    /// Nothing for the results of a search.
    pub(super) url: String,
    /// A line.
    pub(super) title: String,
    pub(super) text: String,
    /// The URLs of the links, by their numbers.
    pub(super) links: Vec<String>,
    /// For each link the line that it leads to, where the page is a list of passages; such a page is not searched.
    pub(super) passages: Option<Vec<Option<usize>>>,
}

impl Page {
    /// A page of the web or a document: its text below a line that tells its URL.
    pub(super) fn new(url: &str, title: &str, text: &str, links: Vec<String>) -> Self {
        let text = format!("\nURL: {url}\n{text}");
        Self { url: url.to_owned(), title: cut_title(title), text, links, passages: None }
    }

    /// What the page is written in, as a page.
    pub(super) fn with_source(self, source: &str) -> Self {
        Self { url: format!("{SOURCE}{}", self.url), text: without_marks(source), links: Vec::new(), ..self }
    }

    /// The URL of what the page shows.
    pub(super) fn origin(&self) -> &str {
        let url = self.url.strip_prefix(SOURCE).unwrap_or(&self.url);
        match &self.passages {
            Some(_) => url.rsplit_once("/find?pattern=").map_or(url, |(url, _)| url),
            None => url,
        }
    }
}

fn cut_title(title: &str) -> String {
    truncate(&line(title), TITLE)
}

/// Spaces of all kinds as single ones.
pub(super) fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A text of at most `most` characters.
pub(super) fn truncate(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => {
            let kept: String = text.chars().take(most - 3).collect();
            format!("{kept}...")
        }
    }
}

/// A text without the brackets that mark links and citations, so that it cannot spell one.
pub(super) fn without_marks(text: &str) -> String {
    let replaced = text.chars().filter(|&c| c != '\u{200b}').map(|c| match c {
        '【' => '〖',
        '】' => '〗',
        '◼' => '◾',
        c => c,
    });
    replaced.collect()
}
