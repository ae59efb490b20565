//! Hostile values in every field of a configuration.

use std::path::Path;

use gptoss_runtime::{Error, ErrorKind};

use crate::attempt::{Tally, attempt};
use crate::checkpoint::{Checkpoint, Experts, hugging_face, openai};

/// Values that no field takes, or that only some take.
const HOSTILE: [&str; 33] = [
    "0",
    "-1",
    "-0.0",
    "1.5",
    "2.0",
    "32.0",
    "\"32\"",
    "null",
    "[]",
    "{}",
    "true",
    "false",
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    "1e308",
    "1e39",
    "1e-46",
    "1e-320",
    "1",
    "3",
    "7",
    "65536",
    "2147483647",
    "2147483648",
    "4294967295",
    "9223372036854775807",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999999999999999",
    "[\"sliding_attention\"]",
    "{\"factor\": {\"factor\": 1}}",
];

fn try_config(folder: &Path, checkpoint: &Checkpoint) -> Result<(), Error> {
    std::fs::write(folder.join("config.json"), checkpoint.config_json()).unwrap();
    attempt(folder)
}

#[test]
fn every_field_may_hold_any_value() {
    let mut tally = Tally::default();
    for checkpoint in [hugging_face(Experts::Mxfp4), openai(Experts::Mxfp4)] {
        let folder = tempfile::tempdir().unwrap();
        checkpoint.write(folder.path());
        for (key, _) in &checkpoint.config {
            for value in HOSTILE {
                let mut damaged = checkpoint.clone();
                damaged.set(key, value);
                tally.count(&format!("{key} = {value}"), try_config(folder.path(), &damaged));
            }
            let mut damaged = checkpoint.clone();
            damaged.config.retain(|(known, _)| known != key);
            tally.count(&format!("no {key}"), try_config(folder.path(), &damaged));
        }
    }
    tally.report("values of fields", 1_200);
}

#[test]
fn every_rotary_setting_may_hold_any_value() {
    let mut tally = Tally::default();
    let folder = tempfile::tempdir().unwrap();
    let settings = [
        ("beta_fast", "32.0"),
        ("beta_slow", "1.0"),
        ("factor", "32.0"),
        ("original_max_position_embeddings", "4096"),
        ("rope_type", "\"yarn\""),
        ("truncate", "false"),
        ("rope_theta", "150000"),
        ("attention_factor", "null"),
    ];
    for spelling in ["rope_scaling", "rope_parameters"] {
        let mut checkpoint = hugging_face(Experts::Mxfp4);
        checkpoint.config.retain(|(key, _)| key != "rope_scaling" && key != "rope_theta");
        checkpoint.set(spelling, "{}");
        checkpoint.write(folder.path());
        for damaged in settings.map(|(key, _)| key) {
            for hostile in HOSTILE {
                let pairs = settings.map(|(key, value)| {
                    format!("\"{key}\": {}", if key == damaged { hostile } else { value })
                });
                checkpoint.set(spelling, &format!("{{{}}}", pairs.join(", ")));
                tally.count(&format!("{damaged} = {hostile}"), try_config(folder.path(), &checkpoint));
            }
        }
    }
    tally.report("values of rotary settings", 500);
}

#[test]
fn values_that_contradict_are_refused_by_the_field_that_does() {
    // A field, its value, and what the message names.
    let cases = [
        ("num_hidden_layers", "0", "num_hidden_layers must be a whole number from 1"),
        ("num_hidden_layers", "2.0", "num_hidden_layers must be a whole number"),
        ("num_hidden_layers", "-2", "num_hidden_layers must be a whole number"),
        ("num_hidden_layers", "3", "layer_types must have num_hidden_layers = 3 elements, found 2"),
        ("hidden_size", "\"32\"", "hidden_size must be a whole number"),
        ("vocab_size", "18446744073709551616", "vocab_size must be a whole number"),
        ("head_dim", "7", "head_dim must be even, found 7"),
        ("num_attention_heads", "3", "num_attention_heads must be a multiple of num_key_value_heads"),
        ("num_experts_per_tok", "3", "a token cannot go to 3 of 2 experts"),
        ("experts_per_token", "2", "experts_per_token must be equal to num_experts_per_tok"),
        (
            "layer_types",
            "[\"full_attention\"]",
            "layer_types must have num_hidden_layers = 2 elements, found 1",
        ),
        ("layer_types", "[\"full_attention\", \"chunked\"]", "found \"chunked\" at 1"),
        ("rms_norm_eps", "0", "rms_norm_eps must be a positive f32 number"),
        ("rms_norm_eps", "1e-60", "rms_norm_eps must be a positive f32 number"),
        ("swiglu_limit", "-7", "swiglu_limit must be a positive f32 number"),
        ("swiglu_limit", "NaN", "is not JSON"),
        ("rope_theta", "1", "rope_theta must be above 1"),
        ("rope_theta", "1e39", "rope_theta must be a positive f32 number"),
        (
            "rope_parameters",
            "{\"rope_type\": \"default\"}",
            "rope_scaling must say the same as rope_parameters",
        ),
        ("rope_scaling", "{\"rope_type\": \"linear\", \"factor\": 2.0}", "rope_scaling.rope_type must be"),
        (
            "rope_scaling",
            "{\"rope_type\": \"yarn\", \"factor\": 2.0, \"attention_factor\": 1.0}",
            "rope_scaling.attention_factor is not a part of gpt-oss",
        ),
        (
            "rope_scaling",
            "{\"rope_type\": \"yarn\", \"factor\": 2.0, \"beta_fast\": 1}",
            "the fast beta of the rotary settings must be above the slow one",
        ),
        ("attention_bias", "1", "attention_bias must be true or false"),
        ("eos_token_id", "-1", "eos_token_id must be a token id"),
        ("model_type", "\"llama\"", "model_type must be \"gpt_oss\""),
    ];
    let folder = tempfile::tempdir().unwrap();
    hugging_face(Experts::Mxfp4).write(folder.path());
    for (key, value, message) in cases {
        let mut checkpoint = hugging_face(Experts::Mxfp4);
        if key == "num_attention_heads" {
            checkpoint.set("num_key_value_heads", "2");
        }
        checkpoint.set(key, value);
        let error = try_config(folder.path(), &checkpoint).expect_err(message);
        assert_eq!(error.kind(), ErrorKind::Config, "{key} = {value}: {error}");
        assert_eq!(error.file(), Some(&*folder.path().join("config.json")), "{error}");
        assert!(error.to_string().contains(message), "{key} = {value}: {error}");
    }
}

#[test]
fn layers_beyond_the_files_are_missing_without_room_being_made_for_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut checkpoint = hugging_face(Experts::Mxfp4);
    checkpoint.write(folder.path());
    checkpoint.config.retain(|(key, _)| key != "layer_types");
    for (layers, kind, tensor) in [
        ("3", ErrorKind::MissingTensor, Some("model.layers.2.input_layernorm.weight")),
        ("65536", ErrorKind::MissingTensor, Some("model.layers.2.input_layernorm.weight")),
        ("2147483647", ErrorKind::Config, None),
    ] {
        checkpoint.set("num_hidden_layers", layers);
        let error = try_config(folder.path(), &checkpoint).unwrap_err();
        assert_eq!((error.kind(), error.tensor()), (kind, tensor), "{error}");
    }
}

#[test]
fn a_configuration_that_is_missing_empty_or_huge_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    hugging_face(Experts::Mxfp4).write(folder.path());
    let path = folder.path().join("config.json");
    let nested = "[".repeat(1 << 20);
    let long = format!("{{\"x\": \"{}\"}}", "y".repeat(9 << 20));
    for (content, kind) in [
        (&b""[..], ErrorKind::Config),
        (b"[]", ErrorKind::Config),
        (b"\xff\xfe{\x00}\x00", ErrorKind::Config),
        (nested.as_bytes(), ErrorKind::Config),
        (long.as_bytes(), ErrorKind::Config),
    ] {
        std::fs::write(&path, content).unwrap();
        let error = attempt(folder.path()).unwrap_err();
        assert_eq!((error.kind(), error.file()), (kind, Some(&*path)), "{error}");
    }
    std::fs::remove_file(&path).unwrap();
    let error = attempt(folder.path()).unwrap_err();
    assert_eq!((error.kind(), error.file()), (ErrorKind::Io, Some(&*path)), "{error}");
}
