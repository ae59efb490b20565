//! The beginning of a connection: the server is started or asked, and tells its tools.

use std::collections::{BTreeMap, HashMap};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{self, Receiver};
use std::time::Instant;

use rmcp::model::{PaginatedRequestParams, ProtocolVersion, Tool};
use rmcp::service::{ClientInitializeError, ClientLifecycleMode, ClientServiceExt, ServiceError};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::{StreamableHttpClientTransport, common::client_side_sse::ExponentialBackoff};
use ureq::http::{HeaderName, HeaderValue};

use super::client::{Client, Heard};
use super::connection::{Connection, Running, innermost, said};
use super::http::Http;
use super::stdio;
use super::tasks::{Task, Waited, runtime, wait};
use crate::agent::http;
use crate::agent::process::{Limits, Program};
use crate::error::{Error, Result};

/// Bytes of a message from a server; more are not read.
pub(super) const MOST_OF_A_MESSAGE: usize = 16 << 20;

/// Tools of a server; more are not asked for.
const MOST_TOOLS: usize = 1000;

/// Where a server is.
#[derive(Clone, Debug)]
pub(super) enum Reach {
    Program(Program),
    Url { url: String, headers: HashMap<HeaderName, HeaderValue> },
}

/// What a server told of itself.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) instructions: Option<String>,
    pub(super) tools: Vec<Tool>,
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) why: String,
    /// The end of what the server wrote to standard error.
    pub(super) said: String,
}

impl Failed {
    pub(super) fn whole(&self) -> String {
        if self.said.is_empty() { self.why.clone() } else { format!("{}\n{}", self.why, self.said) }
    }
}

impl Reach {
    /// A server behind HTTP; what is wrong with it.
    pub(super) fn url(url: &str, headers: BTreeMap<String, String>) -> std::result::Result<Self, String> {
        http::url_of(url)?;
        let header = |(name, value): (String, String)| {
            let wrong = |_| format!("{name:?} is no header with a legal value");
            Ok((
                HeaderName::from_str(&name).map_err(|_| wrong(()))?,
                HeaderValue::from_str(&value).map_err(|_| wrong(()))?,
            ))
        };
        let headers = headers.into_iter().map(header).collect::<std::result::Result<_, String>>()?;
        Ok(Self::Url { url: url.to_owned(), headers })
    }

    /// Begins to connect.
    ///
    /// # Errors
    ///
    /// If the program cannot be started; why.
    pub(super) fn begin(&self, limits: &Limits) -> std::result::Result<Starting, String> {
        self.begin_in(ClientLifecycleMode::Initialize, limits)
    }

    fn begin_in(&self, mode: ClientLifecycleMode, limits: &Limits) -> std::result::Result<Starting, String> {
        let is_first = mode == ClientLifecycleMode::Initialize;
        let runtime = runtime()?;
        let (to_us, heard) = mpsc::sync_channel(64);
        let (found, finds) = mpsc::channel();
        let client = Client { heard: to_us };
        let (process, http, task) = match self {
            Self::Program(program) => {
                let (process, lines) =
                    stdio::start(program, limits.memory).map_err(|error| error.to_string())?;
                let task = runtime.spawn(async move {
                    let connected = connect(client.serve_with_lifecycle(lines, mode).await).await;
                    let _ = found.send(connected);
                });
                (Some(process), None, task)
            }
            Self::Url { url, headers } => {
                let mut config = StreamableHttpClientTransportConfig::with_uri(url.as_str())
                    .custom_headers(headers.clone())
                    .max_sse_event_size(MOST_OF_A_MESSAGE)
                    .max_json_response_size(MOST_OF_A_MESSAGE);
                let mut retry = ExponentialBackoff::default();
                retry.max_times = Some(4);
                config.retry_config = Arc::new(retry);
                let http = Http::new(limits.time);
                let keeps = http.clone();
                let task = runtime.spawn(async move {
                    let transport = StreamableHttpClientTransport::with_client(http, config);
                    let connected = connect(client.serve_with_lifecycle(transport, mode).await).await;
                    let _ = found.send(connected);
                });
                (None, Some(keeps), task)
            }
        };
        let again = is_first.then(|| self.clone());
        Ok(Starting { _task: Task(task), process, http, heard, finds, began: Instant::now(), again })
    }
}

/// A connection that is being made.
#[derive(Debug)]
pub(super) struct Starting {
    /// Dropped first: it holds the standard input of the process, whose end tells that to end.
    _task: Task,
    process: Option<stdio::Process>,
    http: Option<Http>,
    heard: Receiver<Heard>,
    finds: Receiver<std::result::Result<(Running, Told), Refused>>,
    began: Instant,
    /// What is asked again if the server does not know the beginning.
    again: Option<Reach>,
}

impl Starting {
    /// Waits for the connection, and for what the server tells of itself.
    ///
    /// # Errors
    ///
    /// If the user pressed Ctrl-C.
    pub(super) fn finish(
        mut self,
        limits: &Limits,
        interrupt: &AtomicBool,
    ) -> Result<std::result::Result<(Connection, Told), Failed>> {
        let ends = self.began + limits.time;
        let found = wait(&self.finds, ends, interrupt, &mut || {});
        let is_gone = !matches!(found, Waited::TooLong);
        let why = match found {
            Waited::Came(Ok((running, told))) => {
                // What it said before it told its tools is no news.
                while self.heard.try_recv().is_ok() {}
                let connection = Connection {
                    running: Some(running),
                    process: self.process.take(),
                    http: self.http.take(),
                    heard: self.heard,
                    is_suspect: false,
                };
                return Ok(Ok((connection, told)));
            }
            Waited::Interrupted => return Err(Error::interrupted()),
            Waited::Came(Err(refused)) => {
                // Servers of the newest protocol alone have another beginning.
                if let Some(reach) = self.again.take().filter(|_| refused.is_by_protocol) {
                    drop(self);
                    let modern =
                        ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::LATEST] };
                    return match reach.begin_in(modern, limits) {
                        Ok(starting) => starting.finish(limits, interrupt),
                        Err(why) => Ok(Err(Failed { why, said: String::new() })),
                    };
                }
                refused.why
            }
            Waited::Gone => "it did not answer".to_owned(),
            Waited::TooLong => format!("it did not answer within {} s", limits.time.as_secs_f64()),
        };
        let Some(process) = &mut self.process else { return Ok(Err(Failed { why, said: String::new() })) };
        let mut parts = vec![why];
        if is_gone {
            parts.push(process.why_gone());
        }
        parts.extend(process.noise().map(|noise| format!("its output is no message: {noise:?}")));
        Ok(Err(Failed { why: parts.join("; "), said: process.said() }))
    }
}

/// Why a server is not there.
#[derive(Debug)]
struct Refused {
    why: String,
    /// Whether it said so in the words of the protocol.
    is_by_protocol: bool,
}

impl Refused {
    fn new(why: String) -> Self {
        Self { why, is_by_protocol: false }
    }
}

/// The rest of the beginning: the tools.
async fn connect(
    running: std::result::Result<Running, ClientInitializeError>,
) -> std::result::Result<(Running, Told), Refused> {
    let running = running.map_err(|error| match error {
        ClientInitializeError::TransportError { error, .. } => Refused::new(innermost(&*error.error)),
        ClientInitializeError::JsonRpcError(error) => {
            Refused { why: said(&ServiceError::McpError(error)), is_by_protocol: true }
        }
        error => Refused::new(error.to_string()),
    })?;
    let info = running.peer().peer_info();
    let mut told = Told { instructions: info.and_then(|info| info.instructions.clone()), tools: Vec::new() };
    let mut cursor = None;
    loop {
        let asked = PaginatedRequestParams::default().with_cursor(cursor);
        let page = running.peer().list_tools(Some(asked)).await;
        let page =
            page.map_err(|error| Refused::new(format!("it does not tell its tools: {}", said(&error))))?;
        told.tools.extend(page.tools);
        if told.tools.len() > MOST_TOOLS {
            return Err(Refused::new(format!("it has more than {MOST_TOOLS} tools")));
        }
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => return Ok((running, told)),
        }
    }
}
