//! Any bytes as a safetensors file: an error that names the file, or tensors that lie one after the other.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use gptoss_runtime::checkpoint::Checkpoint;
use libfuzzer_sys::fuzz_target;

const CONFIG: &str = r#"{"num_hidden_layers": 1, "num_experts": 1, "experts_per_token": 1, "vocab_size": 1,
    "hidden_size": 1, "intermediate_size": 1, "head_dim": 2, "num_attention_heads": 1, "num_key_value_heads": 1,
    "sliding_window": 1, "initial_context_length": 1, "rope_theta": 2, "rope_scaling_factor": 1,
    "rope_ntk_alpha": 1, "rope_ntk_beta": 32}"#;

/// A folder with a configuration, in which the file is written.
static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder can be made").keep();
    std::fs::write(folder.join("config.json"), CONFIG).expect("the folder can be written to");
    folder.join("model.safetensors")
});

fuzz_target!(|data: &[u8]| {
    std::fs::write(&*FILE, data).expect("the folder can be written to");
    match Checkpoint::open(&FILE) {
        Ok(checkpoint) => {
            let mut end = checkpoint.files()[0].header_len as usize;
            for tensor in checkpoint.tensors() {
                assert_eq!(tensor.range.start, end);
                end = tensor.range.end;
            }
            assert_eq!(end, data.len());
        }
        Err(error) => assert!(error.file().is_some() && !error.rule().is_empty()),
    }
});
