//! `gptoss model pack`: the same logits from packed matrices.

use std::path::Path;

use crate::support::{Run, folder, gptoss};

const MODEL: &str = "fixtures/golden/a64";

fn pack(file: &Path, more: &[&str]) -> Run {
    gptoss(&[&["model", "pack", MODEL, "-o", file.to_str().unwrap()], more].concat(), "")
}

#[test]
fn packed_matrices_give_the_same_logits() {
    let folder = folder("model_pack");
    let file = folder.join("packed");
    let run = pack(&file, &[]).exits(0);
    assert_eq!(run.out, "");
    assert!(run.err.starts_with(&format!("wrote {} (", file.display())), "{}", run.err);
    let run = pack(&file, &["--verify"]).exits(0);
    assert!(run.err.ends_with(&format!(" matrices are those of {MODEL}\n")), "{}", run.err);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);

    let digest = |more: &[&str]| {
        let plain = ["logits", "--model", MODEL, "--ids", "1,2,3", "--digest"];
        gptoss(&[&plain, more].concat(), "").exits(0).out
    };
    let packed = ["--packed", file.to_str().unwrap()];
    assert_eq!(digest(&packed), digest(&[]));
    assert_eq!(digest(&[&packed[..], &["--reference"]].concat()), digest(&[]));
    // There is no such file beside the checkpoint.
    assert_eq!(digest(&["--packed", "auto"]), digest(&["--packed", "off"]));
}

#[test]
fn a_damaged_file_and_one_of_another_model_are_refused() {
    let file = folder("model_pack_damaged").join("packed");
    pack(&file, &["--quiet"]).exits(0);
    let packed = ["--packed", file.to_str().unwrap()];
    let other = ["logits", "--model", "fixtures/golden/dense4", "--ids", "1", "--digest"];
    let run = gptoss(&[&other[..], &packed].concat(), "").exits(4);
    assert!(run.err.starts_with("error[M016]: "), "{}", run.err);
    let mut bytes = std::fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let run = pack(&file, &["--verify", "--json"]).exits(4);
    let error: serde_json::Value = serde_json::from_str(&run.err).unwrap();
    assert_eq!(error["code"], "M016", "{error}");
}
