use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::*;

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
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
