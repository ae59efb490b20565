//! The browser beside the official one, whose displays are in `fixtures/browser/official.json`
//! (made by `tests/python/browser_official.py`), and its limits.

mod folder;
mod official;
mod server;

use std::sync::atomic::AtomicBool;

use harmony_format::{Message, Role};
use serde_json::Value;

use super::Browser;
use crate::agent::Answer;
use crate::agent::toolbox::Kit;

/// The answer to a call.
fn call(browser: &mut Browser, recipient: &str, arguments: &Value) -> Answer {
    let call = Message::new(Role::Assistant, arguments.to_string()).with_recipient(recipient);
    assert!(browser.has(recipient));
    browser.answer(recipient, &call, &AtomicBool::new(false), &mut |_| {}).unwrap()
}
