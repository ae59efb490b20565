use std::fs;

use super::*;
use crate::ModelConfig;
use crate::model::{Model, ModelOptions};
use crate::synth::{self, Options, in_memory};
use crate::weights::{Storage, Weights};

/// A checkpoint of random weights with rows of 192 and 200 elements.
fn checkpoint() -> (tempfile::TempDir, Checkpoint) {
    let config = ModelConfig {
        vocab_size: 301,
        hidden_size: 192,
        intermediate_size: 64,
        layer_types: synth::gpt_oss_20b().layer_types[..2].to_vec(),
        num_attention_heads: 20,
        num_key_value_heads: 5,
        head_dim: 10,
        num_experts: 3,
        experts_per_token: 2,
        sliding_window: 7,
        eos_token_ids: vec![300],
        ..synth::gpt_oss_20b()
    };
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in in_memory(&config, &Options::default()).unwrap() {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    (folder, checkpoint)
}

fn go_on(_: u64, _: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Writes `bytes` into a file, at `place` from the end of the header.
fn flip(path: &Path, place: usize) {
    let mut bytes = fs::read(path).unwrap();
    let start = 8 + u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    bytes[start + place] ^= 0x55;
    fs::write(path, bytes).unwrap();
}

#[test]
fn packed_weights_are_those_of_the_checkpoint() {
    let (folder, checkpoint) = checkpoint();
    let path = folder.path().join(FILE_NAME);
    let mut reports = Vec::new();
    let summary = write(&checkpoint, &path, &mut |done, total| {
        reports.push((done, total));
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!((summary.packed, summary.plain), (9, 0));
    assert_eq!(summary.size, fs::metadata(&path).unwrap().len());
    let total = summary.original;
    assert_eq!(reports.last(), Some(&(total, total)));
    // Nothing else is left, and the file is no part of the checkpoint.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4);
    assert_eq!(Checkpoint::open(folder.path()).unwrap().files().len(), 1);

    let packed = PackedFile::open(&path, &checkpoint).unwrap();
    assert_eq!((packed.len(), packed.size()), (9, summary.size));
    packed.verify(&checkpoint, &mut go_on).unwrap();
    let weights = Weights::load_packed(&checkpoint, &packed).unwrap();
    let plain = Weights::load(&checkpoint).unwrap();
    let pairs = [
        (&weights.unembedding, &plain.unembedding),
        (&weights.layers[1].output.matrix, &plain.layers[1].output.matrix),
    ];
    for (packed, plain) in pairs {
        assert!(matches!(packed.storage, Storage::PackedBf16(_)));
        let (mut found, mut expected) = (vec![0.0; packed.cols], vec![0.0; packed.cols]);
        for row in 0..packed.rows {
            packed.row(row, &mut found);
            plain.row(row, &mut expected);
            assert_eq!(found, expected);
        }
    }
    let digest = |model: Model| {
        let mut cache = model.new_cache(8, 8).unwrap();
        model.prefill(&[7, 300, 0, 5, 5], &mut cache, &mut ()).unwrap().digest()
    };
    let packed = Model::load_packed(folder.path(), &path, ModelOptions::default()).unwrap();
    let plain = Model::load(folder.path(), ModelOptions::default()).unwrap();
    assert_eq!(digest(packed), digest(plain));
}

#[test]
fn a_damaged_file_is_found_by_its_hashes() {
    let (folder, checkpoint) = checkpoint();
    let path = folder.path().join(FILE_NAME);
    let summary = write(&checkpoint, &path, &mut go_on).unwrap();
    let header = 8 + u64::from_le_bytes(*fs::read(&path).unwrap().first_chunk().unwrap());
    let len = (summary.size - header) as usize;
    for place in (0..len).step_by(997).chain([len - 1]) {
        flip(&path, place);
        let found =
            PackedFile::open(&path, &checkpoint).and_then(|file| file.verify(&checkpoint, &mut go_on));
        assert_eq!(found.unwrap_err().kind(), ErrorKind::Packed, "{place}");
        flip(&path, place);
    }
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert_eq!(PackedFile::open(&path, &checkpoint).unwrap_err().kind(), ErrorKind::Header);
    let mut other = whole;
    let place = other.windows(FORMAT.len()).position(|bytes| bytes == FORMAT.as_bytes()).unwrap();
    other[place + FORMAT.len() - 1] = b'9';
    fs::write(&path, other).unwrap();
    let error = PackedFile::open(&path, &checkpoint).unwrap_err();
    assert_eq!(error.rule(), "the format must be gptoss-packed/1, found gptoss-packed/9");
}

#[test]
fn other_weights_are_refused_even_where_one_row_differs() {
    let (folder, checkpoint) = checkpoint();
    let path = folder.path().join(FILE_NAME);
    write(&checkpoint, &path, &mut go_on).unwrap();
    let part = checkpoint.parts().iter().find(|part| part.name == "lm_head.weight").unwrap();
    let file = checkpoint.files()[0].path.clone();
    let mut bytes = fs::read(&file).unwrap();
    // Not one of the rows that are always looked at.
    bytes[part.range.start + 2 * 192 * 33 + 1] ^= 0x80;
    fs::write(&file, bytes).unwrap();
    let changed = Checkpoint::open(folder.path()).unwrap();
    let error = PackedFile::open(&path, &changed).unwrap_err();
    assert_eq!((error.kind(), error.tensor()), (ErrorKind::Packed, Some("lm_head.weight")));
    assert!(error.rule().starts_with("row 33 is not that of "), "{error}");
}

#[test]
fn packing_that_is_interrupted_leaves_nothing() {
    let (folder, checkpoint) = checkpoint();
    let path = folder.path().join(FILE_NAME);
    fs::write(&path, "as it was").unwrap();
    let mut count = 0;
    let error = write(&checkpoint, &path, &mut |_, _| {
        count += 1;
        if count < 3 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted);
    assert_eq!(fs::read(&path).unwrap(), b"as it was");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4);
}

#[test]
fn what_gains_nothing_stays_plain() {
    let (folder, checkpoint) = checkpoint();
    let path = folder.path().join(FILE_NAME);
    // The last matrix that is packed, and one in between, of every exponent from 77 on.
    let file = checkpoint.files()[0].path.clone();
    let mut bytes = fs::read(&file).unwrap();
    for part in candidates(&checkpoint) {
        if part.name.contains("lm_head") || part.name.contains("0.self_attn.k_proj") {
            for (k, element) in bytes[part.range.clone()].as_chunks_mut::<2>().0.iter_mut().enumerate() {
                *element = ((77 + k as u16 % 150 * 7 % 150) << 7).to_le_bytes();
            }
        }
    }
    fs::write(&file, bytes).unwrap();
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let summary = write(&checkpoint, &path, &mut go_on).unwrap();
    assert_eq!((summary.packed, summary.plain), (7, 2));
    let packed = PackedFile::open(&path, &checkpoint).unwrap();
    assert!(packed.matrix("lm_head.weight").is_none());
    packed.verify(&checkpoint, &mut go_on).unwrap();
    let weights = Weights::load_packed(&checkpoint, &packed).unwrap();
    assert!(matches!(weights.unembedding.storage, Storage::Bf16 { .. }));
}
