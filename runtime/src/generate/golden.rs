//! Greedy tokens that other implementations recorded.

use std::path::Path;

use super::*;
use crate::checkpoint::Checkpoint;
use crate::model::ModelOptions;
use crate::profile::Profile;
use crate::sampler::SamplerOptions;
use crate::weights::Weights;

/// A one-dimensional i32 tensor of a safetensors file.
fn integers(file: &[u8], name: &str) -> Vec<u32> {
    let (length, rest) = file.split_first_chunk().unwrap();
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let header: serde_json::Value = serde_json::from_slice(header).unwrap();
    let entry = &header[name];
    assert_eq!(entry["dtype"], "I32", "{name}");
    let offset = |index: usize| entry["data_offsets"][index].as_u64().unwrap() as usize;
    let (numbers, _) = data[offset(0)..offset(1)].as_chunks();
    numbers.iter().map(|&bytes| u32::from_le_bytes(bytes)).collect()
}

#[test]
fn greedy_tokens_are_those_of_the_f64_oracle() {
    for name in ["a64", "dense4"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/golden").join(name);
        let golden = std::fs::read(folder.join("golden.safetensors")).unwrap();
        let (prompt, expected) = (integers(&golden, "p0.ids"), integers(&golden, "p0.greedy_f64"));
        assert_eq!(expected.len(), 16);
        let checkpoint = Checkpoint::open(&folder).unwrap();
        let weights = Weights::load(&checkpoint).unwrap();
        for (profile, chunk) in [(Profile::F32, 1), (Profile::F32, 7), (Profile::F32, 64), (Profile::F64, 64)]
        {
            let options = ModelOptions { profile, ..ModelOptions::default() };
            let model = Model::new(checkpoint.config().clone(), weights.clone(), options).unwrap();
            for draft in [0, 5] {
                let options = GenerateOptions {
                    sampler: Sampler::new(SamplerOptions::greedy()).unwrap(),
                    max_tokens: Some(16),
                    stop_tokens: Some(Vec::new()),
                    draft,
                    ..Default::default()
                };
                let mut cache = model.new_cache(128, chunk).unwrap();
                let generation = model.generate(&prompt, &mut cache, options).unwrap();
                let tokens: Vec<u32> = generation.map(|step| step.unwrap().token).collect();
                assert_eq!(tokens, expected, "{name} {profile} {chunk} {draft}");
            }
        }
    }
}
