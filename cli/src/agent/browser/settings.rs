//! The table `[browser]` of `tools.toml`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::Browser;
use super::documents::Documents;
use super::service::{Kind, Service};
use super::web::{self, Rules, Web};

/// Results of a search, as many as the official tool shows.
const RESULTS: usize = 20;
const TIME: f64 = 20.0;
const PAGE_KB: usize = 4096;
const OUTPUT_KB: usize = 64;
const REDIRECTS: usize = 5;

/// The table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::agent) struct Section {
    /// A folder of documents.
    documents: Option<PathBuf>,
    /// A service that searches the web, whose pages are then opened.
    search: Option<Search>,
    /// Whether pages of private addresses are opened.
    allow_private: Option<bool>,
    redirects: Option<usize>,
    /// Seconds of a search or a page.
    time: Option<f64>,
    page_kb: Option<usize>,
    results: Option<usize>,
    output_kb: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Search {
    kind: Kind,
    url: Option<String>,
    /// The variable of the environment with the key of the service.
    key_environment: Option<String>,
}

impl Section {
    /// The browser; relative paths are those of `folder`.
    ///
    /// # Errors
    ///
    /// If the table says what cannot be.
    pub(in crate::agent) fn browser(self, folder: &Path) -> Result<Browser, String> {
        let results = self.results.unwrap_or(RESULTS);
        let output = self.output_kb.unwrap_or(OUTPUT_KB).saturating_mul(1 << 10);
        match (self.documents, self.search) {
            (Some(documents), None) => {
                let web = [
                    ("allow-private", self.allow_private.is_some()),
                    ("redirects", self.redirects.is_some()),
                    ("time", self.time.is_some()),
                    ("page-kb", self.page_kb.is_some()),
                ];
                if let Some((name, _)) = web.into_iter().find(|(_, is_said)| *is_said) {
                    return Err(format!("{name} is for pages of the web, and documents are a folder"));
                }
                let documents = Documents::new(&folder.join(documents))?;
                Ok(Browser::new(Box::new(documents), results, output))
            }
            (None, Some(search)) => {
                let time = Duration::try_from_secs_f64(self.time.unwrap_or(TIME))
                    .ok()
                    .filter(|time| !time.is_zero() && *time <= Duration::from_secs(3600))
                    .ok_or("time is a number of seconds above 0, up to an hour")?;
                let key = match search.key_environment {
                    Some(name) => Some(
                        std::env::var(&name)
                            .map_err(|_| format!("the environment has no {name}, which is to be the key"))?,
                    ),
                    None => None,
                };
                let service = Service::new(search.kind, search.url.as_deref(), key)?;
                let rules = Rules {
                    allows: if self.allow_private.unwrap_or(false) { |_| true } else { web::is_public },
                    redirects: self.redirects.unwrap_or(REDIRECTS),
                    time,
                    bytes: self.page_kb.unwrap_or(PAGE_KB).saturating_mul(1 << 10),
                };
                Ok(Browser::new(Box::new(Web::new(service, rules)), results, output))
            }
            _ => Err("either documents or search says where pages come from".to_owned()),
        }
    }
}
