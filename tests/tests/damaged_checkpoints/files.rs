//! Every byte of headers, indexes and configurations, cuts at any place, flipped bits of weights.

use std::path::Path;

use crate::attempt::{Tally, attempt};
use crate::checkpoint::{Checkpoint, Experts, hugging_face, openai, sharded};

/// Bytes that mean something in JSON or nowhere.
const STRANGE: [u8; 12] = *b"\"{}[]:,9-\\\x00\xff";

/// Damaged forms of a file, each with its description.
type Damages<'a> = Box<dyn Iterator<Item = (String, Vec<u8>)> + 'a>;

/// Writes `checkpoint` and, for each damage, the file `name` in its damaged form; then puts it back.
fn try_each(checkpoint: &Checkpoint, name: &str, tally: &mut Tally, damages: impl Fn(&[u8]) -> Damages<'_>) {
    let folder = tempfile::tempdir().unwrap();
    checkpoint.write(folder.path());
    attempt(folder.path()).expect("the checkpoint is valid before it is damaged");
    let (_, whole) = checkpoint.encode().into_iter().find(|(file, _)| file == name).unwrap();
    for (damage, bytes) in damages(&whole) {
        replace(&folder.path().join(name), &bytes);
        tally.count(&format!("{name}: {damage}"), attempt(folder.path()));
    }
}

/// Writes a file anew, so that what still maps the old one keeps it.
fn replace(path: &Path, bytes: &[u8]) {
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// The bytes in `range` one by one: one bit flipped, and a strange byte instead.
fn each_byte(whole: &[u8], range: std::ops::Range<usize>) -> Damages<'_> {
    let bytes = range.flat_map(|place| {
        [(place, whole[place] ^ (1 << (place % 8))), (place, STRANGE[place % STRANGE.len()])]
    });
    Box::new(
        bytes
            .filter(|&(place, byte)| byte != whole[place])
            .map(|(place, byte)| with_byte(whole, place, byte)),
    )
}

fn header_bytes(whole: &[u8]) -> Damages<'_> {
    each_byte(whole, 0..header_len(whole))
}

fn all_bytes(whole: &[u8]) -> Damages<'_> {
    each_byte(whole, 0..whole.len())
}

fn with_byte(whole: &[u8], place: usize, byte: u8) -> (String, Vec<u8>) {
    let mut bytes = whole.to_vec();
    bytes[place] = byte;
    (format!("byte {place} is {byte:#04x}"), bytes)
}

fn cut(whole: &[u8], len: usize) -> (String, Vec<u8>) {
    (format!("cut to {len} bytes"), whole[..len].to_vec())
}

/// The length of a safetensors file's header with the eight bytes before it.
fn header_len(file: &[u8]) -> usize {
    8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize
}

#[test]
fn each_byte_of_a_header_may_be_wrong() {
    let mut tally = Tally::default();
    try_each(&hugging_face(Experts::Mxfp4), "model.safetensors", &mut tally, header_bytes);
    tally.report("bytes of a header, Hugging Face", 8_000);
}

#[test]
fn each_byte_of_a_header_in_openai_s_layout_may_be_wrong() {
    let mut tally = Tally::default();
    try_each(&openai(Experts::Mxfp4), "model.safetensors", &mut tally, header_bytes);
    tally.report("bytes of a header, OpenAI", 4_000);
}

#[test]
fn each_byte_of_an_index_and_of_a_configuration_may_be_wrong() {
    let mut tally = Tally::default();
    try_each(&sharded(), "model.safetensors.index.json", &mut tally, all_bytes);
    try_each(&sharded(), "config.json", &mut tally, all_bytes);
    try_each(&openai(Experts::Mxfp4), "config.json", &mut tally, all_bytes);
    tally.report("bytes of JSON files", 6_000);
}

#[test]
fn a_file_may_end_anywhere() {
    let mut tally = Tally::default();
    fn cuts(whole: &[u8]) -> Damages<'_> {
        let header = header_len(whole);
        let places = (0..header).step_by(3).chain((header..whole.len()).step_by(17));
        Box::new(places.map(|len| cut(whole, len)))
    }
    for checkpoint in [hugging_face(Experts::Mxfp4), openai(Experts::Mxfp4)] {
        try_each(&checkpoint, "model.safetensors", &mut tally, cuts);
    }
    assert_eq!(tally.computed, 0);
    tally.report("cuts", 2_000);
}

#[test]
fn a_json_file_may_end_anywhere() {
    let mut tally = Tally::default();
    fn cuts(whole: &[u8]) -> Damages<'_> {
        // Only white space follows the last brace.
        let end = whole.trim_ascii_end().len();
        Box::new((0..end).step_by(5).map(|len| cut(whole, len)))
    }
    for name in ["config.json", "model.safetensors.index.json"] {
        try_each(&sharded(), name, &mut tally, cuts);
    }
    assert_eq!(tally.computed, 0);
    tally.report("cuts of JSON files", 700);
}

#[test]
fn a_bit_of_a_weight_may_flip() {
    let mut tally = Tally::default();
    fn flips(whole: &[u8]) -> Damages<'_> {
        let header = header_len(whole);
        Box::new((0..900).map(move |index: usize| {
            // A large prime spreads the places over all tensors.
            let place = header + index * 7_919 % (whole.len() - header);
            // Every ninth byte becomes what no exponent and no scale may be.
            let byte = match index % 9 {
                8 => 0xff,
                bit => whole[place] ^ (1 << bit),
            };
            with_byte(whole, place, byte)
        }))
    }
    for checkpoint in [hugging_face(Experts::Mxfp4), hugging_face(Experts::Bf16)] {
        try_each(&checkpoint, "model.safetensors", &mut tally, flips);
    }
    assert!(tally.refused.keys().all(|kind| ["Weight", "NotFinite"].contains(&kind.as_str())), "{tally:?}");
    assert!(tally.computed > 0 && tally.refused.contains_key("Weight"), "{tally:?}");
    tally.report("bits of weights", 1_800);
}
