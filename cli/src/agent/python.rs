//! The tool `python`: a notebook whose kernel keeps its state from call to call.

mod interpreter;
mod kernel;
mod shown;
mod wire;
mod zmtp;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use harmony_format::{Message, ToolNamespace};
use serde::Deserialize;
use serde_json::Value;

use super::launch::{self, Confinement};
use super::process::{self, Program};
use super::sandbox::{Sandbox, Wishes};
use super::scratch::Scratch;
use super::table;
use super::toolbox::Kit;
use super::{Answer, bubble};
use crate::error::{Error, Result};
use interpreter::Interpreter;
use kernel::{Ended, Failure, Kernel};
use shown::Shown;

/// The limits where the table names none; the models were trained with this time.
const TIME: f64 = 120.0;
const MEMORY_MB: u64 = 4096;
const OUTPUT_KB: usize = 64;

/// What the model is told at the first call of a kernel that replaces another.
const LOSS: &str = "[the kernel was restarted: variables and imports of earlier calls are gone]";

/// The table `[python]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Section {
    /// Python 3 with the package `ipykernel`.
    program: Option<String>,
    /// Seconds that a cell may take.
    time: Option<f64>,
    memory_mb: Option<u64>,
    output_kb: Option<usize>,
    /// Where the code starts and keeps its files; else a folder that is removed at the end.
    folder: Option<PathBuf>,
    sandbox: Option<Sandbox>,
}

/// The notebook.
#[derive(Debug)]
pub(super) struct Python {
    interpreter: Interpreter,
    time: Duration,
    memory: Option<u64>,
    output: usize,
    /// The folder of the user, if there is one.
    folder: Option<PathBuf>,
    is_confined: bool,
    /// Bubblewrap, where it is used besides: files are then where the official words say.
    bubble: Option<PathBuf>,
    warning: Option<String>,
    kernel: Option<Kernel>,
    /// Where the code has its files if there is no folder of the user. It is made at the first call.
    scratch: Option<Scratch>,
    /// What is to be told at the next call: the state is lost.
    loss: Option<String>,
}

impl Python {
    /// Settles a table: the interpreter is asked, and no kernel is started.
    ///
    /// # Errors
    ///
    /// If the table is wrong, if the interpreter has no kernel, or if there is no sandbox and it was not said that there
    /// need be none.
    pub(super) fn new(section: Section, base: &Path, wishes: &mut Wishes<'_>) -> Result<Self> {
        let wrong = |what: String| Error::input("T001", format!("python: {what}"));
        let time = table::time(section.time.or(Some(TIME))).map_err(wrong)?;
        let folder = section.folder.map(|folder| base.join(folder));
        let folder = match folder {
            Some(folder) => Some(
                folder
                    .canonicalize()
                    .ok()
                    .filter(|folder| folder.is_dir())
                    .ok_or_else(|| wrong(format!("there is no folder {}", folder.display())))?,
            ),
            None => None,
        };
        let warning = wishes.settle("python", section.sandbox.unwrap_or_default(), launch::confinable())?;
        let name = section.program.as_deref().unwrap_or("python3");
        let program = process::find(name, base)
            .ok_or_else(|| wrong(format!("there is no program {name:?}")).help("`program` says which"))?;
        Ok(Self {
            interpreter: Interpreter::ask(&program)?,
            time,
            memory: Some(section.memory_mb.unwrap_or(MEMORY_MB).saturating_mul(1 << 20)),
            output: section.output_kb.unwrap_or(OUTPUT_KB).saturating_mul(1 << 10),
            folder,
            is_confined: warning.is_none(),
            bubble: warning.is_none().then(bubble::find).flatten(),
            warning,
            kernel: None,
            scratch: None,
            loss: None,
        })
    }

    /// The kernel that runs, else a new one.
    fn kernel(&mut self, interrupt: &AtomicBool) -> std::result::Result<&mut Kernel, Failure> {
        if self.kernel.is_none() {
            self.kernel = Some(self.start(interrupt)?);
        }
        self.kernel.as_mut().ok_or_else(|| Failure::Gone("it is gone".to_owned()))
    }

    fn start(&mut self, interrupt: &AtomicBool) -> std::result::Result<Kernel, Failure> {
        // Code may write in these folders and not beside them, so that they are no links when the next kernel starts.
        let own = Scratch::new("gptoss-kernel-")?;
        let data = match (&self.folder, &self.scratch) {
            (Some(folder), _) => folder.clone(),
            (None, Some(scratch)) => scratch.path().to_owned(),
            (None, None) => self.scratch.insert(Scratch::new("gptoss-python-")?).path().to_owned(),
        };
        let path = |path: &Path| path.display().to_string();
        let mut environment = vec![
            ("HOME".to_owned(), path(own.path())),
            ("TMPDIR".to_owned(), path(own.path())),
            ("IPYTHONDIR".to_owned(), path(&own.path().join("ipython"))),
            ("LANG".to_owned(), "C.UTF-8".to_owned()),
        ];
        // In namespaces of its own it cannot know it.
        if self.bubble.is_none() {
            environment.push(("JPY_PARENT_PID".to_owned(), std::process::id().to_string()));
        }
        environment
            .extend(self.interpreter.user_base.clone().map(|base| ("PYTHONUSERBASE".to_owned(), base)));
        for name in ["PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "TZ"] {
            environment.extend(std::env::var(name).ok().map(|value| (name.to_owned(), value)));
        }
        let confinement = match self.is_confined {
            true => Confinement {
                folder: Some(data.clone()),
                writable: vec![own.path().to_owned()],
                readable: self.interpreter.readable.clone(),
                bubble: self.bubble.clone(),
            },
            false => Confinement::default(),
        };
        let argv = vec![self.interpreter.executable.clone()];
        let program = Program { argv, folder: Some(data), environment, confinement };
        process::adopt_strays();
        Kernel::start(program, self.memory, own, interrupt)
    }
}

impl Kit for Python {
    fn namespaces(&self) -> Vec<ToolNamespace> {
        let mut namespace = ToolNamespace::python();
        let text = namespace.description.take().unwrap_or_default();
        namespace.description = Some(description(&text, self.time, self.is_confined, self.bubble.is_some()));
        vec![namespace]
    }

    fn notes(&self) -> Vec<String> {
        self.warning.iter().cloned().collect()
    }

    fn has(&self, recipient: &str) -> bool {
        let name = recipient.strip_prefix("functions.").unwrap_or(recipient);
        name == "python" || name.starts_with("python.")
    }

    fn answer(
        &mut self,
        _: &str,
        call: &Message,
        interrupt: &AtomicBool,
        _: &mut dyn FnMut(&str),
    ) -> Result<Answer> {
        let text = call.text();
        let code = code(&text);
        let (time, output) = (self.time, self.output);
        let loss = self.loss.take();
        let mut shown = Shown::new(output);
        let ended = match self.kernel(interrupt) {
            Ok(kernel) => kernel.execute(&code, time, &mut shown, interrupt),
            Err(Failure::Interrupted) => Err(Failure::Interrupted),
            Err(Failure::Gone(why)) => {
                self.kernel = None;
                self.loss = loss;
                return Ok(Answer::failed(format!("the Python kernel cannot be started: {why}")));
            }
        };
        let seconds = time.as_secs_f64();
        let failed = match ended {
            Ok(Ended::Done) => None,
            Ok(Ended::Stopped) => Some(format!(
                "the execution timed out after {seconds:?} seconds and was interrupted; variables are kept"
            )),
            Ok(Ended::Stuck) => Some(format!(
                "the execution timed out after {seconds:?} seconds and did not let itself be interrupted: the kernel was killed"
            )),
            Err(Failure::Gone(ref why)) => Some(format!("the kernel died: {why}")),
            Err(Failure::Interrupted) => {
                self.kernel = None;
                self.loss = Some(LOSS.to_owned());
                return Err(Error::interrupted());
            }
        };
        if matches!(ended, Ok(Ended::Stuck) | Err(Failure::Gone(_))) {
            self.kernel = None;
            self.loss = Some(LOSS.to_owned());
        }
        let has_failed = shown.has_failed();
        let told: Vec<String> = loss
            .into_iter()
            .chain(failed.clone())
            .chain([shown.finish()])
            .filter(|text| !text.is_empty())
            .collect();
        let told = told.join("\n");
        Ok(match failed {
            Some(_) => Answer::failed(told),
            // A traceback is told as a notebook shows it.
            None => Answer { has_failed, ..Answer::new(told) },
        })
    }
}

/// What the model is told of the tool, in the words that it was trained with where they are true.
fn description(official: &str, time: Duration, is_confined: bool, has_drive: bool) -> String {
    let time = format!("{:?} seconds", time.as_secs_f64());
    let text = official.replace("120.0 seconds", &time);
    let text = match has_drive {
        true => text,
        false => text.replace("The drive at '/mnt/data' can be", "The current folder can be"),
    };
    match is_confined {
        true => text.replace(
            "Internet access for this session is UNKNOWN. Depends on the cluster.",
            "Internet access for this session is disabled, and no other program can be started.",
        ),
        false => text,
    }
}

/// The code of a call: what stands there, unless that is wrapped as models do it at times.
fn code(text: &str) -> String {
    let trimmed = text.trim();
    if let Ok(Value::Object(members)) = serde_json::from_str(trimmed) {
        let named = ["code", "input", "script", "source"].iter().find_map(|name| members.get(*name));
        if let (1, Some(Value::String(code))) = (members.len(), named) {
            return code.clone();
        }
    }
    let fenced = trimmed.strip_prefix("```").and_then(|rest| rest.strip_suffix("```"));
    if let Some((language, code)) = fenced.and_then(|inner| inner.split_once('\n'))
        && ["", "python", "py", "python3"].contains(&language.trim())
        && !code.contains("```")
    {
        return code.to_owned();
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    #[cfg(feature = "kernel-tests")]
    mod with_kernel;

    use super::*;

    #[test]
    fn code_is_taken_out_of_what_models_wrap_it_in() {
        for (text, expected) in [
            ("print(1)\n", "print(1)\n"),
            (r#"{"code": "print(1)"}"#, "print(1)"),
            (r#" {"input":"a\nb"} "#, "a\nb"),
            ("```python\nx = 1\n```", "x = 1\n"),
            ("```\nx = 1\n```\n", "x = 1\n"),
            // These are Python.
            (r#"{"code": "print(1)", "b": 2}"#, r#"{"code": "print(1)", "b": 2}"#),
            (r#"{"a": "print(1)"}"#, r#"{"a": "print(1)"}"#),
            ("'''\n```\n'''", "'''\n```\n'''"),
        ] {
            assert_eq!(code(text), expected, "{text}");
        }
    }

    #[test]
    fn the_description_is_true_of_what_is_run() {
        let official = ToolNamespace::python().description.unwrap();
        let told = description(&official, Duration::from_millis(2500), true, false);
        assert!(
            told.contains("time out after 2.5 seconds. The current folder can be used to save"),
            "{told}"
        );
        assert!(
            told.ends_with(
                "Internet access for this session is disabled, and no other program can be started."
            )
        );
        assert!(!told.contains("/mnt/data") && !told.contains("UNKNOWN"));
        let told = description(&official, Duration::from_secs(120), true, true);
        assert!(told.contains("The drive at '/mnt/data' can be used to save"), "{told}");
        let told = description(&official, Duration::from_secs(120), false, false);
        assert!(
            told.contains("120.0 seconds") && told.ends_with("UNKNOWN. Depends on the cluster."),
            "{told}"
        );
    }
}
