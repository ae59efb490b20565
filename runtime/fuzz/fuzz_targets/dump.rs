//! Any bytes as a dump: an error of one kind that names the file, or values that have the shape that they say.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use gptoss_runtime::golden::{Dump, Table};
use gptoss_runtime::{ErrorKind, ModelConfig};
use libfuzzer_sys::fuzz_target;

const CONFIG: &str = r#"{"num_hidden_layers": 2, "num_experts": 4, "experts_per_token": 2, "vocab_size": 6,
    "hidden_size": 4, "intermediate_size": 3, "head_dim": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "sliding_window": 2, "initial_context_length": 8, "rope_theta": 2, "rope_scaling_factor": 1,
    "rope_ntk_alpha": 1, "rope_ntk_beta": 32}"#;

/// The model, and a file that is written anew for each input; what stands at its start tells what it is.
static SETUP: LazyLock<(ModelConfig, PathBuf)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder can be made").keep();
    let config = ModelConfig::from_json(CONFIG).expect("the configuration is sound");
    (config, folder.join("embedding"))
});

fuzz_target!(|data: &[u8]| {
    // The first byte chooses whether the rest is a dump, or a table of names for an empty one.
    let Some((&choice, data)) = data.split_first() else { return };
    if choice == 0 {
        if let Ok(table) = serde_json::from_slice::<Table>(data) {
            if let Err(error) = table.check() {
                assert_eq!(error.kind(), ErrorKind::Dump);
            }
        }
        return;
    }
    let (config, path) = &*SETUP;
    std::fs::write(path, data).expect("the folder can be written to");
    match Dump::open(path, config, None) {
        Ok(dump) => {
            for site in dump.sites() {
                match dump.read(site) {
                    Ok(values) => {
                        let values = values.expect("a site that is listed has values");
                        assert_eq!(values.data.len(), values.positions.len() * values.width);
                        assert!(values.positions.windows(2).all(|pair| pair[0] < pair[1]));
                    }
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Dump),
                }
            }
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Dump);
            assert!(error.file().is_some() && !error.rule().is_empty());
        }
    }
});
