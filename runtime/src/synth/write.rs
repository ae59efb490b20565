//! A plan to a folder, so that what is not whole does not load.

use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::files::{Plan, PlannedFile, fill};
use crate::error::{Error, ErrorKind, Result};

/// Names the plan of a folder that is not whole yet.
const MARKER: &str = ".gptoss-synth";
/// Changes when the same plan would give other bytes.
const VERSION: u32 = 1;

/// How far [`write()`] has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The file that is being written.
    pub file: &'a str,
    /// Bytes that are written, kept ones included.
    pub written: u64,
    /// Bytes of the whole checkpoint.
    pub total: u64,
}

/// What stands in a folder that a plan would be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing: there is no such folder, or it is empty.
    Nothing,
    /// The same plan, begun and not finished.
    Unfinished {
        /// Bytes of the files that are whole; they are kept.
        kept: u64,
    },
    /// Something else.
    Other {
        /// Bytes of the files that belong to checkpoints; [`write()`] removes them first.
        replaced: u64,
    },
}

/// Looks what stands in `folder`.
///
/// # Errors
///
/// [`ErrorKind::Io`] if the folder cannot be read, or is none.
pub fn look(plan: &Plan, folder: &Path) -> Result<Found> {
    let names = match list(folder) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(failed("cannot read the folder", folder, error)),
    };
    if names.is_empty() {
        return Ok(Found::Nothing);
    }
    if fs::read_to_string(folder.join(MARKER)).is_ok_and(|text| text == marker(plan)) {
        let kept = plan.files().iter().filter(|file| is_whole(file, folder)).map(PlannedFile::len).sum();
        return Ok(Found::Unfinished { kept });
    }
    let size = |name: &String| fs::metadata(folder.join(name)).map_or(0, |metadata| metadata.len());
    Ok(Found::Other { replaced: names.iter().filter(|name| is_replaced(name)).map(size).sum() })
}

/// Writes a plan to `folder`, which is made where it is missing.
///
/// An unfinished folder of the same plan is continued: files that are whole are kept. Other files of checkpoints in
/// the folder are removed first; ask [`look`] whether there are any. Each file gets its name when it is whole and on
/// the disk, the configuration last, so that nothing loads before everything is there.
///
/// `progress` is called before each file and after every 16 MiB or so; when it breaks, the work ends and the files
/// that are whole stay, to be continued from. Runs on the current rayon pool, with some 32 MiB of memory.
///
/// # Errors
///
/// [`ErrorKind::Io`] with the file, and the system's error as the source; [`ErrorKind::Interrupted`] if `progress`
/// broke.
pub fn write(
    plan: &Plan,
    folder: &Path,
    progress: &mut (dyn FnMut(Progress<'_>) -> ControlFlow<()> + Send),
) -> Result<()> {
    fs::create_dir_all(folder).map_err(|error| failed("cannot make the folder", folder, error))?;
    let is_continued = matches!(look(plan, folder)?, Found::Unfinished { .. });
    prepare(plan, folder, is_continued)?;
    let mut writer = Writer { total: plan.len(), written: 0, progress };
    for file in plan.files() {
        if is_whole(file, folder) {
            writer.written += file.len();
        } else {
            writer.file(file, folder)?;
        }
    }
    let path = folder.join(MARKER);
    fs::remove_file(&path).map_err(|error| failed("cannot remove", &path, error))
}

/// Removes what is in the way, the configurations first, and leaves the marker.
fn prepare(plan: &Plan, folder: &Path, is_continued: bool) -> Result<()> {
    let mut names = list(folder).map_err(|error| failed("cannot read the folder", folder, error))?;
    names.retain(|name| is_partial(name) || (!is_continued && is_replaced(name)));
    names.sort_by_key(|name| !name.ends_with(".json"));
    for name in names {
        let path = folder.join(name);
        fs::remove_file(&path).map_err(|error| failed("cannot remove", &path, error))?;
    }
    if is_continued {
        return Ok(());
    }
    let path = folder.join(MARKER);
    fs::write(&path, marker(plan)).map_err(|error| failed("cannot write", &path, error))
}

struct Writer<'a> {
    total: u64,
    written: u64,
    progress: &'a mut (dyn FnMut(Progress<'_>) -> ControlFlow<()> + Send),
}

impl Writer<'_> {
    /// Writes a file under a temporary name and renames it, or leaves nothing of it.
    fn file(&mut self, file: &PlannedFile, folder: &Path) -> Result<()> {
        let path = folder.join(file.name());
        let partial = folder.join(format!("{}{PARTIAL}", file.name()));
        let result = self.content(file, &partial).and_then(|()| {
            fs::rename(&partial, &path).map_err(|error| failed("cannot rename", &partial, error))
        });
        if result.is_err() {
            // What went wrong first is what is told.
            let _ = fs::remove_file(&partial);
        }
        result
    }

    fn content(&mut self, file: &PlannedFile, path: &Path) -> Result<()> {
        let cannot_write = |error| failed("cannot write", path, error);
        self.report(file)?;
        let mut to = File::create(path).map_err(cannot_write)?;
        to.write_all(file.head()).map_err(cannot_write)?;
        self.written += file.head().len() as u64;
        // While one batch is written, the next is made.
        let mut batches = file.batches();
        let (mut full, mut free) = (Vec::new(), Vec::new());
        fill(&batches.next().unwrap_or_default(), &mut full);
        while !full.is_empty() {
            let next = batches.next().unwrap_or_default();
            let (result, ()) = rayon::join(|| to.write_all(&full), || fill(&next, &mut free));
            result.map_err(cannot_write)?;
            self.written += full.len() as u64;
            self.report(file)?;
            std::mem::swap(&mut full, &mut free);
        }
        to.sync_all().map_err(cannot_write)
    }

    fn report(&mut self, file: &PlannedFile) -> Result<()> {
        let progress = Progress { file: file.name(), written: self.written, total: self.total };
        match (self.progress)(progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => {
                Err(Error::new(ErrorKind::Interrupted, "writing the checkpoint was interrupted"))
            }
        }
    }
}

/// Ends the name of a file that is being written.
const PARTIAL: &str = ".partial";

fn is_partial(name: &str) -> bool {
    name.strip_suffix(PARTIAL).is_some_and(is_replaced)
}

/// Whether a file would be read as a part of the checkpoint.
fn is_replaced(name: &str) -> bool {
    const TEXTS: [&str; 4] =
        ["config.json", "generation_config.json", "model.safetensors.index.json", "dtypes.json"];
    name.ends_with(".safetensors") || TEXTS.contains(&name)
}

fn is_whole(file: &PlannedFile, folder: &Path) -> bool {
    fs::metadata(folder.join(file.name())).is_ok_and(|metadata| metadata.len() == file.len())
}

/// The names in a folder that are text; others are no business of this module, but count as something.
fn list(folder: &Path) -> io::Result<Vec<String>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

fn marker(plan: &Plan) -> String {
    format!("gptoss model synth {VERSION}, unfinished\n{}\n", plan.fingerprint())
}

fn failed(what: &str, path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Io, what).in_file(&PathBuf::from(path)).caused_by(error)
}
