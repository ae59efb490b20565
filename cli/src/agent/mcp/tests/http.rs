//! A server behind HTTP, of a few lines, and what it does wrong.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use super::*;

/// A request, as the server reads it.
#[derive(Clone, Debug)]
struct Asked {
    method: String,
    headers: Vec<String>,
    message: Value,
}

impl Asked {
    fn is(&self, method: &str) -> bool {
        self.message["method"] == method
    }

    /// The head of an answer that has a result for this request.
    fn answered(&self, result: &Value) -> String {
        let body = json!({"jsonrpc": "2.0", "id": self.message["id"], "result": result}).to_string();
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nmcp-session-id: s1\r\nconnection: close";
        format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }
}

/// What writes an answer to a call.
type Calls = dyn Fn(&Asked, &mut TcpStream) + Send + Sync;

struct Web {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Web {
    /// A server that answers as it should, but calls by `calls`.
    fn new(calls: impl Fn(&Asked, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let (keeps, calls): (_, Arc<Calls>) = (asked.clone(), Arc::new(calls));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (keeps, calls) = (keeps.clone(), calls.clone());
                std::thread::spawn(move || answer(stream.unwrap(), &keeps, &*calls));
            }
        });
        Self { url, asked }
    }

    fn open(&self, more: &str) -> Result<Server> {
        let text = format!("url = {:?}\nheaders = {{ authorization = \"Bearer t\" }}\n{more}", self.url);
        super::open(toml::from_str(&text).unwrap(), Path::new("/"))
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn answer(mut stream: TcpStream, keeps: &Mutex<Vec<Asked>>, calls: &Calls) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) <= 2 {
            break;
        }
        lines.push(line.trim().to_ascii_lowercase());
    }
    let length = lines.iter().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    std::io::Read::read_exact(&mut reader, &mut body).unwrap();
    let Some(first) = lines.first() else { return };
    let method = first.split(' ').next().unwrap().to_owned();
    let message = serde_json::from_slice(&body).unwrap_or_default();
    let asked = Asked { method, headers: lines, message };
    keeps.lock().unwrap().push(asked.clone());
    let head = |status: &str| format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let written = if asked.method != "post" {
        head("405 Method Not Allowed")
    } else if asked.is("initialize") {
        let info = json!({"name": "web", "version": "1"});
        let capabilities = json!({"tools": {}});
        asked.answered(
            &json!({"protocolVersion": "2025-06-18", "capabilities": capabilities, "serverInfo": info}),
        )
    } else if asked.is("tools/list") {
        asked.answered(&json!({"tools": [{"name": "do", "inputSchema": {"type": "object"}}]}))
    } else if asked.is("tools/call") {
        return calls(&asked, &mut stream);
    } else {
        head("202 Accepted")
    };
    let _ = stream.write_all(written.as_bytes());
}

fn done() -> Value {
    json!({"content": [{"type": "text", "text": "done"}]})
}

fn call(server: &mut Server) -> Answer {
    let call = Message::new(Role::Assistant, "{}").with_recipient("fake.do");
    server.answer("fake.do", &call, &AtomicBool::new(false), &mut |_| {}).unwrap()
}

/// What the only call of a server fails with.
#[track_caller]
fn failure(calls: impl Fn(&Asked, &mut TcpStream) + Send + Sync + 'static) -> String {
    let answer = call(&mut Web::new(calls).open("time = 5").unwrap());
    assert!(answer.has_failed, "{answer:?}");
    serde_json::from_str::<Value>(&answer.text).unwrap()["error"].as_str().unwrap().to_owned()
}

fn write(stream: &mut TcpStream, text: &str) {
    // Who asked may have enough of it.
    let _ = stream.write_all(text.as_bytes());
}

#[test]
fn each_request_has_the_headers_and_the_session() {
    let web = Web::new(|asked, stream| write(stream, &asked.answered(&done())));
    let mut server = web.open("").unwrap();
    assert_eq!(call(&mut server), Answer::new("done"));
    drop(server);
    let asked = web.asked();
    assert!(
        asked.iter().all(|asked| asked.headers.contains(&"authorization: bearer t".to_owned())),
        "{asked:?}"
    );
    let has_session = |asked: &Asked| asked.headers.contains(&"mcp-session-id: s1".to_owned());
    assert!(asked.iter().all(|asked| asked.is("initialize") != has_session(asked)), "{asked:?}");
    // The session is ended with the run.
    assert_eq!(asked.last().unwrap().method, "delete", "{asked:?}");
}

#[test]
fn a_stream_of_events_answers() {
    let web = Web::new(|asked, stream| {
        write(stream, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n");
        let message = json!({"jsonrpc": "2.0", "id": asked.message["id"], "result": done()});
        write(stream, &format!(": wait\n\nevent: message\ndata: {message}\n\n"));
    });
    assert_eq!(call(&mut web.open("").unwrap()), Answer::new("done"));
}

#[test]
fn refusals_are_told() {
    let text =
        "HTTP/1.1 500 Oh\r\ncontent-type: text/plain\r\ncontent-length: 3\r\nconnection: close\r\n\r\nbad";
    let told = failure(|_, stream| write(stream, text));
    assert!(told.contains("HTTP status 500 Internal Server Error\nbad"), "{told}");
    let place =
        "HTTP/1.1 307 Go\r\nlocation: http://elsewhere/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let told = failure(|_, stream| write(stream, place));
    assert!(
        told.contains("307 Temporary Redirect, to http://elsewhere/, where it is not followed"),
        "{told}"
    );
    let told = failure(|_, stream| write(stream, "nonsense\r\n\r\n"));
    assert!(!told.is_empty());
}

#[test]
fn answers_without_end_take_no_memory() {
    let flood = |stream: &mut TcpStream| {
        let chunk = vec![b'a'; 1 << 20];
        (0..1000).all(|_| stream.write_all(&chunk).is_ok())
    };
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: ";
    let told = failure(move |_, stream| {
        write(stream, &format!("{head}application/json\r\n\r\n"));
        assert!(!flood(stream), "all of it was read");
    });
    assert!(told.contains("exceeded the maximum size of 16777216 bytes"), "{told}");
    let told = failure(move |_, stream| {
        write(stream, &format!("{head}text/event-stream\r\n\r\ndata: "));
        assert!(!flood(stream), "all of it was read");
    });
    assert_eq!(told, "the server is gone: an event has more than 16 MiB");
}

#[test]
fn a_call_that_times_out_is_cancelled() {
    let web = Web::new(|_, stream| {
        // Until nobody waits any more.
        let _ = std::io::Read::read(stream, &mut [0]);
    });
    let mut server = web.open("time = 0.5").unwrap();
    let began = Instant::now();
    assert!(call(&mut server).text.contains("timed out after 0.5 s"));
    assert!(began.elapsed() < Duration::from_secs(4));
    drop(server);
    assert!(web.asked().iter().any(|asked| asked.is("notifications/cancelled")), "{:?}", web.asked());
}

#[test]
fn a_session_that_the_server_forgot_is_begun_again() {
    let forgets = AtomicBool::new(true);
    let web =
        Web::new(move |asked, stream| match forgets.swap(false, std::sync::atomic::Ordering::Relaxed) {
            true => write(stream, "HTTP/1.1 404 Gone\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"),
            false => write(stream, &asked.answered(&done())),
        });
    let mut server = web.open("").unwrap();
    assert_eq!(call(&mut server), Answer::new("done"));
    assert_eq!(web.asked().iter().filter(|asked| asked.is("initialize")).count(), 2);
}

#[test]
fn a_server_that_is_not_there_is_an_error() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let entry = toml::from_str(&format!("url = \"http://{free}/mcp\"")).unwrap();
    let error = super::open(entry, Path::new("/")).unwrap_err();
    let rule = error.to_json()["rule"].to_string();
    assert!(error.code() == Some("T004") && rule.to_lowercase().contains("refused"), "{rule}");
}
