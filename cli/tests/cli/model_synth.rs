//! `gptoss model synth`: checkpoints of random weights.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::{command, finish, folder, gptoss};

const LIKE: &str = "fixtures/golden/a64/config.json";

fn synth(folder: &Path, more: &[&str]) -> crate::support::Run {
    let folder = folder.to_str().unwrap();
    gptoss(&[&["model", "synth", "--like", LIKE, "-o", folder], more].concat(), "")
}

fn digest(folder: &Path) -> String {
    let run = gptoss(&["model", "digest", folder.to_str().unwrap(), "--json"], "").exits(0);
    run.json()["weights"].as_str().unwrap().to_owned()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn both_layouts_are_written_with_the_same_weights() {
    let folder = folder("model_synth_layouts");
    let [hugging_face, openai] = ["hf", "original"].map(|layout| {
        let path = folder.join(layout);
        let run = synth(&path, &["--seed", "7", "--layout", layout]).exits(0);
        assert_eq!(run.out, "");
        assert!(run.err.starts_with(&format!("wrote {} (3 files, ", path.display())), "{}", run.err);
        path
    });
    assert_eq!(names(&hugging_face), ["config.json", "generation_config.json", "model.safetensors"]);
    assert_eq!(names(&openai), ["config.json", "dtypes.json", "model.safetensors"]);
    assert_eq!(digest(&hugging_face), digest(&openai));

    let other = folder.join("other");
    synth(&other, &["--seed", "8", "--quiet"]).exits(0);
    assert_ne!(digest(&hugging_face), digest(&other));
}

#[test]
fn layers_and_the_format_of_experts_are_chosen() {
    let path = folder("model_synth_layers").join("model");
    let run = synth(&path, &["--layers", "3", "--experts", "bf16", "--json"]).exits(0);
    let report = run.json();
    assert_eq!(run.err, "");
    assert_eq!(report["layout"], "hugging-face");
    for file in report["files"].as_array().unwrap() {
        let size = path.join(file["name"].as_str().unwrap()).metadata().unwrap().len();
        assert_eq!(file["bytes"], size);
    }
    let config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(path.join("config.json")).unwrap()).unwrap();
    assert_eq!(config["num_hidden_layers"], 3);
    assert_eq!(config.get("quantization_config"), None);
    gptoss(&["logits", "--model", path.to_str().unwrap(), "--ids", "1,2", "--digest"], "").exits(0);
}

#[test]
fn a_folder_that_is_not_empty_takes_force() {
    let folder = folder("model_synth_force");
    std::fs::write(folder.join("notes.txt"), "mine").unwrap();
    let run = synth(&folder, &[]).exits(2);
    assert_eq!(
        run.err,
        format!(
            "error: {} is not empty\nhelp: --force writes into it and replaces the checkpoint there; other files stay\n",
            folder.display()
        )
    );
    synth(&folder, &["--force"]).exits(0);
    assert_eq!(std::fs::read(folder.join("notes.txt")).unwrap(), b"mine");
    let first = digest(&folder);
    synth(&folder, &["--force", "--seed", "1"]).exits(0);
    assert_ne!(digest(&folder), first);
}

#[test]
fn what_cannot_be_written_is_said_before_anything_is() {
    let folder = folder("model_synth_refused");
    let path = folder.join("model");
    let like = |like: &str, more: &[&str]| {
        gptoss(&[&["model", "synth", "--like", like, "-o", path.to_str().unwrap()], more].concat(), "")
    };
    let run = like("30b", &[]).exits(3);
    assert!(
        run.err.ends_with("help: a shape is `20b`, `120b` or the name of a config.json\n"),
        "{}",
        run.err
    );
    like("fixtures/golden/a64/generation_config.json", &[]).exits(4);

    let config = std::fs::read_to_string(crate::support::root().join(LIKE)).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&config).unwrap();
    config["layer_types"] = vec!["full_attention"; 4].into();
    let odd = folder.join("odd.json");
    std::fs::write(&odd, config.to_string()).unwrap();
    let run = like(odd.to_str().unwrap(), &["--layout", "original"]).exits(4);
    assert!(
        run.err.starts_with("error[M003]: OpenAI's layout cannot hold this configuration"),
        "{}",
        run.err
    );

    if cfg!(unix) {
        config["vocab_size"] = i32::MAX.into();
        config["hidden_size"] = 65_536.into();
        std::fs::write(&odd, config.to_string()).unwrap();
        let run = like(odd.to_str().unwrap(), &[]).exits(5);
        assert!(run.err.starts_with("error[M022]: 5629"), "{}", run.err);
        assert!(run.err.contains(" are needed, and the disk of "), "{}", run.err);
    }
    assert!(!path.exists());
}

#[test]
#[cfg(unix)]
fn ctrl_c_leaves_nothing_that_loads() {
    let folder = folder("model_synth_interrupted");
    let path = folder.join("model");
    // Two matrices of 206 MB each: long enough to be interrupted, and no burden for a disk.
    let config = std::fs::read_to_string(crate::support::root().join(LIKE)).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&config).unwrap();
    config["vocab_size"] = 201_088.into();
    config["hidden_size"] = 512.into();
    let like = folder.join("like.json");
    std::fs::write(&like, config.to_string()).unwrap();
    let args = ["model", "synth", "--like", like.to_str().unwrap(), "-o", path.to_str().unwrap()];
    let mut child = command(&args).stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    while !path.join("model.safetensors.partial").exists() {
        if child.try_wait().unwrap().is_some() {
            panic!("it ended: {}", String::from_utf8_lossy(&child.wait_with_output().unwrap().stderr));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "error[M015]: writing the checkpoint was interrupted\n\
         help: the same command continues; nothing loads until it is done\n"
    );
    assert_eq!(names(&path), [".gptoss-synth"]);
    gptoss(&["model", "inspect", path.to_str().unwrap()], "").exits(4);

    // Another seed is another checkpoint.
    finish(command(&[&args[..], &["--seed", "1"]].concat()), "").exits(2);
}
