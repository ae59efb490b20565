//! Functions that an HTTP endpoint of the user's answers: arguments as the body, the result as the body.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use serde_json::Value;
use ureq::http::{Uri, uri::Scheme};

use super::process::{Kept, Limits};
use super::{Answer, text};
use crate::error::{Error, Result};

/// Where arguments are posted.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    url: Uri,
    headers: BTreeMap<String, String>,
}

/// How often Ctrl-C is looked for while an answer is waited for.
const LOOK: Duration = Duration::from_millis(20);

impl Endpoint {
    /// The endpoint of a URL; what is wrong with it if it is none.
    pub(super) fn new(url: &str, headers: BTreeMap<String, String>) -> std::result::Result<Self, String> {
        let parsed = url_of(url)?;
        Ok(Self { url: parsed, headers })
    }

    /// Posts the arguments of a call.
    pub(super) fn call(&self, limits: &Limits, arguments: &Value, interrupt: &AtomicBool) -> Result<Answer> {
        let (to_us, from_thread) = mpsc::channel();
        let (endpoint, limits, body) = (self.clone(), *limits, arguments.to_string());
        // A thread that is not waited for any more ends at its limit of time.
        std::thread::spawn(move || to_us.send(endpoint.post(&limits, &body)));
        let began = Instant::now();
        loop {
            match from_thread.recv_timeout(LOOK) {
                Ok(answer) => return Ok(answer),
                Err(RecvTimeoutError::Disconnected) => {
                    return Ok(Answer::failed("the request ended without an answer"));
                }
                Err(RecvTimeoutError::Timeout) if interrupt.load(Ordering::Relaxed) => {
                    return Err(Error::interrupted());
                }
                // The name of a host may take longer to be found than the request may take.
                Err(RecvTimeoutError::Timeout) if began.elapsed() > limits.time + 10 * LOOK => {
                    return Ok(timed_out(&limits));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn post(&self, limits: &Limits, body: &str) -> Answer {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(limits.time))
            // Another host than the one that is named is not asked.
            .max_redirects(0)
            .http_status_as_error(false)
            .build()
            .new_agent();
        let mut request = agent.post(&self.url).header("content-type", "application/json");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let mut response = match request.send(body) {
            Ok(response) => response,
            Err(ureq::Error::Timeout(_)) => return timed_out(limits),
            Err(error) => return Answer::failed(error.to_string()),
        };
        let status = response.status();
        let mut kept = Kept::default();
        let read =
            response.body_mut().as_reader().take(limits.output as u64 + 1).read_to_end(&mut kept.bytes);
        if let Err(error) = read {
            return Answer::failed(format!("the answer breaks off: {error}"));
        }
        kept.total = kept.bytes.len() as u64;
        let is_cut = kept.bytes.len() > limits.output;
        kept.bytes.truncate(limits.output);
        let mut said = text::told(&Kept { total: kept.bytes.len() as u64, ..kept });
        if is_cut {
            said += "\n[output cut]";
        }
        match status.is_success() {
            true => Answer::new(said),
            false => Answer::failed(format!("HTTP status {status}\n{said}").trim()),
        }
    }
}

/// A URL of HTTP; what is wrong with it if it is none.
pub(super) fn url_of(url: &str) -> std::result::Result<Uri, String> {
    let wrong = || format!("{url:?} is no URL of http or https");
    let parsed: Uri = url.parse().map_err(|_| wrong())?;
    let is_known = parsed.scheme().is_some_and(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
    if !is_known || parsed.host().is_none_or(str::is_empty) {
        return Err(wrong());
    }
    Ok(parsed)
}

fn timed_out(limits: &Limits) -> Answer {
    Answer::failed(format!("timed out after {} s", limits.time.as_secs_f64()))
}
