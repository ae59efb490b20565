//! `gptoss logits`: arrays, digests and what it refuses.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{command, folder, gptoss, root};

const MODEL: &str = "fixtures/golden/a64";

fn digest(args: &[&str]) -> String {
    let all = [&["logits", "--model", MODEL, "--digest"], args].concat();
    let run = gptoss(&all, "").exits(0);
    assert_eq!(run.err, "");
    run.out.trim_end().to_owned()
}

/// Reads a NumPy file: its shape, the type of its numbers, and their bytes.
#[track_caller]
fn read_npy(path: &Path) -> (String, String, Vec<u8>) {
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let end = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..end]).unwrap();
    let field = |name: &str, until: char| {
        let (_, rest) = header.split_once(&format!("'{name}': ")).unwrap();
        rest.split_once(until).unwrap().0.trim_matches(['\'', '(']).to_owned()
    };
    assert!(header.contains("'fortran_order': False"), "{header}");
    (field("shape", ')'), field("descr", ','), bytes[end..].to_vec())
}

#[test]
fn the_golden_digests_are_met_from_either_layout() {
    let digests = std::fs::read_to_string(root().join("fixtures/golden/digests.txt")).unwrap();
    let expected = |profile: &str| {
        let name = format!("  a64/p1 {profile}");
        digests.lines().find_map(|line| line.strip_suffix(&name)).unwrap().to_owned()
    };
    let id = golden_id();
    for profile in ["bf16", "f32"] {
        for model in [MODEL, "fixtures/golden/a64/original"] {
            let args = ["logits", "--model", model, "--ids", &id, "--profile", profile, "--digest"];
            assert_eq!(gptoss(&args, "").exits(0).out.trim_end(), expected(profile), "{model} {profile}");
        }
    }
}

/// The only id of prompt p1.
fn golden_id() -> String {
    let bytes = std::fs::read(root().join(MODEL).join("golden.safetensors")).unwrap();
    let end = 8 + usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..end]).unwrap();
    let tensor = &header["p1.ids"];
    let at = end + usize::try_from(tensor["data_offsets"][0].as_u64().unwrap()).unwrap();
    let size = if tensor["dtype"] == "I64" { 8 } else { 4 };
    assert_eq!(tensor["shape"], serde_json::json!([1]));
    bytes[at..at + size].iter().rev().fold(0_u64, |id, &byte| id << 8 | u64::from(byte)).to_string()
}

#[test]
fn how_it_is_computed_changes_no_bit() {
    for profile in ["bf16", "f32", "f64"] {
        let args = ["--ids", "1,2,3,4,5,6,7,8,9,10,11,12", "--profile", profile];
        let expected = digest(&args);
        assert_eq!(expected.len(), 64);
        for more in [
            ["--chunk", "1"].as_slice(),
            &["--chunk", "5", "--threads", "1"],
            &["--isa", "scalar", "--threads", "3"],
            &["--reference"],
        ] {
            assert_eq!(digest(&[&args, more].concat()), expected, "{profile} {more:?}");
        }
    }
}

#[test]
fn the_array_has_the_numbers_of_the_digest() {
    use sha2::{Digest, Sha256};
    let folder = folder("logits_array");
    for (profile, descr, size) in [("bf16", "<f4", 4), ("f32", "<f4", 4), ("f64", "<f8", 8)] {
        for (rows, count) in [("all", 3), ("last", 1)] {
            let path = folder.join(format!("{profile}-{rows}.npy"));
            let name = path.to_str().unwrap();
            let digest = digest(&["--ids", "7,8,9", "--profile", profile, "--rows", rows, "-o", name]);
            let (shape, found, numbers) = read_npy(&path);
            assert_eq!((shape.as_str(), found.as_str()), (format!("{count}, 512").as_str(), descr));
            assert_eq!(numbers.len(), count * 512 * size);
            let hash: String = Sha256::digest(&numbers).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hash, digest, "{profile} {rows}");
        }
        let [all, last] =
            ["all", "last"].map(|rows| read_npy(&folder.join(format!("{profile}-{rows}.npy"))).2);
        assert!(all.ends_with(&last), "{profile}: the last row is the last of all");
    }
    let left: Vec<_> = std::fs::read_dir(&folder).unwrap().collect();
    assert_eq!(left.len(), 6, "nothing but the arrays is left");
}

#[test]
fn the_last_row_of_the_reference_is_the_last_row() {
    let args = ["--ids", "7,8,9", "--rows", "last"];
    assert_eq!(digest(&[&args[..], &["--reference"]].concat()), digest(&args));
}

#[test]
fn ids_come_from_files_and_standard_input() {
    let expected = digest(&["--ids", "1,2,3"]);
    let folder = folder("logits_ids");
    let path = folder.join("ids.json");
    std::fs::write(&path, "[1, 2, 3]\n").unwrap();
    assert_eq!(digest(&["--ids", &format!("@{}", path.display())]), expected);
    let run = gptoss(&["logits", "--model", MODEL, "--ids", "@-", "--digest"], "1 2 3\n").exits(0);
    assert_eq!(run.out.trim_end(), expected);
}

#[test]
fn the_array_goes_to_a_pipe_where_asked() {
    let mut command = crate::support::command(&["logits", "--model", MODEL, "--ids", "1", "-o", "-"]);
    let output = command.output().unwrap();
    assert!(output.status.success());
    assert_eq!(output.stdout.len(), 128 + 512 * 4);
    gptoss(&["logits", "--model", MODEL, "--ids", "1", "-o", "-", "--digest"], "").exits(2);
}

#[test]
fn bad_ids_are_bad_input() {
    let logits = |ids: &str| gptoss(&["logits", "--model", MODEL, "--ids", ids, "--digest"], "");
    logits("1,512").fails_with("M011");
    logits("[]").fails_with("M011");
    logits("one").fails_with("H001");
    logits("@no-such-file").fails_with("H005");
    let folder = folder("logits_bad_ids");
    let path = folder.join("out.npy");
    let run = gptoss(&["logits", "--model", MODEL, "--ids", "1,512", "-o", path.to_str().unwrap()], "");
    run.fails_with("M011");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "no file is left");
}

#[test]
fn a_model_that_is_none_is_exit_code_four() {
    for model in ["no-such-folder", "docs", "README.md", "fixtures/golden/a64/golden.safetensors"] {
        let run = gptoss(&["logits", "--model", model, "--ids", "1", "--digest"], "").exits(4);
        assert!(run.err.starts_with("error[M0"), "{}", run.err);
        assert_eq!(run.out, "");
    }
}

#[test]
fn arguments_that_do_not_go_together_are_refused() {
    let logits = |args: &[&str]| gptoss(&[&["logits", "--model", MODEL, "--ids", "1"], args].concat(), "");
    logits(&[]).exits(2);
    logits(&["--digest", "--reference", "--chunk", "2"]).exits(2);
    logits(&["--digest", "--chunk", "0"]).exits(2);
    logits(&["--digest", "--profile", "f16"]).exits(2);
    logits(&["--digest", "--isa", "sse"]).exits(2);
    let absent = if cfg!(target_arch = "aarch64") { "avx2" } else { "neon" };
    let run = logits(&["--digest", "--isa", absent]).exits(2);
    assert!(run.err.starts_with(&format!("error[M010]: this machine lacks {absent}")), "{}", run.err);
}

#[test]
fn more_positions_than_the_model_was_made_for_are_a_limit() {
    let folder = folder("logits_limit");
    for entry in std::fs::read_dir(root().join(MODEL)).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
        }
    }
    let config = folder.join("config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    value["max_position_embeddings"] = 4.into();
    std::fs::write(&config, value.to_string()).unwrap();
    let model = folder.to_str().unwrap();
    gptoss(&["logits", "--model", model, "--ids", "1,2,3,4", "--digest"], "").exits(0);
    let run = gptoss(&["logits", "--model", model, "--ids", "1,2,3,4,5", "--digest"], "").exits(5);
    assert!(run.err.starts_with("error[M012]: "), "{}", run.err);
}

/// The plain loops ask only between layers, and one layer of so many positions takes seconds.
#[test]
#[cfg(unix)]
fn ctrl_c_ends_a_long_layer_and_leaves_no_file() {
    let folder = folder("logits_interrupted");
    let output = folder.join("logits.npy");
    let ids = vec!["7"; 8000].join(",");
    let args =
        ["logits", "--model", MODEL, "--ids", &ids, "--reference", "-o", output.to_str().unwrap(), "--json"];
    let child = command(&args).stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    while std::fs::read_dir(&folder).unwrap().next().is_none() {
        assert!(began.elapsed() < Duration::from_secs(60), "no file is begun");
        std::thread::sleep(Duration::from_millis(1));
    }
    let pressed = Instant::now();
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let run = child.wait_with_output().unwrap();
    // A layer takes ten times as long; the bound is for busy machines.
    assert!(pressed.elapsed() < Duration::from_secs(3), "{:?}", pressed.elapsed());
    assert_eq!(run.status.code(), Some(130));
    let error: serde_json::Value = serde_json::from_slice(&run.stderr).unwrap();
    assert_eq!(error["code"], "M015", "{error}");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
}
