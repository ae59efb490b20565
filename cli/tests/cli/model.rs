//! `gptoss model`: what is found, inspected, compared, planned and hashed.

use std::path::{Path, PathBuf};

use crate::support::{command, finish, folder, gptoss, root};

const MODEL: &str = "fixtures/golden/a64";

/// Copies the files of a model.
fn copy(from: &str, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(root().join(from)).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() && !path.ends_with("golden.safetensors") {
            std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}

fn a_file_of_weights(folder: &Path) -> PathBuf {
    folder.join("model-00001-of-00003.safetensors")
}

#[test]
fn the_cache_of_downloads_is_searched() {
    let home = folder("model_list");
    let snapshots = home.join("hub/models--openai--gpt-oss-20b/snapshots");
    copy(MODEL, &snapshots.join("6cee5e81"));
    let other = home.join("hub/models--someone--other/snapshots/1");
    std::fs::create_dir_all(&other).unwrap();
    std::fs::write(other.join("config.json"), r#"{"model_type": "llama"}"#).unwrap();

    let list = |args: &[&str]| {
        let mut command = command(&[&["model", "list"], args].concat());
        command.env("HF_HOME", &home).env_remove("HF_HUB_CACHE");
        finish(command, "").exits(0)
    };
    let path = snapshots.join("6cee5e81");
    assert_eq!(list(&[]).out, format!("{}\n", path.display()));
    let found = list(&["--json"]).json();
    assert_eq!(found["models"][0]["name"], "openai/gpt-oss-20b");
    assert_eq!(found["models"][0]["missing_files"], 0);
    assert_eq!(found["models"].as_array().unwrap().len(), 1);

    std::fs::remove_file(a_file_of_weights(&path)).unwrap();
    assert_eq!(list(&["--json"]).json()["models"][0]["missing_files"], 1);
    std::fs::remove_dir_all(home.join("hub")).unwrap();
    let run = list(&[]);
    assert_eq!(run.out, "");
    assert!(run.err.starts_with("note: no gpt-oss checkpoints: none in "), "{}", run.err);
}

#[test]
fn a_checkpoint_is_inspected_in_either_layout() {
    let names = ["parameters", "active_parameters", "bytes", "bytes_per_token", "scale_bytes", "sinks"];
    let [hugging_face, openai] = [MODEL, "fixtures/golden/a64/original"]
        .map(|path| gptoss(&["model", "inspect", path, "--json"], "").exits(0).json());
    assert_eq!((&hugging_face["layout"], &openai["layout"]), (&"hugging-face".into(), &"openai".into()));
    for name in names {
        assert_eq!(hugging_face[name], openai[name], "{name}");
    }
    // Two matrices of the vocabulary, four layers of attention, router, experts and norms, and the last norm.
    let attention = 128 * 64 + 128 + 2 * (64 * 64 + 64) + 64 * 128 + 64 + 4;
    let layer = attention + 8 * 65 + 8 * (3 * 96 * 64 + 192 + 64) + 2 * 64;
    assert_eq!(hugging_face["parameters"], 2 * 512 * 64 + 4 * layer + 64);
    let inactive = 512 * 64 + 4 * 4 * (3 * 96 * 64 + 192 + 64);
    assert_eq!(hugging_face["active_parameters"], 2 * 512 * 64 + 4 * layer + 64 - inactive);
    assert_eq!(hugging_face["scale_bytes"]["below_78"], 0);
    assert_eq!(hugging_face["tensors"].as_array().unwrap().len(), 79);

    let text = gptoss(&["model", "inspect", MODEL, "--tensors"], "").exits(0).out;
    assert!(text.contains("model.layers.3.self_attn.sinks"), "{text}");
}

#[test]
fn a_damaged_checkpoint_is_exit_code_four() {
    let folder = folder("model_damaged");
    copy(MODEL, &folder);
    let path = a_file_of_weights(&folder);
    let bytes = std::fs::read(&path).unwrap();
    for damaged in [&bytes[..bytes.len() - 1], b"version https://git-lfs.github.com/spec/v1\n", b""] {
        std::fs::write(&path, damaged).unwrap();
        for action in ["inspect", "verify", "digest", "plan"] {
            let run = gptoss(&["model", action, folder.to_str().unwrap()], "").exits(4);
            assert!(run.err.starts_with("error[M0"), "{action}: {}", run.err);
            assert!(run.err.contains("model-00001-of-00003.safetensors"), "{action}: {}", run.err);
        }
    }
}

#[test]
fn files_of_no_release_are_checked_for_consistency() {
    let run = gptoss(&["model", "verify", MODEL, "--hash", "--json"], "").exits(0).json();
    assert_eq!((&run["release"], &run["fine"]), (&serde_json::Value::Null, &true.into()));
    let expected = std::fs::read(root().join(MODEL).join("model-00003-of-00003.safetensors")).unwrap();
    let last = run["checks"].as_array().unwrap().last().unwrap();
    assert_eq!(last["file"], "model-00003-of-00003.safetensors");
    use sha2::{Digest, Sha256};
    let hash: String = Sha256::digest(expected).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(last["sha256"], hash);
}

#[test]
fn files_that_are_not_those_of_the_release_differ() {
    use gptoss_runtime::synth::{Options, Plan, gpt_oss_20b};
    let folder = folder("model_release");
    let plan = Plan::new(&gpt_oss_20b(), &Options::default()).unwrap();
    for file in plan.files() {
        // A file with a hole: as long as the released one, and hardly a byte on the disk.
        let path = folder.join(file.name());
        std::fs::write(&path, file.head()).unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_len(file.len()).unwrap();
    }
    let verify = || gptoss(&["model", "verify", folder.to_str().unwrap(), "--json"], "");
    let fine = verify().exits(0).json();
    assert_eq!((&fine["release"], &fine["fine"]), (&"gpt-oss-20b".into(), &true.into()));

    let shard = &plan.files()[1];
    let path = folder.join(shard.name());
    let damage = |change: &dyn Fn(&std::fs::File)| {
        change(&std::fs::File::options().write(true).open(&path).unwrap());
        let run = verify().exits(1).json();
        let bad: Vec<_> =
            run["checks"].as_array().unwrap().iter().filter(|check| check["fine"] == false).collect();
        assert_eq!(bad.len(), 1, "{run}");
        assert_eq!(bad[0]["file"], shard.name());
        bad[0]["found"].as_str().unwrap().to_owned()
    };
    use std::io::{Seek, SeekFrom, Write};
    let found = damage(&|mut file| {
        file.seek(SeekFrom::Start(100)).unwrap();
        file.write_all(b"~").unwrap();
    });
    assert_eq!(found, "header differs from the release at byte 100");
    assert!(damage(&|file| file.set_len(1000).unwrap()).starts_with("has 1,000 bytes, the release has 4,7"));
    std::fs::remove_file(&path).unwrap();
    let run = verify().exits(1);
    assert!(run.out.contains("is missing"), "{}", run.out);
}

#[test]
fn a_plan_tells_what_fits() {
    let plan = |args: &[&str]| {
        let run = gptoss(&[&["model", "plan", "--no-measure", "--json"], args].concat(), "");
        assert!([Some(0), Some(5)].contains(&run.code), "{}", run.err);
        (run.code, run.json())
    };
    let (_, small) = plan(&["20b", "--context", "131072"]);
    assert_eq!(small["parameters"], 20_914_757_184_u64);
    assert_eq!(small["bytes"]["weights"], 13_761_264_768_u64);
    // Twelve full layers with 2,048 bytes a position; twelve that slide, with room for a chunk of 128 more.
    assert_eq!(small["bytes"]["cache"], 12 * 2048 * (131_072 + 256_u64));
    assert_eq!(
        plan(&["20b", "--context", "131072", "--profile", "f32"]).1["bytes"]["cache"],
        24 * 2048 * 131_328_u64
    );

    let (code, model) = plan(&[MODEL]);
    assert_eq!((code, &model["fits"]), (Some(0), &true.into()));
    assert_eq!(model["bytes"]["weights"], 665_312);
    assert_eq!(plan(&["fixtures/golden/a64/config.json"]).1["bytes"]["weights"], 665_312);

    // A thousand layers with a thousand experts each fit nowhere.
    let huge = folder("model_plan").join("config.json");
    let text = std::fs::read_to_string(root().join("fixtures/golden/a64/original/config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
    for (name, value) in [("num_hidden_layers", 1000), ("num_experts", 1000), ("hidden_size", 65_536)] {
        config[name] = value.into();
    }
    std::fs::write(&huge, config.to_string()).unwrap();
    let (code, model) = plan(&[huge.to_str().unwrap()]);
    let expected =
        if cfg!(target_os = "linux") { (Some(5), false.into()) } else { (Some(0), serde_json::Value::Null) };
    assert_eq!((code, model["fits"].clone()), expected);

    gptoss(&["model", "plan", "20b", "--context", "131073"], "").exits(2);
    gptoss(&["model", "plan", "20b", "--context", "0"], "").exits(2);
}

#[test]
fn a_digest_is_the_same_in_both_layouts_and_that_of_logits() {
    let [one, other] = [MODEL, "fixtures/golden/a64/original"]
        .map(|path| gptoss(&["model", "digest", path, "--json"], "").exits(0).json());
    assert_eq!(one, other);
    let prompt: Vec<String> = (0..32).map(|index| ((7919 * index + 1) % 512).to_string()).collect();
    for profile in ["bf16", "f32"] {
        let args = ["logits", "--model", MODEL, "--ids", &prompt.join(","), "--profile", profile, "--digest"];
        assert_eq!(one["logits"][profile], gptoss(&args, "").exits(0).out.trim_end());
    }
    let weights = gptoss(&["model", "digest", MODEL, "--weights-only"], "").exits(0).out;
    assert_eq!(weights, format!("{}  weights\n", one["weights"].as_str().unwrap()));
}
