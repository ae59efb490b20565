//! Results that go to a file: written whole, or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// Files without their final name, for an end of the program without unwinding.
fn unfinished() -> MutexGuard<'static, Vec<PathBuf>> {
    static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes every file that is not finished. For the end of the program: whoever writes to one fails.
pub(crate) fn remove_unfinished() {
    for path in unfinished().drain(..) {
        // There is nobody left to tell.
        let _ = fs::remove_file(path);
    }
}

/// A file that appears under its name when it is [finished](Self::finish), and leaves nothing behind if it is not.
pub(crate) struct OutputFile {
    to: To,
    path: PathBuf,
}

enum To {
    /// Renamed at the end.
    New(BufWriter<NamedTempFile>),
    /// A pipe, a device: there is nothing to rename.
    Special(BufWriter<File>),
}

impl OutputFile {
    /// Begins a file, which may exist; a link is followed.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        Self::begin(path).map_err(|error| cannot_write(path, &error))
    }

    fn begin(path: &Path) -> io::Result<Self> {
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let to = match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            Ok(metadata) if !metadata.is_file() => {
                To::Special(BufWriter::new(File::options().write(true).open(&path)?))
            }
            _ => {
                let mut builder = tempfile::Builder::new();
                builder.prefix(".gptoss-");
                // As for any new file, the user's mask decides.
                #[cfg(unix)]
                builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                // The error itself tells the name that the file has for now, which nobody knows.
                let told = |error: io::Error| match error.kind() {
                    io::ErrorKind::NotFound => io::Error::other("there is no such folder"),
                    kind => kind.into(),
                };
                let file = builder.tempfile_in(folder.unwrap_or(Path::new("."))).map_err(told)?;
                unfinished().push(file.path().to_owned());
                To::New(BufWriter::with_capacity(1 << 20, file))
            }
        };
        Ok(Self { to, path })
    }

    /// Adds bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_all(bytes).map_err(|error| cannot_write(&self.path, &error))
    }

    /// Writes out what is buffered and gives the file its name.
    pub(crate) fn finish(self) -> Result<()> {
        let Self { to, path } = self;
        let finished = match to {
            To::New(to) => to.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| {
                let mut unfinished = unfinished();
                unfinished.retain(|path| path != file.path());
                file.persist(&path).map(drop).map_err(|error| error.error)
            }),
            To::Special(mut to) => to.flush(),
        };
        finished.map_err(|error| cannot_write(&path, &error))
    }
}

/// For a library that writes to any place of a file.
impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.to {
            To::New(to) => to.write(bytes),
            To::Special(to) => to.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.to {
            To::New(to) => to.flush(),
            To::Special(to) => to.flush(),
        }
    }
}

impl Seek for OutputFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match &mut self.to {
            To::New(file) => file.seek(to),
            To::Special(file) => file.seek(to),
        }
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> Error {
    Error::io(format!("cannot write {}: {error}", path.display()))
}
