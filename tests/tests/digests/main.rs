//! One digest of the logits, whatever they were computed with, and in however many parts.

#![allow(clippy::unwrap_used, reason = "a test")]

mod histories;
mod small;

use std::fs;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::Path;

use gptoss_runtime::checkpoint::{Checkpoint, packed};
use gptoss_runtime::simd::Isa;
use gptoss_runtime::weights::packed_bf16::PackedBf16;
use gptoss_runtime::weights::{Storage, Weights};
use gptoss_runtime::{Model, ModelConfig, ModelOptions, Profile, Rows, reference};
use gptoss_tests::fixtures_root;

use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

use histories::{History, logits};
use small::{LONG, SHAPES, Shape};

/// As many rounds with this step take all ways.
const HISTORIES: usize = History::ALL.len();

/// Digests of the small shapes: `digest  shape/tokens profile`.
const SMALL_DIGESTS: &str = include_str!("small.txt");

/// Checks that a list holds the digest; of `f64` it holds none, for those bits are the platform's (clause 14).
#[track_caller]
fn check_listed(list: &str, name: &str, profile: Profile, digest: &str) {
    let line = format!("{digest}  {name} {profile}");
    assert!(profile == Profile::F64 || list.lines().any(|listed| listed == line), "the list lacks\n{line}");
}

/// Instruction sets that differ in a profile.
fn isas(profile: Profile) -> Vec<Isa> {
    match profile {
        Profile::Bf16 => Isa::available().collect(),
        Profile::F32 => Isa::available().filter(|&isa| isa != Isa::Avx512Bf16).collect(),
        Profile::F64 => vec![Isa::best()],
    }
}

/// One way to compute the logits.
#[derive(Clone, Copy, Debug)]
struct Way {
    isa: Isa,
    threads: usize,
    chunk: usize,
    history: History,
    /// Whether dense matrices are packed.
    packed: bool,
}

/// All ways that differ for so many tokens; histories follow one another.
fn ways(profile: Profile, count: usize) -> Vec<Way> {
    let mut chunks = vec![1, 7, 64, count];
    chunks.retain(|&chunk| chunk <= count);
    chunks.dedup();
    let mut ways = Vec::new();
    for isa in isas(profile) {
        for threads in 1..=3 {
            for &chunk in &chunks {
                for packed in [false, true] {
                    ways.extend(History::ALL.map(|history| Way { isa, threads, chunk, history, packed }));
                }
            }
        }
    }
    ways
}

/// The same weights with all dense matrices packed, whether that makes them smaller or not.
fn pack(mut weights: Weights) -> Weights {
    let mut matrices = vec![&mut weights.embedding, &mut weights.unembedding];
    for layer in &mut weights.layers {
        let linears =
            [&mut layer.query, &mut layer.key, &mut layer.value, &mut layer.output, &mut layer.router];
        matrices.extend(linears.map(|linear| &mut linear.matrix));
    }
    for matrix in matrices {
        let Storage::Bf16 { data, .. } = &matrix.storage else { panic!("dense matrices are bf16") };
        matrix.storage = Storage::PackedBf16(PackedBf16::pack(matrix.rows, matrix.cols, data));
    }
    weights
}

/// Checks `reference` against the list; then, against it, one in `step` of all ways, from the one numbered `first` on.
/// With the feature `every-way` as many more as that makes possible.
#[track_caller]
fn check(
    list: &str,
    name: &str,
    (config, weights): (&ModelConfig, &Weights),
    tokens: &[u32],
    profile: Profile,
    (first, step): (usize, usize),
) {
    let plain = reference::forward(config, weights, profile, tokens, &mut ()).unwrap();
    check_listed(list, name, profile, &plain.digest());
    let plain = plain.to_bytes();
    let packed_weights = pack(weights.clone());
    let folder = tempfile::tempdir().unwrap();
    let (first, step) = match (cfg!(feature = "every-way"), tokens.len()) {
        (false, _) => (first, step),
        (true, ..1000) => (0, 1),
        (true, _) => (first, 23),
    };
    for way in ways(profile, tokens.len()).into_iter().skip(first).step_by(step) {
        let Way { isa, threads, chunk, history, packed } = way;
        let weights = if packed { &packed_weights } else { weights };
        let options = ModelOptions { profile, isa: Some(isa), threads: NonZeroUsize::new(threads) };
        let model = Model::new(config.clone(), weights.clone(), options).unwrap();
        let found = logits(&model, tokens, chunk, history, folder.path());
        assert!(found == plain, "{name} {profile}: {way:?}");
    }
}

/// The prompts of a golden file and their names: tensors `p0.ids` and so on.
fn prompts(file: &Path) -> Vec<(String, Vec<u32>)> {
    let bytes = fs::read(file).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let prompt = |(name, tensor): (String, TensorView<'_>)| {
        let (numbers, _) = tensor.data().as_chunks();
        let ids = numbers.iter().map(|&number| u32::from_le_bytes(number)).collect();
        Some((name.strip_suffix(".ids")?.to_owned(), ids))
    };
    tensors.tensors().into_iter().filter_map(prompt).collect()
}

fn golden(name: &str, profile: Profile) {
    let folder = fixtures_root().join("golden").join(name);
    let list = fs::read_to_string(fixtures_root().join("golden/digests.txt")).unwrap();
    let prompts = prompts(&folder.join("golden.safetensors"));
    assert!(prompts.len() >= 2);
    let mut round = 0;
    for layout in [folder.clone(), folder.join("original")] {
        let checkpoint = Checkpoint::open(&layout).unwrap();
        let weights = Weights::load(&checkpoint).unwrap();
        for (prompt, tokens) in &prompts {
            let name = format!("{name}/{prompt}");
            check(
                &list,
                &name,
                (checkpoint.config(), &weights),
                tokens,
                profile,
                (round % HISTORIES, HISTORIES),
            );
            round += 1;
        }
    }
}

#[test]
fn golden_a64_has_one_digest_in_bf16() {
    golden("a64", Profile::Bf16);
}

#[test]
fn golden_a64_has_one_digest_in_f32() {
    golden("a64", Profile::F32);
}

#[test]
fn golden_a64_has_one_digest_in_f64() {
    golden("a64", Profile::F64);
}

#[test]
fn golden_dense4_has_one_digest_in_bf16() {
    golden("dense4", Profile::Bf16);
}

#[test]
fn golden_dense4_has_one_digest_in_f32() {
    golden("dense4", Profile::F32);
}

#[test]
fn golden_dense4_has_one_digest_in_f64() {
    golden("dense4", Profile::F64);
}

#[test]
fn files_of_packed_weights_have_the_digests_of_their_checkpoints() {
    let list = fs::read_to_string(fixtures_root().join("golden/digests.txt")).unwrap();
    for name in ["a64", "dense4"] {
        let folder = fixtures_root().join("golden").join(name);
        for layout in [folder.clone(), folder.join("original")] {
            let temporary = tempfile::tempdir().unwrap();
            let file = temporary.path().join(packed::FILE_NAME);
            let go_on = &mut |_, _| ControlFlow::Continue(());
            let summary = packed::write(&Checkpoint::open(&layout).unwrap(), &file, go_on).unwrap();
            assert!(summary.packed > 0, "{name}: {summary:?}");
            for (prompt, tokens) in prompts(&folder.join("golden.safetensors")) {
                for profile in [Profile::Bf16, Profile::F32] {
                    let options = ModelOptions { profile, ..ModelOptions::default() };
                    let model = Model::load_packed(&layout, &file, options).unwrap();
                    let mut cache = model.new_cache(tokens.len(), tokens.len()).unwrap();
                    let logits = model.forward_rows(&tokens, Rows::All, &mut cache, &mut ()).unwrap();
                    check_listed(&list, &format!("{name}/{prompt}"), profile, &logits.digest());
                }
            }
        }
    }
}

/// The step shares no factor with the numbers of choices, so each choice is taken with each shape.
fn odd_shapes(profile: Profile) {
    for (index, shape) in SHAPES.into_iter().enumerate() {
        let (config, weights) = small::model(shape);
        let name = format!("{}/70", shape.name);
        let (tokens, some) = (small::tokens(70), (index, 37));
        check(SMALL_DIGESTS, &name, (&config, &weights), &tokens, profile, some);
    }
}

#[test]
fn odd_shapes_have_one_digest_in_bf16() {
    odd_shapes(Profile::Bf16);
}

#[test]
fn odd_shapes_have_one_digest_in_f32() {
    odd_shapes(Profile::F32);
}

#[test]
fn odd_shapes_have_one_digest_in_f64() {
    odd_shapes(Profile::F64);
}

fn long(shape: Shape, count: usize, profile: Profile, some: (usize, usize)) {
    let (config, weights) = small::model(shape);
    let name = format!("{}/{count}", shape.name);
    check(SMALL_DIGESTS, &name, (&config, &weights), &small::tokens(count), profile, some);
}

#[test]
fn prompts_beyond_a_block_of_keys_have_one_digest() {
    for profile in [Profile::Bf16, Profile::F32] {
        long(Shape { window: 257, ..LONG }, 600, profile, (2, 37));
    }
}

#[test]
fn prompts_beyond_4096_positions_have_one_digest_in_bf16() {
    long(LONG, 4200, Profile::Bf16, (13, 241));
}

#[test]
fn prompts_beyond_4096_positions_have_one_digest_in_f32() {
    long(LONG, 4200, Profile::F32, (13, 241));
}
