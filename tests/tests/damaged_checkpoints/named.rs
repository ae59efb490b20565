//! Damages with a name: each leads to the one error that describes it.

use std::path::Path;

use gptoss_runtime::{Error, ErrorKind};

use crate::attempt::attempt;
use crate::checkpoint::{Checkpoint, Experts, Tensor, entry, hugging_face, openai, sharded, with_header};

const FILE: &str = "model.safetensors";

/// What `checkpoint` leads to after `write_more` changed its folder.
fn outcome(checkpoint: &Checkpoint, write_more: impl FnOnce(&Path)) -> Result<(), Error> {
    let folder = tempfile::tempdir().unwrap();
    checkpoint.write(folder.path());
    write_more(folder.path());
    attempt(folder.path())
}

/// Checks the kind, file, tensor and rule of an error.
#[track_caller]
fn check(outcome: Result<(), Error>, kind: ErrorKind, file: &str, tensor: Option<&str>, rule: &str) {
    let error = outcome.expect_err(rule);
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(rule), "{error}");
    assert!(error.file().is_some_and(|path| path.ends_with(file)), "{error}");
    assert_eq!(error.tensor(), tensor, "{error}");
}

/// A valid checkpoint whose one file has this content.
fn content(bytes: &[u8]) -> Result<(), Error> {
    outcome(&hugging_face(Experts::Mxfp4), |folder| std::fs::write(folder.join(FILE), bytes).unwrap())
}

#[test]
fn files_of_another_kind_are_called_by_their_name() {
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 4792272488\n";
    let page = b"\n<!DOCTYPE html><html><body>Access to model is restricted</body></html>";
    for (bytes, rule) in [
        (&pointer[..], "Git LFS pointer"),
        (page, "HTML page"),
        (b"", "at least 8 bytes, found 0"),
        (b"1234567", "at least 8 bytes, found 7"),
        (b"GGUF\x03\x00\x00\x00\x00\x00", "its first 8 bytes say that the header has"),
        (b"\x02\x00\x00\x00\x00\x00\x00\x00[]", "the header must start with {"),
        (b"\x00\x00\x00\x00\x00\x00\x00\x00", "the header must start with {"),
        (b"\x03\x00\x00\x00\x00\x00\x00\x00{}x", "the header is not what safetensors prescribes"),
        (b"\x04\x00\x00\x00\x00\x00\x00\x00{\"\xff\"", "the header is not what safetensors prescribes"),
    ] {
        check(content(bytes), ErrorKind::Header, FILE, None, rule);
    }
    // Valid, and of no use.
    check(
        content(b"\x02\x00\x00\x00\x00\x00\x00\x00{}"),
        ErrorKind::MissingTensor,
        "",
        None,
        "no file holds a tensor with a name of gpt-oss",
    );
}

#[test]
fn a_declared_length_of_the_header_is_not_believed() {
    for len in [1 << 20, 100_000_001, 1 << 40, 1 << 63, u64::MAX] {
        let mut bytes = len.to_le_bytes().to_vec();
        bytes.extend_from_slice(b"{}");
        check(content(&bytes), ErrorKind::Header, FILE, None, &format!("the header has {len} bytes"));
    }
}

#[test]
fn a_header_breaks_one_rule_at_a_time() {
    let header = |entries: &[String]| with_header(&format!("{{{}}}", entries.join(",")), &[0; 8]);
    let good = || entry("good", "U8", "[4]", 0, 4);
    let bad =
        |dtype: &str, shape: &str, start, end| header(&[good(), entry("bad", dtype, shape, start, end)]);
    for (bytes, kind, rule) in [
        (bad("F99", "[4]", 4, 8), ErrorKind::Dtype, "unknown dtype \"F99\""),
        (bad("U8", "[3]", 4, 8), ErrorKind::Header, "U8 [3] takes 3 bytes, and the offsets are 4 and 8"),
        (bad("BF16", "[4]", 4, 8), ErrorKind::Header, "BF16 [4] takes 8 bytes"),
        (bad("U8", "[4]", 8, 4), ErrorKind::Header, "the offsets are 8 and 4"),
        (bad("U8", "[5]", 4, 9), ErrorKind::Header, "its bytes end at 9, and the file has 8 bytes of data"),
        (bad("U8", "[4]", 3, 7), ErrorKind::Header, "its bytes start at 3, within the tensor before it"),
        (bad("U8", "[4]", 5, 9), ErrorKind::Header, "its bytes end at 9"),
        (bad("U8", "[3]", 5, 8), ErrorKind::Header, "no tensor holds those from 4 on"),
        (bad("U8", "[-4]", 4, 8), ErrorKind::Header, "-4"),
        (bad("U8", "[4.0]", 4, 8), ErrorKind::Header, "4.0"),
        (bad("U8", "4", 4, 8), ErrorKind::Header, "sequence"),
        (bad("F64", "[4294967296,4294967296]", 4, 8), ErrorKind::Header, "more than 2^64 bytes"),
        (bad("U8", "[18446744073709551615,2]", 4, 8), ErrorKind::Header, "more than 2^64 bytes"),
        (
            bad("U8", "[9223372036854775807]", 4, 9_223_372_036_854_775_811),
            ErrorKind::Header,
            "its bytes end at",
        ),
        (
            header(&[good(), r#""bad":{"dtype":"U8","shape":[4]}"#.to_owned()]),
            ErrorKind::Header,
            "data_offsets",
        ),
        (header(&[good(), r#""bad":[1]"#.to_owned()]), ErrorKind::Header, "an object with dtype"),
        (
            header(&[
                good(),
                r#""bad":{"dtype":"U8","dtype":"U8","shape":[4],"data_offsets":[4,8]}"#.to_owned(),
            ]),
            ErrorKind::Header,
            "dtype stands twice",
        ),
        (
            header(&[
                good(),
                r#""bad":{"dtype":"U8","shape":[4],"data_offsets":[4,8],"stride":[1]}"#.to_owned(),
            ]),
            ErrorKind::Header,
            "unknown field `stride`",
        ),
    ] {
        check(content(&bytes), kind, FILE, Some("bad"), rule);
    }
    let twice = header(&[entry("bad", "U8", "[4]", 0, 4), entry("bad", "U8", "[4]", 4, 8)]);
    check(content(&twice), ErrorKind::DuplicateTensor, FILE, Some("bad"), "stands twice in the header");
    check(content(&header(&[good()])), ErrorKind::Header, FILE, None, "hold 4 bytes, and the file has 8");
    let metadata = header(&[r#""__metadata__":{"format":1}"#.to_owned()]);
    check(content(&metadata), ErrorKind::Header, FILE, None, "the header is not what safetensors prescribes");
}

#[test]
fn every_tensor_is_needed_once_in_its_shape_and_dtype() {
    let checkpoints = [hugging_face(Experts::Mxfp4), hugging_face(Experts::Bf16), openai(Experts::Mxfp4)];
    for checkpoint in &checkpoints {
        let tensors = &checkpoint.files[0].1;
        for (place, tensor) in tensors.iter().enumerate() {
            let with = |change: &dyn Fn(&mut Vec<Tensor>)| {
                let mut damaged = checkpoint.clone();
                change(&mut damaged.files[0].1);
                outcome(&damaged, |_| ())
            };
            // A missing half of a pair or a missing matrix is reported by what is looked for first.
            let error = with(&|tensors| drop(tensors.remove(place))).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::MissingTensor, "{error}");
            let missing = error.tensor().expect("a missing tensor has a name");
            assert!(missing.starts_with(&tensor.name), "{missing} for {}", tensor.name);

            let named = Some(tensor.name.as_str());
            let twice = with(&|tensors| tensors.push(tensors[place].clone()));
            check(twice, ErrorKind::DuplicateTensor, FILE, named, "stands twice");

            let shape = with(&|tensors| tensors[place].shape.push(1));
            check(shape, ErrorKind::Shape, FILE, named, "must have the shape");
            let turned = with(&|tensors| {
                let shape = &mut tensors[place].shape;
                let size: usize = shape.iter().product();
                *shape = vec![size / 2, 2];
            });
            if tensor.shape != [tensor.shape.iter().product::<usize>() / 2, 2] {
                check(turned, ErrorKind::Shape, FILE, named, "must have the shape");
            }
            let other = if tensor.dtype == "U8" { "I8" } else { "F16" };
            let dtype = with(&|tensors| tensors[place].dtype = other);
            check(dtype, ErrorKind::Dtype, FILE, named, &format!("found {other}"));

            let renamed = with(&|tensors| tensors[place].name.push('x'));
            assert_eq!(renamed.unwrap_err().kind(), ErrorKind::MissingTensor);
        }
    }
}

#[test]
fn every_value_is_looked_at() {
    for checkpoint in [hugging_face(Experts::Mxfp4), hugging_face(Experts::Bf16), openai(Experts::Mxfp4)] {
        let tensors = &checkpoint.files[0].1;
        for (place, tensor) in tensors.iter().enumerate() {
            let with_last = |value: &[u8]| {
                let mut damaged = checkpoint.clone();
                let data = &mut damaged.files[0].1[place].data;
                let start = data.len() - value.len();
                data[start..].copy_from_slice(value);
                outcome(&damaged, |_| ())
            };
            let named = Some(tensor.name.as_str());
            if tensor.dtype == "BF16" {
                let last: Vec<usize> = tensor.shape.iter().map(|len| len - 1).collect();
                for (bits, value) in [(0x7fc0_u16, "NaN"), (0xff80, "-inf"), (0x7f80, "inf"), (0x7f81, "NaN")]
                {
                    let found = if tensor.name.contains("qkv") {
                        // The place is in the part that is the value's.
                        format!("a weight must be finite, found {value} at")
                    } else {
                        format!("a weight must be finite, found {value} at {last:?}")
                    };
                    check(with_last(&bits.to_le_bytes()), ErrorKind::Weight, FILE, named, &found);
                }
            } else if tensor.name.ends_with("scales") {
                for scale in [253, 254, 255] {
                    let rule = format!("an MXFP4 scale must be at most 252, found {scale} at");
                    check(with_last(&[scale]), ErrorKind::Weight, FILE, named, &rule);
                }
            }
        }
    }
}

#[test]
fn an_index_places_every_tensor_where_it_is() {
    const INDEX: &str = "model.safetensors.index.json";
    let checkpoint = sharded();
    let (first, second) = (checkpoint.files[0].0.as_str(), checkpoint.files[1].0.as_str());
    let with_index = |change: &dyn Fn(String) -> String| {
        outcome(&checkpoint, |folder| {
            std::fs::write(folder.join(INDEX), change(checkpoint.index_json())).unwrap();
        })
    };
    let norm = "model.norm.weight";
    let line = |file: &str| format!("\"{norm}\": \"{file}\"");
    let moved = with_index(&|json| json.replace(&line(second), &line(first)));
    check(moved, ErrorKind::MissingTensor, INDEX, Some(norm), "and it is in");
    let nowhere = with_index(&|json| json.replace(&line(second), &line("gone.safetensors")));
    check(nowhere, ErrorKind::Header, INDEX, Some(norm), "names a file that does not exist");
    for outside in ["../model.safetensors", "/etc/passwd", "", ".", "..", "a/b", "a\\\\b"] {
        let outside = with_index(&|json| json.replace(&line(second), &line(outside)));
        check(outside, ErrorKind::Header, INDEX, Some(norm), "names a file outside its folder");
    }
    let invented = with_index(&|json| json.replace(norm, "model.nor.weight"));
    check(invented, ErrorKind::MissingTensor, INDEX, Some("model.nor.weight"), "no file holds it");
    let twice = with_index(&|json| json.replace(&line(second), &format!("{0}, {0}", line(second))));
    check(twice, ErrorKind::DuplicateTensor, INDEX, Some(norm), "stands twice in the index");
    for json in ["", "{}", "[]", "{\"weight_map\": 3}", "{\"weight_map\": {\"a\": 3}}"] {
        let broken = with_index(&|_| json.to_owned());
        check(broken, ErrorKind::Header, INDEX, None, "is not an index of safetensors");
    }
    let empty = with_index(&|_| "{\"weight_map\": {}}".to_owned());
    check(empty, ErrorKind::MissingTensor, "", None, "no file holds a tensor");

    let gone = outcome(&checkpoint, |folder| std::fs::remove_file(folder.join(second)).unwrap());
    assert!(gone.unwrap_err().rule().contains("names a file that does not exist"));
    // Without an index all files are read, and both hold the tensor.
    let mut doubled = sharded();
    doubled.index = false;
    let copy = doubled.files[1].1[0].clone();
    doubled.files[0].1.push(copy.clone());
    let doubled = outcome(&doubled, |_| ());
    check(doubled, ErrorKind::DuplicateTensor, second, Some(&copy.name), "the tensor stands in");
}

#[test]
fn what_is_no_checkpoint_is_an_error_that_names_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    assert_eq!(attempt(&missing).unwrap_err().file(), Some(&*missing));
    let error = attempt(folder.path()).unwrap_err();
    assert!(error.rule().contains("holds no *.safetensors file"), "{error}");
    assert_eq!(error.file(), Some(folder.path()));
    // A folder that has the name of a file.
    std::fs::create_dir(folder.path().join(FILE)).unwrap();
    std::fs::write(folder.path().join("config.json"), hugging_face(Experts::Mxfp4).config_json()).unwrap();
    let error = attempt(folder.path()).unwrap_err();
    assert_eq!((error.kind(), error.file()), (ErrorKind::Io, Some(&*folder.path().join(FILE))), "{error}");
}

#[test]
fn experts_are_stored_once() {
    let mut checkpoint = hugging_face(Experts::Mxfp4);
    let mut bf16 = hugging_face(Experts::Bf16);
    let name = "model.layers.1.mlp.experts.down_proj";
    let copy = bf16.tensor(name).clone();
    checkpoint.files[0].1.push(copy);
    let outcome = outcome(&checkpoint, |_| ());
    check(outcome, ErrorKind::DuplicateTensor, "", Some(name), "as bf16 and as MXFP4");
}
