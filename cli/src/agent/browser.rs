//! Search, pages and matches in them, as the official browser tool shows them.

mod call;
mod charset;
mod documents;
mod find;
mod html;
mod index;
mod markdown;
mod page;
mod service;
mod settings;
#[cfg(test)]
mod tests;
mod url;
mod view;
mod web;
mod wrap;

use std::rc::Rc;
use std::sync::atomic::AtomicBool;

use harmony_format::{Encoding, Message, ToolNamespace};

use super::Answer;
use super::toolbox::Kit;
use crate::error::{Error, Result};
use call::{Call, Target};
use page::{Page, truncate};
pub(super) use settings::Section;

/// Characters of an error that the model is told.
const ERROR_CHARACTERS: usize = 1024;
/// Lines above a passage that a link leads to.
const LINES_ABOVE: usize = 4;

/// Where pages come from.
trait Source: std::fmt::Debug {
    /// The page of results of a search: at most `most`.
    fn search(&mut self, query: &str, most: usize, interrupt: &AtomicBool) -> Fetched;

    /// The page of a URL; `as_source` for what it is written in.
    fn fetch(&mut self, url: &str, as_source: bool, interrupt: &AtomicBool) -> Fetched;
}

/// A page, or why there is none.
type Fetched = std::result::Result<Page, Trouble>;

/// Why there is no page.
#[derive(Debug, PartialEq, Eq)]
enum Trouble {
    /// What the model is told.
    Told(String),
    /// Ctrl-C.
    Interrupted,
}

impl From<String> for Trouble {
    fn from(told: String) -> Self {
        Self::Told(told)
    }
}

impl From<&str> for Trouble {
    fn from(told: &str) -> Self {
        Self::Told(told.to_owned())
    }
}

impl Trouble {
    fn within(self, what: &str) -> Self {
        match self {
            Self::Told(told) => Self::Told(format!("{what}: {}", truncate(&told, ERROR_CHARACTERS))),
            Self::Interrupted => Self::Interrupted,
        }
    }
}

/// The browser of a run.
#[derive(Debug)]
pub(super) struct Browser {
    source: Box<dyn Source>,
    /// Results of a search.
    results: usize,
    /// Bytes of a view.
    output: usize,
    encoding: Encoding,
    /// What was shown, by cursor.
    pages: Vec<Rc<Page>>,
}

impl Browser {
    fn new(source: Box<dyn Source>, results: usize, output: usize) -> Self {
        Self { source, results, output, encoding: Encoding::o200k_harmony(), pages: Vec::new() }
    }

    fn run(&mut self, call: Call, interrupt: &AtomicBool) -> std::result::Result<view::View, Trouble> {
        match call {
            Call::Search { query } => {
                let what = format!("Error during search for `{query}`");
                let page = self.source.search(&query, self.results, interrupt);
                self.show(Rc::new(page.map_err(|trouble| trouble.within(&what))?), 0, None)
            }
            Call::Open { target, cursor, line, count, as_source } => {
                let mut place = None;
                let (mut url, mut known) = match target {
                    Target::Url(url) => (url, None),
                    Target::Link(id) => {
                        let page = self.page(cursor)?;
                        let link = page.links.get(id).ok_or_else(|| format!("Invalid link id `{id}`."))?;
                        let passage = page.passages.as_ref().and_then(|passages| passages.get(id));
                        place = passage.copied().flatten();
                        (link.clone(), self.pages.iter().rfind(|page| page.url == *link).cloned())
                    }
                    Target::Here => {
                        let page = self.page(cursor)?;
                        (page.url.clone(), Some(page))
                    }
                };
                let as_source = as_source || url.starts_with(page::SOURCE);
                if as_source {
                    (place, known) = (None, None);
                    url = url.strip_prefix(page::SOURCE).map(str::to_owned).unwrap_or(url);
                }
                let page = match known {
                    Some(page) => page,
                    None => {
                        let what = format!("Error fetching URL `{}`", truncate(&url, ERROR_CHARACTERS));
                        let page = self.source.fetch(&url, as_source, interrupt);
                        Rc::new(page.map_err(|trouble| trouble.within(&what))?)
                    }
                };
                let above = |place: usize| if place > LINES_ABOVE { place - LINES_ABOVE } else { place };
                self.show(page, line.unwrap_or(place.map_or(0, above)), count)
            }
            Call::Find { pattern, cursor } => {
                let page = self.page(cursor)?;
                if page.passages.is_some() {
                    return Err("Cannot run `find` on search results page or find results page".into());
                }
                self.show(Rc::new(find::find(&pattern, &page)), 0, None)
            }
        }
    }

    /// The page of a cursor, negative ones counted from the last page.
    fn page(&self, cursor: i64) -> std::result::Result<Rc<Page>, String> {
        let Some(last) = self.pages.len().checked_sub(1) else {
            return Err("No pages to access!".to_owned());
        };
        let index = if cursor < 0 { cursor.saturating_add(self.pages.len() as i64) } else { cursor };
        usize::try_from(index).ok().and_then(|index| self.pages.get(index)).cloned().ok_or_else(|| {
            format!("Cursor `{cursor}` is out of range. Available cursor indices: [0 - {last}].")
        })
    }

    /// Shows a page as the newest one; one that has no such line is not kept.
    fn show(
        &mut self,
        page: Rc<Page>,
        line: usize,
        count: Option<usize>,
    ) -> std::result::Result<view::View, Trouble> {
        let view = view::view(&page, self.pages.len(), line, count, self.output, &self.encoding)?;
        self.pages.push(page);
        Ok(view)
    }
}

impl Kit for Browser {
    fn namespaces(&self) -> Vec<ToolNamespace> {
        vec![ToolNamespace::browser()]
    }

    fn has(&self, recipient: &str) -> bool {
        call::function(recipient).is_some()
    }

    fn answer(
        &mut self,
        recipient: &str,
        call: &Message,
        interrupt: &AtomicBool,
        _: &mut dyn FnMut(&str),
    ) -> Result<Answer> {
        let call = match Call::read(call::function(recipient).unwrap_or_default(), &call.text()) {
            Ok(call) => call,
            Err(answer) => return Ok(answer),
        };
        match self.run(call, interrupt) {
            Ok(view) => Ok(Answer { page: Some(view.shown), ..Answer::new(view.text) }),
            // In the words and the form of the official tool.
            Err(Trouble::Told(told)) => Ok(Answer { has_failed: true, ..Answer::new(told) }),
            Err(Trouble::Interrupted) => Err(Error::interrupted()),
        }
    }
}
