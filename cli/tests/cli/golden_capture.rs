//! The helpers with which other programs write dumps: what a C program writes with the header is read.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::support::{folder, gptoss, root};

const MODEL: &str = "fixtures/golden/a64";

/// A program that dumps three rows in two passes, an array of another shape, and a name that has to be escaped.
const PROGRAM: &str = r#"
#include "gptoss_dump.h"

int main(void) {
    float norm[3 * 64], query[3 * 4 * 32];
    int32_t tokens[3] = {1, 7, 300};
    size_t shape[4] = {1, 4, 3, 32}, index;
    gptoss_dump *dump = gptoss_dump_open("dump.safetensors", 4);
    if (dump == NULL) return 1;
    for (index = 0; index < 3 * 64; ++index) norm[index] = 0.01f * (float)(index * 7919 % 513) - 2.5f;
    for (index = 0; index < 3 * 4 * 32; ++index) query[index] = 0.02f * (float)(index * 7919 % 257) - 2.5f;
    gptoss_dump_meta(dump, "profile", "f32");
    gptoss_dump_meta(dump, "accumulate", "f32");
    gptoss_dump_tokens(dump, tokens, 3);
    gptoss_dump_rows(dump, "layer.0.attention_norm", GPTOSS_F32, norm, 0, 2, 64);
    gptoss_dump_rows(dump, "layer.0.attention_norm", GPTOSS_F32, norm + 2 * 64, 2, 1, 64);
    gptoss_dump_array(dump, "model.layers.1.self_attn.q_rope", GPTOSS_F32, query, 4, shape);
    gptoss_dump_array(dump, "a \"name\"\n\\", GPTOSS_F32, query, 1, shape);
    return gptoss_dump_close(dump);
}
"#;

/// Compiles and runs the program as C or C++ with all warnings.
fn run(folder: &Path, language: &str, standard: &str) {
    std::fs::write(folder.join("gptoss_dump.h"), gptoss(&["golden", "capture", "c"], "").exits(0).out)
        .unwrap();
    std::fs::write(folder.join("program.c"), PROGRAM).unwrap();
    let compiled = Command::new("cc")
        .args([
            "-x",
            language,
            standard,
            "-Wall",
            "-Wextra",
            "-Werror",
            "-Wno-unused-function",
            "-o",
            "program",
            "program.c",
        ])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let run = Command::new(folder.join("program")).current_dir(folder).status().unwrap();
    assert!(run.success());
}

#[test]
#[cfg(unix)]
fn a_c_program_writes_what_the_check_reads() {
    let folder = folder("golden_capture_c");
    run(&folder, "c", "-std=c99");
    let path = folder.join("dump.safetensors");
    let run = gptoss(&["golden", "lint", path.to_str().unwrap(), "--model", MODEL, "--json"], "").exits(0);
    let matching = &run.json()["matching"];
    let names: Vec<&str> = matching["matched"]
        .as_array()
        .unwrap()
        .iter()
        .map(|matched| matched["value"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["layer.0.attention_norm", "layer.0.attention_norm", "layer.1.query_rotated"]);
    assert_eq!(matching["unmatched"][0]["name"], json!("a \"name\"\n\\"));
    // The values themselves: rows of both passes are in their places.
    let bytes = std::fs::read(&path).unwrap();
    let end = 8 + usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    let first = f32::from_le_bytes(bytes[end..end + 4].try_into().unwrap());
    assert!((first + 2.5).abs() < 1e-6);
}

/// Compiles and runs a program that includes the header.
#[cfg(unix)]
fn run_program(folder: &Path, program: &str) {
    let header = gptoss(&["golden", "capture", "c"], "").exits(0).out;
    std::fs::write(folder.join("gptoss_dump.h"), header).unwrap();
    std::fs::write(folder.join("program.c"), program).unwrap();
    let compile =
        Command::new("cc").args(["-o", "program", "program.c"]).current_dir(folder).status().unwrap();
    assert!(compile.success());
    assert!(Command::new(folder.join("program")).current_dir(folder).status().unwrap().success());
}

#[test]
#[cfg(unix)]
fn a_long_name_is_kept_whole() {
    let folder = folder("golden_capture_long");
    let program = r#"
        #include "gptoss_dump.h"
        int main(void) {
            char name[1001];
            float value = 1;
            gptoss_dump *dump = gptoss_dump_open("dump.safetensors", 8);
            memset(name, 'a', 1000);
            name[1000] = '\0';
            gptoss_dump_tokens(dump, (const int32_t[]){1}, 1);
            gptoss_dump_rows(dump, name, GPTOSS_F32, &value, 0, 1, 1);
            return gptoss_dump_close(dump);
        }
    "#;
    run_program(&folder, program);
    let bytes = std::fs::read(folder.join("dump.safetensors")).unwrap();
    let end = 8 + usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..end]).unwrap();
    assert!(header.get(format!("p0/{}", "a".repeat(1000))).is_some(), "{header}");
}

#[test]
#[cfg(unix)]
fn a_dump_without_room_for_its_header_is_told() {
    let folder = folder("golden_capture_full");
    let program = r#"
        #include "gptoss_dump.h"
        int main(void) {
            char name[64];
            int index;
            gptoss_dump *dump = gptoss_dump_open("dump.safetensors", 1);
            for (index = 0; index < 4000; ++index) {
                size_t shape = 1;
                float value = 1;
                snprintf(name, sizeof name, "layer.%d.query", index);
                gptoss_dump_array(dump, name, GPTOSS_F32, &value, 1, &shape);
            }
            return gptoss_dump_close(dump) == 0;
        }
    "#;
    run_program(&folder, program);
}

/// The helper for llama.cpp, linked with what stands in for the library.
#[cfg(unix)]
fn llama(folder: &Path) -> std::path::PathBuf {
    let helper = |name: &str, file: &str| {
        std::fs::write(folder.join(file), gptoss(&["golden", "capture", name], "").exits(0).out).unwrap();
    };
    helper("c", "gptoss_dump.h");
    helper("llama-cpp", "gptoss_llama_dump.c");
    for name in ["ggml.h", "llama.c"] {
        std::fs::copy(root().join("cli/tests/capture").join(name), folder.join(name)).unwrap();
    }
    for name in ["llama.h", "ggml-backend.h"] {
        std::fs::write(folder.join(name), "#include \"ggml.h\"\n").unwrap();
    }
    let compiled = Command::new("cc")
        .args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function", "-o", "helper"])
        .args(["gptoss_llama_dump.c", "llama.c"])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    folder.join("helper")
}

#[test]
#[cfg(unix)]
fn the_helper_for_llama_cpp_writes_the_nodes_of_the_graph() {
    let folder = folder("golden_capture_llama");
    let helper = llama(&folder);
    let run =
        |args: &[&str]| Command::new(&helper).args(args).current_dir(&folder).output().unwrap().status.code();
    assert_eq!(run(&["model.gguf", "5,6,7", "dump.safetensors"]), Some(0));
    let path = folder.join("dump.safetensors");
    let lint = ["golden", "lint", path.to_str().unwrap(), "--model", MODEL, "--json"];
    let told = gptoss(&lint, "").exits(0).json();
    assert_eq!(told["findings"], json!([]));
    let matched: Vec<(&str, &str)> = told["matching"]["matched"]
        .as_array()
        .unwrap()
        .iter()
        .map(|matched| (matched["name"].as_str().unwrap(), matched["value"].as_str().unwrap()))
        .collect();
    assert_eq!(
        matched,
        [
            ("embd", "embedding"),
            ("attn_norm-0", "layer.0.attention_norm"),
            ("Qcur-0@ADD", "layer.0.query"),
            ("Kcur-0@ADD", "layer.0.key"),
            ("Vcur-0@ADD", "layer.0.value"),
            ("Qcur-0@ROPE", "layer.0.query_rotated"),
            ("Kcur-0@ROPE", "layer.0.key_rotated"),
            ("ffn_moe_topk-0", "layer.0.expert_ids"),
            ("l_out-0", "layer.0.layer_output"),
        ]
    );
    // The product before the bias is there and is no value; views of what was written are not there.
    let left = told["matching"]["unmatched"].as_array().unwrap();
    assert_eq!((left.len(), &left[0]["name"]), (1, &json!("Qcur-0@MUL_MAT")));
    // A view of the first four of eight columns is written without the gaps.
    let bytes = std::fs::read(&path).unwrap();
    let end = 8 + usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..end]).unwrap();
    assert_eq!(header["__metadata__"]["tokens"], "[5,6,7]");
    let data = |name: &str| {
        let offset = |index: usize| header[name]["data_offsets"][index].as_u64().unwrap() as usize;
        bytes[end + offset(0)..end + offset(1)].chunks_exact(4).map(|bytes| bytes.try_into().unwrap())
    };
    let ids: Vec<i32> = data("ffn_moe_topk-0").map(i32::from_le_bytes).collect();
    assert_eq!(ids, [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]);
    let rows: Vec<f32> = data("l_out-0").map(f32::from_le_bytes).step_by(64).collect();
    assert_eq!(rows, [100.0, 101.0, 102.0]);
    assert_eq!(run(&["none.gguf", "5", "other.safetensors"]), Some(1));
    assert_eq!(run(&["model.gguf", "5,x", "other.safetensors"]), Some(2));
    assert_eq!(run(&["model.gguf", "", "other.safetensors"]), Some(2));
}

#[test]
fn every_helper_says_how_it_is_used() {
    for (helper, word) in
        [("torch", "dump.save("), ("llama-cpp", "gptoss-llama-dump model.gguf"), ("c", "gptoss_dump_close")]
    {
        let out = gptoss(&["golden", "capture", helper], "").exits(0).out;
        assert!(out.contains(word), "{helper}");
    }
}
