//! A full-text index of documents, in memory.

use std::collections::HashMap;

use tantivy::collector::TopDocs;
use tantivy::query::{BooleanQuery, BoostQuery, Occur, Query, TermQuery};
use tantivy::schema::{Field, IndexRecordOption, STORED, Schema, TextFieldIndexing, TextOptions, Value};
use tantivy::tokenizer::{AsciiFoldingFilter, LowerCaser, RemoveLongFilter, SimpleTokenizer, TextAnalyzer};
use tantivy::{Searcher, TantivyDocument, Term};

use super::page::Page;

/// How much more a word of the title counts.
const TITLE_BOOST: f32 = 2.0;
/// Words of a query.
const MOST_WORDS: usize = 64;
/// Bytes that the index is built in.
const BUFFER: usize = 32 << 20;
/// Bytes of a word; longer ones are not searched.
const LONGEST_WORD: usize = 64;
const ANALYZER: &str = "words";

/// An index.
pub(super) struct Index {
    searcher: Searcher,
    title: Field,
    body: Field,
    number: Field,
    /// The documents by their numbers.
    paths: Vec<String>,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("documents", &self.paths.len()).finish_non_exhaustive()
    }
}

impl Index {
    /// Indexes documents: path, title and text of each.
    ///
    /// # Errors
    ///
    /// If there is no memory for it.
    pub(super) fn new(documents: impl Iterator<Item = (String, String, String)>) -> Result<Self, String> {
        let told = |error: tantivy::TantivyError| error.to_string();
        let mut schema = Schema::builder();
        let words = TextFieldIndexing::default()
            .set_tokenizer(ANALYZER)
            .set_index_option(IndexRecordOption::WithFreqs);
        let words = TextOptions::default().set_indexing_options(words);
        let title = schema.add_text_field("title", words.clone());
        let body = schema.add_text_field("body", words);
        let number = schema.add_u64_field("number", STORED);
        let index = tantivy::Index::create_in_ram(schema.build());
        index.tokenizers().register(ANALYZER, analyzer());
        // One thread, so that the same documents are the same index.
        let mut writer = index.writer_with_num_threads(1, BUFFER).map_err(told)?;
        let mut paths = Vec::new();
        for (path, name, text) in documents {
            let mut document = TantivyDocument::new();
            document.add_text(title, name);
            document.add_text(body, text);
            document.add_u64(number, paths.len() as u64);
            writer.add_document(document).map_err(told)?;
            paths.push(path);
        }
        writer.commit().map_err(told)?;
        writer.wait_merging_threads().map_err(told)?;
        let reader =
            index.reader_builder().reload_policy(tantivy::ReloadPolicy::Manual).try_into().map_err(told)?;
        let reader: tantivy::IndexReader = reader;
        Ok(Self { searcher: reader.searcher(), title, body, number, paths })
    }

    /// The documents that fit a query best, best first: at most `most`.
    ///
    /// # Errors
    ///
    /// If the index is damaged.
    pub(super) fn search(&self, query: &str, most: usize) -> Result<Vec<String>, String> {
        let mut words = self.words(query);
        words.sort_unstable();
        words.dedup();
        words.truncate(MOST_WORDS);
        if words.is_empty() || most == 0 {
            return Ok(Vec::new());
        }
        let of = |field, word: &str| -> Box<dyn Query> {
            Box::new(TermQuery::new(Term::from_field_text(field, word), IndexRecordOption::WithFreqs))
        };
        let mut terms: Vec<(Occur, Box<dyn Query>)> = Vec::new();
        for word in &words {
            let in_title = BoostQuery::new(of(self.title, word), TITLE_BOOST);
            terms.push((Occur::Should, Box::new(in_title)));
            terms.push((Occur::Should, of(self.body, word)));
        }
        let told = |error: tantivy::TantivyError| error.to_string();
        let best = TopDocs::with_limit(most).order_by_score();
        let found = self.searcher.search(&BooleanQuery::new(terms), &best).map_err(told)?;
        let mut numbers = Vec::with_capacity(found.len());
        for (score, address) in found {
            let document: TantivyDocument = self.searcher.doc(address).map_err(told)?;
            let number = document.get_first(self.number).and_then(|value| value.as_u64());
            numbers.extend(number.map(|number| (score, number)));
        }
        numbers.sort_by(|(a, first), (b, second)| b.total_cmp(a).then(first.cmp(second)));
        Ok(numbers.into_iter().filter_map(|(_, number)| self.paths.get(number as usize).cloned()).collect())
    }

    /// The words of a text, as they are indexed.
    pub(super) fn words(&self, text: &str) -> Vec<String> {
        let mut analyzer = analyzer();
        let mut stream = analyzer.token_stream(text);
        let mut words = Vec::new();
        stream.process(&mut |token| words.push(token.text.clone()));
        words
    }
}

/// Words without case and accents.
fn analyzer() -> TextAnalyzer {
    TextAnalyzer::builder(SimpleTokenizer::default())
        .filter(RemoveLongFilter::limit(LONGEST_WORD))
        .filter(LowerCaser)
        .filter(AsciiFoldingFilter)
        .build()
}

/// The paragraph of a page with most of some words, and where it starts: rare words count more. Without any of them it is
/// the first one.
pub(super) fn passage<'a>(
    page: &'a Page,
    words_of: impl Fn(&str) -> Vec<String>,
    wanted: &[String],
) -> (usize, &'a str) {
    let paragraphs = paragraphs(&page.text);
    let mut counts: HashMap<&str, usize> = wanted.iter().map(|word| (word.as_str(), 0)).collect();
    let mut found = Vec::with_capacity(paragraphs.len());
    for &(_, text) in &paragraphs {
        let mut has: Vec<&str> = Vec::new();
        for word in words_of(text) {
            if let Some((&word, _)) = counts.get_key_value(word.as_str())
                && !has.contains(&word)
            {
                has.push(word);
            }
        }
        for word in &has {
            *counts.entry(word).or_default() += 1;
        }
        found.push(has);
    }
    let weight = |has: &Vec<&str>| -> f64 { has.iter().map(|word| 1.0 / (counts[word] as f64).sqrt()).sum() };
    let best = (0..paragraphs.len()).rev().max_by(|&a, &b| weight(&found[a]).total_cmp(&weight(&found[b])));
    best.and_then(|best| paragraphs.get(best).copied()).unwrap_or((0, ""))
}

/// The paragraphs of a page below the line of its URL, without headings of Markdown that stand alone.
fn paragraphs(text: &str) -> Vec<(usize, &str)> {
    let start = text.match_indices('\n').nth(1).map_or(text.len(), |(at, _)| at + 1);
    let mut paragraphs = Vec::new();
    let mut at = start;
    for part in text[start..].split("\n\n") {
        let is_heading = !part.trim().contains('\n') && super::markdown::heading(part.trim()).is_some();
        // A heading above a paragraph without a blank line in between.
        let (skipped, said) = match part.trim_start().split_once('\n') {
            Some((first, rest)) if super::markdown::heading(first).is_some() => {
                (part.len() - rest.len(), rest)
            }
            _ => (0, part),
        };
        if !is_heading && !said.trim().is_empty() {
            paragraphs.push((at + skipped, said));
        }
        at += part.len() + 2;
    }
    paragraphs
}
