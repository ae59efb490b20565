//! llguidance over the real vocabulary.

use std::sync::{Arc, LazyLock};

use harmony_format::grammar::Grammar;
use harmony_format::{AllowedSpecial, Encoding, SpecialToken};
use llguidance::api::TopLevelGrammar;
use llguidance::{Matcher, ParserFactory};
use toktrie::{ApproximateTokEnv, TokEnv, TokRxInfo, TokTrie};

/// What a grammar says to a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Legal, and the turn ends here.
    Complete,
    /// Legal so far.
    Unfinished,
    /// The first so many tokens are legal, the next is not.
    Refused(usize),
}

impl Verdict {
    /// Refused at the first token of `bad`, which follows `good`.
    pub(crate) fn refused_after(good: &str, bad: &str) -> Self {
        let (whole, good) = (tokens(&format!("{good}{bad}")), tokens(good));
        assert!(whole.starts_with(&good), "the tokens of {bad:?} do not begin where it begins");
        Self::Refused(good.len())
    }
}

pub(crate) fn tokens(text: &str) -> Vec<u32> {
    Encoding::o200k_harmony().encode(text, AllowedSpecial::All)
}

static FACTORY: LazyLock<ParserFactory> = LazyLock::new(|| {
    let encoding = Encoding::o200k_harmony();
    // The model has no token 201088, the last of the encoding.
    let words: Vec<Vec<u8>> = (0..201_088)
        .map(|token| match (encoding.token_bytes(token), encoding.is_special(token)) {
            (Some(bytes), true) => [&[TokTrie::SPECIAL_TOKEN_MARKER], bytes].concat(),
            (Some(bytes), false) => bytes.to_vec(),
            (None, _) => Vec::new(),
        })
        .collect();
    let end = encoding.marker_id(SpecialToken::EndOfText).expect("the encoding has it");
    let trie = TokTrie::from(&TokRxInfo::new(201_088, end), &words);
    let environment: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
    let mut factory = ParserFactory::new_simple(&environment).expect("a vocabulary that llguidance takes");
    factory.quiet();
    factory
});

/// A grammar in Lark, compiled by llguidance.
pub(crate) struct Lark {
    matcher: Matcher,
}

impl Lark {
    pub(crate) fn new(grammar: &Grammar) -> Self {
        let lark = grammar.to_lark().expect("a grammar");
        let parser = FACTORY.create_parser(TopLevelGrammar::from_lark(lark.clone()));
        let matcher = Matcher::new(parser);
        assert!(!matcher.is_error(), "{}\n{lark}", matcher.get_error().unwrap_or_default());
        Self { matcher }
    }

    pub(crate) fn judge(&self, text: &str) -> Verdict {
        self.judge_tokens(&tokens(text))
    }

    pub(crate) fn judge_tokens(&self, tokens: &[u32]) -> Verdict {
        let mut matcher = self.matcher.deep_clone();
        let legal = matcher.try_consume_tokens(tokens).expect("a matcher without an error");
        match legal == tokens.len() {
            true if matcher.is_accepting().expect("a matcher without an error") => Verdict::Complete,
            true => Verdict::Unfinished,
            false => Verdict::Refused(legal),
        }
    }
}
