//! The bytes that a token of a `tokenizer.json` stands for.

use tokenizers::{Decoder, DecoderWrapper};

/// The bytes of a token, as the decoder of the tokenizer has it.
///
/// Byte-level, byte-fallback, replacing and metaspace decoders are followed, also in a sequence. What a decoder
/// does only at the ends of a text is left out: a token has the same bytes everywhere.
pub(super) fn bytes(token: String, decoder: Option<&DecoderWrapper>) -> Box<[u8]> {
    let mut value = Value::Text(token);
    if let Some(decoder) = decoder {
        value = decode(value, decoder);
    }
    match value {
        Value::Text(text) => text.into_bytes().into(),
        Value::Bytes(bytes) => bytes.into(),
    }
}

enum Value {
    Text(String),
    /// Final: decoders work on text.
    Bytes(Vec<u8>),
}

fn decode(value: Value, decoder: &DecoderWrapper) -> Value {
    let Value::Text(text) = value else { return value };
    match decoder {
        DecoderWrapper::ByteLevel(_) => match text.chars().map(byte_of).collect() {
            Some(bytes) => Value::Bytes(bytes),
            None => Value::Text(text),
        },
        DecoderWrapper::ByteFallback(_) => match fallback_byte(&text) {
            Some(byte) => Value::Bytes(vec![byte]),
            None => Value::Text(text),
        },
        DecoderWrapper::Metaspace(metaspace) => Value::Text(text.replace(metaspace.get_replacement(), " ")),
        DecoderWrapper::Replace(replace) => {
            let replaced = replace.decode_chain(vec![text.clone()]).map(|parts| parts.concat());
            Value::Text(replaced.unwrap_or(text))
        }
        DecoderWrapper::Sequence(sequence) => sequence.get_decoders().iter().fold(Value::Text(text), decode),
        _ => Value::Text(text),
    }
}

/// The byte for which a character stands in a byte-level vocabulary: printable Latin-1 stands for itself,
/// the other bytes are counted on from U+0100.
fn byte_of(char: char) -> Option<u8> {
    match u32::from(char) {
        code @ (0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff) => Some(code as u8),
        code @ 0x100..=0x120 => Some((code - 0x100) as u8),
        code @ 0x121..=0x142 => Some((code - 0x121) as u8 + 0x7f),
        0x143 => Some(0xad),
        _ => None,
    }
}

/// The byte that `<0xNN>` stands for.
fn fallback_byte(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_256_characters_of_the_byte_level_alphabet_stand_for_the_256_bytes() {
        let alphabet = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet();
        let mut bytes: Vec<u8> = alphabet.iter().map(|&char| byte_of(char).unwrap()).collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
        assert_eq!((0..0x300).filter_map(char::from_u32).filter_map(byte_of).count(), 256);
        // Two that everybody knows: the space and the line feed.
        assert_eq!((byte_of('Ġ'), byte_of('Ċ')), (Some(b' '), Some(b'\n')));
    }

    fn decoder(json: &str) -> DecoderWrapper {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn decoders_give_the_bytes_of_single_tokens() {
        let byte_level =
            decoder(r#"{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":false}"#);
        let llama = decoder(
            r#"{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},
                {"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]}"#,
        );
        let metaspace =
            decoder(r#"{"type":"Metaspace","replacement":"▁","prepend_scheme":"always","split":true}"#);
        let cases: [(&str, Option<&DecoderWrapper>, &[u8]); 9] = [
            ("ĠHello", Some(&byte_level), b" Hello"),
            ("ä¸", Some(&byte_level), b"\xe4\xb8"),
            ("日本", Some(&byte_level), "日本".as_bytes()),
            ("▁Hello", Some(&llama), b" Hello"),
            ("<0xE4>", Some(&llama), b"\xe4"),
            ("<0xE>", Some(&llama), b"<0xE>"),
            ("<0xZZ>", Some(&llama), b"<0xZZ>"),
            ("▁a▁b", Some(&metaspace), b" a b"),
            ("Ġx", None, "Ġx".as_bytes()),
        ];
        for (token, decoder, expected) in cases {
            assert_eq!(&*bytes(token.to_owned(), decoder), expected, "{token}");
        }
    }
}
