//! Any text: no special token, and the tokens decode to the text.
#![no_main]

use harmony_format::{AllowedSpecial, Encoding};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let encoding = Encoding::o200k_harmony();
    let tokens = encoding.encode_ordinary(text);
    assert!(tokens.iter().all(|&token| !encoding.is_special(token)));
    assert_eq!(encoding.decode_utf8(&tokens).expect("text"), text);
    let tokens = encoding.encode(text, AllowedSpecial::All);
    assert_eq!(encoding.decode_utf8(&tokens).expect("text"), text);
    let tokens = encoding.encode_prompt(text);
    assert_eq!(encoding.decode_utf8(&tokens).expect("text"), text);
});
