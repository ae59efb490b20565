//! Any tokens in mode `strict`: the stream and the batch agree, deltas concatenate to the contents.
#![no_main]

use harmony_format::{Encoding, Mode};
use harmony_format_fuzz::{check_stream, stream};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let encoding = Encoding::o200k_harmony();
    let (options, tokens) = stream(Mode::Strict, &encoding, data);
    check_stream(&encoding, &options, &tokens);
});
