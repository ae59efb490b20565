//! A folder of documents: text, Markdown and HTML, searched by an index in memory. Nothing outside the folder is read.

use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::index::{Index, passage};
use super::page::{self, Page};
use super::{Fetched, Source, Trouble, charset, html, markdown, url, wrap};

/// Documents of a folder.
const MOST_DOCUMENTS: usize = 100_000;
/// Folders within folders.
const DEEPEST: usize = 32;
/// Bytes of a document; what is behind them is left out.
const MOST_BYTES: u64 = 4 << 20;
/// Characters of a passage behind a result.
const PASSAGE: usize = 200;
/// Characters before a passage for which its document is opened at its start: they are in the first view.
const FIRST_VIEW: usize = 2000;

/// A folder of documents.
#[derive(Debug)]
pub(super) struct Documents {
    folder: PathBuf,
    /// Made by the first search.
    index: Option<Index>,
}

/// How a document is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Text,
    Markdown,
    Html,
}

impl Form {
    fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        Some(match extension.as_str() {
            "txt" | "text" => Self::Text,
            "md" | "markdown" => Self::Markdown,
            "html" | "htm" | "xhtml" => Self::Html,
            _ => return None,
        })
    }
}

impl Documents {
    /// The documents of a folder.
    ///
    /// # Errors
    ///
    /// If it is no folder.
    pub(super) fn new(folder: &Path) -> Result<Self, String> {
        let no_folder = |why: String| format!("{} is no folder of documents: {why}", folder.display());
        let folder = folder.canonicalize().map_err(|error| no_folder(error.to_string()))?;
        if !folder.is_dir() {
            return Err(no_folder("it is a file".to_owned()));
        }
        Ok(Self { folder, index: None })
    }

    /// The paths of all documents, in order; links to elsewhere and hidden files are none.
    fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        let mut folders = vec![(self.folder.clone(), String::new(), 0)];
        while let Some((folder, above, depth)) = folders.pop() {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            for entry in entries {
                let Ok(name) = entry.file_name().into_string() else { continue };
                // The type of a symbolic link is that of the link.
                let Ok(kind) = entry.file_type() else { continue };
                if name.starts_with('.') || paths.len() >= MOST_DOCUMENTS {
                    continue;
                }
                let path = format!("{above}{name}");
                if kind.is_dir() && depth < DEEPEST {
                    folders.push((entry.path(), format!("{path}/"), depth + 1));
                } else if kind.is_file() && Form::of(Path::new(&name)).is_some() {
                    paths.push(path);
                }
            }
        }
        paths.sort_unstable();
        paths
    }

    /// The text of a document.
    ///
    /// # Errors
    ///
    /// If there is no such document in the folder.
    fn read(&self, path: &str) -> Result<(String, Form), String> {
        let missing = || "there is no such document".to_owned();
        let relative = Path::new(path);
        let is_inside = relative.components().all(|part| match part {
            Component::Normal(name) => !name.to_string_lossy().starts_with('.'),
            _ => false,
        });
        if path.is_empty() || !is_inside {
            return Err(missing());
        }
        let file = self.folder.join(relative).canonicalize().map_err(|_| missing())?;
        // A symbolic link may lead out of the folder.
        if !file.starts_with(&self.folder) || !file.is_file() {
            return Err(missing());
        }
        let form = Form::of(&file).ok_or_else(missing)?;
        let mut bytes = Vec::new();
        std::fs::File::open(&file)
            .and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes))
            .map_err(|error| error.to_string())?;
        let is_cut = bytes.len() as u64 > MOST_BYTES;
        bytes.truncate(MOST_BYTES as usize);
        let mut text = charset::decode(&bytes, None).replace("\r\n", "\n");
        if is_cut {
            text += "\n[document cut]";
        }
        Ok((text, form))
    }

    /// A document as a page.
    fn page(&self, path: &str) -> Result<Page, String> {
        let (text, form) = self.read(path)?;
        let url = url::of_document(path);
        let name = path.rsplit('/').next().unwrap_or(path);
        Ok(match form {
            Form::Text => Page::new(&url, name, page::without_marks(&text).trim_end(), Vec::new()),
            Form::Markdown => {
                let read = markdown::read(&page::without_marks(&text), &url);
                Page::new(&url, read.title.as_deref().unwrap_or(name), read.text.trim_end(), read.links)
            }
            Form::Html => {
                let read = html::text(&text, &url);
                let title = read.title.filter(|title| !title.trim().is_empty());
                Page::new(&url, title.as_deref().unwrap_or(name), &read.text, read.links)
            }
        })
    }

    /// The path that a URL means: as it is written, or percent-encoded.
    fn path(&self, url: &str) -> String {
        let url = url.split('#').next().unwrap_or(url);
        let written = url.trim_start_matches('/').trim_start_matches("./");
        match self.read(written) {
            Ok(_) => written.to_owned(),
            Err(_) => url::unquote(written),
        }
    }

    fn index(&mut self, interrupt: &AtomicBool) -> Result<&Index, Trouble> {
        let index = match self.index.take() {
            Some(index) => index,
            None => {
                let pages = self.paths().into_iter().map_while(|path| {
                    let is_wanted = !interrupt.load(Ordering::Relaxed);
                    is_wanted.then(|| self.page(&path).ok().map(|page| (path, page.title, page.text)))
                });
                let index = Index::new(pages.flatten())?;
                if interrupt.load(Ordering::Relaxed) {
                    return Err(Trouble::Interrupted);
                }
                index
            }
        };
        Ok(self.index.insert(index))
    }
}

impl Source for Documents {
    fn search(&mut self, query: &str, most: usize, interrupt: &AtomicBool) -> Fetched {
        let index = self.index(interrupt)?;
        let paths = index.search(query, most)?;
        let words = index.words(query);
        let mut page = Page { title: page::line(query), passages: Some(Vec::new()), ..Page::default() };
        page.text = "\nURL: \n# Search Results\n".to_owned();
        for path in paths {
            // A document may be gone since.
            let Ok(found) = self.page(&path) else { continue };
            let index = self.index(interrupt)?;
            let (start, passage) = passage(&found, |text| index.words(text), &words);
            let number = page.links.len();
            let title = found.title.replace('†', "‡");
            let said = cut(&page::line(passage), PASSAGE);
            page.text += &format!("\n  * 【{number}†{title}】");
            if !said.is_empty() {
                page.text += &format!(" {said}");
            }
            let line = (start > FIRST_VIEW).then(|| wrap::lines(&found.text[..start]).len() - 1);
            page.links.push(found.url);
            page.passages.get_or_insert_default().push(line);
        }
        if page.links.is_empty() {
            page.text.truncate(page.text.len() - 1);
        }
        Ok(page)
    }

    fn fetch(&mut self, url: &str, as_source: bool, _: &AtomicBool) -> Fetched {
        if url::scheme(url).is_some_and(|_| url.contains("://")) {
            return Err("only documents of the folder can be opened".into());
        }
        let path = self.path(url);
        let page = self.page(&path)?;
        if as_source {
            let (text, _) = self.read(&path)?;
            return Ok(page.with_source(&text));
        }
        Ok(page)
    }
}

/// A text of at most `most` characters, cut between words.
fn cut(text: &str, most: usize) -> String {
    let Some((end, _)) = text.char_indices().nth(most) else { return text.to_owned() };
    let kept = &text[..end];
    let end = kept.rfind(' ').unwrap_or(end);
    format!("{}…", kept[..end].trim_end())
}
