//! `gptoss golden explain`: one value, its inputs, its formula and its bounds.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::{Run, folder, gptoss};

const MODEL: &str = "fixtures/golden/a64";
const IDS: &str = "1,7,300,12,511,9";

/// A recorded run of the fixture.
fn dump(test: &str) -> PathBuf {
    let path = folder(test).join("dump.safetensors");
    let to = path.to_str().unwrap();
    gptoss(&["golden", "record", "--model", MODEL, "--ids", IDS, "--at", "ops", "-o", to], "").exits(0);
    path
}

/// Asks about a value of a dump.
fn explain(dump: &std::path::Path, more: &[&str]) -> Run {
    let dump = dump.to_str().unwrap();
    gptoss(&[&["golden", "explain", "--dump", dump, "--model", MODEL], more].concat(), "")
}

#[test]
fn an_element_is_shown_with_its_inputs_formula_and_bounds() {
    let dump = dump("explain_element");
    let run = explain(&dump, &["layer.1.query_rotated.head.2", "--position", "4", "--element", "5"]).exits(0);
    insta::assert_snapshot!(run.out);
}

#[test]
fn a_row_is_a_table() {
    let dump = dump("explain_row");
    let run = explain(&dump, &["layer.1.expert_weights", "--position", "4"]).exits(0);
    insta::assert_snapshot!(run.out);
    // All of a long row only if that is asked for.
    let short = explain(&dump, &["layer.1.query", "--position", "4"]).exits(0).out;
    let long = explain(&dump, &["layer.1.query", "--position", "4", "--verbose"]).exits(0).out;
    assert!(short.contains("and 112 more") && long.lines().count() > short.lines().count() + 100, "{short}");
}

#[test]
fn a_wrong_value_is_outside_and_the_exit_code_tells() {
    let dump = dump("explain_wrong");
    let mut bytes = std::fs::read(&dump).unwrap();
    let end = 8 + usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    let header: Value = serde_json::from_slice(&bytes[8..end]).unwrap();
    let start = header["layer.2.mlp_output"]["data_offsets"][0].as_u64().unwrap() as usize;
    // Element 9 at position 3, of rows of 64 bf16: the next number but 39.
    let at = end + start + 2 * (3 * 64 + 9);
    let bits = u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap());
    bytes[at..at + 2].copy_from_slice(&(bits + 40).to_le_bytes());
    std::fs::write(&dump, bytes).unwrap();
    let args = ["layer.2.mlp_output", "--position", "3", "--element", "9"];
    let run = explain(&dump, &args).exits(1);
    assert!(run.out.contains("OUTSIDE"), "{}", run.out);
    let told = explain(&dump, &[&args[..], &["--json"]].concat()).exits(1).json();
    let found = &told["explained"]["elements"][0]["found"];
    assert_eq!(found["bits"], json!(format!("0x{:04x}", bits + 40)));
    assert_eq!(found["inside"], false);
    assert_eq!(found["ulps"].as_i64().unwrap().abs(), 40);
    // In a whole row it is shown although it stands late.
    let row = explain(&dump, &["layer.2.mlp_output", "--position", "3"]).exits(1).out;
    assert!(row.contains("1 of 64 elements are outside"), "{row}");
    explain(&dump, &["layer.2.mlp_output", "--position", "3", "--element", "8"]).exits(0);
}

#[test]
fn a_run_of_this_program_is_explained_without_a_dump() {
    for (profile, dtype) in [("bf16", "bf16"), ("f32", "f32"), ("f64", "f64")] {
        let args = [
            "golden",
            "explain",
            "layer.3.scores.head.1",
            "--model",
            MODEL,
            "--ids",
            IDS,
            "--position",
            "5",
            "--profile",
            profile,
            "--json",
        ];
        let told = gptoss(&args, "").exits(0).json();
        assert_eq!(told["file"], Value::Null);
        let explained = &told["explained"];
        assert_eq!((&explained["dtype"], &explained["token"]), (&json!(dtype), &json!(9)));
        let elements = explained["elements"].as_array().unwrap();
        assert_eq!(elements.len(), 6);
        assert!(elements.iter().all(|element| element["found"]["inside"] == true), "{elements:?}");
    }
}

#[test]
fn what_is_not_there_is_a_matter_of_the_flags() {
    let dump = dump("explain_usage");
    for (args, rule) in [
        (["layer.1.qurey", "--position", "0"].as_slice(), "layer.1.query"),
        (&["layer.9.query", "--position", "0"], "layer.1.query"),
        (&["layer.1.scores", "--position", "0"], "layer.1.scores.head.0"),
        (&["layer.1.query", "--position", "6"], "a run of 6 positions"),
        (&["layer.1.query", "--position", "0", "--element", "128"], "rows have 128 elements"),
        (&["layer.1.query.head.3", "--position", "0", "--element", "32"], "rows have 32 elements"),
        (&["layer.1.query"], "--position"),
        (&["layer.1.query", "--position", "0", "--declare", "tolerance=1"], "facts are"),
    ] {
        let run = explain(&dump, args).exits(2);
        assert!(run.err.contains(rule), "{}", run.err);
    }
    gptoss(&["golden", "explain", "logits", "--model", MODEL, "--position", "0"], "").exits(2);
    let run = ["golden", "explain", "logits", "--model", MODEL, "--ids", "1,2", "--position", "2"];
    assert!(gptoss(&run, "").exits(2).err.contains("a run of 2 positions"));
    gptoss(
        &["golden", "explain", "logits", "--model", MODEL, "--dump", "no-such-file", "--position", "0"],
        "",
    )
    .fails_with("M021");
}

#[test]
fn a_value_whose_inputs_are_missing_is_not_explained() {
    let path = folder("explain_missing").join("dump.safetensors");
    let to = path.to_str().unwrap();
    let record =
        ["golden", "record", "--model", MODEL, "--ids", IDS, "--points", "query", "--layers", "2", "-o", to];
    gptoss(&record, "").exits(0);
    // From its tokens every value can be computed; this dump has none of layer 3, but the tokens.
    let run = explain(&path, &["layer.3.query", "--position", "1", "--element", "0"]).exits(0);
    assert!(run.out.contains("the dump has no value of it"), "{}", run.out);
    // Without them it cannot.
    let mut bytes = std::fs::read(&path).unwrap();
    let end = 8 + usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    let header = String::from_utf8(bytes[8..end].to_vec()).unwrap().replace("\"tokens\"", "\"nokens\"");
    bytes[8..end].copy_from_slice(header.as_bytes());
    std::fs::write(&path, bytes).unwrap();
    let run = explain(&path, &["layer.2.query", "--position", "1", "--element", "0"]);
    let run = run.fails_with("M021");
    assert!(run.err.contains("layer.2.attention_norm"), "{}", run.err);
}
