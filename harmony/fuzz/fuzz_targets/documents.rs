//! Any JSON as a document of a chat API, as a schema with arguments, and as a conversation to be linted and mended.
#![no_main]

use harmony_format::convert::{self, Format};
use harmony_format::grammar::Grammar;
use harmony_format::lint::{self, LintOptions};
use harmony_format::{Conversation, SchemaStyle, ToolDescription, arguments, recover, schema};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|input: (u8, &str, &str)| {
    let (what, text, other) = input;
    let Ok(value) = serde_json::from_str::<Value>(text) else { return };
    match what % 4 {
        0 => conversions(&value),
        1 => arguments_of(&value, other),
        2 => schema_of(value),
        _ => linted(text),
    }
});

/// What was written can be read, and from the second time on it does not change: reading adds what is assumed
/// where a document does not say it.
fn conversions(value: &Value) {
    convert::detect(value);
    for from in [Format::Chat, Format::Responses, Format::Harmony] {
        let Ok(read) = convert::read(value, from) else { continue };
        for to in [Format::Chat, Format::Responses, Format::Harmony] {
            let again = |value: &Value| {
                let read = convert::read(value, to).unwrap_or_else(|error| panic!("{error}: {value}"));
                convert::write(&read.value, to).value
            };
            let written = again(&convert::write(&read.value, to).value);
            assert_eq!(again(&written), written, "from {from:?} to {to:?}");
        }
    }
}

fn arguments_of(schema: &Value, text: &str) {
    let read = recover::arguments(text);
    assert_eq!(read.raw, text);
    let Some(value) = read.value else { return };
    for misfit in arguments::check(schema, &value) {
        assert!(value.pointer(&misfit.pointer).is_some(), "{misfit:?}");
    }
}

fn schema_of(value: Value) {
    for style in [SchemaStyle::Reference, SchemaStyle::Typed] {
        schema::typescript(&value, style);
    }
    for loss in schema::losses(&value) {
        assert!(value.pointer(&loss.pointer).is_some(), "{loss:?}");
    }
    let grammar = Grammar::new().functions([ToolDescription::new("f", "", value)]);
    assert_eq!(grammar.to_lark().is_ok(), grammar.notes(harmony_format::grammar::Format::Lark).is_ok());
    let _ = grammar.to_gbnf();
}

/// Mending ends, and a second time there is nothing to mend.
fn linted(text: &str) {
    let Ok(mut conversation) = Conversation::from_json(text) else { return };
    let options = LintOptions::default();
    lint::fix(&mut conversation, &options);
    let before = conversation.clone();
    assert_eq!(lint::fix(&mut conversation, &options), []);
    assert_eq!(conversation, before);
    assert!(lint::conversation(&conversation, &options).iter().all(|finding| finding.fix.is_empty()));
}
