//! Any text as a `config.json`: an error that has a rule, or a configuration whose fields fit each other.
#![no_main]

use gptoss_runtime::{ErrorKind, ModelConfig};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &str| {
    match ModelConfig::from_json(json) {
        Ok(config) => {
            assert!(config.num_layers() > 0 && config.head_dim % 2 == 0);
            assert_eq!(config.num_attention_heads % config.num_key_value_heads, 0);
            assert!((1..=config.num_experts).contains(&config.experts_per_token));
            assert!(config.query_size() > 0 && config.query_size() <= i32::MAX as usize);
            assert!(config.rope.theta > 1.0 && config.rope.factor > 0.0 && config.rms_norm_eps > 0.0);
        }
        Err(error) => assert!(error.kind() == ErrorKind::Config && !error.rule().is_empty()),
    }
});
