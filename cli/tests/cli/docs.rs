//! `docs/cli.md`: each example in it is run, and its output is what the page shows.

use std::process::Command;

use crate::support::{command, root};

/// With this set, the page is rewritten with what the commands write.
const UPDATE: &str = "UPDATE_DOCS";

#[test]
#[cfg(unix)]
fn the_examples_of_the_page_are_true() {
    let path = root().join("docs/cli.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let mut new = String::new();
    let mut lines = page.lines().peekable();
    let mut examples = 0;
    while let Some(line) = lines.next() {
        new += &format!("{line}\n");
        if line != "```console" {
            continue;
        }
        while let Some(line) = lines.next_if(|line| *line != "```") {
            let Some(script) = line.strip_prefix("$ ") else { continue };
            new += &format!("{line}\n{}", shell(script));
            examples += 1;
        }
    }
    assert!(examples >= 10, "{examples} examples");
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, new).unwrap();
    } else {
        assert_eq!(page, new, "run the test with {UPDATE}=1 to rewrite the page");
    }
}

/// What a command line writes, both streams together as a terminal shows them, and its exit code if it is not 0.
fn shell(script: &str) -> String {
    let program = command(&[]);
    let folder = std::path::Path::new(program.get_program()).parent().unwrap();
    let mut shell = Command::new("sh");
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    shell.args(["-c", &format!("exec 2>&1; {script}")]).current_dir(root());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let output = shell.env("PATH", path).output().unwrap();
    let mut text = String::from_utf8(output.stdout).unwrap();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

#[test]
fn every_flag_is_on_the_page() {
    let page = std::fs::read_to_string(root().join("docs/cli.md")).unwrap();
    for command in ["render", "parse", "lint", "convert", "grammar"] {
        let help = crate::support::gptoss(&[command, "-h"], "").exits(0).out;
        let flags = help.split_whitespace().filter(|word| word.starts_with("--") && word.len() > 2);
        for flag in flags.map(|flag| flag.trim_end_matches([']', ',', '.'])) {
            assert!(page.contains(flag), "{command} {flag}");
        }
    }
}

#[test]
fn each_code_of_an_error_stands_once_in_the_table() {
    let page = std::fs::read_to_string(root().join("docs/cli.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| M0"));
    let codes: Vec<&str> =
        rows.flat_map(|row| row.split('|').nth(1).unwrap().split(',')).map(str::trim).collect();
    assert!(codes.len() >= 22, "{codes:?}");
    assert!(codes.is_sorted_by(|one, next| one < next), "{codes:?}");
}
