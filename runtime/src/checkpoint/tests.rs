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
