use std::ops::ControlFlow;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::*;
use crate::checkpoint::Checkpoint;
use crate::error::ErrorKind;
use crate::model::{Model, ModelOptions};
use crate::tap::{Tap, TapPoint, TapSite, TapValues};
use crate::weights::Weights;

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn head<'a>(plan: &'a Plan, name: &str) -> &'a [u8] {
    plan.files().iter().find(|file| file.name() == name).expect(name).head()
}

fn lens(plan: &Plan) -> Vec<u64> {
    plan.files().iter().filter(|file| file.name().ends_with(".safetensors")).map(PlannedFile::len).collect()
}

#[test]
fn the_20b_has_the_sizes_and_texts_of_the_release() {
    let plan = Plan::new(&gpt_oss_20b(), &Options::default()).unwrap();
    assert_eq!(lens(&plan), [4_792_272_488, 4_798_702_184, 4_170_342_232]);
    assert!(sha256(head(&plan, "config.json")).starts_with("3a2a26de"));
    assert!(sha256(head(&plan, "generation_config.json")).starts_with("f9970ada"));
    let index = head(&plan, "model.safetensors.index.json");
    assert_eq!(index.len(), 36_355);
    assert!(sha256(index).starts_with("0e085b97"));
}

#[test]
fn the_120b_has_the_sizes_of_the_release() {
    let plan = Plan::new(&gpt_oss_120b(), &Options::default()).unwrap();
    let lens = lens(&plan);
    assert_eq!(lens.len(), 15);
    assert_eq!(lens[..3], [4_680_337_448, 4_115_586_752, 4_625_017_896]);
    assert_eq!(plan.files()[14].name(), "model-00014-of-00014.safetensors");
    let heads: u64 = plan.files()[..15].iter().map(|file| file.head().len() as u64).sum();
    assert_eq!(lens.iter().sum::<u64>() - heads, 65_248_815_744);
    let index = String::from_utf8(head(&plan, "model.safetensors.index.json").to_vec()).unwrap();
    assert!(index.starts_with(r#"{"metadata": {"total_size": 65248815744}, "weight_map": {"#));
}

#[test]
fn openais_layout_is_one_file_of_the_20b_and_several_of_the_120b() {
    let options = Options { layout: Layout::OpenAi, ..Options::default() };
    let names = |config: &ModelConfig| -> Vec<String> {
        Plan::new(config, &options).unwrap().files().iter().map(|file| file.name().to_owned()).collect()
    };
    assert_eq!(names(&gpt_oss_20b()), ["model.safetensors", "dtypes.json", "config.json"]);
    let large = names(&gpt_oss_120b());
    assert_eq!(large.len(), 9);
    assert_eq!(large[0], "model--00001-of-00007.safetensors");
    let plan = Plan::new(&gpt_oss_20b(), &options).unwrap();
    let config = String::from_utf8(head(&plan, "config.json").to_vec()).unwrap();
    assert_eq!(
        config,
        r#"{"num_hidden_layers": 24, "num_experts": 32, "experts_per_token": 4, "vocab_size": 201088, "hidden_size": 2880, "intermediate_size": 2880, "swiglu_limit": 7.0, "head_dim": 64, "num_attention_heads": 64, "num_key_value_heads": 8, "sliding_window": 128, "initial_context_length": 4096, "rope_theta": 150000, "rope_scaling_factor": 32, "rope_ntk_alpha": 1, "rope_ntk_beta": 32}"#
    );
}

/// Small, with odd numbers where MXFP4 allows them.
fn small() -> ModelConfig {
    ModelConfig {
        vocab_size: 301,
        hidden_size: 96,
        intermediate_size: 160,
        layer_types: alternating(3),
        num_attention_heads: 6,
        num_key_value_heads: 3,
        head_dim: 10,
        num_experts: 5,
        experts_per_token: 2,
        sliding_window: 7,
        eos_token_ids: vec![300, 0],
        ..gpt_oss_20b()
    }
}

fn options(layout: Layout, experts: ExpertFormat) -> Options {
    Options { layout, experts, seed: 42, ..Options::default() }
}

/// The four combinations, each with a small model.
fn combinations() -> [Options; 4] {
    use ExpertFormat::{Bf16, Mxfp4};
    use Layout::{HuggingFace, OpenAi};
    [(HuggingFace, Mxfp4), (OpenAi, Mxfp4), (HuggingFace, Bf16), (OpenAi, Bf16)]
        .map(|(layout, experts)| options(layout, experts))
}

fn save(files: &[(String, Vec<u8>)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    folder
}

fn open(config: &ModelConfig, options: &Options) -> (tempfile::TempDir, Checkpoint) {
    let folder = save(&in_memory(config, options).unwrap());
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    (folder, checkpoint)
}

#[test]
fn the_bytes_stay_what_they_were() {
    let hashes = combinations().map(|options| {
        let mut hash = Sha256::new();
        for (name, bytes) in in_memory(&small(), &options).unwrap() {
            hash.update(name);
            hash.update(bytes);
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    });
    // Another algorithm needs another version of the marker of unfinished folders.
    assert_eq!(
        hashes,
        [
            "b0237c7844d20046a6c73361ba3998951ab70b37892cfda3241ab4ae1d40347c",
            "179a5572f122ac94573b33ce91347b895a3e9bf4e543106c5f44651aea514ae2",
            "bdf704785769b9da5c9341ba8441491022eafdef155046b217c46cfba61dde54",
            "0ff618f7002925df726f55d4720bd74581bf9e71228e0cdd3209cc59f2322ea5",
        ]
    );
}

#[test]
fn the_bytes_do_not_depend_on_threads() {
    // More than a chunk in a tensor, so that there is something to share.
    let config = ModelConfig { vocab_size: 9_001, ..small() };
    let with_threads = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| in_memory(&config, &Options::default()).unwrap())
    };
    assert!(with_threads(1) == with_threads(3));
}

#[test]
fn both_layouts_hold_the_same_weights() {
    for experts in [ExpertFormat::Mxfp4, ExpertFormat::Bf16] {
        let [hugging_face, openai] = [Layout::HuggingFace, Layout::OpenAi]
            .map(|layout| open(&small(), &options(layout, experts)).1.weights_digest());
        assert_eq!(hugging_face, openai, "{experts:?}");
    }
}

#[test]
fn seeds_give_other_weights() {
    let digest = |seed| open(&small(), &Options { seed, ..Options::default() }).1.weights_digest();
    assert_ne!(digest(1), digest(2));
}

#[test]
fn a_checkpoint_reads_back_as_the_configuration_it_was_made_of() {
    for options in combinations() {
        for shard_bytes in [None, Some(20_000)] {
            let options = Options { shard_bytes, ..options.clone() };
            let (_folder, checkpoint) = open(&small(), &options);
            let eos = if options.layout == Layout::OpenAi { vec![] } else { vec![300, 0] };
            assert_eq!(*checkpoint.config(), ModelConfig { eos_token_ids: eos, ..small() });
            assert_eq!(checkpoint.layout(), options.layout);
            assert_eq!(checkpoint.files().len() > 1, shard_bytes.is_some());
            assert_eq!(checkpoint.warnings(), [""; 0]);
            Weights::load(&checkpoint).unwrap();
        }
    }
}

#[test]
fn sizes_that_are_no_multiple_of_32_need_bf16_experts() {
    let config = ModelConfig { hidden_size: 50, intermediate_size: 33, ..small() };
    let error = Plan::new(&config, &Options::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(error.to_string(), "hidden_size must be a multiple of 32 where experts are MXFP4, found 50");
    for layout in [Layout::HuggingFace, Layout::OpenAi] {
        Weights::load(&open(&config, &options(layout, ExpertFormat::Bf16)).1).unwrap();
    }
}

#[test]
fn what_a_layout_cannot_say_is_refused() {
    let openai = options(Layout::OpenAi, ExpertFormat::Mxfp4);
    for config in [
        ModelConfig { layer_types: vec![LayerType::Full; 2], ..small() },
        ModelConfig { attention_bias: false, ..small() },
        ModelConfig { tie_word_embeddings: true, ..small() },
        ModelConfig { rope: RopeConfig { truncate: true, ..small().rope }, ..small() },
        ModelConfig { max_position_embeddings: 4096, ..small() },
    ] {
        assert_eq!(Plan::new(&config, &openai).unwrap_err().kind(), ErrorKind::Config);
        let (_folder, checkpoint) = open(&config, &Options::default());
        assert_eq!(*checkpoint.config(), config);
        Weights::load(&checkpoint).unwrap();
    }
    for config in [
        ModelConfig { hidden_size: 0, ..small() },
        ModelConfig { num_key_value_heads: 4, ..small() },
        ModelConfig { layer_types: Vec::new(), ..small() },
        ModelConfig { swiglu_limit: f64::NAN, ..small() },
        ModelConfig { hidden_size: 1 << 30, intermediate_size: 1 << 30, num_experts: 1 << 30, ..small() },
    ] {
        assert_eq!(Plan::new(&config, &Options::default()).unwrap_err().kind(), ErrorKind::Config);
    }
}

/// Collects the experts that were chosen and the size of the residual stream.
#[derive(Default)]
struct Spread {
    chosen: Vec<Vec<u32>>,
    rms: Vec<f64>,
}

impl Tap for Spread {
    fn wants(&self, point: TapPoint, _: Option<usize>) -> bool {
        matches!(point, TapPoint::ExpertIds | TapPoint::LayerOutput | TapPoint::Logits)
    }

    fn record(&mut self, site: TapSite, values: TapValues<'_>) {
        let TapValues::F32(values) = values else { return };
        if site.point == TapPoint::ExpertIds {
            self.chosen.push(values.iter().map(|&id| id as u32).collect());
        } else {
            let squares: f64 = values.iter().map(|&value| f64::from(value).powi(2)).sum();
            self.rms.push((squares / values.len() as f64).sqrt());
        }
    }
}

#[test]
fn activations_stay_bounded_and_every_expert_is_used() {
    let config = ModelConfig {
        vocab_size: 400,
        hidden_size: 96,
        intermediate_size: 64,
        layer_types: alternating(24),
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 32,
        num_experts: 32,
        experts_per_token: 4,
        sliding_window: 16,
        ..gpt_oss_20b()
    };
    let tokens: Vec<u32> = (0..256).map(|index| index * 37 % 400).collect();
    for experts in [ExpertFormat::Mxfp4, ExpertFormat::Bf16] {
        let (_folder, checkpoint) = open(&config, &options(Layout::HuggingFace, experts));
        let weights = Weights::load(&checkpoint).unwrap();
        let model = Model::new(config.clone(), weights, ModelOptions::default()).unwrap();
        let mut cache = model.new_cache(256, 256).unwrap();
        let mut spread = Spread::default();
        model.forward(&tokens, &mut cache, &mut spread).unwrap();
        let counts = |chosen: &Vec<u32>| {
            let mut counts = [0; 32];
            chosen.iter().for_each(|&id| counts[id as usize] += 1);
            counts
        };
        for (layer, chosen) in spread.chosen.iter().enumerate() {
            assert!(
                counts(chosen).iter().all(|&count| count > 0),
                "{experts:?} {layer}: {:?}",
                counts(chosen)
            );
        }
        assert!(spread.rms.iter().all(|rms| (1.5..3.0).contains(rms)), "{experts:?} {:?}", spread.rms);
    }
}

/// A progress that ends the work at its call number `calls`.
fn stop_at(calls: usize) -> impl FnMut(Progress<'_>) -> ControlFlow<()> + Send {
    let mut left = calls;
    move |_| {
        left = left.saturating_sub(1);
        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
        })
        .collect();
    files.sort();
    files
}

#[test]
fn an_interrupted_folder_does_not_load_and_is_continued() {
    let options = Options { shard_bytes: Some(100_000), ..Options::default() };
    let plan = Plan::new(&small(), &options).unwrap();
    let mut expected = in_memory(&small(), &options).unwrap();
    expected.sort();
    assert!(plan.files().len() > 6);
    for calls in 1.. {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(look(&plan, folder.path()).unwrap(), Found::Nothing);
        match write(&plan, folder.path(), &mut stop_at(calls)) {
            Ok(()) => {
                assert!(calls > plan.files().len());
                assert!(contents(folder.path()) == expected);
                return;
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Interrupted),
        }
        Checkpoint::open(folder.path()).unwrap_err();
        let Found::Unfinished { kept } = look(&plan, folder.path()).unwrap() else { panic!("{calls}") };
        let mut first = None;
        write(&plan, folder.path(), &mut |progress| {
            first.get_or_insert(progress.written);
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!(first, Some(kept));
        assert!(contents(folder.path()) == expected, "{calls}");
    }
}

#[test]
fn another_checkpoint_is_replaced_and_other_files_stay() {
    let plan = Plan::new(&small(), &Options::default()).unwrap();
    let other = Options { seed: 1, shard_bytes: Some(100_000), ..Options::default() };
    let folder = save(&in_memory(&small(), &other).unwrap());
    std::fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    std::fs::write(folder.path().join("model.safetensors.partial"), "left behind").unwrap();
    let Found::Other { replaced } = look(&plan, folder.path()).unwrap() else { panic!("not seen") };
    assert_eq!(replaced, Plan::new(&small(), &other).unwrap().len());
    // From the first moment on, the old one does not load either.
    write(&plan, folder.path(), &mut stop_at(1)).unwrap_err();
    assert_eq!(look(&plan, folder.path()).unwrap(), Found::Unfinished { kept: 0 });
    Checkpoint::open(folder.path()).unwrap_err();
    write(&plan, folder.path(), &mut |_| ControlFlow::Continue(())).unwrap();
    let mut expected = in_memory(&small(), &Options::default()).unwrap();
    expected.push(("notes.txt".to_owned(), b"mine".to_vec()));
    expected.sort();
    assert!(contents(folder.path()) == expected);
}

#[test]
fn an_unfinished_folder_of_another_seed_is_not_continued() {
    let plan = |seed| Plan::new(&small(), &Options { seed, ..Options::default() }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    write(&plan(1), folder.path(), &mut stop_at(3)).unwrap_err();
    assert!(matches!(look(&plan(1), folder.path()).unwrap(), Found::Unfinished { kept: 1.. }));
    assert!(matches!(look(&plan(2), folder.path()).unwrap(), Found::Other { replaced: 1.. }));
}

#[test]
fn a_folder_that_is_a_file_is_an_error_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, "").unwrap();
    let error =
        write(&Plan::new(&small(), &Options::default()).unwrap(), &path, &mut |_| ControlFlow::Continue(()))
            .unwrap_err();
    assert_eq!((error.kind(), error.file()), (ErrorKind::Io, Some(path.as_path())));
}
