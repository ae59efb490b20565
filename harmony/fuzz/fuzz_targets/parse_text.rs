//! Any text in mode `recover`: how it is cut into pushes does not change the events.
#![no_main]

use harmony_format::{Encoding, Event, ParseOptions, Role};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &str)| {
    let (cut, text) = input;
    let encoding = Encoding::o200k_harmony();
    let options = ParseOptions::recover().role(Role::ALL.get(usize::from(cut % 8)).copied());
    let events = |pieces: &[&str]| {
        let mut parser = encoding.stream(options.clone());
        let mut events = Vec::new();
        for piece in pieces {
            events.extend(parser.push_text(piece).expect("recover never fails"));
        }
        events.extend(parser.finish().expect("recover never fails"));
        joined(events)
    };
    let mut at = usize::from(cut) % (text.len() + 1);
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    assert_eq!(events(&[text]), events(&[&text[..at], &text[at..]]));
});

/// Deltas of one message as one delta: where a text is cut, its deltas are cut, too.
fn joined(events: Vec<Event>) -> Vec<Event> {
    let mut out: Vec<Event> = Vec::new();
    for event in events {
        match (out.last_mut(), event) {
            (Some(Event::Delta(before)), Event::Delta(delta)) => before.push_str(&delta),
            (_, event) => out.push(event),
        }
    }
    out
}
