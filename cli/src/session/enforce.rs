//! Answers held to a grammar, by llguidance: which tokens may come next.

use std::collections::VecDeque;
use std::sync::Arc;

use harmony_format::grammar::Grammar;
use harmony_format::{Encoding, SpecialToken};
use llguidance::api::TopLevelGrammar;
use llguidance::{Matcher, ParserFactory};
use serde_json::Value;
use toktrie::{SimpleVob, TokEnv, TokRxInfo, TokTrie, TokenizerEnv};

use crate::error::{Error, Result};

/// Which tokens may come next.
pub(crate) enum Choice<'a> {
    /// Only this one.
    Only(u32),
    /// Those whose bit is set: that of token t is bit t % 32 of word t / 32.
    Of(&'a [u32]),
}

/// A vocabulary, made ready to judge its tokens by grammars.
pub(crate) struct Rules {
    factory: ParserFactory,
    /// What an answer is brought to its end with: the first set of which a token is allowed is taken.
    endings: Arc<[SimpleVob]>,
}

/// An answer that is held to a grammar. A clone is held to what is left of it; clones share what was learnt of the
/// grammar so far.
#[derive(Clone)]
pub(crate) struct Enforcer {
    matcher: Matcher,
    /// Tokens that must come next, one after another.
    only: VecDeque<u32>,
    allowed: SimpleVob,
    endings: Arc<[SimpleVob]>,
    /// From so few tokens left on, the answer is brought to its end.
    reserve: Option<usize>,
}

/// The most tokens that an answer is brought to its end with.
const RESERVE: usize = 96;

impl Rules {
    /// Makes a vocabulary ready; a model has `vocab_size` ids.
    pub(crate) fn new(encoding: &Encoding, vocab_size: usize) -> Result<Self> {
        let words: Vec<Vec<u8>> = (0..vocab_size as u32)
            .map(|token| match encoding.token_bytes(token) {
                Some(bytes) if encoding.is_special(token) => {
                    [&[TokTrie::SPECIAL_TOKEN_MARKER], bytes].concat()
                }
                Some(bytes) => bytes.to_vec(),
                None => Vec::new(),
            })
            .collect();
        let end = encoding.marker_id(SpecialToken::EndOfText).filter(|&id| (id as usize) < vocab_size);
        let [returned, ..] = encoding.stop_tokens();
        let trie = TokTrie::from(&TokRxInfo::new(vocab_size as u32, end.unwrap_or(returned)), &words);
        let environment: TokEnv = Arc::new(Vocabulary { encoding: encoding.clone(), trie });
        let mut factory =
            ParserFactory::new_simple(&environment).map_err(|error| refused(&error, GRAMMAR))?;
        factory.quiet();
        Ok(Self { factory, endings: endings(encoding, &words).into() })
    }

    /// Why nothing can be held to one of these schemas, with its name.
    pub(crate) fn refusal(&self, schemas: impl IntoIterator<Item = (String, Value)>) -> Option<Error> {
        let mut schemas = schemas.into_iter();
        schemas.find_map(|(name, schema)| {
            self.hold(&Grammar::new().response_schema(schema), &format!("the schema of {name:?}")).err()
        })
    }

    /// Holds the next answer to a grammar.
    pub(crate) fn enforce(&self, grammar: &Grammar) -> Result<Enforcer> {
        self.hold(grammar, GRAMMAR)
    }

    fn hold(&self, grammar: &Grammar, name: &str) -> Result<Enforcer> {
        let parser = self.factory.create_parser(TopLevelGrammar::from_lark(grammar.to_lark()?));
        let parser = parser.map_err(|error| refused(&error, name))?;
        Ok(Enforcer {
            matcher: Matcher::new(Ok(parser)),
            only: VecDeque::new(),
            allowed: SimpleVob::new(),
            endings: self.endings.clone(),
            reserve: None,
        })
    }
}

/// What is refused, where it is not known closer.
const GRAMMAR: &str = "this grammar";

fn refused(error: &impl std::fmt::Display, what: &str) -> Error {
    Error::input("H018", format!("output cannot be held to {what}: {}", cause(&error.to_string())))
        .help("`gptoss grammar` writes it; --enforce off goes on without it")
}

/// What llguidance says, in one line, without the place in a grammar that nobody sees.
fn cause(text: &str) -> String {
    const OF_A_SCHEMA: &str = ": failed to compile JSON schema: ";
    let text = text.split_once(OF_A_SCHEMA).map_or(text, |(_, cause)| cause);
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    // A regular expression is shown below with a caret, and the cause comes after it.
    match lines.find_map(|line| line.strip_prefix("error: ")) {
        Some(cause) if first.ends_with(':') => format!("{first} {cause}"),
        _ => first.to_owned(),
    }
}

/// Sets of tokens that bring an answer to its end, the best first.
fn endings(encoding: &Encoding, words: &[Vec<u8>]) -> Vec<SimpleVob> {
    let markers = |wanted: &[SpecialToken]| {
        let ids: Vec<u32> = wanted.iter().filter_map(|&marker| encoding.marker_id(marker)).collect();
        move |token: u32, _: &[u8]| ids.contains(&token)
    };
    let made_of = |first: &'static [u8], rest: &'static [u8]| {
        move |_: u32, word: &[u8]| match word.split_first() {
            Some((byte, tail)) => first.contains(byte) && tail.iter().all(|byte| rest.contains(byte)),
            None => false,
        }
    };
    let begins =
        |text: &'static str| move |_: u32, word: &[u8]| !word.is_empty() && text.as_bytes().starts_with(word);
    let set = |is_in: &dyn Fn(u32, &[u8]) -> bool| {
        let mut set = SimpleVob::alloc(words.len());
        for (token, word) in words.iter().enumerate() {
            if is_in(token as u32, word) {
                set.set(token, true);
            }
        }
        set
    };
    vec![
        set(&markers(&[SpecialToken::Return, SpecialToken::Call])),
        set(&markers(&[SpecialToken::End])),
        // Close what is open in JSON, strings first: in one, a bracket is text.
        set(&made_of(b"\"", b"\"")),
        set(&made_of(b"}]", b"}]")),
        set(&made_of(b",:", b"\"")),
        // On to a message that ends the turn.
        set(&begins("final")),
        set(&begins("commentary to=")),
        set(&begins(" to=")),
        set(&markers(&[SpecialToken::Message])),
        // White space in JSON may go on for long.
        set(&|_, word| !word.is_empty() && !word.iter().any(u8::is_ascii_whitespace)),
    ]
}

impl Enforcer {
    /// What may come next, where `left` tokens are left at most.
    ///
    /// The last of them bring the answer to its end: what is open is closed, and of what is optional nothing is begun.
    pub(crate) fn choose(&mut self, left: usize) -> Result<Choice<'_>> {
        if self.only.is_empty() {
            self.only.extend(self.matcher.compute_ff_tokens());
        }
        if let Some(&token) = self.only.front() {
            return Ok(Choice::Only(token));
        }
        self.allowed = self.matcher.compute_mask().map_err(|error| refused(&error, GRAMMAR))?;
        let reserve = *self.reserve.get_or_insert((left / 4 * 3).min(RESERVE));
        if left <= reserve
            && let Some(ending) = self.endings.iter().find(|ending| !self.allowed.and_is_zero(ending))
        {
            self.allowed.and(ending);
        }
        Ok(Choice::Of(self.allowed.as_slice()))
    }

    /// Takes the token that came.
    pub(crate) fn take(&mut self, token: u32) -> Result<()> {
        if self.only.pop_front().is_some_and(|only| only != token) {
            self.only.clear();
        }
        self.matcher.consume_token(token).map_err(|error| refused(&error, GRAMMAR))
    }
}

/// What llguidance asks of a tokenizer.
struct Vocabulary {
    encoding: Encoding,
    trie: TokTrie,
}

impl TokenizerEnv for Vocabulary {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<u32> {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.encoding.encode_ordinary(text),
            Err(_) => self.trie.greedy_tokenize(bytes),
        }
    }
}
