//! Files that are damaged or hostile are errors of one kind, and nothing else happens.

use super::*;

#[track_caller]
fn assert_refused(name: &str, bytes: &[u8], rule: &str) {
    let error =
        open(name, bytes).map(|dump| format!("{:?}", dump.matching())).expect_err("it must be refused");
    assert_eq!(error.kind(), ErrorKind::Dump, "{error}");
    assert!(error.to_string().contains(rule), "{error}");
    assert!(error.file().is_some(), "{error}");
}

fn manifest(entry: &Value) -> Vec<u8> {
    json!({"format": "gptoss.raw/1", "arrays": [entry]}).to_string().into_bytes()
}

#[test]
fn pickles_are_refused_with_the_way_out() {
    assert_refused("dump.pt", b"\x80\x02}q\x00.", "weights_only=True");
    assert_refused("dump.pt", &zip(&[("archive/data.pkl", b"\x80\x02}.", false)]), "save_file");
    assert_refused("x.npy", &npy("|O", "(1,)", false, b"\x80\x02}."), "pickle");
}

#[test]
fn other_files_are_told_apart() {
    assert_refused("model.gguf", b"GGUF\x03\x00\x00\x00", "GGUF");
    assert_refused("x.json", b"{\"a\": 1}", "manifest");
    assert_refused("page.html", b"<!doctype html><html>", "HTML");
    assert_refused("empty", b"", "");
    let missing = Dump::open(Path::new("no-such-file.npz"), &config(), None).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Dump);
}

#[test]
fn a_manifest_reaches_no_other_folder() {
    let (_outside, path) = file("secret.bin", &[0; 256]);
    let outside = path.to_str().unwrap();
    for name in ["../secret.bin", "/etc/hostname", outside, "a/../../b", "a\\..\\b", "", "."] {
        let entry = json!({"name": "embedding", "file": name, "dtype": "f32", "shape": [1, 64]});
        assert_refused("manifest.json", &manifest(&entry), "its own folder");
    }
}

#[test]
fn a_manifest_that_says_what_cannot_be() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("e.bin"), [0; 256]).unwrap();
    let path = folder.path().join("manifest.json");
    for (change, rule) in [
        (json!({"shape": [2, 64]}), "takes 512 bytes, found 256"),
        (json!({"shape": [u64::MAX, 64]}), "too large"),
        (json!({"shape": [1_u64 << 40, 1_u64 << 30]}), "too large"),
        (json!({"strides": [u64::MAX, 1], "shape": [2, 32]}), "too large"),
        (json!({"strides": [0, 1], "shape": [1000, 64]}), "each other's place"),
        (json!({"strides": [1, 1], "shape": [1, 64, 3]}), "2 strides for 3 axes"),
        (json!({"strides": [1, 1], "shape": [30, 30]}), "each other's place"),
        (json!({"offset": 300}), "starts at byte 300"),
        (json!({"offset": u64::MAX}), "starts at byte"),
        (json!({"dtype": "f8"}), "not known"),
        (json!({"more": 1}), "manifest"),
        (json!({"shape": [-1]}), "manifest"),
    ] {
        let mut entry = json!({"name": "embedding", "file": "e.bin", "dtype": "f32", "shape": [1, 64]});
        entry.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        std::fs::write(&path, manifest(&entry)).unwrap();
        let error = Dump::open(&path, &config(), None).map(|_| entry).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Dump, "{error}");
        assert!(error.to_string().contains(rule), "{rule}: {error}");
    }
}

#[test]
fn names_that_stand_twice_are_refused() {
    let array = npy("<f4", "(64,)", false, &[0; 256]);
    assert_refused(
        "dump.npz",
        &zip(&[("embedding.npy", &array, false), ("embedding.npy", &array, true)]),
        "",
    );
    let mut text = b"        {\"embedding\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},\
        \"embedding\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[1,2]}}xx"
        .to_vec();
    let len = text.len() as u64 - 10;
    text[..8].copy_from_slice(&len.to_le_bytes());
    assert_refused("dump.safetensors", &text, "twice");
}

#[test]
fn damaged_metadata_is_an_error() {
    let arrays = vec![counting("embedding", &[1, 64], 0.0)];
    for (metadata, rule) in [
        (json!({"tokens": "[1, x]"}), "whole numbers"),
        (json!({"tokens": "[-1]"}), "whole numbers"),
        (json!({"positions": "[1, 1]"}), "twice"),
        (json!({"profile": "fp8"}), "profile"),
        (json!({"accumulate": "fp22"}), "accumulator"),
        (json!({"contract": "one"}), "number"),
        (json!({"positions.embedding": "[18446744073709551616]"}), "whole numbers"),
    ] {
        assert_refused("dump.safetensors", &safetensors(&arrays, metadata), rule);
    }
}

#[test]
fn names_of_other_folders_and_terminals_are_only_names() {
    let arrays = vec![counting("../../etc/passwd", &[1], 0.0), counting("\u{1b}[2Jx", &[1], 0.0)];
    let dump = dump(&arrays, json!({}));
    assert_eq!(dump.sites().count(), 0);
    assert_eq!(dump.matching().unmatched.len(), 2);
}

/// Archives of some hundred bytes whose headers tell of more rows than memory holds.
#[test]
fn rows_that_are_too_many_or_empty_are_told_and_not_made() {
    for (name, shape, data, rule) in [
        ("embedding.npy", "(4294967295, 64)", true, "rows"),
        ("layer.0.scores.head.0.npy", "(4294967295, 0)", false, "no elements"),
        ("layer.0.scores.head.0.npy", "(3, 0)", false, "no elements"),
    ] {
        let array = npy("<f4", shape, false, &[]);
        let dump = open("dump.npz", &zip(&[(name, &array, data)])).unwrap();
        assert_eq!(dump.sites().count(), 0, "{shape}");
        let why = &dump.matching().unmatched[0].why;
        assert!(why.contains(rule), "{shape}: {why}");
    }
}

#[test]
fn positions_that_no_run_has_are_an_error() {
    let arrays = vec![counting("embedding", &[1, 64], 0.0)];
    assert_refused(
        "dump.safetensors",
        &safetensors(&arrays, json!({"positions": "[4000000000]"})),
        "at most 16777216",
    );
    let arrays = vec![counting("p4000000000/embedding", &[1, 64], 0.0)];
    assert_eq!(dump(&arrays, json!({})).sites().count(), 0);
}

/// An id of an expert that is none is not that of the first one.
#[test]
fn ids_that_are_none_choose_nothing() {
    let config = config();
    let mut ids = vec![0.0; config.experts_per_token];
    ids[..4].copy_from_slice(&[-1.0, f32::NAN, 0.5, 2.0]);
    let ids = ("model.layers.0.mlp.router.indices".to_owned(), vec![1, ids.len()], ids);
    let scores = counting("model.layers.0.mlp.router.scores", &[1, config.num_experts], 10.0);
    let values = read(&dump(&vec![ids, scores], json!({})), "layer.0.expert_weights");
    assert!(values.data[..3].iter().all(|weight| weight.is_nan()), "{:?}", values.data);
    assert_eq!(values.data[3], 12.0);
}

#[test]
fn a_bomb_is_refused_before_it_unpacks() {
    let head = npy("<f4", "(16777216, 64)", false, &[]);
    let dump = open("dump.npz", &zip(&[("embedding.npy", &head, true)])).unwrap();
    let error = dump.read(&"embedding".parse().unwrap()).unwrap_err();
    assert!(error.rule().contains("cannot be") || error.rule().contains("may have"), "{error}");
}

#[test]
fn every_cut_and_every_flipped_byte_is_an_error_or_a_dump() {
    let array = npy("<f4", "(2, 64)", false, &[1; 512]);
    let ids = npy("<i4", "(2,)", false, &[1, 0, 0, 0, 2, 0, 0, 0]);
    let archive = zip(&[("embedding.npy", &array, true), ("input_ids.npy", &ids, false)]);
    let tensors = safetensors(&vec![counting("embedding", &[2, 64], 0.0)], json!({"tokens": "[1, 2]"}));
    let try_all = |name: &str, bytes: &[u8]| {
        if let Ok(dump) = open(name, bytes) {
            for site in dump.sites() {
                if let Err(error) = dump.read(site) {
                    assert_eq!(error.kind(), ErrorKind::Dump);
                }
            }
        }
    };
    for (name, bytes) in [("x.npz", &archive), ("embedding.npy", &array), ("x.safetensors", &tensors)] {
        for cut in 0..bytes.len().min(400) {
            try_all(name, &bytes[..cut]);
        }
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            for flip in [0x01, 0x80, 0xff] {
                bytes[at] ^= flip;
                try_all(name, &bytes);
            }
        }
    }
}

#[test]
fn a_flipped_bit_of_compressed_values_is_found() {
    let values: Vec<u8> = (0..128_u32).flat_map(|index| (index as f32).to_le_bytes()).collect();
    let array = npy("<f4", "(2, 64)", false, &values);
    let mut archive = zip(&[("embedding.npy", &array, true)]);
    // Another check sum than that of the bytes, in both places where it stands.
    let mut crc = flate2::Crc::new();
    crc.update(&array);
    let sum = crc.sum().to_le_bytes();
    for at in 0..archive.len() - 4 {
        if archive[at..at + 4] == sum {
            archive[at] ^= 1;
        }
    }
    let dump = open("dump.npz", &archive).unwrap();
    let error = dump.read(&"embedding".parse().unwrap()).unwrap_err();
    assert!(error.rule().contains("check sum"), "{error}");
}
