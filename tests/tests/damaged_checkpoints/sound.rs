//! What is odd and yet sound: every form in which checkpoints come.

use std::path::Path;

use gptoss_runtime::checkpoint::{Checkpoint as Opened, Layout};
use gptoss_runtime::weights::{Storage, Weights};
use gptoss_runtime::{LayerType, ModelConfig};

use crate::attempt::attempt;
use crate::checkpoint::{Checkpoint, Experts, Tensor, hugging_face, openai, sharded};

/// Writes and opens a checkpoint that must load and compute.
fn open(checkpoint: &Checkpoint) -> Opened {
    let folder = tempfile::tempdir().unwrap();
    checkpoint.write(folder.path());
    open_folder(folder.path())
}

fn open_folder(path: &Path) -> Opened {
    attempt(path).expect("a sound checkpoint computes");
    Opened::open(path).unwrap()
}

/// The configuration after a change of the one in Hugging Face's layout.
fn config(change: impl FnOnce(&mut Checkpoint)) -> ModelConfig {
    let mut checkpoint = hugging_face(Experts::Mxfp4);
    change(&mut checkpoint);
    ModelConfig::from_json(&checkpoint.config_json()).unwrap()
}

#[test]
fn the_same_weights_have_one_digest_in_every_form() {
    for experts in [Experts::Mxfp4, Experts::Bf16] {
        let (one, other) = (open(&hugging_face(experts)), open(&openai(experts)));
        assert_eq!((one.layout(), other.layout()), (Layout::HuggingFace, Layout::OpenAi));
        assert_eq!(one.weights_digest(), other.weights_digest());
        assert_eq!(one.model_digest(), other.model_digest());
    }
    let digest = open(&hugging_face(Experts::Mxfp4)).weights_digest();
    assert_eq!(open(&sharded()).weights_digest(), digest);
    assert_eq!(open(&Checkpoint { index: false, ..sharded() }).weights_digest(), digest);
    assert_ne!(open(&hugging_face(Experts::Bf16)).weights_digest(), digest);
}

#[test]
fn experts_in_bf16_are_the_same_numbers_in_both_layouts() {
    let folder = tempfile::tempdir().unwrap();
    let load = |checkpoint: Checkpoint| {
        checkpoint.write(folder.path());
        Weights::load(&Opened::open(folder.path()).unwrap()).unwrap()
    };
    let one = load(hugging_face(Experts::Bf16));
    // The files of both have one name, and a map keeps the file that it was made of.
    std::fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    let other = load(openai(Experts::Bf16));
    let mut rows = [[0.0; 32]; 2];
    for (one, other) in one.layers.iter().zip(&other.layers) {
        for (one, other) in one.experts.iter().zip(&other.experts) {
            let (one, other) = (&one.gate_up.matrix, &other.gate_up.matrix);
            assert!(matches!(one.storage, Storage::Bf16Transposed { .. }));
            assert!(matches!(other.storage, Storage::Bf16 { .. }));
            for row in 0..64 {
                one.row(row, &mut rows[0]);
                other.row(row, &mut rows[1]);
                assert_eq!(rows[0].map(f32::to_bits), rows[1].map(f32::to_bits));
            }
        }
    }
}

#[test]
fn a_folder_a_file_and_original_are_found() {
    const FILE: &str = "model.safetensors";
    let folder = tempfile::tempdir().unwrap();
    let original = folder.path().join("original");
    std::fs::create_dir(&original).unwrap();
    openai(Experts::Mxfp4).write(&original);
    assert_eq!(open_folder(folder.path()).layout(), Layout::OpenAi);
    assert_eq!(open_folder(&original.join(FILE)).layout(), Layout::OpenAi);
    // With files beside it, the inner folder is not looked into.
    std::fs::write(original.join("other.safetensors"), b"damaged").unwrap();
    hugging_face(Experts::Mxfp4).write(folder.path());
    assert_eq!(open_folder(folder.path()).layout(), Layout::HuggingFace);
}

#[test]
fn tensors_without_a_use_are_warned_of() {
    let mut checkpoint = hugging_face(Experts::Mxfp4);
    assert_eq!(open(&checkpoint).warnings(), [""; 0]);
    let extra = Tensor { name: "extra".to_owned(), dtype: "F64", shape: vec![0, 7], data: Vec::new() };
    checkpoint.files.push(("extra.safetensors".to_owned(), vec![extra]));
    let warnings = open(&checkpoint).warnings().to_vec();
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].contains("extra.safetensors: the model has no use for 1 of its tensors, extra first")
    );
}

#[test]
fn biases_of_attention_may_be_absent_and_are_not_used_where_the_configuration_says_so() {
    let mut checkpoint = hugging_face(Experts::Mxfp4);
    checkpoint.set("attention_bias", "false");
    let with_unused = open(&checkpoint);
    assert_eq!(with_unused.warnings().len(), 1);
    checkpoint.files[0].1.retain(|tensor| !tensor.name.ends_with("_proj.bias"));
    let without = open(&checkpoint);
    assert_eq!(without.warnings(), [""; 0]);
    assert_eq!(without.weights_digest(), with_unused.weights_digest());
}

#[test]
fn the_embedding_stands_in_for_a_tied_unembedding() {
    let mut checkpoint = hugging_face(Experts::Mxfp4);
    checkpoint.set("tie_word_embeddings", "true");
    let part = |opened: &Opened| opened.parts().iter().any(|part| part.name == "lm_head.weight");
    assert!(part(&open(&checkpoint)), "a tensor that is there is used");
    checkpoint.files[0].1.retain(|tensor| tensor.name != "lm_head.weight");
    assert!(!part(&open(&checkpoint)));
}

#[test]
fn both_spellings_of_the_rotary_settings_say_the_same() {
    let released = config(|_| ());
    let spelled = config(|checkpoint| {
        let (_, settings) = checkpoint.config.iter().find(|(key, _)| key == "rope_scaling").unwrap();
        let settings = settings.replace('{', "{\"rope_theta\": 150000.0, ");
        checkpoint.config.retain(|(key, _)| key != "rope_scaling" && key != "rope_theta");
        checkpoint.set("rope_parameters", &settings);
    });
    assert_eq!(spelled, released);
    assert!(!released.rope.truncate);
    let yarn = |settings: &str| config(|checkpoint| checkpoint.set("rope_scaling", settings)).rope;
    // As transformers has it.
    assert!(yarn(r#"{"rope_type": "yarn", "factor": 32.0}"#).truncate);
    assert_eq!(yarn(r#"{"rope_type": "default"}"#).factor, 1.0);
    assert_eq!(yarn("null").factor, 1.0);
    let original = r#"{"rope_type": "yarn", "original_max_position_embeddings": 8192}"#;
    assert_eq!(yarn(original).factor, 16.0);
}

#[test]
fn what_a_configuration_leaves_out_is_what_transformers_assumes() {
    let defaults = config(|checkpoint| {
        checkpoint.config.retain(|(key, _)| {
            !["layer_types", "rms_norm_eps", "swiglu_limit", "attention_bias", "eos_token_id"]
                .contains(&key.as_str())
        });
    });
    assert_eq!(defaults.layer_types, [LayerType::Sliding, LayerType::Full]);
    assert_eq!((defaults.rms_norm_eps, defaults.swiglu_limit), (1e-5, 7.0));
    assert!(defaults.attention_bias);
    assert_eq!(defaults.eos_token_ids, [0; 0]);
    let only = |key: &str| {
        config(|checkpoint| {
            checkpoint.config.retain(|(known, _)| known != "num_experts_per_tok");
            checkpoint.set(key, "2");
        })
    };
    assert_eq!(only("experts_per_token"), only("num_experts_per_tok"));
}

#[test]
fn stop_tokens_come_from_the_generation_s_configuration_where_it_has_some() {
    let folder = tempfile::tempdir().unwrap();
    hugging_face(Experts::Mxfp4).write(folder.path());
    assert_eq!(open_folder(folder.path()).config().eos_token_ids, [5]);
    let path = folder.path().join("generation_config.json");
    std::fs::write(&path, r#"{"eos_token_id": [3, 1]}"#).unwrap();
    assert_eq!(open_folder(folder.path()).config().eos_token_ids, [3, 1]);
    std::fs::write(&path, r#"{"eos_token_id": "3"}"#).unwrap();
    assert_eq!(attempt(folder.path()).unwrap_err().file(), Some(&*path));
}
