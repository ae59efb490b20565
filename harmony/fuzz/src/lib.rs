//! What the fuzz targets share: how bytes become tokens, and what must hold for any stream.

use harmony_format::{Encoding, Event, Mode, Owner, ParseOptions, Parsed, Role, SpecialToken, TokenId};

/// Words that headers are made of; a byte of the input picks one.
const WORDS: [&str; 24] = [
    "assistant", "user", "system", "developer", "tool", "analysis", "commentary", "final", " to=", " json", " code",
    "functions", ".", "get_weather", "python", "browser", ":", " ", "\n", "{\"a\":1}", "hello", "é", "👋", "assistant to=",
];

/// Turns the bytes of an input into options and tokens.
///
/// The first byte chooses the role. After that a byte below 9 is a marker, one below 9 + 24 a word;
/// any other takes the next two bytes as a token id, or as an id out of the vocabulary.
pub fn stream(mode: Mode, encoding: &Encoding, data: &[u8]) -> (ParseOptions, Vec<TokenId>) {
    let (&first, mut rest) = data.split_first().unwrap_or((&0, &[]));
    let role = Role::ALL.get(usize::from(first % 8)).copied();
    let mut options = ParseOptions { mode, role, ..ParseOptions::default() };
    if first & 8 != 0 {
        options = options.tools(["functions.get_weather", "python"]);
    }
    options.textual_markers = mode == Mode::Recover && first & 16 != 0;
    let mut tokens = Vec::new();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let byte = usize::from(byte);
        if let Some(&marker) = SpecialToken::ALL.get(byte) {
            tokens.extend(encoding.marker_id(marker));
        } else if let Some(word) = WORDS.get(byte - SpecialToken::ALL.len()) {
            encoding.encode_ordinary_into(word, &mut tokens);
        } else if let Some((id, after)) = rest.split_first_chunk::<2>() {
            rest = after;
            let id = TokenId::from(u16::from_le_bytes(*id));
            // The multiplier spreads two bytes over the whole vocabulary and a little more.
            tokens.push(if byte < 240 { id } else { id * 4 });
        }
    }
    (options, tokens)
}

/// Reads the tokens one by one; returns the batch result if there was no error.
///
/// # Panics
///
/// If deltas do not concatenate to the contents, or the stream and the batch differ.
pub fn check_stream(encoding: &Encoding, options: &ParseOptions, tokens: &[TokenId]) -> Option<Parsed> {
    let mut parser = encoding.stream(options.clone());
    let mut delta = String::new();
    let mut messages = Vec::new();
    let mut failed = false;
    let mut see = |event: Event| match event {
        Event::Start(_) => delta.clear(),
        Event::Delta(text) => {
            assert!(!text.is_empty(), "a delta says something");
            delta.push_str(&text);
        }
        Event::End(end) => {
            assert_eq!(end.message.text(), delta, "deltas concatenate to the content");
            messages.push(end.message);
        }
        Event::Repair(_) => {}
    };
    for &token in tokens {
        match parser.push(token) {
            Ok(events) => events.for_each(&mut see),
            Err(_) => failed = true,
        }
    }
    match parser.finish() {
        Ok(events) => events.for_each(&mut see),
        Err(_) => failed = true,
    }
    match encoding.parse(tokens, options) {
        Ok(parsed) => {
            assert!(!failed, "the batch refuses what the stream refuses");
            let batch: Vec<_> = parsed.messages.iter().map(|parsed| parsed.message.clone()).collect();
            assert_eq!(batch, messages);
            Some(parsed)
        }
        Err(error) => {
            assert!(failed, "the stream refuses what the batch refuses: {error}");
            assert!(options.mode != Mode::Recover, "recover never fails: {error}");
            None
        }
    }
}

/// # Panics
///
/// If the spans are no partition of `len` tokens.
pub fn check_partition(parsed: &Parsed, len: usize) {
    let mut at = 0;
    for span in &parsed.spans {
        assert_eq!(span.tokens.start, at, "spans have no gaps");
        assert!(span.tokens.end > at, "spans are not empty");
        at = span.tokens.end;
        match span.owner {
            Owner::Message(index) => assert!(index < parsed.messages.len()),
            Owner::Diagnostic(index) => assert!(index < parsed.diagnostics.len()),
        }
    }
    assert_eq!(at, len, "every token has an owner");
}
