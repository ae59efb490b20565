//! Help pages, the manual page and completions.

use crate::support::gptoss;

const COMMANDS: [&str; 23] = [
    "demo",
    "render",
    "parse",
    "lint",
    "convert",
    "tokens",
    "tools",
    "grammar",
    "template",
    "view",
    "run",
    "chat",
    "complete",
    "eval",
    "logits",
    "bench",
    "golden",
    "model",
    "rpc",
    "doctor",
    "completions",
    "man",
    "schema",
];

#[test]
fn the_help_pages_are_as_they_were() {
    insta::assert_snapshot!("gptoss", gptoss(&["--help"], "").exits(0).out);
    let groups = ["tokens", "tools", "template", "model", "golden"];
    for command in COMMANDS.into_iter().filter(|command| !groups.contains(command)) {
        insta::assert_snapshot!(command, gptoss(&[command, "--help"], "").exits(0).out);
    }
    for (command, action) in [
        ("tokens", "encode"),
        ("tokens", "decode"),
        ("tokens", "count"),
        ("tokens", "special"),
        ("tools", "render"),
        ("tools", "check"),
        ("template", "diff"),
        ("model", "list"),
        ("model", "inspect"),
        ("model", "plan"),
        ("model", "verify"),
        ("model", "digest"),
        ("model", "synth"),
        ("model", "pack"),
        ("golden", "record"),
        ("golden", "check"),
        ("golden", "bisect"),
        ("golden", "explain"),
        ("golden", "lint"),
        ("golden", "mutants"),
        ("golden", "probe"),
        ("golden", "vectors"),
        ("golden", "capture"),
    ] {
        let name = format!("{command}_{action}");
        insta::assert_snapshot!(name, gptoss(&[command, action, "--help"], "").exits(0).out);
    }
}

#[test]
fn every_command_is_listed_and_has_a_page() {
    let help = gptoss(&["--help"], "").exits(0).out;
    for command in COMMANDS {
        assert!(help.contains(&format!("\n  {command} ")), "{command}");
        gptoss(&[command, "--help"], "").exits(0);
        assert!(gptoss(&["man", command], "").exits(0).out.starts_with(".ie"), "{command}");
    }
    gptoss(&["man", "no-such-command"], "").exits(2);
}

#[test]
fn each_shell_has_a_completion_script() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(gptoss(&["completions", shell], "").exits(0).out.contains("gptoss"), "{shell}");
    }
    gptoss(&["completions", "tcsh"], "").exits(2);
}
