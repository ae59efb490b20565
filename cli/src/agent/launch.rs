//! The first act of a program that is a tool: this program starts itself, takes rights from itself, and becomes it.
//!
//! So a limit holds from the first instruction on, and for all that the program starts.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use super::bubble;

/// The first argument by which this program knows that it is to become another.
const WORD: &str = "__launch";

/// Bytes that a confined program can write into one file.
const MOST_OF_A_FILE: u64 = 1 << 30;

/// What a program may touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Confinement {
    /// The one folder in which it may read and write; none leaves it free.
    pub(crate) folder: Option<PathBuf>,
    /// Further folders in which it may.
    pub(crate) writable: Vec<PathBuf>,
    /// Files and folders that it may read besides those of the system.
    pub(crate) readable: Vec<PathBuf>,
    /// The program of bubblewrap, where it is used besides: the folder is then at [`bubble::DATA`].
    pub(crate) bubble: Option<PathBuf>,
}

/// The command that starts `argv` under limits.
pub(super) fn command(
    argv: &[String],
    memory: Option<u64>,
    confinement: &Confinement,
) -> io::Result<Command> {
    let (program, arguments) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    // A test is another program, which cannot become a tool.
    if cfg!(not(unix)) || cfg!(test) {
        let mut command = Command::new(program);
        command.args(arguments);
        return Ok(command);
    }
    let own = std::env::current_exe()?;
    let mut command = match &confinement.bubble {
        Some(bubble) => bubble::command(bubble, confinement, &own),
        None => Command::new(own),
    };
    command.arg(WORD);
    if let Some(bytes) = memory {
        command.arg("--memory").arg(bytes.to_string());
    }
    if let Some(folder) = &confinement.folder {
        command
            .arg("--folder")
            .arg(confinement.bubble.as_ref().map_or(folder.as_path(), |_| bubble::DATA.as_ref()));
        for (option, paths) in [("--writable", &confinement.writable), ("--readable", &confinement.readable)]
        {
            paths.iter().for_each(|path| {
                command.arg(option).arg(path);
            });
        }
    }
    command.arg("--").arg(program).args(arguments);
    Ok(command)
}

/// Becomes another program if this one was started by [`command`]; else returns.
pub(crate) fn become_tool() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != WORD {
        return None;
    }
    let error = start(arguments).err().unwrap_or_else(|| io::Error::other("nothing is to be started"));
    eprintln!("gptoss: {error}");
    Some(ExitCode::from(127))
}

/// Returns only if it fails.
fn start(mut arguments: impl Iterator<Item = OsString>) -> io::Result<()> {
    let mut memory = None;
    let mut confinement = Confinement::default();
    loop {
        let word = arguments.next().ok_or(io::ErrorKind::InvalidInput)?;
        let mut value = || arguments.next().ok_or(io::ErrorKind::InvalidInput);
        match word.to_str() {
            Some("--memory") => memory = value()?.to_str().and_then(|text| text.parse().ok()),
            Some("--folder") => confinement.folder = Some(value()?.into()),
            Some("--writable") => confinement.writable.push(value()?.into()),
            Some("--readable") => confinement.readable.push(value()?.into()),
            _ => break,
        }
    }
    let program = arguments.next().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(&program);
    command.args(arguments);
    limit(memory, confinement.folder.is_some().then_some(MOST_OF_A_FILE))?;
    if confinement.folder.is_some() {
        confine(&confinement)?;
    }
    become_this(&mut command, &program)
}

#[cfg(unix)]
fn become_this(command: &mut Command, program: &std::ffi::OsStr) -> io::Result<()> {
    let error = std::os::unix::process::CommandExt::exec(command);
    Err(io::Error::new(error.kind(), format!("{} cannot be started: {error}", program.display())))
}

#[cfg(not(unix))]
fn become_this(_: &mut Command, _: &std::ffi::OsStr) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(unix)]
fn limit(memory: Option<u64>, file: Option<u64>) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};

    let same = |most| Rlimit { current: Some(most), maximum: Some(most) };
    // No file with all of the program's memory, should it crash.
    setrlimit(Resource::Core, same(0))?;
    if let Some(bytes) = memory {
        setrlimit(Resource::As, same(bytes))?;
    }
    if let Some(bytes) = file {
        setrlimit(Resource::Fsize, same(bytes))?;
    }
    // It ends with the program that started it, however that ends.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    Ok(())
}

#[cfg(not(unix))]
fn limit(_: Option<u64>, _: Option<u64>) -> io::Result<()> {
    Ok(())
}

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
use super::confine::confine;

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
fn confine(_: &Confinement) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "programs cannot be confined on this system"))
}

/// Why programs cannot be confined here, if so.
#[cfg_attr(not(feature = "python"), allow(dead_code, reason = "only notebooks need it"))]
pub(super) fn confinable() -> Result<(), String> {
    #[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
    return super::confine::is_there();
    #[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
    Err("this system has neither Landlock nor seccomp".to_owned())
}
