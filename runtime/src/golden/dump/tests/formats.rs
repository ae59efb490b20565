//! Each kind of file gives the same values.

use super::*;

/// Embedding rows of two positions, counting up.
fn rows() -> Vec<f32> {
    (0..128).map(|index| index as f32 - 3.5).collect()
}

fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[track_caller]
fn assert_rows(dump: &Dump, dtype: Dtype) {
    let values = read(dump, "embedding");
    assert_eq!((values.width, values.positions.len(), values.dtype), (64, 2, dtype));
    assert_eq!(values.data, rows().iter().map(|&value| f64::from(value)).collect::<Vec<_>>());
}

#[test]
fn numpy_arrays_in_either_order_and_endianness() {
    let plain = npy("<f4", "(2, 64)", false, &bytes_of(&rows()));
    assert_rows(&open("embedding.npy", &plain).unwrap(), Dtype::F32);
    let big: Vec<u8> = rows().iter().flat_map(|&value| f64::from(value).to_be_bytes()).collect();
    assert_rows(&open("embedding.npy", &npy(">f8", "(2, 64)", false, &big)).unwrap(), Dtype::F64);
    let columns: Vec<f32> = (0..128).map(|index| rows()[index % 2 * 64 + index / 2]).collect();
    assert_rows(
        &open("embedding.npy", &npy("<f4", "(2, 64)", true, &bytes_of(&columns))).unwrap(),
        Dtype::F32,
    );
}

#[test]
fn bf16_in_whole_numbers_is_read_and_told() {
    let bits: Vec<u8> =
        rows().iter().flat_map(|value| ((value.to_bits() >> 16) as u16).to_le_bytes()).collect();
    for descr in ["<u2", "|V2"] {
        let dump = open("embedding.npy", &npy(descr, "(2, 64)", false, &bits)).unwrap();
        assert_rows(&dump, Dtype::Bf16);
        let matching = dump.matching();
        assert_eq!(matching.notes.len() + matching.matched[0].guesses.len(), 2, "{descr}: {matching:?}");
    }
}

#[test]
fn archives_stored_and_deflated() {
    let array = npy("<f4", "(2, 64)", false, &bytes_of(&rows()));
    let ids = npy("<i8", "(2,)", false, &[5, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0]);
    for is_deflated in [false, true] {
        let archive = zip(&[("embedding.npy", &array, is_deflated), ("input_ids.npy", &ids, is_deflated)]);
        let dump = open("dump.npz", &archive).unwrap();
        assert_rows(&dump, Dtype::F32);
        assert_eq!(dump.tokens(), Some(&[5, 9][..]));
    }
}

#[test]
fn bare_elements_with_a_manifest() {
    let folder = tempfile::tempdir().unwrap();
    // Rows of 70 elements, of which 64 are meant, behind 8 other bytes; most significant byte first.
    let mut bytes = vec![0xff; 8];
    for row in rows().chunks(64) {
        bytes.extend(row.iter().chain(&[9.0; 6]).flat_map(|value| value.to_be_bytes()));
    }
    std::fs::write(folder.path().join("e.bin"), bytes).unwrap();
    let manifest = json!({
        "format": "gptoss.raw/1",
        "metadata": {"tokens": [1, 2, 3, 4, 5], "profile": "bf16", "accumulate": "f32"},
        "arrays": [{
            "name": "embedding", "file": "e.bin", "offset": 8, "dtype": "f32", "shape": [2, 64],
            "strides": [70, 1], "endian": "big", "positions": [1, 4]
        }]
    });
    let path = folder.path().join("manifest.json");
    std::fs::write(&path, manifest.to_string()).unwrap();
    for path in [path.as_path(), folder.path()] {
        let dump = Dump::open(path, &config(), None).unwrap();
        assert_rows(&dump, Dtype::F32);
        assert_eq!(read(&dump, "embedding").positions, [1, 4]);
        assert!(dump.declared().is_some());
    }
}

#[test]
fn a_folder_is_one_dump() {
    let folder = tempfile::tempdir().unwrap();
    let array = npy("<f4", "(2, 64)", false, &bytes_of(&rows()));
    std::fs::write(folder.path().join("embedding.npy"), &array).unwrap();
    let more = safetensors(&vec![counting("layer.0.mlp_norm", &[2, 64], 0.0)], json!({"tokens": "[1, 2]"}));
    std::fs::write(folder.path().join("more.safetensors"), more).unwrap();
    std::fs::write(folder.path().join("README.txt"), "not read").unwrap();
    let dump = Dump::open(folder.path(), &config(), None).unwrap();
    assert_rows(&dump, Dtype::F32);
    assert_eq!(dump.sites().count(), 2);
    std::fs::write(
        folder.path().join("embedding.safetensors"),
        safetensors(&vec![counting("embedding", &[2, 64], 0.0)], json!({})),
    )
    .unwrap();
    let error = Dump::open(folder.path(), &config(), None).unwrap_err();
    assert!(error.rule().contains("twice"), "{error}");
}
