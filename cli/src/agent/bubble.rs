//! Namespaces by bubblewrap, where that is installed: a network of nothing, no other process in sight, and a folder in
//! the place where a model looks for it.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use super::launch::Confinement;

/// Where the models were trained to keep files.
pub(super) const DATA: &str = "/mnt/data";

/// The program, where it is there and the system lets it work.
#[cfg(all(feature = "python", unix))]
pub(super) fn find() -> Option<std::path::PathBuf> {
    if cfg!(not(target_os = "linux")) {
        return None;
    }
    let program = super::process::find("bwrap", Path::new("/"))?;
    let nothing = Confinement::default();
    let mut command = Command::new(&program);
    command.args(arguments(&nothing)).arg("--dir").arg(DATA).arg("--").arg(std::env::current_exe().ok()?);
    // It ends with its input.
    command.arg(super::scratch::WORD).env_clear();
    let nothing = std::process::Stdio::null;
    command.stdin(nothing()).stdout(nothing()).stderr(nothing());
    command.status().is_ok_and(|status| status.success()).then_some(program)
}

/// The command that starts a program, which is to begin in [`DATA`].
pub(super) fn command(bubble: &Path, confinement: &Confinement, program: &Path) -> Command {
    let mut command = Command::new(bubble);
    command.args(arguments(confinement)).arg("--chdir").arg(DATA).arg("--").arg(program);
    command
}

/// The system as it is, but read-only; what may be read of it is Landlock's matter.
fn arguments(confinement: &Confinement) -> Vec<OsString> {
    let fixed =
        "--unshare-all --die-with-parent --cap-drop ALL --ro-bind / / --dev /dev --proc /proc --tmpfs /mnt";
    let mut all: Vec<OsString> = fixed.split(' ').map(OsString::from).collect();
    let mut bind = |how: &str, from: &Path, to: &Path| all.extend([how.into(), from.into(), to.into()]);
    // What is there already stays where it is.
    for entry in std::fs::read_dir("/mnt")
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path() != Path::new(DATA))
    {
        bind("--ro-bind-try", &entry.path(), &entry.path());
    }
    for folder in &confinement.writable {
        bind("--bind", folder, folder);
    }
    if let Some(folder) = &confinement.folder {
        bind("--bind", folder, Path::new(DATA));
    }
    all
}

/// The process that a process of bubblewrap has become in the end.
#[cfg(all(feature = "python", unix))]
pub(super) fn innermost(outer: u32) -> u32 {
    let mut process = outer;
    loop {
        let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
        match children.unwrap_or_default().split_whitespace().next().and_then(|child| child.parse().ok()) {
            Some(child) => process = child,
            None => return process,
        }
    }
}
