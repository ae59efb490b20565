//! A kernel that runs: its process, its sockets, and the cells that it executes.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use jupyter_protocol::{
    ConnectionInfo, ExecuteRequest, JupyterMessage, JupyterMessageContent, KernelInfoRequest, Transport,
};

use super::shown::Shown;
use super::wire::{self, Key, Received};
use super::zmtp;
use crate::agent::bubble;
use crate::agent::process::{self, Group, Program, Stream};
use crate::agent::scratch::Scratch;
use crate::agent::text;

/// How long a kernel may take to be there.
const START: Duration = Duration::from_secs(90);
/// How long a cell has to end when it was interrupted.
const GRACE: Duration = Duration::from_secs(5);
/// How long nothing may come behind the reply before the last word is given up: what a kernel cannot get rid of it drops.
const LAST_WORD: Duration = Duration::from_secs(3);
/// How long all of that may take.
const LAST_WORDS: Duration = Duration::from_secs(30);
/// How often Ctrl-C and the process are looked at.
const TICK: Duration = Duration::from_millis(20);
/// Bytes that are kept of one message.
const MOST_OF_MESSAGE: usize = 8 << 20;
/// Messages that wait to be looked at.
const WAITING: usize = 4;
/// Bytes that are kept of what the process itself writes.
const MOST_OF_ERRORS: usize = 4000;

const SHELL: u16 = 1;
const IOPUB: u16 = 2;

/// Why there is no kernel, or no longer.
#[derive(Debug)]
pub(super) enum Failure {
    /// Ctrl-C.
    Interrupted,
    /// For the reason that is told.
    Gone(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Gone(error.to_string())
    }
}

/// How a cell ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Done,
    /// It was interrupted at the limit of time, and what it had computed is still there.
    Stopped,
    /// It did not let itself be interrupted: the kernel is to be killed.
    Stuck,
}

/// A kernel, killed where it is dropped.
#[derive(Debug)]
pub(super) struct Kernel {
    child: Child,
    /// There until it is dropped.
    group: Option<Group>,
    /// Whether the process is bubblewrap's, and the kernel one that it has started.
    is_wrapped: bool,
    errors: Option<Stream>,
    shell: UnixStream,
    key: Key,
    session: String,
    incoming: Receiver<(u16, Received)>,
    /// Where its sockets are; removed behind it.
    _own: Scratch,
}

impl Kernel {
    /// Starts a program that is an interpreter with its options; the kernel has its sockets in `own`.
    pub(super) fn start(
        mut program: Program,
        memory: Option<u64>,
        own: Scratch,
        interrupt: &AtomicBool,
    ) -> Result<Self, Failure> {
        let began = Instant::now();
        let session = JupyterMessage::new(KernelInfoRequest {}, None).header.session;
        let sockets = own.path().join("socket");
        let connection = ConnectionInfo {
            ip: sockets.display().to_string(),
            transport: Transport::IPC,
            shell_port: SHELL,
            iopub_port: IOPUB,
            stdin_port: 3,
            control_port: 4,
            hb_port: 5,
            key: JupyterMessage::new(KernelInfoRequest {}, None).header.msg_id,
            signature_scheme: "hmac-sha256".to_owned(),
            kernel_name: None,
        };
        let file = own.path().join("connection.json");
        std::fs::write(&file, serde_json::to_vec(&connection).map_err(io::Error::other)?)?;
        // A way for the output of further processes, which there are none of in a sandbox.
        let quiet = "ignore:Couldn't bind IOPub Pipe";
        let options =
            ["-W", quiet, "-m", "ipykernel_launcher", "-f", &file.display().to_string()].map(str::to_owned);
        program.argv.extend(options);
        // A history is for people who type.
        program.argv.push("--HistoryManager.enabled=False".to_owned());
        let is_wrapped = program.confinement.bubble.is_some();
        let mut command = program.command(memory)?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let (mut child, group) = Group::spawn(&mut command)?;
        let errors = Stream::read(child.stderr.take(), MOST_OF_ERRORS);
        let mut waiting = Waiting { child, group, errors: Some(errors), began, interrupt };
        let key = Key::new(&connection.key);
        let path = |port: u16| PathBuf::from(format!("{}-{port}", sockets.display()));
        let published = waiting.connect(&path(IOPUB), zmtp::Kind::Sub, &[])?;
        let shell = waiting.connect(&path(SHELL), zmtp::Kind::Dealer, session.as_bytes())?;
        let (sender, incoming) = mpsc::sync_channel(WAITING);
        listen(shell.try_clone()?, SHELL, key.clone(), sender.clone());
        listen(published, IOPUB, key.clone(), sender);
        let Waiting { child, group, errors, .. } = waiting;
        let mut kernel =
            Self { child, group: Some(group), is_wrapped, errors, shell, key, session, incoming, _own: own };
        kernel.await_ready(began, interrupt)?;
        Ok(kernel)
    }

    /// Asks until it answers, and what it publishes arrives.
    fn await_ready(&mut self, began: Instant, interrupt: &AtomicBool) -> Result<(), Failure> {
        let mut asked = BTreeSet::new();
        let mut last_asked: Option<Instant> = None;
        let (mut answers, mut publishes) = (false, false);
        while !(answers && publishes) {
            if began.elapsed() > START {
                return Err(Failure::Gone("it does not answer".to_owned()));
            }
            if last_asked.is_none_or(|last| last.elapsed() > Duration::from_millis(200)) {
                asked.insert(self.send(KernelInfoRequest {})?);
                last_asked = Some(Instant::now());
            }
            let Some((from, received)) = self.next(interrupt)? else { continue };
            if received.parent.is_some_and(|parent| asked.contains(&parent)) {
                answers |= from == SHELL;
                publishes |= from == IOPUB;
            }
        }
        Ok(())
    }

    /// Executes a cell; what it publishes is added to `shown`.
    pub(super) fn execute(
        &mut self,
        code: &str,
        time: Duration,
        shown: &mut Shown,
        interrupt: &AtomicBool,
    ) -> Result<Ended, Failure> {
        let began = Instant::now();
        let request = self.send(ExecuteRequest::new(code.to_owned()))?;
        let mut replied: Option<Instant> = None;
        let mut stopped: Option<Instant> = None;
        let mut is_idle = false;
        let mut heard = began;
        while !(is_idle && replied.is_some()) {
            if replied.is_some_and(|at| heard.elapsed() > LAST_WORD || at.elapsed() > LAST_WORDS) {
                break;
            }
            match stopped {
                None if began.elapsed() > time && replied.is_none() => {
                    self.interrupt();
                    stopped = Some(Instant::now());
                }
                Some(at) if at.elapsed() > GRACE && replied.is_none() => return Ok(Ended::Stuck),
                _ => {}
            }
            let Some((from, received)) = self.next(interrupt)? else { continue };
            heard = Instant::now();
            let is_of_this = received.parent.as_ref() == Some(&request);
            match (from, received.kind.as_str()) {
                (SHELL, "execute_reply") if is_of_this => {
                    shown.add(&received);
                    replied = Some(Instant::now());
                }
                (SHELL, _) => {}
                (_, "status") => is_idle |= is_of_this && is_idle_status(&received),
                // What earlier cells left running goes on to print.
                _ => shown.add(&received),
            }
        }
        Ok(if stopped.is_some() { Ended::Stopped } else { Ended::Done })
    }

    /// Why the kernel is gone: its status, and the last that it wrote.
    fn post_mortem(&mut self) -> Failure {
        // Its sockets are closed before it is gone by itself.
        let began = Instant::now();
        while began.elapsed() < LAST_WORD && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(process::pause(began.elapsed()));
        }
        let status = self.kill().map_or_else(|error| error.to_string(), |status| status.to_string());
        let errors = self.errors.take().map(Stream::finish).unwrap_or_default();
        let errors = text::told(&errors);
        let said = if errors.trim().is_empty() { String::new() } else { format!("\n{}", errors.trim()) };
        Failure::Gone(format!("{status}{said}"))
    }

    fn kill(&mut self) -> io::Result<ExitStatus> {
        if let Some(group) = &self.group {
            group.kill();
        }
        self.child.wait()
    }

    /// The next message, if it comes soon.
    fn next(&mut self, interrupt: &AtomicBool) -> Result<Option<(u16, Received)>, Failure> {
        if interrupt.load(Ordering::Relaxed) {
            return Err(Failure::Interrupted);
        }
        match self.incoming.recv_timeout(TICK) {
            Ok(incoming) => Ok(Some(incoming)),
            Err(RecvTimeoutError::Timeout) if self.child.try_wait()?.is_none() => Ok(None),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Err(self.post_mortem()),
        }
    }

    /// Sends a request, and returns its name.
    fn send(&mut self, content: impl Into<JupyterMessageContent>) -> Result<String, Failure> {
        let message = JupyterMessage::new(content, None).with_session(&self.session);
        match wire::send(&mut self.shell, &self.key, &message) {
            Ok(()) => Ok(message.header.msg_id),
            Err(_) => Err(self.post_mortem()),
        }
    }

    /// As Ctrl-C does in a terminal.
    fn interrupt(&self) {
        use rustix::process::{Pid, Signal, kill_process};

        let id = self.child.id();
        let id = if self.is_wrapped { bubble::innermost(id) } else { id };
        if let Some(id) = i32::try_from(id).ok().and_then(Pid::from_raw) {
            let _ = kill_process(id, Signal::INT);
        }
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        let _ = self.kill();
        // What it has started is a stray once its group is not known.
        drop(self.group.take());
        process::kill_strays();
    }
}

fn is_idle_status(received: &Received) -> bool {
    received.content["execution_state"] == "idle"
}

/// A process that has not opened its sockets yet.
struct Waiting<'a> {
    child: Child,
    group: Group,
    errors: Option<Stream>,
    began: Instant,
    interrupt: &'a AtomicBool,
}

impl Waiting<'_> {
    /// Connects to a socket as soon as it is there.
    fn connect(&mut self, path: &Path, kind: zmtp::Kind, identity: &[u8]) -> Result<UnixStream, Failure> {
        loop {
            match UnixStream::connect(path) {
                Ok(stream) => {
                    return prepare(stream, kind, identity).map_err(|error| self.give_up(&error.to_string()));
                }
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                }
                Err(error) => return Err(self.give_up(&error.to_string())),
            }
            if self.interrupt.load(Ordering::Relaxed) {
                self.give_up("");
                return Err(Failure::Interrupted);
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(self.give_up(&status.to_string()));
            }
            if self.began.elapsed() > START {
                return Err(self.give_up("it opens no sockets"));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Ends the process, and says what became of it, or else `why`.
    fn give_up(&mut self, why: &str) -> Failure {
        let ended = (0..20).find_map(|_| {
            let status = self.child.try_wait().ok().flatten();
            if status.is_none() {
                std::thread::sleep(Duration::from_millis(5));
            }
            status
        });
        self.group.kill();
        let _ = self.child.wait();
        let why = ended.map_or_else(|| why.to_owned(), |status| status.to_string());
        let errors = self.errors.take().map(Stream::finish).unwrap_or_default();
        Failure::Gone(format!("{why}\n{}", text::told(&errors).trim()).trim().to_owned())
    }
}

/// A connection that is ready for messages.
fn prepare(mut stream: UnixStream, kind: zmtp::Kind, identity: &[u8]) -> io::Result<UnixStream> {
    let patience = Some(Duration::from_secs(30));
    stream.set_read_timeout(patience)?;
    stream.set_write_timeout(patience)?;
    zmtp::shake_hands(&mut stream, kind, identity)?;
    stream.set_read_timeout(None)?;
    Ok(stream)
}

/// Hands on what comes from a socket, until that or who listens is gone.
fn listen(mut stream: UnixStream, from: u16, key: Key, to: SyncSender<(u16, Received)>) {
    std::thread::spawn(move || {
        while let Ok(received) = wire::receive(&mut stream, &key, MOST_OF_MESSAGE) {
            if to.send((from, received)).is_err() {
                break;
            }
        }
    });
}
