//! Functions that a program of the user's answers: arguments on standard input, the result on standard output.

use std::sync::atomic::AtomicBool;

use serde_json::Value;

use super::Answer;
use super::process::{Ended, Limits, Program};
use super::text;
use crate::error::{Error, Result};

/// Bytes of standard error that the model is told where a program fails.
const MOST_OF_ERRORS: usize = 2000;

/// Runs a program with the arguments of a call.
pub(super) fn run(
    program: &Program,
    limits: &Limits,
    arguments: &Value,
    interrupt: &AtomicBool,
) -> Result<Answer> {
    let ran = match program.run(arguments.to_string().into_bytes(), limits, interrupt) {
        Ok(ran) => ran,
        Err(error) => return Ok(Answer::failed(format!("the tool cannot be started: {error}"))),
    };
    let reason = match ran.ended {
        Ended::Interrupted => return Err(Error::interrupted()),
        Ended::Exited(status) if status.success() => {
            let output = text::told(&ran.output);
            return Ok(Answer::new(output.strip_suffix('\n').map(str::to_owned).unwrap_or(output)));
        }
        Ended::Exited(status) => ended(status),
        Ended::TimedOut => format!("timed out after {} s", limits.time.as_secs_f64()),
        Ended::WroteTooMuch => "killed: its output did not end".to_owned(),
    };
    let errors = text::cut(text::told(&ran.errors).trim().to_owned(), MOST_OF_ERRORS);
    let output = text::cut(text::told(&ran.output).trim().to_owned(), MOST_OF_ERRORS);
    let said: Vec<String> = [reason, errors, output].into_iter().filter(|text| !text.is_empty()).collect();
    Ok(Answer::failed(said.join("\n")))
}

fn ended(status: std::process::ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("exit status {code}"),
        None => status.to_string(),
    }
}
