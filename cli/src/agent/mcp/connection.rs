//! A connection to a server: calls go over it, and it is ended.

use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use rmcp::RoleClient;
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, ClientRequest, JsonObject, PingRequest, ServerResult,
};
use rmcp::service::{Peer, PeerRequestOptions, RunningService, ServiceError};
use serde_json::Value;
use tokio::sync::oneshot;

use super::client::{Client, Heard};
use super::http::Http;
use super::tasks::{Task, Waited, runtime, wait};
use super::{result, stdio};
use crate::agent::Answer;
use crate::agent::process::Limits;
use crate::error::{Error, Result};

/// How long is waited for what a server need not do: to be told of a cancelled call, to close a session.
const MOMENT: Duration = Duration::from_millis(300);

/// How long a server that let a call time out may take to show that it still listens.
const PONG: Duration = Duration::from_secs(2);

pub(super) type Running = RunningService<RoleClient, Client>;

/// A server that answers; dropped, it is ended.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) running: Option<Running>,
    pub(super) process: Option<stdio::Process>,
    pub(super) http: Option<Http>,
    pub(super) heard: Receiver<Heard>,
    /// Whether it let a call time out.
    pub(super) is_suspect: bool,
}

/// What became of a call.
enum Called {
    Answered(Box<ServerResult>),
    Failed(ServiceError),
    TimedOut,
}

impl Connection {
    /// Whether calls can go over it.
    pub(super) fn lives(&mut self, interrupt: &AtomicBool) -> Result<bool> {
        let Some(running) = &self.running else { return Ok(false) };
        if running.peer().is_transport_closed() {
            return Ok(false);
        }
        if !self.is_suspect {
            return Ok(true);
        }
        let peer = running.peer().clone();
        let (pong, came) = mpsc::channel();
        let Ok(runtime) = runtime() else { return Ok(false) };
        let task = Task(runtime.spawn(async move {
            let ping = ClientRequest::PingRequest(PingRequest::default());
            let answered = peer.send_request(ping).await;
            let _ = pong.send(matches!(answered, Ok(_) | Err(ServiceError::McpError(_))));
        }));
        let waited = wait(&came, Instant::now() + PONG, interrupt, &mut || {});
        drop(task);
        match waited {
            Waited::Interrupted => Err(Error::interrupted()),
            Waited::Came(true) => {
                self.is_suspect = false;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Calls a tool by the name that the server knows.
    ///
    /// # Errors
    ///
    /// If the user pressed Ctrl-C.
    pub(super) fn call(
        &mut self,
        name: String,
        arguments: Value,
        limits: &Limits,
        interrupt: &AtomicBool,
        tell: &mut dyn FnMut(&str),
    ) -> Result<Answer> {
        let (Some(running), Ok(runtime)) = (&self.running, runtime()) else {
            return Ok(Answer::failed("there is no server"));
        };
        let arguments = match arguments {
            Value::Object(arguments) => arguments,
            _ => JsonObject::new(),
        };
        let request = CallToolRequestParams::new(name).with_arguments(arguments);
        let (stop, stopped) = oneshot::channel();
        let (done, called) = mpsc::channel();
        let (peer, time) = (running.peer().clone(), limits.time);
        // It ends by itself: at its limit of time, or when it is stopped.
        runtime.spawn(async move {
            let _ = done.send(call(&peer, request, time, stopped).await);
        });
        let heard = &self.heard;
        let mut meanwhile = || {
            for news in heard.try_iter() {
                tell(&news.text());
            }
        };
        // The task minds the time; it may take a moment more to tell the server.
        let ends = Instant::now() + time + 2 * MOMENT;
        let waited = wait(&called, ends, interrupt, &mut meanwhile);
        meanwhile();
        let failed = match waited {
            Waited::Interrupted => {
                drop(stop);
                let _ = called.recv_timeout(MOMENT);
                return Err(Error::interrupted());
            }
            Waited::Came(Called::Answered(result)) => return Ok(told(&result, limits.output)),
            Waited::Came(Called::Failed(error)) => error,
            Waited::Came(Called::TimedOut) | Waited::TooLong => {
                self.is_suspect = true;
                return Ok(self.failed(format!("timed out after {} s", time.as_secs_f64())));
            }
            Waited::Gone => ServiceError::TransportClosed,
        };
        Ok(match failed {
            ServiceError::TransportClosed => {
                let gone = match &mut self.process {
                    Some(process) => [process.why_gone(), process.said()].join("\n"),
                    None => {
                        let broken = self.http.as_ref().and_then(Http::broken);
                        broken.unwrap_or_else(|| "the connection is closed".to_owned())
                    }
                };
                self.failed(format!("the server is gone: {}", gone.trim()))
            }
            error => Answer::failed(said(&error)),
        })
    }

    /// A call that failed, with what was wrong with the server's output.
    fn failed(&self, why: String) -> Answer {
        match self.process.as_ref().and_then(stdio::Process::noise) {
            Some(noise) => Answer::failed(format!("{why}; its output is no message: {noise:?}")),
            None => Answer::failed(why),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let (Some(mut running), Ok(runtime)) = (self.running.take(), runtime()) {
            let (done, closed) = mpsc::channel::<()>();
            runtime.spawn(async move {
                let _ = running.close_with_timeout(MOMENT).await;
                drop(done);
            });
            let _ = closed.recv_timeout(2 * MOMENT);
        }
    }
}

async fn call(
    peer: &Peer<RoleClient>,
    request: CallToolRequestParams,
    time: Duration,
    stopped: oneshot::Receiver<()>,
) -> Called {
    let request = ClientRequest::CallToolRequest(CallToolRequest::new(request));
    let mut handle = match peer.send_cancellable_request(request, PeerRequestOptions::no_options()).await {
        Ok(handle) => handle,
        Err(error) => return Called::Failed(error),
    };
    let reason = tokio::select! {
        answered = &mut handle.rx => {
            return match answered {
                Ok(Ok(result)) => Called::Answered(Box::new(result)),
                Ok(Err(error)) => Called::Failed(error),
                Err(_) => Called::Failed(ServiceError::TransportClosed),
            };
        }
        () = tokio::time::sleep(time) => "timed out",
        _ = stopped => "interrupted",
    };
    let _ = tokio::time::timeout(MOMENT, handle.cancel(Some(reason.to_owned()))).await;
    Called::TimedOut
}

/// What the model is told of a result.
fn told(found: &ServerResult, most: usize) -> Answer {
    match found {
        ServerResult::CallToolResult(found) => result::answer(found, most),
        ServerResult::EmptyResult(_) => Answer::new(""),
        ServerResult::InputRequiredResult(_) => {
            Answer::failed("the tool asks for more than its arguments, which it is not given here")
        }
        ServerResult::CreateTaskResult(_) => {
            Answer::failed("the tool answers later, which is not waited for")
        }
        _ => Answer::failed("the server answered with what is no result of a tool"),
    }
}

/// An error of the protocol, without the names of types.
pub(super) fn said(error: &ServiceError) -> String {
    match error {
        ServiceError::McpError(error) => format!("error {}: {}", error.code.0, error.message),
        ServiceError::TransportSend(error) => innermost(&*error.error),
        ServiceError::TransportClosed => "the server is gone".to_owned(),
        error => error.to_string(),
    }
}

pub(super) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
