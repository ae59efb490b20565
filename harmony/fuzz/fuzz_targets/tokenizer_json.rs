//! Any bytes as a `tokenizer.json`: an error, or an encoding that keeps text and markers apart.
#![no_main]

use harmony_format::Encoding;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(encoding) = Encoding::from_tokenizer_json_bytes(data) else { return };
    let tokens = encoding.encode_ordinary("Hello <|start|> wörld 123");
    assert!(tokens.iter().all(|&token| !encoding.is_special(token)));
    for token in tokens {
        assert!(encoding.token_bytes(token).is_some());
    }
});
