//! What the official tool shows.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use serde::Deserialize;
use serde_json::Value;

use super::call;
use crate::agent::browser::page::Page;
use crate::agent::browser::{Browser, Fetched, Source, html, wrap};

#[derive(Deserialize)]
struct Official {
    wrap: Vec<Wrapped>,
    html: Vec<Converted>,
    random_html: Vec<Converted>,
    pages: BTreeMap<String, String>,
    results: String,
    places: Vec<(String, Option<usize>)>,
    sessions: Vec<Vec<Told>>,
}

#[derive(Deserialize)]
struct Wrapped {
    text: String,
    lines: Vec<String>,
}

#[derive(Deserialize)]
struct Converted {
    html: String,
    text: String,
    links: Vec<String>,
}

#[derive(Deserialize)]
struct Told {
    function: String,
    arguments: Value,
    told: String,
}

fn official() -> Official {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/browser/official.json");
    let path = std::env::var("BROWSER_OFFICIAL").unwrap_or(path.to_owned());
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn lines_are_wrapped_alike() {
    for Wrapped { text, lines } in official().wrap {
        assert_eq!(wrap::lines(&text), lines, "{text:?}");
    }
}

#[test]
fn pages_are_laid_out_alike() {
    let official = official();
    let all = official.html.iter().chain(&official.random_html);
    let differs: Vec<String> = all
        .filter_map(|Converted { html, text, links }| {
            let found = html::text(&format!("<html><body>{html}</body></html>"), "http://a.org/d/x.html");
            ((&found.text, &found.links) != (text, links)).then(|| {
                format!(
                    "{html:?}\n  found    {:?} {:?}\n  official {text:?} {links:?}",
                    found.text, found.links
                )
            })
        })
        .collect();
    assert!(differs.is_empty(), "{} differ\n{}", differs.len(), differs.join("\n"));
}

/// The pages of the fixture.
#[derive(Debug)]
struct Fixed {
    pages: BTreeMap<String, String>,
    results: String,
    places: Option<Vec<(String, Option<usize>)>>,
}

impl Source for Fixed {
    fn search(&mut self, query: &str, _: usize, _: &AtomicBool) -> Fetched {
        if query == "fail" {
            return Err("it is down".into());
        }
        let read = html::text(&self.results, "");
        let mut page = Page { title: query.to_owned(), ..Page::new("", "", &read.text, read.links) };
        if let Some(places) = &self.places {
            page.links = places.iter().map(|(url, _)| url.clone()).collect();
            page.passages = Some(places.iter().map(|(_, line)| *line).collect());
        }
        Ok(page)
    }

    fn fetch(&mut self, url: &str, _: bool, _: &AtomicBool) -> Fetched {
        let page = self.pages.get(url).ok_or_else(|| format!("No contents returned for {url}"))?;
        let read = html::text(page, url);
        let title = read.title.unwrap_or_else(|| crate::agent::browser::url::domain(url).to_owned());
        Ok(Page::new(url, &title, &read.text, read.links))
    }
}

#[test]
fn sessions_are_shown_alike() {
    let official = official();
    assert_eq!(official.sessions.len(), 2);
    for (number, session) in official.sessions.iter().enumerate() {
        let source = Fixed {
            pages: official.pages.clone(),
            results: official.results.clone(),
            places: (number == 1).then(|| official.places.clone()),
        };
        let mut browser = Browser::new(Box::new(source), 20, usize::MAX);
        for Told { function, arguments, told } in session {
            let answer = call(&mut browser, &format!("browser.{function}"), arguments);
            assert_eq!(&answer.text, told, "{function} {arguments}");
            assert_eq!(answer.has_failed, answer.page.is_none());
            assert_eq!(answer.has_failed, !told.starts_with('['), "{told}");
        }
    }
}
