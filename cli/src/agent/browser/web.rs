//! Pages of the web: fetched under limits, from public addresses alone unless others are allowed.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::{Response, Uri, header};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Body};

use super::page::{self, Page};
use super::service::{Question, Service};
use super::{Fetched, Source, Trouble, charset, html, url};

/// How often Ctrl-C is looked for while an answer is waited for.
const LOOK: Duration = Duration::from_millis(20);
/// Bytes of an error that a service tells.
const MOST_OF_ERRORS: usize = 500;

/// What a page may cost, and where it may come from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Whether pages of an address are opened.
    pub(super) allows: fn(IpAddr) -> bool,
    pub(super) redirects: usize,
    /// Of a search or a page, redirects and all.
    pub(super) time: Duration,
    /// Bytes of a page that are read.
    pub(super) bytes: usize,
}

/// The web, as far as a service finds it.
#[derive(Debug)]
pub(super) struct Web {
    service: Service,
    rules: Rules,
}

impl Web {
    pub(super) fn new(service: Service, rules: Rules) -> Self {
        Self { service, rules }
    }
}

impl Source for Web {
    fn search(&mut self, query: &str, most: usize, interrupt: &AtomicBool) -> Fetched {
        let (service, rules, query) = (self.service.clone(), self.rules, query.to_owned());
        wait(rules.time, interrupt, move || {
            let answer = ask(&service.question(&query, most), &rules)?;
            service.page(&query, &answer, most)
        })
    }

    fn fetch(&mut self, url: &str, as_source: bool, interrupt: &AtomicBool) -> Fetched {
        let (rules, url) = (self.rules, url.to_owned());
        wait(rules.time, interrupt, move || fetch(&url, as_source, &rules))
    }
}

/// Does something that takes time, and does not wait for it longer than it may take. A thread that is not waited for any
/// more ends at its own limit.
fn wait(
    time: Duration,
    interrupt: &AtomicBool,
    work: impl FnOnce() -> Result<Page, String> + Send + 'static,
) -> Fetched {
    let (to_us, from_thread) = mpsc::channel();
    std::thread::spawn(move || to_us.send(work()));
    let began = Instant::now();
    loop {
        match from_thread.recv_timeout(LOOK) {
            Ok(page) => return page.map_err(Trouble::from),
            Err(RecvTimeoutError::Disconnected) => return Err("the request ended without an answer".into()),
            Err(RecvTimeoutError::Timeout) if interrupt.load(Ordering::Relaxed) => {
                return Err(Trouble::Interrupted);
            }
            // The page is still to be laid out when it was read.
            Err(RecvTimeoutError::Timeout) if began.elapsed() > 2 * time + 10 * LOOK => {
                return Err(timed_out(time).into());
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

fn timed_out(time: Duration) -> String {
    format!("timed out after {} s", time.as_secs_f64())
}

/// Asks the service, which the user named: it may be on this machine.
fn ask(question: &Question, rules: &Rules) -> Result<Vec<u8>, String> {
    let agent = Agent::config_builder()
        .timeout_global(Some(rules.time))
        // The key goes to the named host alone.
        .max_redirects(0)
        .http_status_as_error(false)
        .build()
        .new_agent();
    let told = |error| told(error, rules.time);
    let response = match &question.body {
        Some(body) => {
            let mut request = agent.post(&question.url).header("content-type", "application/json");
            for (name, value) in &question.headers {
                request = request.header(*name, value);
            }
            request.send(body.as_str())
        }
        None => {
            let mut request = agent.get(&question.url);
            for (name, value) in &question.headers {
                request = request.header(*name, value);
            }
            request.call()
        }
    };
    let response = response.map_err(told)?;
    let status = response.status();
    let (body, _) = read(response, rules)?;
    if !status.is_success() {
        let said = String::from_utf8_lossy(&body[..body.len().min(MOST_OF_ERRORS)]).into_owned();
        return Err(format!("HTTP status {status} {}", page::line(&said)).trim().to_owned());
    }
    Ok(body)
}

/// The first bytes of a body, and whether there are more.
fn read(mut response: Response<Body>, rules: &Rules) -> Result<(Vec<u8>, bool), String> {
    let mut bytes = Vec::new();
    let most = rules.bytes as u64;
    // What is compressed counts as long as it is.
    let read = response.body_mut().as_reader().take(most + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("the answer breaks off: {error}"))?;
    let is_cut = bytes.len() > rules.bytes;
    bytes.truncate(rules.bytes);
    Ok((bytes, is_cut))
}

/// Fetches a page.
fn fetch(address: &str, as_source: bool, rules: &Rules) -> Result<Page, String> {
    let began = Instant::now();
    let mut current = address.split('#').next().unwrap_or(address).to_owned();
    for _ in 0..=rules.redirects {
        let uri = check(&current)?;
        let left = rules.time.checked_sub(began.elapsed()).filter(|left| !left.is_zero());
        let left = left.ok_or_else(|| timed_out(rules.time))?;
        let config = Config::builder()
            .timeout_global(Some(left))
            // Each step is checked before it is taken.
            .max_redirects(0)
            .http_status_as_error(false)
            // With a proxy it would be the proxy's address that is checked.
            .proxy(None)
            .build();
        let resolver = Guard { allows: rules.allows, resolver: DefaultResolver::default() };
        let agent = Agent::with_parts(config, DefaultConnector::default(), resolver);
        let accepted = "text/html, application/xhtml+xml, text/*;q=0.9, application/json;q=0.9, */*;q=0.1";
        let response = agent.get(uri).header(header::ACCEPT, accepted).call();
        let response = response.map_err(|error| told(error, rules.time))?;
        let status = response.status();
        let field = |name: header::HeaderName| {
            response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        if status.is_redirection()
            && let Some(target) = field(header::LOCATION)
        {
            current = url::join(&current, &target)
                .ok_or_else(|| format!("it leads to {target}, which is no page of http or https"))?;
            continue;
        }
        if !status.is_success() {
            return Err(format!("HTTP status {status}"));
        }
        let content_type = field(header::CONTENT_TYPE);
        let (bytes, is_cut) = read(response, rules)?;
        return page(&current, content_type.as_deref(), &bytes, is_cut, as_source);
    }
    Err(format!("it was redirected more than {} times", rules.redirects))
}

/// A URL that may be fetched.
fn check(address: &str) -> Result<Uri, String> {
    match url::scheme(address) {
        Some(scheme) if url::is_web(scheme) => {}
        _ => return Err("only URLs of http and https can be opened".to_owned()),
    }
    let uri: Uri = address.parse().map_err(|_| "it is no URL".to_owned())?;
    match uri.authority() {
        None => Err("it is no URL".to_owned()),
        Some(authority) if authority.as_str().contains('@') => {
            Err("a URL with a password is not opened".to_owned())
        }
        Some(_) => Ok(uri),
    }
}

fn told(error: ureq::Error, time: Duration) -> String {
    match error {
        ureq::Error::Timeout(_) => timed_out(time),
        ureq::Error::Other(error) => error.to_string(),
        error => error.to_string(),
    }
}

/// How a body is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Html,
    Text,
}

fn form(content_type: Option<&str>, bytes: &[u8]) -> Result<Form, String> {
    let Some(content_type) = content_type else {
        let start = String::from_utf8_lossy(&bytes[..bytes.len().min(512)]).to_ascii_lowercase();
        return match start {
            start if start.contains('\0') => Err("it is no text".to_owned()),
            start if start.trim_start().starts_with('<') => Ok(Form::Html),
            _ => Ok(Form::Text),
        };
    };
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "text/html" | "application/xhtml+xml" => Ok(Form::Html),
        "application/json" | "application/xml" | "application/javascript" => Ok(Form::Text),
        kind if kind.starts_with("text/") => Ok(Form::Text),
        kind if kind.ends_with("+json") || kind.ends_with("+xml") => Ok(Form::Text),
        kind => Err(format!("its content type is {kind}, and only HTML, text and JSON are shown")),
    }
}

/// A body as a page.
fn page(
    address: &str,
    content_type: Option<&str>,
    bytes: &[u8],
    is_cut: bool,
    as_source: bool,
) -> Result<Page, String> {
    let form = form(content_type, bytes)?;
    let mut text = charset::decode(bytes, content_type.and_then(charset::of_content_type));
    if is_cut {
        text += "\n[page cut]";
    }
    let page = match form {
        Form::Html => {
            let read = html::text(&text, address);
            let title = read.title.filter(|title| !title.trim().is_empty());
            Page::new(address, title.as_deref().unwrap_or(url::domain(address)), &read.text, read.links)
        }
        Form::Text => {
            let shown = page::without_marks(&text.replace("\r\n", "\n"));
            Page::new(address, url::domain(address), shown.trim_end(), Vec::new())
        }
    };
    Ok(if as_source { page.with_source(&text) } else { page })
}

/// Finds the addresses of hosts, and keeps those that may be asked. They are the ones that are then connected to.
#[derive(Debug)]
struct Guard {
    allows: fn(IpAddr) -> bool,
    resolver: DefaultResolver,
}

impl Resolver for Guard {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.resolver.resolve(uri, config, timeout)?;
        let mut allowed = self.empty();
        for address in found.iter().filter(|address| (self.allows)(address.ip())) {
            allowed.push(*address);
        }
        if allowed.is_empty() {
            let told = "its address is private, and pages of this machine and its network are not opened";
            return Err(ureq::Error::Other(told.into()));
        }
        Ok(allowed)
    }
}

/// Whether an address is of the Internet at large.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        // This network, carriers' networks, protocols, benchmarks, what is reserved.
        || a == 0
        || a == 100 && (64..128).contains(&b)
        || a == 192 && b == 0 && c == 0
        || a == 192 && b == 88 && c == 99
        || a == 198 && (18..20).contains(&b)
        || a >= 240;
    !is_special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        // Addresses that stand for one of version 4.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        // Teredo, and documentation.
        [0x2001, 0 | 0xdb8, ..] => false,
        // What is given out for use at large begins with 001.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_are_known() {
        let private = [
            "127.0.0.1",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "fec0::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
        ];
        for address in private {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in ["1.1.1.1", "100.128.0.1", "172.32.0.1", "2606:4700::1111", "::ffff:1.1.1.1"] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn content_types_are_shown_or_refused() {
        for (content_type, bytes, expected) in [
            (Some("text/html; charset=utf-8"), &b""[..], Some(Form::Html)),
            (Some("TEXT/Plain"), b"", Some(Form::Text)),
            (Some("application/ld+json"), b"", Some(Form::Text)),
            (Some("application/pdf"), b"", None),
            (Some("image/svg+xml"), b"", Some(Form::Text)),
            (Some(""), b"", None),
            (None, b" <!doctype html>", Some(Form::Html)),
            (None, b"plain", Some(Form::Text)),
            (None, b"\x7fELF\0", None),
        ] {
            assert_eq!(form(content_type, bytes).ok(), expected, "{content_type:?}");
        }
    }

    #[test]
    fn only_http_is_opened() {
        for address in
            ["file:///etc/passwd", "ftp://a.org", "a.md", "http://", "http://u:p@a.org/", "http:/a"]
        {
            assert!(check(address).is_err(), "{address}");
        }
        assert!(check("HTTPS://a.org/x?y").is_ok());
    }
}
