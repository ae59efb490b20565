//! Comparisons with the `regex` library and with `tiktoken-rs`.

use std::time::{Duration, Instant};

use regex::Regex;

use super::{layout, merge, split, tables};
use crate::{AllowedSpecial, Encoding, TokenId};

fn encode(text: &str) -> Vec<TokenId> {
    Encoding::o200k_harmony().encode_ordinary(text)
}

fn reference(text: &str) -> Vec<TokenId> {
    tiktoken_rs::o200k_base_singleton().encode_ordinary(text)
}

/// The pair of tokens that is merged to this one.
#[cfg(feature = "tokenizers")]
pub(in crate::encoding) fn first_pair(token: TokenId) -> Option<(TokenId, TokenId)> {
    let bytes = tables::bytes(token)?;
    let mut ends: Vec<usize> = (0..=bytes.len()).collect();
    while ends.len() > 3 {
        let ranks =
            (2..ends.len()).filter_map(|at| Some((tables::whole(bytes, ends[at - 2]..ends[at])?, at)));
        let (_, at) = ranks.min()?;
        ends.remove(at - 1);
    }
    let [start, middle, end] = ends[..] else { return None };
    Some((tables::whole(bytes, start..middle)?, tables::whole(bytes, middle..end)?))
}

#[track_caller]
fn assert_as_reference(text: &str) {
    let (ours, theirs) = (encode(text), reference(text));
    assert!(ours == theirs, "{text:?}\nours   {ours:?}\ntheirs {theirs:?}");
}

/// A small generator (xorshift), so that a failure comes back.
pub(in crate::encoding) struct Random(pub(in crate::encoding) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(in crate::encoding) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub(in crate::encoding) fn char(&mut self) -> char {
        let limit = self.pick(&[0x80, 0x80, 0x250, 0x3000, 0xffff, 0x11_0000]);
        char::from_u32(self.below(limit) as u32).unwrap_or('\u{fffd}')
    }
}

#[test]
fn every_code_point_has_the_class_that_the_regex_library_gives_it() {
    let classes = [
        (r"[\p{Lu}\p{Lt}]", layout::UPPER),
        (r"[\p{Lm}\p{Lo}]", layout::CASELESS),
        (r"\p{M}", layout::MARK),
        (r"\p{Ll}", layout::LOWER),
        (r"\p{N}", layout::NUMBER),
        (r"[\s--[\r\n]]", layout::SPACE),
        (r"[\r\n]", layout::NEWLINE),
        (r"[^\p{L}\p{M}\p{N}\s]", layout::OTHER),
    ];
    let all: String = (0..=0x10_ffff).filter_map(char::from_u32).collect();
    let mut seen = 0;
    for (pattern, class) in classes {
        let pattern = Regex::new(pattern).unwrap();
        for found in pattern.find_iter(&all) {
            let char = found.as_str().chars().next().unwrap();
            assert_eq!(tables::class(char.into()), class, "{char:?} {pattern}");
            seen += 1;
        }
    }
    assert_eq!(seen, 0x11_0000 - 0x800);
}

#[test]
fn all_code_points_in_a_row_are_encoded_as_by_the_reference() {
    let all: Vec<char> = (0..=0x10_ffff).filter_map(char::from_u32).collect();
    for chars in all.chunks(0x800).step_by(5) {
        assert_as_reference(&chars.iter().collect::<String>());
    }
}

#[test]
fn every_token_that_is_text_is_encoded_as_by_the_reference() {
    for id in (0..layout::ORDINARY).step_by(3) {
        if let Ok(text) = std::str::from_utf8(tables::bytes(id).unwrap()) {
            assert_as_reference(text);
        }
    }
}

#[test]
fn every_token_is_found_as_a_whole() {
    for id in 0..layout::ORDINARY {
        let bytes = tables::bytes(id).unwrap();
        assert_eq!(tables::whole(bytes, 0..bytes.len()), Some(id));
        let longer = [bytes, b"and more"].concat();
        assert_eq!(tables::whole(&longer, 0..bytes.len()), Some(id));
    }
}

#[test]
fn every_token_is_what_its_bytes_become() {
    let mut tokens = Vec::new();
    for id in 0..layout::ORDINARY {
        tokens.clear();
        merge::encode(tables::bytes(id).unwrap(), &mut tokens);
        assert_eq!(tokens, [id]);
    }
}

#[test]
fn random_unicode_is_encoded_as_by_the_reference() {
    let mut random = Random(0x1234_5678_9abc_def1);
    for _ in 0..20_000 {
        let length = random.below(40);
        let text: String = (0..length).map(|_| random.char()).collect();
        assert_as_reference(&text);
    }
}

/// One of each kind of character that the pattern tells apart, and the letters of contractions.
const KINDS: [char; 34] = [
    'A', 'Z', 'ǅ', 'É', 'a', 'é', 's', 'S', 'ſ', 't', 'r', 'e', 'v', 'm', 'l', 'L', 'd', 'ʰ', '世', 'ª',
    '\u{301}', '1', '²', '٣', ' ', '\t', '\u{a0}', '\u{85}', '\r', '\n', '\'', '/', '-', '👋',
];

#[test]
fn every_mix_of_three_kinds_of_characters_is_encoded_as_by_the_reference() {
    for first in KINDS {
        let text = KINDS.map(|second| KINDS.map(|third| format!("{first}{second}{third}"))).concat();
        for text in text {
            assert_as_reference(&text);
        }
    }
}

#[test]
fn random_mixes_of_the_kinds_of_characters_are_encoded_as_by_the_reference() {
    let mut random = Random(0xfeed_beef_1234_5678);
    for _ in 0..20_000 {
        let kinds: Vec<char> = (0..1 + random.below(6)).map(|_| random.pick(&KINDS)).collect();
        let length = random.below(30);
        let text: String = (0..length).map(|_| random.pick(&kinds)).collect();
        assert_as_reference(&text);
    }
}

#[test]
fn mixed_text_is_encoded_as_by_the_reference() {
    let text = include_str!("../../../../docs/harmony-format.md");
    assert_as_reference(text);
    assert_as_reference(include_str!("split.rs"));
    assert_as_reference(&text.to_uppercase());
    assert_as_reference(&text.replace(' ', ""));
    assert_as_reference(&text.replace(|c: char| !c.is_alphabetic(), ""));
}

#[test]
fn long_pieces_are_encoded_as_by_the_reference() {
    let mut random = Random(0x0dd_ba11);
    let runs = [" ", "a", "-", "'", "=", "\n", "世", "👋🏾", "ab", "aA", "the", "\u{301}", "\u{a0}", "é", "x-"];
    for length in [1, 2, 31, 63, 64, 65, 66, 127, 128, 129, 200, 1000] {
        for run in runs {
            let text = run.repeat(length);
            assert_as_reference(&text);
            assert_as_reference(&format!("{text}x"));
        }
        for letters in ["ab", "abcdefghijklmnopqrstuvwxyz", "的一是不了人我在有他", "-=", "0123", "αβγaé"]
        {
            let letters: Vec<char> = letters.chars().collect();
            let text: String = (0..length).map(|_| random.pick(&letters)).collect();
            assert_as_reference(&text);
        }
    }
}

#[test]
fn both_ways_to_merge_agree() {
    let mut random = Random(0x5eed);
    for _ in 0..5_000 {
        let limit = random.pick(&[4, 26, 256]);
        let length = 1 + random.below(64);
        let piece: Vec<u8> = (0..length).map(|_| b'a'.wrapping_add(random.below(limit) as u8)).collect();
        let (mut small, mut large) = (Vec::new(), Vec::new());
        merge::small(&piece, &mut small);
        merge::large(&piece, &mut large);
        assert_eq!(small, large, "{piece:?}");
    }
}

#[test]
fn a_million_characters_take_linear_time() {
    // A quadratic way would take minutes for each.
    for run in [
        " ", "a", "A", "-", "1", "'", "世", "👋", "\n", " \n", "\u{301}", "'s", "<|", "aB", "\u{301}A",
        "\u{a0}",
    ] {
        let text = run.repeat(1_000_000 / run.chars().count());
        let start = Instant::now();
        let tokens = encode(&text);
        assert!(start.elapsed() < Duration::from_secs(5), "{run:?} took {:?}", start.elapsed());
        assert_eq!(Encoding::o200k_harmony().decode_utf8(&tokens).unwrap(), text);
    }
}

#[test]
fn pieces_are_the_text() {
    let mut random = Random(0xabcd_ef01);
    for _ in 0..2_000 {
        let text: String = (0..random.below(60)).map(|_| random.char()).collect();
        let pieces: Vec<&[u8]> = split::pieces(&text).map(|piece| &text.as_bytes()[piece]).collect();
        assert!(pieces.iter().all(|piece| !piece.is_empty()));
        assert_eq!(pieces.concat(), text.as_bytes());
    }
}

#[test]
fn special_tokens_have_their_spellings() {
    let encoding = Encoding::o200k_harmony();
    let all = encoding.special_tokens();
    assert_eq!(all.len(), 1091);
    assert_eq!((all[0].0, all[1090].0), (199_998, 201_088));
    for (id, spelling) in all {
        assert_eq!(encoding.special_id(&spelling), Some(id));
        assert_eq!(encoding.token_bytes(id), Some(spelling.as_bytes()));
        assert!(encoding.is_special(id));
    }
    for other in
        ["", "<||>", "<|reserved_200002|>", "<|reserved_+200013|>", "<|reserved_0|>", "<|end|> ", "<|END|>"]
    {
        assert_eq!(encoding.special_id(other), None, "{other}");
    }
    assert_eq!(encoding.token_bytes(201_089), None);
    assert_eq!(encoding.token_bytes(TokenId::MAX), None);
}

/// Special tokens by the simplest means: at each place each spelling is tried.
fn encode_by_trying(text: &str, allowed: &[(TokenId, String)]) -> Vec<TokenId> {
    let mut tokens = Vec::new();
    let mut rest = 0;
    let mut at = 0;
    while at < text.len() {
        match allowed.iter().find(|(_, spelling)| text.as_bytes()[at..].starts_with(spelling.as_bytes())) {
            Some((id, spelling)) => {
                tokens.extend(encode(&text[rest..at]));
                tokens.push(*id);
                at += spelling.len();
                rest = at;
            }
            None => at += 1,
        }
    }
    tokens.extend(encode(&text[rest..]));
    tokens
}

#[test]
fn spellings_of_allowed_special_tokens_are_found() {
    let encoding = Encoding::o200k_harmony();
    let all = encoding.special_tokens();
    let some = ["<|end|>", "<|start|>", "<|reserved_200013|>", "<|no such|>"];
    let some_ids: Vec<_> = all.iter().filter(|(_, name)| some.contains(&name.as_str())).cloned().collect();
    let bits = [
        "<|end|>",
        "<|start|>",
        "<|return|>",
        "<|reserved_200013|>",
        "<|reserved_200002|>",
        "<|",
        "|>",
        "<",
        "|",
        ">",
        "end",
        " ",
        "\n",
        "é",
        "hello",
        "<|endoftext|>",
    ];
    let mut random = Random(0xc0ffee);
    for _ in 0..3_000 {
        let text: String = (0..random.below(12)).map(|_| random.pick(&bits)).collect();
        assert_eq!(encoding.encode(&text, AllowedSpecial::All), encode_by_trying(&text, &all), "{text:?}");
        assert_eq!(
            encoding.encode(&text, AllowedSpecial::Only(&some)),
            encode_by_trying(&text, &some_ids),
            "{text:?}"
        );
        assert_eq!(encoding.encode(&text, AllowedSpecial::None), encode(&text), "{text:?}");
    }
}

#[test]
fn beginnings_of_spellings_take_linear_time() {
    let encoding = Encoding::o200k_harmony();
    for run in ["<|", "<", "<|<|end", "<|reserved_", "<|end|>"] {
        let text = run.repeat(1_000_000 / run.len());
        let start = Instant::now();
        let tokens = encoding.encode(&text, AllowedSpecial::All);
        assert!(start.elapsed() < Duration::from_secs(5), "{run:?} took {:?}", start.elapsed());
        assert_eq!(encoding.decode_utf8(&tokens).unwrap(), text);
    }
}

#[test]
fn only_markers_are_markers() {
    let encoding = Encoding::o200k_harmony();
    for id in (0..201_100).chain([TokenId::MAX]) {
        let spelling = encoding.token_bytes(id).and_then(|bytes| std::str::from_utf8(bytes).ok());
        let marker =
            spelling.filter(|_| encoding.is_special(id)).and_then(crate::SpecialToken::from_spelling);
        assert_eq!(encoding.marker(id), marker);
    }
}
