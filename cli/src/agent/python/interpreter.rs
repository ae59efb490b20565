//! The Python of the user: where it is, what it needs to read, whether it has a kernel.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::agent::launch::Confinement;
use crate::agent::process::{Ended, Limits, Program};
use crate::agent::text;
use crate::error::{Error, Result};
use crate::interrupt;

/// What an interpreter says of itself.
const QUESTION: &str = "
import importlib.util, json, site, sys
print(json.dumps({
    'executable': sys.executable,
    'prefixes': [sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix],
    'path': [place for place in sys.path if place],
    'user_base': site.getuserbase() if site.ENABLE_USER_SITE else None,
    'has_kernel': importlib.util.find_spec('ipykernel') is not None,
}))
";

/// How long it may take to answer.
const TIME: Duration = Duration::from_secs(60);

/// An interpreter that has a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interpreter {
    /// The program itself, and not what a version manager puts before it.
    pub(super) executable: String,
    /// Where it has its parts, and the packages.
    pub(super) readable: Vec<PathBuf>,
    /// Where it looks for the packages of the user.
    pub(super) user_base: Option<String>,
}

#[derive(Deserialize)]
struct Reply {
    executable: String,
    prefixes: Vec<PathBuf>,
    path: Vec<PathBuf>,
    user_base: Option<String>,
    has_kernel: bool,
}

impl Interpreter {
    /// Asks the program.
    ///
    /// # Errors
    ///
    /// If it is no Python, or has no `ipykernel`. If the user pressed Ctrl-C.
    pub(super) fn ask(program: &Path) -> Result<Self> {
        let wrong = |why: String| Error::input("T001", format!("python: {} {why}", program.display()));
        let Some(file) = program.to_str() else { return Err(wrong("is no UTF-8".to_owned())) };
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let asked = Program {
            argv: [file, "-c", QUESTION].map(str::to_owned).into(),
            folder: None,
            environment: environment.collect(),
            confinement: Confinement::default(),
        };
        let limits = Limits { time: TIME, memory: None, output: 1 << 20 };
        let ran = asked
            .run(Vec::new(), &limits, interrupt::flag()?)
            .map_err(|error| wrong(format!("cannot be started: {error}")))?;
        let reply = match ran.ended {
            Ended::Interrupted => return Err(Error::interrupted()),
            Ended::Exited(status) if status.success() => serde_json::from_slice::<Reply>(&ran.output.bytes),
            _ => {
                let said = text::cut(text::told(&ran.errors).trim().to_owned(), 500);
                return Err(wrong(format!("does not run as Python: {said}")));
            }
        };
        let reply = reply.map_err(|_| wrong("does not run as Python 3".to_owned()))?;
        if !reply.has_kernel {
            let help = format!("{} -m pip install ipykernel", reply.executable);
            return Err(wrong("has no ipykernel, the kernel of notebooks".to_owned()).help(help));
        }
        let home = std::env::home_dir();
        let readable = readable(&reply, home.as_deref());
        Ok(Self { executable: reply.executable, readable, user_base: reply.user_base })
    }
}

/// Where its parts are; never the home of the user, or what contains it.
fn readable(reply: &Reply, home: Option<&Path>) -> Vec<PathBuf> {
    const PARTS: [&str; 6] = ["bin", "lib", "lib64", "include", "share", "pyvenv.cfg"];
    let parts = reply.prefixes.iter().flat_map(|prefix| PARTS.iter().map(|part| prefix.join(part)));
    let mut all: Vec<PathBuf> = parts.chain(reply.path.iter().cloned()).collect();
    all.push(PathBuf::from(&reply.executable));
    let mut kept: Vec<PathBuf> = all
        .into_iter()
        .filter_map(|place| place.canonicalize().ok())
        .filter(|place| place.parent().is_some() && !home.is_some_and(|home| home.starts_with(place)))
        .collect();
    kept.sort();
    kept.dedup();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_python_is_told() {
        let error = Interpreter::ask(Path::new("/bin/false")).unwrap_err();
        assert_eq!(error.code(), Some("T001"));
        assert!(Interpreter::ask(Path::new("/bin/echo")).is_err());
        assert!(Interpreter::ask(Path::new("/no-such-program")).is_err());
    }

    /// A virtual environment may be made anywhere.
    #[test]
    fn the_home_of_the_user_is_not_readable() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().canonicalize().unwrap();
        let site = home.join("lib/python3/site-packages");
        for folder in [&site, &home.join("bin"), &home.join(".ssh")] {
            std::fs::create_dir_all(folder).unwrap();
        }
        let reply = Reply {
            executable: home.join("bin/python").display().to_string(),
            prefixes: vec![home.clone(), PathBuf::from("/")],
            path: vec![home.clone(), home.parent().unwrap().to_owned(), site.clone(), PathBuf::from("/")],
            user_base: None,
            has_kernel: true,
        };
        let readable = readable(&reply, Some(&home));
        assert!(readable.contains(&site) && readable.contains(&home.join("bin")), "{readable:?}");
        let secret = home.join(".ssh");
        assert!(!readable.iter().any(|place| secret.starts_with(place)), "{readable:?}");
    }
}
