//! Realistic documents, each converted into the two other formats.
//!
//! `losses.json` names the source and lists what each target loses. `UPDATE_FIXTURES=1` rewrites all but the source.

use std::fs;
use std::path::Path;

use gptoss_tests::fixtures;
use harmony_format::convert::{Format, LossKind, convert, detect};
use serde_json::{Map, Value, json};

fn load(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn source(case: &Path) -> (Format, Value) {
    let record = load(&case.join("losses.json"));
    let from =
        record["from"].as_str().and_then(|from| from.parse::<Format>().ok()).expect("the name of a format");
    (from, load(&case.join(format!("{from}.json"))))
}

fn others(from: Format) -> impl Iterator<Item = Format> {
    Format::ALL.into_iter().filter(move |to| *to != from)
}

/// Compares with the file, or writes it.
fn check(path: &Path, value: &Value) {
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        fs::write(path, format!("{value:#}\n")).expect("a writable file");
    }
    assert_eq!(format!("{:#}", load(path)), format!("{value:#}"), "{}", path.display());
}

#[test]
fn documents_convert_as_recorded() {
    for case in fixtures("convert") {
        let (from, document) = source(&case);
        let mut record = Map::new();
        record.insert("from".to_owned(), from.as_str().into());
        for to in others(from) {
            let converted = convert(&document, from, to).unwrap();
            record.insert(to.as_str().to_owned(), json!(converted.losses));
            check(&case.join(format!("{to}.json")), &converted.value);
        }
        check(&case.join("losses.json"), &record.into());
    }
}

#[test]
fn formats_are_detected() {
    for case in fixtures("convert") {
        for format in Format::ALL {
            let document = load(&case.join(format!("{format}.json")));
            assert_eq!(detect(&document), Some(format), "{} {format}", case.display());
        }
    }
}

#[test]
fn losses_point_into_the_source() {
    for case in fixtures("convert") {
        let (from, document) = source(&case);
        for to in others(from) {
            for loss in convert(&document, from, to).unwrap().losses {
                // A field that is missed has no place; its message has.
                let parent = loss.pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
                assert!(document.pointer(parent).is_some(), "{} {to}: {loss}", case.display());
            }
        }
    }
}

#[test]
fn every_kind_of_loss_but_the_ending_of_an_answer_occurs() {
    let mut missing = LossKind::ALL.to_vec();
    for case in fixtures("convert") {
        let (from, document) = source(&case);
        for to in others(from) {
            let converted = convert(&document, from, to).unwrap();
            missing.retain(|kind| converted.losses.iter().all(|loss| loss.kind != *kind));
        }
    }
    assert_eq!(missing, [LossKind::Ending]);
}
