//! A server behind HTTP: requests by the client that this program has anyway, each on a thread of its own.

use std::collections::HashMap;
use std::io::{Cursor, Read};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
    StreamableHttpResponseLimits,
};
use sse_stream::{Sse, SseStream};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use ureq::http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};

/// The media types of answers.
const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";

const SESSION: &str = "mcp-session-id";
const LAST_EVENT: &str = "last-event-id";

/// Bytes of the text of an error.
const MOST_OF_AN_ERROR: usize = 2000;

type Events = Pin<Box<dyn Stream<Item = Result<Sse, SseError>> + Send>>;
type Chunk = std::io::Result<Cursor<Vec<u8>>>;
type Failure = StreamableHttpError<ureq::Error>;

/// Makes the requests.
#[derive(Clone, Debug)]
pub(super) struct Http {
    agent: ureq::Agent,
    broken: Arc<Mutex<Option<String>>>,
}

/// An answer, with its body or with what its body comes from.
struct Reply {
    head: Response<()>,
    body: Body,
}

enum Body {
    Whole(Vec<u8>),
    TooLong,
    Events(mpsc::Receiver<Chunk>),
}

impl Http {
    /// A client whose requests wait `time` for the next bytes of an answer.
    pub(super) fn new(time: Duration) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_connect(Some(time))
            .timeout_recv_response(Some(time))
            // Another host than the one that is named is not asked.
            .max_redirects(0)
            .http_status_as_error(false)
            .build()
            .new_agent();
        Self { agent, broken: Arc::default() }
    }

    /// Why the last stream of events was not read to its end.
    pub(super) fn broken(&self) -> Option<String> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn ask(&self, request: Request<Vec<u8>>, most: usize) -> Result<Reply, Failure> {
        let (to_task, reply) = oneshot::channel();
        let (agent, broken) = (self.agent.clone(), self.broken.clone());
        let run = move || {
            let mut answered = match agent.run(request) {
                Ok(answered) => answered.map(|body| body.into_with_config().limit(u64::MAX).reader()),
                Err(error) => return drop(to_task.send(Err(StreamableHttpError::Client(error)))),
            };
            let has_events = answered.status().is_success() && is(&answered, EVENTS);
            if has_events {
                let (chunks, events) = mpsc::channel(16);
                let (parts, mut body) = answered.into_parts();
                let head = Response::from_parts(parts, ());
                if to_task.send(Ok(Reply { head, body: Body::Events(events) })).is_ok()
                    && let Err(error) = pump(&mut body, &chunks, most)
                {
                    *broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
                    let _ = chunks.blocking_send(Err(error));
                }
                return;
            }
            let mut bytes = Vec::new();
            let read = answered.body_mut().take(most as u64 + 1).read_to_end(&mut bytes);
            let body = if bytes.len() > most { Body::TooLong } else { Body::Whole(bytes) };
            let head = answered.map(|_| ());
            let _ = to_task.send(read.map(|_| Reply { head, body }).map_err(StreamableHttpError::Io));
        };
        std::thread::Builder::new().name("mcp-http".to_owned()).spawn(run)?;
        reply.await.unwrap_or(Err(StreamableHttpError::TransportChannelClosed))
    }
}

/// Whether an answer is of a media type.
fn is<T>(answered: &Response<T>, media_type: &str) -> bool {
    let named = answered.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    named
        .and_then(|named| named.split(';').next())
        .is_some_and(|named| named.trim().eq_ignore_ascii_case(media_type))
}

/// Hands on a stream of events until nobody wants it; one event may have `most` bytes.
fn pump(from: &mut impl Read, to: &mpsc::Sender<Chunk>, most: usize) -> std::io::Result<()> {
    let mut buffer = vec![0; 1 << 14];
    let mut event = EventLength::default();
    loop {
        let count = match from.read(&mut buffer) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if event.after(&buffer[..count]) > most {
            return Err(std::io::Error::other(format!("an event has more than {} MiB", most >> 20)));
        }
        if count == 0 || to.blocking_send(Ok(Cursor::new(buffer[..count].to_vec()))).is_err() {
            return Ok(());
        }
    }
}

/// How long an event is that is not at its end: an empty line ends it.
#[derive(Debug, Default)]
struct EventLength {
    length: usize,
    is_line_empty: bool,
}

impl EventLength {
    /// The longest length that an event reached in these bytes.
    fn after(&mut self, bytes: &[u8]) -> usize {
        let mut longest = self.length;
        for &byte in bytes {
            self.length += 1;
            match byte {
                b'\n' if self.is_line_empty => self.length = 0,
                b'\n' => self.is_line_empty = true,
                b'\r' => {}
                _ => self.is_line_empty = false,
            }
            longest = longest.max(self.length);
        }
        longest
    }
}

/// A request with what all have.
fn request(
    method: Method,
    url: &str,
    session: Option<&str>,
    headers: &HashMap<HeaderName, HeaderValue>,
    more: &[(&str, &str)],
    body: Vec<u8>,
) -> Result<Request<Vec<u8>>, Failure> {
    let mut request =
        Request::builder().method(method).uri(url).header(header::ACCEPT, format!("{EVENTS}, {JSON}"));
    for (name, value) in session.map(|id| (SESSION, id)).into_iter().chain(more.iter().copied()) {
        request = request.header(name, value);
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request.body(body).map_err(|error| StreamableHttpError::Client(error.into()))
}

/// An answer that is no success.
fn refused(reply: &Reply) -> Failure {
    let status = reply.head.status();
    let text = match &reply.body {
        Body::Whole(bytes) => {
            String::from_utf8_lossy(&bytes[..bytes.len().min(MOST_OF_AN_ERROR)]).trim().to_owned()
        }
        Body::TooLong | Body::Events(_) => String::new(),
    };
    let place = reply.head.headers().get(header::LOCATION).and_then(|place| place.to_str().ok());
    let place = place.map(|place| format!(", to {place}, where it is not followed")).unwrap_or_default();
    StreamableHttpError::UnexpectedServerResponse(
        format!("HTTP status {status}{place}\n{text}").trim().to_owned().into(),
    )
}

fn events(reply: mpsc::Receiver<Chunk>) -> Events {
    Box::pin(SseStream::from_bytes_stream(ReceiverStream::new(reply)))
}

impl StreamableHttpClient for Http {
    type Error = ureq::Error;

    async fn post_message(
        &self,
        url: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        auth: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        let limits = StreamableHttpResponseLimits::default();
        self.post_message_with_response_limits(url, message, session, auth, headers, limits).await
    }

    async fn post_message_with_response_limits(
        &self,
        url: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        _: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
        limits: StreamableHttpResponseLimits,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        let body = serde_json::to_vec(&message)?;
        let has_session = session.is_some();
        let json = [(header::CONTENT_TYPE.as_str(), JSON)];
        let request = request(Method::POST, &url, session.as_deref(), &headers, &json, body)?;
        let mut reply = self.ask(request, limits.max_json_response_size).await?;
        let status = reply.head.status();
        if matches!(status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT) {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        if status == StatusCode::NOT_FOUND && has_session {
            return Err(StreamableHttpError::SessionExpired);
        }
        let id = reply.head.headers().get(SESSION).and_then(|id| id.to_str().ok()).map(str::to_owned);
        let is_request = matches!(message, ClientJsonRpcMessage::Request(_));
        match std::mem::replace(&mut reply.body, Body::TooLong) {
            Body::Events(chunks) => Ok(StreamableHttpPostResponse::Sse(events(chunks), id)),
            Body::Whole(bytes) if is(&reply.head, JSON) => match serde_json::from_slice(&bytes) {
                // A refusal may say why in the words of the protocol.
                Ok(error @ ServerJsonRpcMessage::Error(_)) => Ok(StreamableHttpPostResponse::Json(error, id)),
                Ok(message) if status.is_success() => Ok(StreamableHttpPostResponse::Json(message, id)),
                Err(_) if status.is_success() && !is_request => Ok(StreamableHttpPostResponse::Accepted),
                Err(error) if status.is_success() => Err(error.into()),
                _ => Err(refused(&Reply { body: Body::Whole(bytes), ..reply })),
            },
            Body::Whole(bytes) if status.is_success() && !is_request && bytes.is_empty() => {
                Ok(StreamableHttpPostResponse::Accepted)
            }
            Body::TooLong => {
                Err(StreamableHttpError::ResponseBodyTooLarge { max_size: limits.max_json_response_size })
            }
            body => Err(refused(&Reply { body, ..reply })),
        }
    }

    async fn delete_session(
        &self,
        url: Arc<str>,
        session: Arc<str>,
        _: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), Failure> {
        let request = request(Method::DELETE, &url, Some(&session), &headers, &[], Vec::new())?;
        // A server need not let sessions be ended.
        self.ask(request, MOST_OF_AN_ERROR).await.map(|_| ())
    }

    async fn get_stream(
        &self,
        url: Arc<str>,
        session: Option<Arc<str>>,
        last_event: Option<String>,
        auth: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<Events, Failure> {
        let most = StreamableHttpResponseLimits::default().max_sse_event_size;
        self.get_stream_with_max_sse_event_size(url, session, last_event, auth, headers, most).await
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        url: Arc<str>,
        session: Option<Arc<str>>,
        last_event: Option<String>,
        _: Option<String>,
        headers: HashMap<HeaderName, HeaderValue>,
        most: usize,
    ) -> Result<Events, Failure> {
        let more: Vec<(&str, &str)> = last_event.iter().map(|id| (LAST_EVENT, id.as_str())).collect();
        let request = request(Method::GET, &url, session.as_deref(), &headers, &more, Vec::new())?;
        let reply = self.ask(request, most).await?;
        match reply.body {
            Body::Events(chunks) => Ok(events(chunks)),
            _ if reply.head.status() == StatusCode::METHOD_NOT_ALLOWED => {
                Err(StreamableHttpError::ServerDoesNotSupportSse)
            }
            _ => Err(refused(&reply)),
        }
    }
}
