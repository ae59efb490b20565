//! Services that search the web: what they are asked, and what they answer.

use serde::Deserialize;
use serde_json::{Value, json};
use ureq::http::Uri;

use super::page::{Page, line};
use super::url;

/// A service by the shape of its answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    /// `format=json` of a SearXNG instance.
    Searxng,
    /// `POST /search` of Exa.
    Exa,
    /// `GET /v1/search` of You.com.
    You,
}

/// A service.
#[derive(Clone, Debug)]
pub(super) struct Service {
    kind: Kind,
    url: String,
    key: Option<String>,
}

/// What a service is asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) url: String,
    /// Headers with the key.
    pub(super) headers: Vec<(&'static str, String)>,
    /// What is posted; none if nothing is.
    pub(super) body: Option<String>,
}

impl Service {
    /// A service.
    ///
    /// # Errors
    ///
    /// If there is no such URL, or no key where one is needed.
    pub(super) fn new(kind: Kind, url: Option<&str>, key: Option<String>) -> Result<Self, String> {
        let url = match (url, kind) {
            (Some(url), _) => url,
            (None, Kind::Exa) => "https://api.exa.ai/search",
            (None, Kind::You) => "https://api.ydc-index.io/v1/search",
            (None, Kind::Searxng) => return Err("search.url is missing: the instance's /search".to_owned()),
        };
        let is_web = url.parse::<Uri>().is_ok_and(|uri| {
            uri.scheme_str().is_some_and(url::is_web) && uri.host().is_some_and(|host| !host.is_empty())
        });
        if !is_web {
            return Err(format!("{url:?} is no URL of http or https"));
        }
        if key.is_none() && kind != Kind::Searxng {
            return Err("search.key-environment is missing: the variable with the key".to_owned());
        }
        Ok(Self { kind, url: url.to_owned(), key })
    }

    /// What is asked for a query.
    pub(super) fn question(&self, query: &str, most: usize) -> Question {
        let headers = self.key.iter().map(|key| ("x-api-key", key.clone())).collect();
        let sign = if self.url.contains('?') { '&' } else { '?' };
        let words = url::quote(query).replace('/', "%2F");
        let (url, body) = match self.kind {
            Kind::Searxng => (format!("{}{sign}q={words}&format=json", self.url), None),
            Kind::You => (format!("{}{sign}query={words}&count={most}", self.url), None),
            Kind::Exa => {
                let contents = json!({"text": true, "summary": true});
                let body = json!({"query": query, "numResults": most, "contents": contents});
                (self.url.clone(), Some(body.to_string()))
            }
        };
        Question { url, headers, body }
    }

    /// The page of results for what the service answered.
    ///
    /// # Errors
    ///
    /// If that is no answer of the service.
    pub(super) fn page(&self, query: &str, answer: &[u8], most: usize) -> Result<Page, String> {
        let answer: Value =
            serde_json::from_slice(answer).map_err(|_| "the service did not answer with JSON".to_owned())?;
        let results = answer.get("results").ok_or("the answer of the service has no results")?;
        let lists = match self.kind {
            Kind::Searxng | Kind::Exa => vec![results],
            Kind::You => ["web", "news"].iter().filter_map(|name| results.get(*name)).collect(),
        };
        let results = lists.into_iter().filter_map(Value::as_array).flatten();
        let mut items = String::new();
        for result in results.filter(|result| result.get("url").is_some_and(Value::is_string)).take(most) {
            let text = |name: &str| match result.get(name) {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Array(texts)) => {
                    texts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
                }
                _ => String::new(),
            };
            let first = |names: &[&str]| {
                names.iter().map(|name| text(name)).find(|text| !text.is_empty()).unwrap_or_default()
            };
            let said = match self.kind {
                Kind::Searxng => first(&["content"]),
                Kind::Exa => first(&["summary", "text"]),
                Kind::You => first(&["snippets", "description"]),
            };
            let target = text("url");
            let title =
                Some(text("title")).filter(|title| !title.is_empty()).unwrap_or_else(|| target.clone());
            let target = target.replace('&', "&amp;").replace('"', "&quot;");
            items += &format!("<li><a href=\"{target}\">{title}</a> {}</li>", shorten(&said));
        }
        // The page is laid out as the official tool does it: by way of HTML.
        let read = super::html::text(&format!("<h1>Search Results</h1>\n<ul>\n{items}\n</ul>"), "");
        Ok(Page { title: line(query), ..Page::new("", "", &read.text, read.links) })
    }
}

/// Text of a result that is not longer than that of a passage: services may send whole pages.
fn shorten(text: &str) -> String {
    const MOST: usize = 2000;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(kind: Kind) -> Service {
        Service::new(kind, Some("http://localhost:8888/search"), Some("k".to_owned())).unwrap()
    }

    #[test]
    fn services_are_asked_as_they_document() {
        let key = || vec![("x-api-key", "k".to_owned())];
        for (kind, url, body) in [
            (Kind::Searxng, "?q=a%20%26b%2Fc&format=json", None),
            (Kind::You, "?query=a%20%26b%2Fc&count=20", None),
            (
                Kind::Exa,
                "",
                Some(r#"{"query":"a &b/c","numResults":20,"contents":{"text":true,"summary":true}}"#),
            ),
        ] {
            let question = service(kind).question("a &b/c", 20);
            let url = format!("http://localhost:8888/search{url}");
            assert_eq!(question, Question { url, headers: key(), body: body.map(str::to_owned) });
        }
    }

    #[test]
    fn answers_become_a_page_of_results() {
        let searxng = r#"{"query":"q","results":[
            {"url":"https://a.org/x","title":"A <b>b</b>","content":"c &amp; d","engine":"e"},
            {"title":"no URL"},{"url":"javascript:1","title":"J"}]}"#;
        let exa = r#"{"results":[{"id":"1","url":"https://a.org/x","title":"A b","summary":"c & d","text":"long"}]}"#;
        let you = r#"{"results":{"web":[{"url":"https://a.org/x","title":"A b","snippets":["c &","d"]}],
            "news":[{"url":"https://b.org","title":"N","description":"e"}]}}"#;
        let first = "\nURL: \n# Search Results\n\n  * 【0†A b†a.org】 c & d";
        for (kind, answer, more, links) in [
            (Kind::Searxng, searxng, " \n  * J", &["https://a.org/x"][..]),
            (Kind::Exa, exa, "", &["https://a.org/x"]),
            (Kind::You, you, "\n  * 【1†N†b.org】 e", &["https://a.org/x", "https://b.org"]),
        ] {
            let page = service(kind).page("q", answer.as_bytes(), 20).unwrap();
            assert_eq!(page.text, format!("{first}{more}"));
            assert_eq!((page.url.as_str(), page.title.as_str()), ("", "q"));
            assert_eq!(page.links, links);
        }
    }

    #[test]
    fn other_answers_are_told() {
        for answer in ["", "<html>", "[]", "{\"error\":\"x\"}"] {
            assert!(service(Kind::Exa).page("q", answer.as_bytes(), 20).is_err(), "{answer}");
        }
        assert!(Service::new(Kind::Exa, None, None).is_err());
        assert!(Service::new(Kind::Searxng, None, None).is_err());
        assert!(Service::new(Kind::Searxng, Some("file:///x"), None).is_err());
    }
}
