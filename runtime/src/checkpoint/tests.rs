use std::path::{Path, PathBuf};

use super::*;
use crate::weights::{Matrix, Weights};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/golden").join(name)
}

/// Every element of a matrix as bits.
fn bits(matrix: &Matrix) -> Vec<u32> {
    let mut row = vec![0.0; matrix.cols];
    let rows = (0..matrix.rows).flat_map(|index| {
        matrix.row(index, &mut row);
        row.iter().map(|value| value.to_bits()).collect::<Vec<_>>()
    });
    rows.collect()
}

#[test]
fn both_layouts_hold_the_same_weights() {
    for name in ["a64", "dense4"] {
        let hugging_face = Checkpoint::open(&golden(name)).unwrap();
        let openai = Checkpoint::open(&golden(name).join("original")).unwrap();
        assert_eq!((hugging_face.layout(), openai.layout()), (Layout::HuggingFace, Layout::OpenAi));
        assert_eq!(hugging_face.warnings(), [""; 0]);
        assert_eq!(openai.warnings(), [""; 0]);
        let names = |checkpoint: &Checkpoint| -> Vec<(String, Vec<usize>)> {
            checkpoint.parts().iter().map(|part| (part.name.clone(), part.shape.clone())).collect()
        };
        assert_eq!(names(&hugging_face), names(&openai));
        let eos_token_ids = hugging_face.config().eos_token_ids.clone();
        assert_eq!(*hugging_face.config(), ModelConfig { eos_token_ids, ..openai.config().clone() });

        let (a, b) = (Weights::load(&hugging_face).unwrap(), Weights::load(&openai).unwrap());
        assert_eq!(bits(&a.embedding), bits(&b.embedding));
        assert_eq!(bits(&a.unembedding), bits(&b.unembedding));
        for (a, b) in a.layers.iter().zip(&b.layers) {
            for (a, b) in
                [(&a.query, &b.query), (&a.key, &b.key), (&a.value, &b.value), (&a.router, &b.router)]
            {
                assert_eq!(bits(&a.matrix), bits(&b.matrix));
                assert_eq!(a.bias, b.bias);
            }
            for (a, b) in a.experts.iter().zip(&b.experts) {
                assert_eq!(bits(&a.gate_up.matrix), bits(&b.gate_up.matrix));
                assert_eq!(bits(&a.down.matrix), bits(&b.down.matrix));
                assert_eq!(a.down.bias, b.down.bias);
            }
            assert_eq!(a.sinks, b.sinks);
        }
    }
}

#[test]
fn digests_do_not_depend_on_the_layout_and_tell_models_apart() {
    let digests = |path: PathBuf| {
        let checkpoint = Checkpoint::open(&path).unwrap();
        (checkpoint.weights_digest(), checkpoint.model_digest())
    };
    let (a64, dense4) = (digests(golden("a64")), digests(golden("dense4")));
    assert_eq!(a64, digests(golden("a64/original")));
    assert_eq!(dense4, digests(golden("dense4/original")));
    assert_ne!(a64.0, dense4.0);
    // As `shasum` gives it for the text that the documentation of `weights_digest` describes.
    let hex: String = a64.0.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "f91654ff71847a6041cce26d60c54437cebdb7e18764f1abad071abc936462d4");
}

#[test]
fn what_changes_values_changes_the_model_digest() {
    let mut checkpoint = Checkpoint::open(&golden("dense4")).unwrap();
    let before = (checkpoint.weights_digest(), checkpoint.model_digest());
    checkpoint.config.eos_token_ids = vec![7];
    assert_eq!(before, (checkpoint.weights_digest(), checkpoint.model_digest()));
    checkpoint.config.rope.truncate = true;
    assert_eq!(before.0, checkpoint.weights_digest());
    assert_ne!(before.1, checkpoint.model_digest());
}

#[test]
fn a_checkpoint_in_memory_is_the_one_on_disk() {
    let folder = golden("a64").join("original");
    let config = std::fs::read_to_string(folder.join("config.json")).unwrap();
    let weights = std::fs::read(folder.join("model.safetensors")).unwrap();
    let found = Checkpoint::from_bytes("embedded", &config, weights.clone().into()).unwrap();
    let opened = Checkpoint::open(&folder).unwrap();
    assert_eq!(found.model_digest(), opened.model_digest());
    found.check_unchanged().unwrap();
    assert_eq!(
        bits(&Weights::load(&found).unwrap().embedding),
        bits(&Weights::load(&opened).unwrap().embedding)
    );

    let error = Checkpoint::from_bytes("embedded", "{", weights.clone().into()).unwrap_err();
    assert_eq!((error.kind(), error.file()), (ErrorKind::Config, Some(Path::new("embedded"))));
    let error = Checkpoint::from_bytes("embedded", &config, weights[..99].to_vec().into()).unwrap_err();
    assert_eq!((error.kind(), error.file()), (ErrorKind::Header, Some(Path::new("embedded"))));
}
