//! Ctrl-C: noticed, so that a command can end cleanly.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Duration;

use gptoss_runtime::tap::{Tap, TapPoint, TapSite, TapValues};

use crate::agent::process;
use crate::context::Context;
use crate::error::{Error, INTERRUPTED, Result};
use crate::output_file;

/// How long a computation has to end by itself: a layer of a long prompt takes longer than anybody wants to wait.
const GRACE: Duration = Duration::from_millis(150);

/// Whether to report as JSON and in colour, once a computation is watched.
static REPORT: OnceLock<(bool, bool)> = OnceLock::new();

/// What turns true at the first Ctrl-C. A second one ends the program at once.
pub(crate) fn flag() -> Result<&'static Arc<AtomicBool>> {
    static INTERRUPT: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);
    static IS_WATCHED: OnceLock<bool> = OnceLock::new();
    let watch = || {
        let handler = || {
            let exit = || {
                process::kill_all();
                std::process::exit(i32::from(INTERRUPTED))
            };
            if INTERRUPT.swap(true, Ordering::Relaxed) {
                exit();
            }
            if let Some(&(as_json, in_color)) = REPORT.get() {
                std::thread::sleep(GRACE);
                output_file::remove_unfinished();
                Error::interrupted().report(as_json, in_color);
                exit();
            }
        };
        ctrlc::set_handler(handler).is_ok()
    };
    match IS_WATCHED.get_or_init(watch) {
        true => Ok(&INTERRUPT),
        false => Err(Error::io("cannot watch for Ctrl-C")),
    }
}

/// Ends what it is asked about once Ctrl-C was pressed; as a tap, a forward pass before its next layer. What does not
/// end within [`GRACE`] is ended with the program; unfinished files are removed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch(&'static AtomicBool);

impl Watch {
    /// From now on Ctrl-C asks for the end.
    pub(crate) fn new(context: &Context) -> Result<Self> {
        let flag = flag()?;
        REPORT.get_or_init(|| (context.json, context.reports_in_color()));
        Ok(Self(flag))
    }

    /// An error if Ctrl-C was pressed.
    pub(crate) fn check(self) -> Result<()> {
        if self.interrupted() { Err(Error::interrupted()) } else { Ok(()) }
    }
}

impl Tap for Watch {
    fn wants(&self, _: TapPoint, _: Option<usize>) -> bool {
        false
    }

    fn record(&mut self, _: TapSite, _: TapValues<'_>) {}

    fn interrupted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
