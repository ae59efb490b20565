//! Text to tokens and back.

use std::collections::HashSet;

use harmony_format::AllowedSpecial;
use harmony_format::testing::strategies::{malformed_streams, texts};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;

use crate::{Sides, compare};

/// Spellings that are allowed at times; not all are special tokens.
const SPELLINGS: [&str; 8] = [
    "<|start|>",
    "<|end|>",
    "<|constrain|>",
    "<|endoftext|>",
    "<|reserved_200013|>",
    "<|endofprompt|>",
    "<|refusal|>",
    "<|sta",
];

pub(crate) fn encode(sides: &Sides, runner: TestRunner) -> Result<(), String> {
    let official = sides.official.tokenizer();
    let all = official.special_tokens();
    compare(runner, &(texts(), vec(select(&SPELLINGS[..]), 0..4)), |(text, allowed)| {
        prop_assert_eq!(sides.ours.encode_ordinary(&text), official.encode_ordinary(&text));
        let some: HashSet<&str> = allowed.iter().copied().collect();
        let ours = sides.ours.encode(&text, AllowedSpecial::Only(&allowed));
        prop_assert_eq!(ours, official.encode(&text, &some).0, "allowed: {:?}", allowed);
        prop_assert_eq!(sides.ours.encode(&text, AllowedSpecial::All), official.encode(&text, &all).0);
        Ok(())
    })
}

pub(crate) fn decode(sides: &Sides, runner: TestRunner) -> Result<(), String> {
    let official = sides.official.tokenizer();
    compare(runner, &malformed_streams(), |tokens| {
        let bytes = sides.ours.decode_bytes(&tokens).map_err(|error| error.reference_message().to_owned());
        prop_assert_eq!(bytes, official.decode_bytes(&tokens).map_err(|error| error.to_string()));
        let text = sides.ours.decode_utf8(&tokens).map_err(|error| error.reference_message().to_owned());
        // The official words add what was tried and what kind of error it was.
        let expected = official.decode_utf8(&tokens).map_err(|error| {
            let error = error.to_string();
            error.replace("Could not decode tokens: ", "").replace("Invalid token error: ", "")
        });
        prop_assert_eq!(text, expected);
        for &token in &tokens {
            prop_assert_eq!(sides.ours.is_special(token), official.is_special_token(token), "{}", token);
        }
        Ok(())
    })
}
