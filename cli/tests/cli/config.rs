//! Flags, environment and configuration file, and which of them wins.

use crate::support::{command, finish, folder, gptoss};

#[test]
fn flags_win_over_the_environment_which_wins_over_the_file() {
    let folder = folder("config");
    let file = folder.join("gptoss").join("gptoss.toml");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "threads = 3\n").unwrap();
    let threads = |variable: Option<&str>, args: &[&str]| {
        let mut command = command(&[&["doctor", "--json"], args].concat());
        command.env("XDG_CONFIG_HOME", &folder).env("APPDATA", &folder);
        if let Some(value) = variable {
            command.env("GPTOSS_THREADS", value);
        }
        let run = finish(command, "").exits(0).json();
        let checks = run["checks"].as_array().unwrap().clone();
        let found = checks.iter().find(|check| check["check"] == "threads").unwrap()["found"].clone();
        found.as_str().unwrap().split(' ').next().unwrap().to_owned()
    };
    assert_eq!(threads(None, &[]), "3");
    assert_eq!(threads(Some("4"), &[]), "4");
    assert_eq!(threads(Some("4"), &["--threads", "5"]), "5");
}

#[test]
fn an_unknown_key_is_a_usage_error_with_its_place() {
    let path = folder("config_unknown").join("gptoss.toml");
    std::fs::write(&path, "# mine\nthread = 3\n").unwrap();
    let mut command = command(&["doctor"]);
    command.env("GPTOSS_CONFIG", &path);
    let run = finish(command, "").exits(2);
    assert!(run.err.contains("line 2 column 1") && run.err.contains("| thread = 3"), "{}", run.err);
}

#[test]
fn colour_is_as_asked() {
    let run = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = command(&[&["doctor"], args].concat());
        command.env_remove("NO_COLOR").envs(variables.iter().copied());
        finish(command, "").out.contains('\u{1b}')
    };
    assert!(!run(&[], &[]), "no terminal, no colour");
    assert!(run(&["--color", "always"], &[]));
    assert!(run(&["--color", "always"], &[("NO_COLOR", "1")]));
    assert!(run(&[], &[("CLICOLOR_FORCE", "1")]));
    assert!(run(&[], &[("GPTOSS_COLOR", "always")]));
    assert!(!run(&["--color", "never"], &[("CLICOLOR_FORCE", "1")]));
}

#[test]
fn wrong_flags_are_usage_errors() {
    for args in [&["--threads", "0", "doctor"][..], &["--color", "red", "doctor"], &["no-such-command"], &[]]
    {
        assert_eq!(gptoss(args, "").exits(2).out, "");
    }
}
