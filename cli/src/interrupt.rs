//! Ctrl-C: work ends at the next place where it can, and what was begun is cleaned up.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use gptoss_runtime::tap::{Tap, TapPoint, TapSite, TapValues};

use crate::error::{Error, INTERRUPTED};

static ASKED: AtomicBool = AtomicBool::new(false);
static LISTENING: Once = Once::new();

/// From now on Ctrl-C only asks for the end, which the command must look for; asked twice, the program ends at once.
pub(crate) fn listen() {
    LISTENING.call_once(|| {
        // Where no handler can be set, Ctrl-C ends the program as it did before.
        let _ = ctrlc::set_handler(|| {
            if ASKED.swap(true, Ordering::Relaxed) {
                std::process::exit(i32::from(INTERRUPTED));
            }
        });
    });
}

/// Whether Ctrl-C was pressed.
pub(crate) fn is_asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}

/// An error if Ctrl-C was pressed.
pub(crate) fn check() -> Result<(), Error> {
    if is_asked() { Err(Error::interrupted()) } else { Ok(()) }
}

/// Ends a forward pass before its next layer once Ctrl-C was pressed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interruptible;

impl Tap for Interruptible {
    const ACTIVE: bool = false;

    fn wants(&self, _: TapPoint, _: Option<usize>) -> bool {
        false
    }

    fn record(&mut self, _: TapSite, _: TapValues<'_>) {}

    fn interrupted(&self) -> bool {
        is_asked()
    }
}
