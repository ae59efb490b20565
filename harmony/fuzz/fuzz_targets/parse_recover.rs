//! Any tokens in mode `recover`: no error, no lost token.
#![no_main]

use harmony_format::{Encoding, Mode};
use harmony_format_fuzz::{check_partition, check_stream, stream};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let encoding = Encoding::o200k_harmony();
    let (options, tokens) = stream(Mode::Recover, &encoding, data);
    let parsed = check_stream(&encoding, &options, &tokens).expect("recover never fails");
    check_partition(&parsed, tokens.len());
});
