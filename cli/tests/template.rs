//! `gptoss template diff` as a process.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

fn fixture(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures").join(path)
}

fn diff(conversation: &str, template: PathBuf, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gptoss"))
        .args(["template", "diff", "--date", "2025-06-28"])
        .arg(fixture(conversation))
        .arg("--template")
        .arg(template)
        .args(more)
        .output()
        .unwrap()
}

#[test]
fn the_known_differences_of_templates_are_all_explained() {
    let output = diff("templates/conversation.json", fixture("templates/minimal.jinja"), &["--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["schema"], "gptoss.template-diff/1");
    assert_eq!(report["unexplained"], 0);
    let mut codes: Vec<&str> = report["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|difference| difference["code"].as_str().unwrap())
        .collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes, ["T01", "T03", "T04", "T05", "T06", "T07", "T08", "T16"]);
}

#[test]
fn a_conversation_without_differences_is_equal() {
    let output = diff("templates/plain.json", fixture("templates/minimal.jinja"), &[]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.starts_with("the prompts are equal"), "{text}");
}

#[test]
fn a_template_that_fails_says_why() {
    let folder = std::env::temp_dir().join(format!("gptoss-template-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let template = folder.join("failing.jinja");
    std::fs::write(&template, "{{ raise_exception('tools are needed') }}").unwrap();
    let output = diff("templates/plain.json", template, &[]);
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("tools are needed (line 1 of the template)"), "{text}");
}
