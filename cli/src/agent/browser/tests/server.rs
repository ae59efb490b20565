//! Pages and services of a server on this machine.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, TcpListener};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use super::call;
use crate::agent::browser::service::{Kind, Service};
use crate::agent::browser::web::{Rules, Web, is_public};
use crate::agent::browser::{Browser, Source, Trouble};

/// A request, and what it is answered with: status, headers, body.
type Answers = fn(&str) -> (String, Vec<u8>);

/// A server, whose requests are kept: the first line, the headers, the body.
struct Server {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = requests.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, kept) = (stream.unwrap(), kept.clone());
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    let (mut request, mut length) = (String::new(), 0);
                    loop {
                        let mut line = String::new();
                        if reader.read_line(&mut line).unwrap_or(0) == 0 {
                            return;
                        }
                        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                            length = value.trim().parse().unwrap();
                        }
                        if line == "\r\n" {
                            break;
                        }
                        request += &line;
                    }
                    let mut body = vec![0; length];
                    reader.read_exact(&mut body).unwrap();
                    request += &String::from_utf8(body).unwrap();
                    kept.lock().unwrap().push(request.clone());
                    let (head, body) = answers(&request);
                    let mut stream = stream;
                    let head = format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\n");
                    // A client may go away.
                    let _ = stream.write_all(head.as_bytes());
                    let _ = stream.write_all(&body);
                    if request.starts_with("GET /slow") {
                        std::thread::sleep(Duration::from_secs(10));
                    }
                });
            }
        });
        Self { address, requests }
    }

    fn browser(&self, kind: Kind, rules: Rules) -> Browser {
        Browser::new(Box::new(self.web(kind, rules)), 20, 64 << 10)
    }

    fn web(&self, kind: Kind, rules: Rules) -> Web {
        let key = (kind != Kind::Searxng).then(|| "secret".to_owned());
        let url = format!("{}/search", self.address);
        Web::new(Service::new(kind, Some(&url), key).unwrap(), rules)
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }
}

const RULES: Rules = Rules { allows: |_| true, redirects: 3, time: Duration::from_secs(20), bytes: 1 << 20 };

fn answer(request: &str) -> (String, Vec<u8>) {
    let path = request.split(' ').nth(1).unwrap();
    let ok = |kind: &str, body: &[u8]| (format!("200 OK\r\ncontent-type: {kind}"), body.to_vec());
    match path {
        "/page" => ok(
            "text/html",
            b"<html><head><title>A page</title></head><body><h1>Head</h1><p>See <a href='/text'>text</a>.</p></body></html>",
        ),
        "/text" => ok("text/plain; charset=iso-8859-1", b"gr\xfc\xdfe"),
        "/json" => ok("application/json", b"{\"a\":1}"),
        "/pdf" => ok("application/pdf", b"%PDF"),
        "/big" => ok("text/html", &"<p>x</p>".repeat(400_000).into_bytes()),
        "/broken" => ("200 OK\r\ncontent-type: text/html\r\ncontent-length: 1000".to_owned(), b"short".to_vec()),
        "/slow" => ("200 OK\r\ncontent-type: text/html\r\ncontent-length: 1000".to_owned(), b"slow".to_vec()),
        "/no" => ("404 Not Found".to_owned(), b"gone".to_vec()),
        "/once" => ("302 Found\r\nlocation: page".to_owned(), Vec::new()),
        "/ever" => ("301 Moved\r\nlocation: /ever".to_owned(), Vec::new()),
        "/file" => ("302 Found\r\nlocation: file:///etc/passwd".to_owned(), Vec::new()),
        // The same port of an address that is this machine's, too.
        "/inward" => {
            let port = request.lines().find_map(|line| line.strip_prefix("host: 127.0.0.1:")).unwrap();
            (format!("302 Found\r\nlocation: http://0.0.0.0:{port}/page"), Vec::new())
        }
        "/garbage" => ("200 OK\r\nx".to_owned(), Vec::new()),
        path if path.starts_with("/search") && request.starts_with("POST") => ok(
            "application/json",
            b"{\"results\":[{\"title\":\"E\",\"url\":\"https://e.org/\",\"summary\":\"s\"}]}",
        ),
        path if path.starts_with("/search?query=") => ok(
            "application/json",
            b"{\"results\":{\"web\":[{\"title\":\"Y\",\"url\":\"https://y.org/\",\"snippets\":[\"s\"]}]}}",
        ),
        path if path.contains("q=fail") => ("503 Unavailable".to_owned(), b"{\"error\": \"busy\"}".to_vec()),
        path if path.starts_with("/search") => ok(
            "application/json",
            b"{\"query\":\"q\",\"results\":[{\"title\":\"S\",\"url\":\"https://s.org/\",\"content\":\"s\"}]}",
        ),
        _ => ("500 Error".to_owned(), Vec::new()),
    }
}

#[test]
fn pages_are_opened_and_their_links_followed() {
    let server = Server::start(answer);
    let mut browser = server.browser(Kind::Searxng, RULES);
    let url = server.url("/page");
    let shown = call(&mut browser, "browser.open", &json!({"id": url}));
    let expected = format!(
        "[0] A page ({url})\n**viewing lines [0 - 4] of 4**\n\nL0: \nL1: URL: {url}\nL2: # Head \nL3: \nL4: See 【0†text】."
    );
    assert_eq!(shown.text, expected);
    let shown = call(&mut browser, "browser.open", &json!({"id": 0}));
    assert!(shown.text.ends_with("L2: grüße"), "{}", shown.text);
    let shown = call(&mut browser, "browser.open", &json!({"id": server.url("/json#x")}));
    assert!(shown.text.ends_with("L2: {\"a\":1}"), "{}", shown.text);
    let shown = call(&mut browser, "browser.open", &json!({"id": server.url("/once")}));
    assert!(shown.text.starts_with(&format!("[3] A page ({url})")), "{}", shown.text);
    let shown = call(&mut browser, "browser.open", &json!({"view_source": true}));
    assert!(shown.text.contains("L0: <html><head><title>A page</title></head>"), "{}", shown.text);
    // A page that was shown is not fetched again for a link or another view.
    let count = server.requests.lock().unwrap().len();
    call(&mut browser, "browser.open", &json!({"cursor": 0, "id": 0}));
    call(&mut browser, "browser.open", &json!({"cursor": 0, "loc": 2}));
    call(&mut browser, "browser.find", &json!({"cursor": 0, "pattern": "head"}));
    assert_eq!(server.requests.lock().unwrap().len(), count);
}

#[test]
fn what_cannot_be_shown_is_told() {
    let server = Server::start(answer);
    let mut browser = server.browser(Kind::Searxng, RULES);
    for (path, told) in [
        ("/pdf", "its content type is application/pdf, and only HTML, text and JSON are shown"),
        ("/no", "HTTP status 404 Not Found"),
        ("/ever", "it was redirected more than 3 times"),
        ("/file", "it leads to file:///etc/passwd, which is no page of http or https"),
    ] {
        let url = server.url(path);
        let shown = call(&mut browser, "browser.open", &json!({"id": url}));
        assert!(shown.has_failed);
        assert_eq!(shown.text, format!("Error fetching URL `{url}`: {told}"));
    }
    assert_eq!(server.requests.lock().unwrap().iter().filter(|request| request.contains("/ever")).count(), 4);
    for path in ["/broken", "/garbage"] {
        let shown = call(&mut browser, "browser.open", &json!({"id": server.url(path)}));
        assert!(shown.has_failed && shown.text.starts_with("Error fetching URL"), "{}", shown.text);
    }
    let shown = call(&mut browser, "browser.open", &json!({"id": "file:///etc/passwd"}));
    assert!(shown.text.ends_with(": only URLs of http and https can be opened"), "{}", shown.text);
    let shown = call(&mut browser, "browser.open", &json!({"id": "http://127.0.0.1:1/"}));
    assert!(shown.has_failed, "{}", shown.text);
}

#[test]
fn private_addresses_are_refused() {
    let server = Server::start(answer);
    let rules = Rules { allows: is_public, ..RULES };
    let mut browser = server.browser(Kind::Searxng, rules);
    let port = server.address.rsplit(':').next().unwrap();
    for host in ["127.0.0.1", "localhost", "127.1", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433"] {
        let url = format!("http://{host}:{port}/page");
        let shown = call(&mut browser, "browser.open", &json!({"id": url}));
        assert!(shown.has_failed && !shown.text.contains("Head"), "{}", shown.text);
    }
    let shown = call(&mut browser, "browser.open", &json!({"id": server.url("/page")}));
    assert!(shown.text.contains("its address is private"), "{}", shown.text);
    assert!(server.requests.lock().unwrap().is_empty());
}

/// A page of an allowed address leads to one that is not.
#[test]
fn every_hop_is_checked() {
    let server = Server::start(answer);
    let only: fn(IpAddr) -> bool = |address| address == IpAddr::from([127, 0, 0, 1]);
    for (allows, is_opened) in [(RULES.allows, true), (only, false)] {
        let mut browser = server.browser(Kind::Searxng, Rules { allows, ..RULES });
        let shown = call(&mut browser, "browser.open", &json!({"id": server.url("/inward")}));
        assert_eq!(shown.text.contains("Head"), is_opened, "{}", shown.text);
        assert_eq!(shown.text.contains("its address is private"), !is_opened, "{}", shown.text);
    }
    // Both times the first page was asked for, and the second only once.
    assert_eq!(server.requests.lock().unwrap().len(), 3);
}

#[test]
fn pages_have_limits_of_size_and_time() {
    let server = Server::start(answer);
    let mut browser = server.browser(Kind::Searxng, Rules { bytes: 10_000, ..RULES });
    let shown = call(&mut browser, "browser.open", &json!({"id": server.url("/big"), "loc": 2500}));
    assert!(shown.text.contains("[page cut]"), "{}", shown.text);

    let mut browser = server.browser(Kind::Searxng, Rules { time: Duration::from_millis(300), ..RULES });
    let began = Instant::now();
    let shown = call(&mut browser, "browser.open", &json!({"id": server.url("/slow")}));
    assert!(shown.has_failed && began.elapsed() < Duration::from_secs(5), "{}", shown.text);

    let mut web = server.web(Kind::Searxng, RULES);
    let began = Instant::now();
    let stopped = web.fetch(&server.url("/slow"), false, &AtomicBool::new(true));
    assert_eq!(stopped, Err(Trouble::Interrupted));
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn services_are_searched() {
    let server = Server::start(answer);
    for (kind, letter, asked) in [
        (Kind::Searxng, 's', "GET /search?q=a%20b&format=json HTTP/1.1"),
        (Kind::You, 'y', "GET /search?query=a%20b&count=20 HTTP/1.1"),
        (Kind::Exa, 'e', "POST /search HTTP/1.1"),
    ] {
        // The service is the user's, at home or not.
        let mut browser = server.browser(kind, Rules { allows: is_public, ..RULES });
        let shown = call(&mut browser, "browser.search", &json!({"query": "a b"}));
        let upper = letter.to_ascii_uppercase();
        let expected = format!(
            "[0] a b\n**viewing lines [0 - 4] of 4**\n\nL0: \nL1: URL: \nL2: # Search Results\nL3: \nL4:   * 【0†{upper}†{letter}.org】 s"
        );
        assert_eq!(shown.text, expected);
        let requests = server.requests.lock().unwrap();
        let request = requests.last().unwrap();
        assert!(request.starts_with(asked), "{request}");
        assert_eq!(request.contains("x-api-key: secret"), kind != Kind::Searxng, "{request}");
    }
    let mut browser = server.browser(Kind::Searxng, RULES);
    let shown = call(&mut browser, "browser.search", &json!({"query": "fail"}));
    let told = "Error during search for `fail`: HTTP status 503 Service Unavailable {\"error\": \"busy\"}";
    assert_eq!((shown.text.as_str(), shown.has_failed), (told, true));
}
