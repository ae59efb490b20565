//! Runs the built program.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    /// Fails unless the exit code is this one.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "standard output: {}\nstandard error: {}", self.out, self.err);
        self
    }

    /// Fails unless standard error begins with this code of a rule, and nothing else was written.
    #[track_caller]
    pub(crate) fn fails_with(self, code: &str) -> Self {
        let this = self.exits(3);
        assert!(this.err.starts_with(&format!("error[{code}]: ")), "{}", this.err);
        assert_eq!(this.out, "");
        this
    }

    /// Standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

/// The program without any setting of the person who runs the tests.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gptoss"));
    for (name, _) in std::env::vars() {
        if name.starts_with("GPTOSS_") {
            command.env_remove(name);
        }
    }
    let nowhere = root().join("no-such-folder");
    command.args(args).current_dir(root()).env("NO_COLOR", "1").env_remove("CLICOLOR_FORCE");
    command.env("XDG_CONFIG_HOME", &nowhere).env("HOME", &nowhere).env("APPDATA", nowhere);
    command
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Runs the program with this standard input.
pub(crate) fn gptoss(args: &[&str], input: impl AsRef<[u8]>) -> Run {
    finish(command(args), input)
}

/// Runs a command with this standard input.
pub(crate) fn finish(mut command: Command, input: impl AsRef<[u8]>) -> Run {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.as_ref().to_vec();
    let writer = std::thread::spawn(move || {
        // A program that does not read its input is no failure of the test.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Run {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A folder of its own for a test.
pub(crate) fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

pub(crate) const WEATHER: &str = "fixtures/harmony/weather/conversation.json";
