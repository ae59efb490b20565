//! Folders of tools that are gone when the program ends, in whatever way it ends.

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tempfile::TempDir;

use super::process::Group;

/// The first argument by which this program knows that it is to remove a folder once another has ended.
pub(super) const WORD: &str = "__sweep";

/// The folders that are there now.
fn folders() -> MutexGuard<'static, Vec<PathBuf>> {
    static FOLDERS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
    FOLDERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A folder that only this user can open.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: TempDir,
    /// A process that removes it should this one be killed.
    sweeper: Option<Group>,
}

impl Scratch {
    /// Makes one.
    ///
    /// # Errors
    ///
    /// If there is no place for it.
    pub(crate) fn new(prefix: &str) -> io::Result<Self> {
        let mut folders = folders();
        let mut builder = tempfile::Builder::new();
        builder.prefix(prefix);
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        let folder = builder.tempdir()?;
        folders.push(folder.path().to_owned());
        let sweeper = sweep_after_this(folder.path()).ok().flatten();
        Ok(Self { folder, sweeper })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove(self.folder.path());
        folders().retain(|folder| folder != self.folder.path());
        drop(self.sweeper.take());
    }
}

/// Removes every folder: the program ends without unwinding, and what wrote to them was killed.
pub(crate) fn remove_all() {
    folders().drain(..).for_each(|folder| remove(&folder));
}

/// Starts what waits for the end of this process: the system then closes the pipe.
fn sweep_after_this(folder: &Path) -> io::Result<Option<Group>> {
    // A test is another program.
    if cfg!(test) {
        return Ok(None);
    }
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(WORD).arg(folder).env_clear().current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let (mut child, group) = Group::spawn(&mut command)?;
    // The pipe is open as long as this process is there.
    std::mem::forget(child.stdin.take());
    Ok(Some(group))
}

/// Waits, and removes folders, if this process was started for it; else returns.
pub(crate) fn become_sweeper() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != WORD {
        return None;
    }
    let _ = io::stdin().read_to_end(&mut Vec::new());
    arguments.map(|folder: OsString| PathBuf::from(folder)).for_each(|folder| remove(&folder));
    Some(ExitCode::SUCCESS)
}

/// What was just killed may still make a file.
fn remove(folder: &Path) {
    for _ in 0..20 {
        match std::fs::remove_dir_all(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => open_all(folder),
            _ => return,
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A folder that may not be looked into cannot be removed.
fn open_all(folder: &Path) {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        #[cfg(unix)]
        let _ = std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o700));
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        folders.extend(
            entries
                // A link is none.
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .map(|entry| entry.path()),
        );
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_folder_goes_with_all_that_is_in_it_and_nothing_else() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("kept"), "").unwrap();
        let scratch = Scratch::new("gptoss-test-").unwrap();
        let path = scratch.path().to_owned();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let inner = path.join("a/b");
        std::fs::create_dir_all(&inner).unwrap();
        symlink(outside.path(), inner.join("link")).unwrap();
        symlink(outside.path(), path.join("link")).unwrap();
        let closed = std::fs::Permissions::from_mode(0o000);
        std::fs::set_permissions(&inner, closed).unwrap();
        drop(scratch);
        assert!(!path.exists());
        assert!(outside.path().join("kept").exists());
    }
}
