//! `gptoss golden`: recording, and what is odd about dumps.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Run, command, folder, gptoss, root};

const MODEL: &str = "fixtures/golden/a64";
const IDS: &str = "1,7,300,12,511,9";

/// Records a run of the fixture.
#[track_caller]
fn record(path: &Path, more: &[&str]) -> Run {
    let path = path.to_str().unwrap();
    gptoss(&[&["golden", "record", "--model", MODEL, "--ids", IDS, "-o", path], more].concat(), "")
}

/// The header of a safetensors file, and its data.
fn tensors(path: &Path) -> (Value, Vec<u8>) {
    let bytes = std::fs::read(path).unwrap();
    let end = 8 + usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    (serde_json::from_slice(&bytes[8..end]).unwrap(), bytes[end..].to_vec())
}

/// Writes a safetensors file.
fn write_tensors(path: &Path, header: &Value, data: &[u8]) {
    let header = header.to_string();
    let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat();
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_recording_says_what_it_is_of_and_holds_what_was_asked_for() {
    let folder = folder("golden_record");
    let path = folder.join("golden.safetensors");
    let more = ["--at", "ops", "--layers", "0,2-3", "--positions", "1,4", "--json"];
    let told = record(&path, &more).exits(0).json();
    let (header, data) = tensors(&path);
    let metadata = &header["__metadata__"];
    assert_eq!(metadata["tokens"], format!("[{IDS}]"));
    assert_eq!(metadata["positions"], "[1,4]");
    assert_eq!(metadata["profile"], "bf16");
    let digest = gptoss(&["model", "digest", MODEL, "--weights-only"], "").exits(0).out;
    assert_eq!(metadata["weights"], digest.split_whitespace().next().unwrap());
    let names: Vec<&str> = header.as_object().unwrap().keys().map(String::as_str).collect();
    assert!(names.contains(&"layer.2.gate_up.rank.1") && names.contains(&"logits"), "{names:?}");
    assert!(!names.iter().any(|name| name.starts_with("layer.1.") || name.contains("scores")), "{names:?}");
    assert_eq!(header["layer.3.query"]["shape"], json!([2, 128]));
    assert_eq!(told["sites"].as_array().unwrap().len(), names.len() - 1);
    assert_eq!(told["bytes"], std::fs::metadata(&path).unwrap().len());
    // The logits are those of the command `logits`.
    let array = folder.join("logits.npy");
    gptoss(&["logits", "--model", MODEL, "--ids", IDS, "-o", array.to_str().unwrap()], "").exits(0);
    let logits = std::fs::read(&array).unwrap().split_off(128);
    let offsets = &header["logits"]["data_offsets"];
    let range = offsets[0].as_u64().unwrap() as usize..offsets[1].as_u64().unwrap() as usize;
    for (row, position) in [1, 4].into_iter().enumerate() {
        for column in 0..512 {
            let at = 4 * (512 * position + column);
            let at_recorded = range.start + 2 * (512 * row + column);
            assert_eq!(logits[at + 2..at + 4], data[at_recorded..at_recorded + 2]);
            assert_eq!(logits[at..at + 2], [0, 0], "a logit of this profile is a bf16");
        }
    }
}

#[test]
fn a_prompt_is_a_conversation_with_one_message() {
    let folder = folder("golden_prompt");
    let path = folder.join("golden.safetensors");
    let args = ["golden", "record", "--model", MODEL, "--prompt", "Hi", "-o", path.to_str().unwrap()];
    // The fixture's vocabulary has 512 entries and no markers.
    gptoss(&args, "").fails_with("M011");
    assert!(!path.exists());
}

#[test]
fn a_selection_that_leaves_nothing_is_a_matter_of_the_flags() {
    let folder = folder("golden_selection");
    let path = folder.join("golden.safetensors");
    for more in [["--layers", "4"], ["--positions", "6"], ["--points", "nothing"], ["--layers", "3-1"]] {
        record(&path, &more).exits(2);
    }
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "no file is left");
}

#[test]
fn a_right_recording_has_nothing_odd_and_a_wrong_one_has() {
    let folder = folder("golden_lint");
    let path = folder.join("golden.safetensors");
    for profile in ["bf16", "f32", "f64"] {
        record(&path, &["--at", "ops", "--profile", profile]).exits(0);
        let run =
            gptoss(&["golden", "lint", path.to_str().unwrap(), "--model", MODEL, "--json"], "").exits(0);
        assert_eq!(run.json()["findings"], json!([]), "{profile}");
    }
    let (header, mut data) = tensors(&path);
    let offsets = &header["layer.1.context"]["data_offsets"];
    data[offsets[0].as_u64().unwrap() as usize..offsets[1].as_u64().unwrap() as usize].fill(0);
    write_tensors(&path, &header, &data);
    let run = gptoss(&["golden", "lint", path.to_str().unwrap(), "--model", MODEL, "--json"], "").exits(1);
    let finding = &run.json()["findings"][0];
    assert_eq!((&finding["rule"], &finding["sites"]), (&json!("all-zero"), &json!(["layer.1.context"])));
}

#[test]
fn names_cannot_steer_the_terminal() {
    let folder = folder("golden_names");
    let path = folder.join("dump.safetensors");
    let header = json!({
        "\u{1b}[2J../../etc/passwd": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
        "__metadata__": {"tokens": "[1]"}
    });
    write_tensors(&path, &header, &[0; 4]);
    let run = gptoss(&["golden", "lint", path.to_str().unwrap(), "--model", MODEL], "").exits(1);
    assert!(!run.out.contains('\u{1b}') && run.out.contains("nothing-matched"), "{}", run.out);
}

#[test]
fn a_dump_that_cannot_be_read_is_bad_input() {
    let folder = folder("golden_unreadable");
    let lint = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        gptoss(&["golden", "lint", path.to_str().unwrap(), "--model", MODEL], "")
    };
    lint("cut.safetensors", b"\x00\x01").fails_with("M021");
    let run = lint("dump.pt", b"\x80\x02}q\x00.").exits(3);
    assert!(run.err.contains("weights_only=True"), "{}", run.err);
    gptoss(&["golden", "lint", "no-such-file", "--model", MODEL], "").fails_with("M021");
    let path = folder.join("names.toml");
    std::fs::write(&path, "[[array]]\nname = \"a\"\nvalue = \"nothing\"\n").unwrap();
    let dump = root().join(MODEL).join("golden.safetensors");
    let args =
        ["golden", "lint", dump.to_str().unwrap(), "--model", MODEL, "--names", path.to_str().unwrap()];
    let run = gptoss(&args, "").exits(3);
    assert!(run.err.contains("not the name of a value"), "{}", run.err);
    std::fs::write(&path, "[[array]\n").unwrap();
    gptoss(&args, "").fails_with("M021");
}

/// The most threads that a run of the program had at once.
#[cfg(target_os = "linux")]
fn most_threads(args: &[&str]) -> usize {
    let mut command = command(args);
    // A pool that nobody asked for has one thread.
    command.env("RAYON_NUM_THREADS", "1").stdout(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    let tasks = format!("/proc/{}/task", child.id());
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        most = most.max(std::fs::read_dir(&tasks).map_or(0, Iterator::count));
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    most
}

#[test]
#[cfg(target_os = "linux")]
fn known_bugs_are_measured_with_the_threads_that_were_asked_for() {
    let most = most_threads(&["golden", "mutants", "swiglu.alpha_one", "--threads", "7"]);
    assert!(most >= 8, "{most} threads");
}

#[test]
fn ends_of_a_segment_belong_to_that_mode_alone() {
    let folder = folder("golden_segment");
    let path = folder.join("golden.safetensors");
    record(&path, &["--at", "ops"]).exits(0);
    let check = |more: &[&str]| {
        let path = path.to_str().unwrap();
        gptoss(&[&["golden", "check", path, "--model", MODEL, "--no-power"], more].concat(), "")
    };
    let ends = ["--from", "layer.0.mlp_norm", "--to", "layer.0.layer_output"];
    for mode in ["local", "e2e"] {
        let run = check(&[&["--mode", mode], &ends[..]].concat()).exits(2);
        assert!(run.err.contains("--mode segment"), "{}", run.err);
    }
    check(&ends[..2]).exits(2);
    check(&["--mode", "segment"]).exits(2);
    check(&[&["--mode", "segment"], &ends[..]].concat()).exits(0);
    check(&["--rows", "0"]).exits(2);
    check(&["--rows", "1"]).exits(0);
}

#[test]
fn the_probe_is_written_whole_and_told_as_json() {
    let folder = folder("golden_probe");
    let path = folder.join("new").join("probe");
    let told = gptoss(&["golden", "probe", path.to_str().unwrap(), "--json"], "").exits(0).json();
    assert_eq!(told["folder"], path.to_str().unwrap());
    let files: Vec<&str> =
        told["files"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert!(files.contains(&"prompt.json"), "{files:?}");
    assert_eq!(std::fs::read_dir(&path).unwrap().count(), files.len());
    let named = gptoss(&["golden", "probe", path.to_str().unwrap()], "").exits(0).out;
    assert_eq!(named, format!("{}: {} files\n", path.display(), files.len()));

    std::fs::remove_file(path.join("prompt.json")).unwrap();
    std::fs::create_dir(path.join("prompt.json")).unwrap();
    let run = gptoss(&["golden", "probe", path.to_str().unwrap()], "").fails_with("H005");
    assert!(run.err.contains("prompt.json: is a directory"), "{}", run.err);
    let file = folder.join("file");
    std::fs::write(&file, "").unwrap();
    gptoss(&["golden", "probe", file.join("probe").to_str().unwrap()], "").fails_with("H005");
}

#[test]
fn a_wrong_embedding_is_computed_from_the_tokens() {
    let folder = folder("golden_embedding");
    let path = folder.join("golden.safetensors");
    record(&path, &["--points", "embedding"]).exits(0);
    let (header, mut data) = tensors(&path);
    data[1] ^= 0x40;
    write_tensors(&path, &header, &data);
    let page = folder.join("page.html");
    let args =
        ["golden", "check", path.to_str().unwrap(), "--model", MODEL, "--html", page.to_str().unwrap()];
    let run = gptoss(&args, "").exits(1);
    assert!(run.out.contains("\n  computed from the tokens\n"), "{}", run.out);
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains(", computed from the tokens: "), "{page}");
}
