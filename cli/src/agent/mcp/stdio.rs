//! A server that is a program: messages are lines of its standard input and output.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use rmcp::RoleClient;
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;

use super::start::MOST_OF_A_MESSAGE;
use crate::agent::process::{self, Group, Program, pause};

/// Bytes that are kept of the end of standard error.
const MOST_OF_ERRORS: usize = 2000;

/// How long a server may take to end by itself once its standard input is closed.
const GRACE: Duration = Duration::from_millis(500);

/// How long is waited for what should be there.
const MOMENT: Duration = Duration::from_millis(200);

/// Messages that wait to be handled; the server waits if there are more.
const WAITING: usize = 16;

/// A server that was started here; dropped, it is ended with all that it started.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    group: Option<Group>,
    errors: Arc<Mutex<Vec<u8>>>,
    /// Ends with standard error.
    errors_end: mpsc::Receiver<()>,
    output: Arc<Mutex<Output>>,
}

/// What was wrong with the output of a server.
#[derive(Debug, Default)]
struct Output {
    /// Why it is not listened to any more.
    broken: Option<String>,
    /// The beginning of the last line that was no message.
    noise: Option<String>,
}

/// The messages to and from a server.
#[derive(Debug)]
pub(super) struct Lines {
    to_server: Option<mpsc::Sender<Vec<u8>>>,
    from_server: tokio::sync::mpsc::Receiver<RxJsonRpcMessage<RoleClient>>,
}

/// Starts a server.
///
/// # Errors
///
/// If it cannot be started.
pub(super) fn start(program: &Program, memory: Option<u64>) -> std::io::Result<(Process, Lines)> {
    process::adopt_strays();
    let mut command = program.command(memory)?;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (mut child, group) = Group::spawn(&mut command)?;
    let (errors, output) = (Arc::default(), Arc::default());
    let (to_server, outbox) = mpsc::channel::<Vec<u8>>();
    if let Some(mut stdin) = child.stdin.take() {
        std::thread::spawn(move || {
            // Ends with the channel, or with the pipe; that closes standard input.
            for line in outbox {
                if stdin.write_all(&line).and_then(|()| stdin.flush()).is_err() {
                    break;
                }
            }
        });
    }
    let (inbox, from_server) = tokio::sync::mpsc::channel(WAITING);
    if let Some(stdout) = child.stdout.take() {
        let output = Arc::clone(&output);
        std::thread::spawn(move || read(BufReader::new(stdout), &inbox, &output));
    }
    let (at_end, errors_end) = mpsc::channel::<()>();
    if let Some(stderr) = child.stderr.take() {
        let errors = Arc::clone(&errors);
        std::thread::spawn(move || {
            keep_end(stderr, &errors);
            drop(at_end);
        });
    }
    let lines = Lines { to_server: Some(to_server), from_server };
    Ok((Process { child, group: Some(group), errors, errors_end, output }, lines))
}

fn read(
    mut from: impl BufRead,
    inbox: &tokio::sync::mpsc::Sender<RxJsonRpcMessage<RoleClient>>,
    output: &Mutex<Output>,
) {
    let mut line = Vec::new();
    loop {
        line.clear();
        match from.by_ref().take(MOST_OF_A_MESSAGE as u64 + 1).read_until(b'\n', &mut line) {
            Ok(0) => return,
            Err(error) => {
                lock(output).broken = Some(format!("its output breaks off: {error}"));
                return;
            }
            Ok(_) => {}
        }
        if line.len() > MOST_OF_A_MESSAGE {
            lock(output).broken =
                Some(format!("it wrote a message of more than {} MiB", MOST_OF_A_MESSAGE >> 20));
            return;
        }
        match serde_json::from_slice(&line) {
            Ok(message) => {
                if inbox.blocking_send(message).is_err() {
                    return;
                }
            }
            Err(_) if line.trim_ascii().is_empty() => {}
            Err(_) => {
                let start = &line[..line.len().min(200)];
                lock(output).noise = Some(String::from_utf8_lossy(start).trim().to_owned());
            }
        }
    }
}

fn keep_end(mut from: impl Read, errors: &Mutex<Vec<u8>>) {
    let mut buffer = vec![0; 1 << 12];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let mut kept = lock(errors);
        kept.extend_from_slice(&buffer[..count]);
        let too_many = kept.len().saturating_sub(MOST_OF_ERRORS);
        kept.drain(..too_many);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Process {
    /// Why there are no more messages of it, as far as that can be seen.
    pub(super) fn why_gone(&mut self) -> String {
        if let Some(why) = &lock(&self.output).broken {
            return why.clone();
        }
        match self.wait(MOMENT) {
            Some(status) => {
                // Its last words may still be on the way.
                let _ = self.errors_end.recv_timeout(MOMENT);
                format!("it ended: {status}")
            }
            None => "it closed its output".to_owned(),
        }
    }

    /// The last line of its output that was no message.
    pub(super) fn noise(&self) -> Option<String> {
        lock(&self.output).noise.clone()
    }

    /// The end of what it wrote to standard error.
    pub(super) fn said(&self) -> String {
        String::from_utf8_lossy(&lock(&self.errors)).trim().to_owned()
    }

    fn wait(&mut self, at_most: Duration) -> Option<std::process::ExitStatus> {
        let began = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(None) if began.elapsed() < at_most => std::thread::sleep(pause(began.elapsed())),
                Ok(status) => return status,
                Err(_) => return None,
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.wait(GRACE);
        if let Some(group) = self.group.take() {
            group.kill();
            let _ = self.child.wait();
        }
        process::kill_strays();
    }
}

impl Transport<RoleClient> for Lines {
    type Error = std::io::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        let sent = serde_json::to_vec(&message).map_err(std::io::Error::from).and_then(|mut line| {
            line.push(b'\n');
            let to_server = self.to_server.as_ref().ok_or(std::io::ErrorKind::NotConnected)?;
            to_server.send(line).map_err(|_| std::io::ErrorKind::BrokenPipe.into())
        });
        std::future::ready(sent)
    }

    fn receive(&mut self) -> impl Future<Output = Option<RxJsonRpcMessage<RoleClient>>> + Send {
        self.from_server.recv()
    }

    fn close(&mut self) -> impl Future<Output = Result<(), Self::Error>> + Send {
        self.to_server = None;
        std::future::ready(Ok(()))
    }
}
