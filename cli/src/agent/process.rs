//! Programs under limits of time, memory and output, which leave nothing running behind.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use super::launch::{self, Confinement};

/// What a program may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// From its start to its end.
    pub(crate) time: Duration,
    /// Bytes of address space of each of its processes.
    pub(crate) memory: Option<u64>,
    /// Bytes that are kept of standard output, and of standard error.
    pub(crate) output: usize,
}

/// A program that is to be run.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// The file of the program, and its arguments.
    pub(crate) argv: Vec<String>,
    /// Where it starts; none is the folder of this process.
    pub(crate) folder: Option<PathBuf>,
    /// Its whole environment.
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) confinement: Confinement,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Exited(ExitStatus),
    /// It was killed at its limit of time.
    TimedOut,
    /// It was killed for writing without end.
    WroteTooMuch,
    /// It was killed because the user pressed Ctrl-C.
    Interrupted,
}

/// The first bytes of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) bytes: Vec<u8>,
    /// Bytes that were written in all.
    pub(crate) total: u64,
}

/// What a program did.
#[derive(Clone, Debug)]
pub(crate) struct Ran {
    pub(crate) ended: Ended,
    pub(crate) output: Kept,
    pub(crate) errors: Kept,
}

/// A program that writes more than this is killed: it may never end.
const MOST_WRITTEN: u64 = 4 << 30;

impl Program {
    /// The command that starts it, in a process group of its own.
    pub(crate) fn command(&self, memory: Option<u64>) -> io::Result<Command> {
        let mut command = launch::command(&self.argv, memory, &self.confinement)?;
        command.env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        Ok(command)
    }

    /// Runs it to its end with `input` on standard input. Whatever it started is killed when it ends.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub(crate) fn run(&self, input: Vec<u8>, limits: &Limits, interrupt: &AtomicBool) -> io::Result<Ran> {
        let began = Instant::now();
        let mut command = self.command(limits.memory)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (mut child, group) = Group::spawn(&mut command)?;
        let stdin = child.stdin.take();
        // A program need not read what it is given; the thread ends with the pipe.
        std::thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(&input)));
        let output = Stream::read(child.stdout.take(), limits.output);
        let errors = Stream::read(child.stderr.take(), limits.output);
        let written = || output.kept().total.max(errors.kept().total);
        let ended = loop {
            if let Some(status) = child.try_wait()? {
                break Ended::Exited(status);
            }
            if interrupt.load(Ordering::Relaxed) {
                break Ended::Interrupted;
            }
            if began.elapsed() >= limits.time {
                break Ended::TimedOut;
            }
            if written() > MOST_WRITTEN {
                break Ended::WroteTooMuch;
            }
            std::thread::sleep(pause(began.elapsed()));
        };
        group.kill();
        child.wait()?;
        drop(group);
        kill_strays();
        Ok(Ran { ended, output: output.finish(), errors: errors.finish() })
    }
}

/// How long to wait before a process is looked at again: a tenth of the time that it took so far.
pub(crate) fn pause(so_far: Duration) -> Duration {
    (so_far / 10).clamp(Duration::from_micros(200), Duration::from_millis(10))
}

/// A stream that a thread reads to its end, of which the first bytes are kept.
#[derive(Debug)]
pub(super) struct Stream {
    kept: Arc<Mutex<Kept>>,
    end: mpsc::Receiver<()>,
}

impl Stream {
    pub(super) fn read(from: Option<impl Read + Send + 'static>, most: usize) -> Self {
        let kept = Arc::<Mutex<Kept>>::default();
        let (at_end, end) = mpsc::channel();
        let into = kept.clone();
        std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            let Some(mut from) = from else { return };
            loop {
                match from.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(count) => {
                        let mut kept = lock(&into);
                        kept.total += count as u64;
                        let room = most.saturating_sub(kept.bytes.len()).min(count);
                        kept.bytes.extend_from_slice(&buffer[..room]);
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
            drop(at_end);
        });
        Self { kept, end }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        lock(&self.kept)
    }

    /// What was read. A process that ran away with the pipe is waited for only a moment.
    pub(super) fn finish(self) -> Kept {
        let _ = self.end.recv_timeout(Duration::from_millis(200));
        std::mem::take(&mut *self.kept())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The process groups that run now, to be killed with this process.
static RUNNING: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// A process and all that it starts in its group; killed where it is dropped.
#[derive(Debug)]
pub(crate) struct Group(u32);

impl Group {
    /// Starts what [`Program::command`] made.
    pub(crate) fn spawn(command: &mut Command) -> io::Result<(Child, Self)> {
        // Until it is known it would be taken for a stray.
        let mut running = lock(&RUNNING);
        let child = command.spawn()?;
        running.insert(child.id());
        let group = Self(child.id());
        Ok((child, group))
    }

    /// Kills its processes; those that are gone already are no matter.
    pub(crate) fn kill(&self) {
        kill_group(self.0);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
        lock(&RUNNING).remove(&self.0);
    }
}

#[cfg(unix)]
fn kill_group(group: u32) {
    use rustix::process::{Pid, Signal, kill_process_group};

    if let Some(id) = i32::try_from(group).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(id, Signal::KILL);
    }
}

#[cfg(not(unix))]
fn kill_group(group: u32) {
    // There are no groups; the process with all that it started is what `taskkill` knows.
    let _ = Command::new("taskkill").args(["/F", "/T", "/PID", &group.to_string()]).output();
}

/// Kills everything that tools have running, and removes their folders: this process is about to end.
pub(crate) fn kill_all() {
    lock(&RUNNING).iter().copied().for_each(kill_group);
    super::scratch::remove_all();
}

/// Kills what left its group and lost its parent. Linux hands such processes to this one, if it asks for them.
#[cfg(target_os = "linux")]
pub(super) fn kill_strays() {
    use rustix::process::{Pid, Signal, WaitOptions, getpgid, kill_process, waitpid};

    let known = lock(&RUNNING);
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return };
    for task in tasks.flatten() {
        let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for id in children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()) {
            let pid = i32::try_from(id).ok().and_then(Pid::from_raw);
            // What a program that still runs has left behind is its own.
            let is_kept = |pid| {
                let group = getpgid(Some(pid)).ok().and_then(|group| u32::try_from(group.as_raw_pid()).ok());
                known.contains(&id) || group.is_some_and(|group| known.contains(&group))
            };
            if let Some(pid) = pid.filter(|&pid| !is_kept(pid)) {
                let _ = kill_process(pid, Signal::KILL);
                let _ = waitpid(Some(pid), WaitOptions::empty());
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn kill_strays() {}

/// Asks for processes that lose their parent, so that none outlives its call.
pub(crate) fn adopt_strays() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
}

/// The file of a program: as it is written if that is a path, from `folder` on; else looked for in PATH.
pub(crate) fn find(name: &str, folder: &Path) -> Option<PathBuf> {
    let is_file = |path: &PathBuf| path.is_file();
    if name.contains(std::path::is_separator) {
        return Some(folder.join(name)).filter(is_file);
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .flat_map(|folder| {
            let plain = folder.join(name);
            let with_suffix = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
            [plain, with_suffix]
        })
        .find(is_file)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn sh(script: &str) -> Program {
        let argv = ["/bin/sh", "-c", script].map(str::to_owned).into();
        Program {
            argv,
            folder: None,
            environment: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
            confinement: Confinement::default(),
        }
    }

    fn limits(millis: u64) -> Limits {
        Limits { time: Duration::from_millis(millis), memory: None, output: 100 }
    }

    fn run(script: &str, limits: &Limits) -> Ran {
        sh(script).run(b"in".to_vec(), limits, &AtomicBool::new(false)).expect("a shell is there")
    }

    #[test]
    fn input_output_and_status_pass_through() {
        let ran = run("cat; echo out; echo err >&2; exit 3", &limits(10_000));
        assert_eq!(ran.output.bytes, b"inout\n");
        assert_eq!(ran.errors.bytes, b"err\n");
        assert!(matches!(ran.ended, Ended::Exited(status) if status.code() == Some(3)));
    }

    #[test]
    fn what_is_too_much_is_counted_and_not_kept() {
        let ran = run("head -c 1000000 /dev/zero", &limits(10_000));
        assert_eq!((ran.output.bytes.len(), ran.output.total), (100, 1_000_000));
    }

    #[test]
    fn time_and_ctrl_c_end_it() {
        let began = Instant::now();
        assert_eq!(run("sleep 60", &limits(50)).ended, Ended::TimedOut);
        let stop = AtomicBool::new(true);
        assert_eq!(sh("sleep 60").run(Vec::new(), &limits(60_000), &stop).unwrap().ended, Ended::Interrupted);
        assert!(began.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn the_environment_is_what_is_named() {
        assert_eq!(
            run("env | cut -d= -f1 | sort | tr '\\n' ' '", &limits(10_000)).output.bytes,
            b"PATH PWD "
        );
    }

    fn is_running(id: &[u8]) -> bool {
        let id = String::from_utf8_lossy(id);
        let state = std::fs::read_to_string(format!("/proc/{}/stat", id.trim())).unwrap_or_default();
        !state.is_empty() && !state.contains(") Z ")
    }

    #[test]
    fn what_it_leaves_running_is_killed() {
        adopt_strays();
        for script in ["sleep 60 & echo $!", "setsid sleep 60 & echo $!"] {
            let began = Instant::now();
            let ran = run(script, &limits(10_000));
            assert!(matches!(ran.ended, Ended::Exited(status) if status.success()), "{ran:?}");
            assert!(!is_running(&ran.output.bytes), "{script}");
            assert!(began.elapsed() < Duration::from_secs(5), "{script}");
        }
    }

    #[test]
    fn programs_are_found_by_path_and_by_name() {
        assert_eq!(find("sh", Path::new("/nowhere")).unwrap().file_name().unwrap(), "sh");
        assert_eq!(find("bin/sh", Path::new("/")).as_deref(), Some(Path::new("/bin/sh")));
        assert_eq!(find("./sh", Path::new("/nowhere")), None);
        assert_eq!(find("no-such-program", Path::new("/")), None);
    }
}
