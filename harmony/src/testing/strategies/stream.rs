//! Token streams as models make them, and as they should not.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::texts;
use crate::{Encoding, SpecialToken, TokenId};

/// What stands in headers, in and out of place.
const HEADER_WORDS: [&str; 22] = [
    "assistant",
    "user",
    "tool",
    "system",
    "functions.f",
    "user:bob",
    " to=functions.f",
    " to=assistant",
    "to=",
    " to=user to=all",
    "analysis",
    "commentary",
    "final",
    " json",
    " code",
    "<|constrain|>json",
    " <|constrain|>json",
    "<|channel|>final",
    " ",
    "\n",
    "\u{a0}",
    "\u{3000}x\u{85}",
];

/// Well-formed messages, one after another, as an assistant and its tools write them.
///
/// The first begins with `<|start|>`; the last may lack its end.
pub fn token_streams() -> impl Strategy<Value = Vec<TokenId>> {
    (vec(well_formed(), 0..4), any::<bool>()).prop_map(|(messages, ends)| {
        let mut tokens = messages.concat();
        if !ends {
            tokens.pop();
        }
        tokens
    })
}

/// Streams of every kind: well-formed ones, some with a token too many, too few or in the wrong place,
/// heaps of markers and words, bytes cut in the middle of a character, ids of no token.
pub fn malformed_streams() -> impl Strategy<Value = Vec<TokenId>> {
    prop_oneof![
        1 => token_streams(),
        3 => (token_streams(), vec(mutation(), 1..4)).prop_map(|(tokens, mutations)| {
            mutations.into_iter().fold(tokens, |tokens, mutation| mutation.apply(tokens))
        }),
        3 => vec(piece(), 0..14).prop_map(|pieces| pieces.concat()),
        // The same, but begun well enough to get into a content.
        2 => (vec(piece(), 0..3), vec(piece(), 0..10)).prop_map(|(header, content)| {
            let marker = |marker| vec![id(marker)];
            [marker(SpecialToken::Start), encoded("assistant"), header.concat(), marker(SpecialToken::Message), content.concat()]
                .concat()
        }),
    ]
}

fn well_formed() -> impl Strategy<Value = Vec<TokenId>> {
    let role = select(vec!["assistant", "user", "functions.f", "system", "developer", "tool"]);
    let recipient = select(vec!["", " to=functions.f", " to=assistant", " to=python"]);
    let channel = select(vec!["", "analysis", "commentary", "final"]);
    let content_type = select(vec!["", " <|constrain|>json", "<|constrain|>json", " json"]);
    let stop = select(vec![SpecialToken::End, SpecialToken::Call, SpecialToken::Return]);
    (role, recipient, any::<bool>(), channel, content_type, texts(), stop).prop_map(
        |(role, recipient, recipient_first, channel, content_type, content, stop)| {
            let (before, after) = if recipient_first { (recipient, "") } else { ("", recipient) };
            let channel = if channel.is_empty() { String::new() } else { format!("<|channel|>{channel}") };
            let header = format!("<|start|>{role}{before}{channel}{after}{content_type}<|message|>");
            let mut tokens = Encoding::o200k_harmony().encode_prompt(&header);
            tokens.extend(encoded(&content));
            tokens.push(id(stop));
            tokens
        },
    )
}

fn piece() -> impl Strategy<Value = Vec<TokenId>> {
    prop_oneof![
        6 => marker().prop_map(|token| vec![token]),
        5 => select(&HEADER_WORDS[..]).prop_map(encoded),
        2 => select(&HEADER_WORDS[..]).prop_map(|word| Encoding::o200k_harmony().encode_prompt(word)),
        3 => texts().prop_map(|text| encoded(&text)),
        2 => cut_character(),
        1 => vec(any_token(), 1..3),
    ]
}

fn marker() -> impl Strategy<Value = TokenId> {
    prop_oneof![
        8 => select(&SpecialToken::REQUIRED[..]).prop_map(id),
        1 => 199_998..=201_088u32,
    ]
}

/// Any id of the vocabulary, and now and then one beyond.
fn any_token() -> impl Strategy<Value = TokenId> {
    prop_oneof![8 => 0..201_088u32, 2 => 0..256u32, 1 => 201_080..201_100u32, 1 => any::<u32>()]
}

/// Some of the tokens of a character that takes several, so that its bytes are cut.
fn cut_character() -> impl Strategy<Value = Vec<TokenId>> {
    (select(vec!["🫠", "𓀀", "\u{10ffff}", "꧁", "𝔊", "ﷺ"]), any::<Index>(), any::<bool>()).prop_map(
        |(character, at, keep_end)| {
            let tokens = encoded(character);
            let (start, end) = tokens.split_at(at.index(tokens.len() + 1));
            if keep_end { end.to_vec() } else { start.to_vec() }
        },
    )
}

#[derive(Clone, Debug)]
enum Mutation {
    Remove(Index),
    Repeat(Index),
    Swap(Index, Index),
    Insert(Index, Vec<TokenId>),
    Cut(Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    prop_oneof![
        3 => at().prop_map(Mutation::Remove),
        1 => at().prop_map(Mutation::Repeat),
        1 => (at(), at()).prop_map(|(one, other)| Mutation::Swap(one, other)),
        4 => (at(), piece()).prop_map(|(at, piece)| Mutation::Insert(at, piece)),
        1 => at().prop_map(Mutation::Cut),
    ]
}

impl Mutation {
    fn apply(self, mut tokens: Vec<TokenId>) -> Vec<TokenId> {
        if let Self::Insert(at, piece) = self {
            let at = at.index(tokens.len() + 1);
            tokens.splice(at..at, piece);
            return tokens;
        }
        if tokens.is_empty() {
            return tokens;
        }
        let place = |at: Index| at.index(tokens.len());
        match self {
            Self::Remove(at) => {
                tokens.remove(place(at));
            }
            Self::Repeat(at) => {
                let at = place(at);
                tokens.insert(at, tokens[at]);
            }
            Self::Swap(one, other) => {
                let (one, other) = (place(one), place(other));
                tokens.swap(one, other);
            }
            Self::Cut(at) => tokens.truncate(place(at)),
            Self::Insert(..) => {}
        }
        tokens
    }
}

fn encoded(text: &str) -> Vec<TokenId> {
    Encoding::o200k_harmony().encode_ordinary(text)
}

fn id(marker: SpecialToken) -> TokenId {
    Encoding::o200k_harmony().marker_id(marker).expect("o200k_harmony has all required markers")
}
