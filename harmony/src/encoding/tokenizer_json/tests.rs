//! A small tokenizer in the manner of gpt-oss: the first thousand ranks of o200k_base, byte-level, with the
//! markers at other ids. `UPDATE_FIXTURES=1 cargo test -p harmony-format --features tokenizers tiny` writes it anew.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::super::o200k::tests::{Random, first_pair};
use crate::{
    AllowedSpecial, Encoding, ErrorKind, Message, ParseOptions, Position, RenderOptions, Role, SpecialToken,
    TokenId,
};

const RANKS: TokenId = 1000;
const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/tokenizers/tiny/tokenizer.json");

/// Added tokens and whether they are special.
const ADDED: [(&str, bool); 12] = [
    ("<|endoftext|>", true),
    ("<|startoftext|>", true),
    ("<|call|>", true),
    ("<|return|>", true),
    ("<|end|>", true),
    ("<|message|>", true),
    ("<|channel|>", true),
    ("<|constrain|>", true),
    // A marker is one by its name, whatever the flag says.
    ("<|start|>", false),
    ("<|startled|>", true),
    ("</s>", true),
    ("<tool>", false),
];

fn tiny() -> Encoding {
    Encoding::from_tokenizer_json(TINY).unwrap()
}

/// The character of the byte-level alphabet that stands for a byte.
fn byte_char(byte: u8) -> char {
    let code = match byte {
        0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => u32::from(byte),
        0..=0x20 => 0x100 + u32::from(byte),
        0x7f..=0xa0 => 0x121 + u32::from(byte) - 0x7f,
        0xad => 0x143,
    };
    char::from_u32(code).unwrap()
}

fn tiny_json() -> Value {
    let o200k = Encoding::o200k_harmony();
    let spell = |id: TokenId| -> String {
        o200k.token_bytes(id).unwrap().iter().map(|&byte| byte_char(byte)).collect()
    };
    let vocab: serde_json::Map<String, Value> = (0..RANKS).map(|id| (spell(id), id.into())).collect();
    let merges: Vec<String> = (0..RANKS)
        .filter_map(first_pair)
        .map(|(left, right)| format!("{} {}", spell(left), spell(right)))
        .collect();
    let added: Vec<Value> = ADDED
        .iter()
        .zip(RANKS..)
        .map(|((content, special), id)| {
            json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": special})
        })
        .collect();
    json!({
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0},
        "padding": {"strategy": {"Fixed": 8}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0,
            "pad_type_id": 0, "pad_token": "!"},
        "added_tokens": added,
        "normalizer": null,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": tiktoken_rs::O200K_BASE_PAT_STR}, "behavior": "Removed", "invert": true},
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
        ]},
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<|startoftext|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {"<|startoftext|>": {"id": "<|startoftext|>", "ids": [1001], "tokens": ["<|startoftext|>"]}}},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": true,
            "vocab": vocab, "merges": merges},
    })
}

fn open(json: &Value) -> crate::Result<Encoding> {
    Encoding::from_tokenizer_json_bytes(json.to_string().as_bytes())
}

#[test]
fn tiny_is_what_the_ranks_give() {
    let text = serde_json::to_string_pretty(&tiny_json()).unwrap() + "\n";
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        std::fs::create_dir_all(std::path::Path::new(TINY).parent().unwrap()).unwrap();
        std::fs::write(TINY, &text).unwrap();
    }
    assert!(std::fs::read_to_string(TINY).unwrap() == text, "run with UPDATE_FIXTURES=1");
}

#[test]
fn text_is_encoded_as_by_byte_pair_encoding_with_the_same_ranks() {
    let o200k = Encoding::o200k_harmony();
    let ranks = (0..RANKS).map(|id| (o200k.token_bytes(id).unwrap().to_vec(), id)).collect();
    let reference =
        tiktoken_rs::CoreBPE::new(ranks, Default::default(), tiktoken_rs::O200K_BASE_PAT_STR).unwrap();
    let tiny = tiny();
    let mut random = Random(0x7e57);
    for _ in 0..2_000 {
        let text: String = (0..random.below(40)).map(|_| random.char()).collect();
        assert_eq!(tiny.encode_ordinary(&text), reference.encode_ordinary(&text), "{text:?}");
        assert_eq!(tiny.decode_utf8(&tiny.encode_ordinary(&text)).unwrap(), text);
    }
    let text = include_str!("../tokenizer_json.rs");
    assert_eq!(tiny.encode_ordinary(text), reference.encode_ordinary(text));
}

#[test]
fn markers_are_found_by_name() {
    let tiny = tiny();
    assert_eq!(tiny.name(), "tokenizer.json");
    assert_eq!(tiny.marker_id(SpecialToken::Start), Some(1008));
    assert_eq!(tiny.marker(1004), Some(SpecialToken::End));
    assert_eq!(tiny.special_id("<|call|>"), Some(1002));
    assert_eq!(tiny.special_id("<tool>"), None);
    assert!(tiny.is_special(1009) && !tiny.is_special(1011) && !tiny.is_special(0));
    assert_eq!(tiny.token_bytes(1009), Some(&b"<|startled|>"[..]));
    assert_eq!(tiny.token_bytes(1012), None);
    assert_eq!(tiny.vocab_size(), 1012);
    assert_eq!(tiny.special_tokens().len(), 11);
    assert_eq!(tiny.special_tokens()[0], (1000, "<|endoftext|>".to_owned()));
}

#[test]
fn a_conversation_is_rendered_and_parsed_back() {
    let tiny = tiny();
    let conversation = crate::Conversation::new([
        Message::new(Role::System, crate::SystemContent::default()),
        Message::new(Role::User, "Say <|end|> and </s>, 世界!"),
        Message::new(Role::Assistant, "<|end|></s>").with_channel("final"),
    ]);
    let options = RenderOptions::storage();
    let tokens = tiny.render(&conversation, &options).unwrap();
    assert_eq!(tiny.decode_utf8(&tokens).unwrap(), tiny.render_text(&conversation, &options).unwrap());
    let specials = tokens.iter().filter(|&&token| tiny.is_special(token)).count();
    assert_eq!(specials, 3 * 3 + 1);
    let parsed = tiny.parse(&tokens, &ParseOptions::strict().role(None)).unwrap();
    assert_eq!(parsed.messages[2].message, conversation.messages[2]);
}

#[test]
fn text_never_yields_a_special_token() {
    let tiny = tiny();
    for (spelling, _) in ADDED {
        for text in [spelling.to_owned(), format!(" {spelling}x"), spelling.repeat(3)] {
            let tokens = tiny.encode_ordinary(&text);
            assert!(tokens.iter().all(|&token| token < RANKS), "{text}");
            assert_eq!(tiny.decode_utf8(&tokens).unwrap(), text);
        }
    }
}

#[test]
fn special_tokens_of_a_vocabulary_of_words_are_not_found_in_text() {
    let mut vocab = serde_json::Map::new();
    for (index, word) in ["[UNK]", "<", "|", ">", "end", "<|end|>", " ", "hi"].into_iter().enumerate() {
        vocab.insert(word.to_owned(), index.into());
    }
    let mut json = tiny_json();
    json["pre_tokenizer"] = Value::Null;
    json["decoder"] = Value::Null;
    json["model"] = json!({"type": "WordLevel", "vocab": vocab, "unk_token": "[UNK]"});
    json["added_tokens"]
        .as_array_mut()
        .unwrap()
        .push(json!({"id": 0, "content": "[UNK]", "single_word": false,
        "lstrip": false, "rstrip": false, "normalized": false, "special": true}));
    let encoding = open(&json).unwrap();
    let end = encoding.marker_id(SpecialToken::End).unwrap();
    assert_eq!(encoding.encode("<|end|>", AllowedSpecial::All), [end]);
    let tokens = encoding.encode_ordinary("<|end|>");
    assert!(!tokens.is_empty() && tokens.iter().all(|&token| token != end && !encoding.is_special(token)));
    // The unknown token is what text becomes, so it is no special one.
    assert_eq!(encoding.encode_ordinary("wörld"), [0]);
    assert_eq!(encoding.encode_ordinary("hi"), [7]);
}

#[test]
fn allowed_spellings_become_special_tokens_the_longest_first() {
    let tiny = tiny();
    assert_eq!(tiny.encode("<|start|><|startled|></s><tool>", AllowedSpecial::All)[..3], [1008, 1009, 1010]);
    let only = tiny.encode("<|start|></s>", AllowedSpecial::Only(&["</s>", "<tool>"]));
    assert_eq!(only.last(), Some(&1010));
    assert!(only[..only.len() - 1].iter().all(|&token| token < RANKS));
    assert_eq!(tiny.encode("</s>", AllowedSpecial::None), tiny.encode_ordinary("</s>"));
}

#[test]
fn a_tokenizer_without_the_markers_is_refused_by_name() {
    let mut json = tiny_json();
    json["added_tokens"].as_array_mut().unwrap().retain(|token| {
        !HashSet::from(["<|call|>", "<|constrain|>", "<|endoftext|>"])
            .contains(token["content"].as_str().unwrap())
    });
    let error = open(&json).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tokenizer);
    assert!(error.message().contains("this one lacks <|constrain|>, <|call|>; take"), "{error}");
}

#[test]
fn json_that_is_no_tokenizer_is_refused_with_its_place() {
    let error =
        Encoding::from_tokenizer_json_bytes(b"{\n  \"version\": \"1.0\",\n  \"model\": }").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tokenizer);
    assert_eq!(error.position(), Some(&Position::Input { line: 3, column: 12 }));
    assert_eq!(error.message(), "the tokenizer.json cannot be read: expected value");
    for text in ["", "[]", "{}", "{\"version\":\"1.0\"}", "null", "\u{feff}{}"] {
        let error = Encoding::from_tokenizer_json_bytes(text.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tokenizer, "{text}");
    }
    let error = Encoding::from_tokenizer_json("no/such/tokenizer.json").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
}
