//! Any JSON as a tool's schema and its arguments: no panic, and a misfit can be located.
#![no_main]

use harmony_format::arguments;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|input: (&str, &str)| {
    let (schema, text) = input;
    let Ok(schema) = serde_json::from_str::<Value>(schema) else { return };
    let Ok(value) = serde_json::from_str::<Value>(text) else { return };
    for misfit in arguments::check(&schema, &value) {
        assert!(value.pointer(&misfit.pointer).is_some(), "{misfit:?}");
    }
});
