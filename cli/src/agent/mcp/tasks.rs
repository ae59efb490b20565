//! Tasks beside the program, and waiting for them.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

/// How often Ctrl-C is looked for.
const LOOK: Duration = Duration::from_millis(20);

/// Where tasks run: a thread of their own, once there is a server.
pub(super) fn runtime() -> std::result::Result<&'static Handle, String> {
    static RUNTIME: OnceLock<std::result::Result<Handle, String>> = OnceLock::new();
    let start = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let handle = runtime.handle().clone();
        std::thread::Builder::new()
            .name("mcp".to_owned())
            .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
        Ok(handle)
    };
    RUNTIME
        .get_or_init(|| start().map_err(|error: std::io::Error| error.to_string()))
        .as_ref()
        .map_err(Clone::clone)
}

/// A task that ends with what waits for it.
#[derive(Debug)]
pub(super) struct Task(pub(super) tokio::task::JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What came of waiting.
pub(super) enum Waited<T> {
    Came(T),
    /// Nobody is left to send it.
    Gone,
    TooLong,
    /// The user pressed Ctrl-C.
    Interrupted,
}

/// Waits for what a task sends.
pub(super) fn wait<T>(
    from: &Receiver<T>,
    ends: Instant,
    interrupt: &AtomicBool,
    meanwhile: &mut dyn FnMut(),
) -> Waited<T> {
    loop {
        match from.recv_timeout(LOOK) {
            Ok(value) => return Waited::Came(value),
            Err(RecvTimeoutError::Disconnected) => return Waited::Gone,
            Err(RecvTimeoutError::Timeout) => {}
        }
        meanwhile();
        if interrupt.load(Ordering::Relaxed) {
            return Waited::Interrupted;
        }
        if Instant::now() >= ends {
            return Waited::TooLong;
        }
    }
}
