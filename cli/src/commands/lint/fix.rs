//! `gptoss lint --fix`: mend what can be mended with certainty, and write the file back.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use harmony_format::convert::{self, Format};
use harmony_format::lint::{self, LintOptions};
use serde_json::Value;

use super::Args;
use crate::context::Context;
use crate::documents;
use crate::error::{BAD_INPUT, Error, Result};
use crate::input;
use crate::lines::{self, Answer, Input};

/// Mends a file in place, or standard input to standard output; returns how many findings were mended.
pub(super) fn file(path: &Path, args: &Args, options: &LintOptions, context: &Context) -> Result<usize> {
    let is_stdin = input::is_stdin(path);
    match lines::open(path, args.jsonl)? {
        Input::Document(document) => {
            let mended =
                mend(&document.text, args, options).map_err(|error| error.in_file(&document.name))?;
            if is_stdin {
                let mut out = context.stdout();
                out.write_all(mended.text.as_deref().unwrap_or(&document.text).as_bytes())?;
                out.finish()?;
            } else if let Some(text) = &mended.text {
                replace(path, |file| file.write_all(text.as_bytes()))?;
            }
            Ok(mended.count)
        }
        Input::Lines(lines) => {
            let count = AtomicUsize::new(0);
            let name = lines.name().to_owned();
            let answer = |text: &str, number: usize| -> Result<Answer> {
                let mended = match mend(text, args, options) {
                    Ok(mended) => mended,
                    // A bad line stays as it is; the check that follows reports it.
                    Err(error) if is_stdin => {
                        let error = error.in_file(&name).on_line(number);
                        context.report(&error);
                        let out = format!("{text}\n").into_bytes();
                        return Ok(Answer { out, exit: BAD_INPUT, ..Answer::default() });
                    }
                    Err(_) => Mended { text: None, count: 0 },
                };
                count.fetch_add(mended.count, Ordering::Relaxed);
                let out = format!("{}\n", mended.text.as_deref().unwrap_or(text)).into_bytes();
                Ok(Answer { out, ..Answer::default() })
            };
            if is_stdin {
                lines.answer_to(Box::new(io::stdout()), context, answer)?;
            } else {
                let new = beside(path);
                let written = File::create(&new)
                    .map_err(Error::from)
                    .and_then(|file| lines.answer_to(Box::new(BufWriter::new(file)), context, answer));
                let is_whole = matches!(written, Ok(0));
                if is_whole && count.load(Ordering::Relaxed) > 0 {
                    move_over(&new, path)?;
                } else {
                    let _ = fs::remove_file(&new);
                    written?;
                    if !is_whole {
                        count.store(0, Ordering::Relaxed);
                    }
                }
            }
            Ok(count.into_inner())
        }
    }
}

struct Mended {
    /// The new text, if something was mended.
    text: Option<String>,
    count: usize,
}

fn mend(text: &str, args: &Args, options: &LintOptions) -> Result<Mended> {
    let mut read = documents::read(text, args.from.of_document())?;
    if read.format != Format::Harmony {
        return Err(Error::usage("--fix mends Harmony conversations, this is another document")
            .help("`gptoss convert --to harmony` makes one of it"));
    }
    let fixed = lint::fix(&mut read.conversation, options);
    if fixed.is_empty() {
        return Ok(Mended { text: None, count: 0 });
    }
    let mut value: Value = documents::value(text)?;
    // Writing back must not drop what a conversation does not hold.
    let unknown = convert::read(&value, Format::Harmony).map_err(|error| Error::in_document(error, text))?;
    if let Some(loss) = unknown.losses.iter().find(|loss| loss.pointer.contains("messages/")) {
        return Err(Error::input(
            "H017",
            format!("--fix would drop a field that Harmony does not have: {}", loss.what),
        )
        .point_at(text, harmony_format::arguments::locate(text, &loss.pointer)));
    }
    let messages = serde_json::to_value(&read.conversation.messages).map_err(io::Error::from)?;
    match &mut value {
        Value::Object(members) => drop(members.insert("messages".into(), messages)),
        list => *list = messages,
    }
    let is_compact = !text.trim_end().contains('\n');
    let mut new =
        if is_compact { serde_json::to_string(&value) } else { serde_json::to_string_pretty(&value) }
            .map_err(io::Error::from)?;
    if text.ends_with('\n') {
        new.push('\n');
    }
    Ok(Mended { text: Some(new), count: fixed.len() })
}

/// Writes a new file beside the old one and moves it over it, so that no reader sees half a file.
fn replace(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    let new = beside(path);
    let written = File::create(&new).and_then(|mut file| {
        write(&mut file)?;
        file.sync_all()
    });
    if let Err(error) = written {
        let _ = fs::remove_file(&new);
        return Err(cannot_write(path, &error));
    }
    move_over(&new, path)
}

fn move_over(new: &Path, path: &Path) -> Result<()> {
    // A link stays a link, and the rights stay those of the file.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let moved = fs::metadata(&target)
        .and_then(|old| fs::set_permissions(new, old.permissions()))
        .and_then(|()| fs::rename(new, &target));
    moved.map_err(|error| {
        let _ = fs::remove_file(new);
        cannot_write(path, &error)
    })
}

/// A name for the new file, in the folder of the old one.
fn beside(path: &Path) -> PathBuf {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut name = std::ffi::OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(format!(".{}.new", std::process::id()));
    target.with_file_name(name)
}

fn cannot_write(path: &Path, error: &io::Error) -> Error {
    Error::io(format!("cannot write {}: {error}", path.display()))
}
