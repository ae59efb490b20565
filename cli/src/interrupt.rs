//! Ctrl-C: noticed, so that a command can end cleanly.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use gptoss_runtime::tap::{Tap, TapPoint, TapSite, TapValues};

use crate::error::{Error, INTERRUPTED, Result};

/// What turns true at the first Ctrl-C. A second one ends the program at once.
pub(crate) fn flag() -> Result<&'static AtomicBool> {
    static INTERRUPT: AtomicBool = AtomicBool::new(false);
    static IS_WATCHED: OnceLock<bool> = OnceLock::new();
    let watch = || {
        let handler = || {
            if INTERRUPT.swap(true, Ordering::Relaxed) {
                std::process::exit(i32::from(INTERRUPTED));
            }
        };
        ctrlc::set_handler(handler).is_ok()
    };
    match IS_WATCHED.get_or_init(watch) {
        true => Ok(&INTERRUPT),
        false => Err(Error::io("cannot watch for Ctrl-C")),
    }
}

/// Ends what it is asked about once Ctrl-C was pressed; as a tap, a forward pass before its next layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch(&'static AtomicBool);

impl Watch {
    /// From now on Ctrl-C only asks for the end.
    pub(crate) fn new() -> Result<Self> {
        flag().map(Self)
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
