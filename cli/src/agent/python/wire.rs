//! Messages of the Jupyter protocol as frames: identities, a delimiter, the signature, and four parts of JSON.

use std::io::{self, Read, Write};

use hmac::{Hmac, KeyInit, Mac};
use jupyter_protocol::{Header, JupyterMessage, JupyterMessageContent};
use serde_json::Value;
use sha2::Sha256;

use super::zmtp;
use crate::model::hex;

/// What stands before the signature.
const DELIMITER: &[u8] = b"<IDS|MSG>";
/// Bytes that are kept of a header.
const MOST_OF_HEADER: usize = 1 << 16;

/// The key of a kernel: messages that are not signed with it are nobody's.
#[derive(Clone)]
pub(super) struct Key(Hmac<Sha256>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    pub(super) fn new(text: &str) -> Self {
        Self(Hmac::new_from_slice(text.as_bytes()).expect("a key may have any length"))
    }

    fn sign(&self, parts: &[Vec<u8>]) -> String {
        let mut mac = self.0.clone();
        parts.iter().for_each(|part| mac.update(part));
        hex(&mac.finalize().into_bytes())
    }
}

/// A message of a kernel.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) kind: String,
    /// The message that it answers.
    pub(super) parent: Option<String>,
    /// What was kept of the content.
    pub(super) content: Value,
    /// Bytes of the content that were left out.
    pub(super) left_out: u64,
}

impl Received {
    /// The content, where it has the shape that the protocol says.
    pub(super) fn typed(&self) -> Option<JupyterMessageContent> {
        JupyterMessageContent::from_type_and_content(&self.kind, self.content.clone()).ok()
    }
}

/// Sends a request.
///
/// # Errors
///
/// If the kernel is gone.
pub(super) fn send(stream: &mut impl Write, key: &Key, message: &JupyterMessage) -> io::Result<()> {
    let json = |part: serde_json::Result<Vec<u8>>| part.map_err(io::Error::other);
    let parts = [
        json(serde_json::to_vec(&message.header))?,
        b"{}".to_vec(),
        json(serde_json::to_vec(&message.metadata))?,
        json(serde_json::to_vec(&message.content))?,
    ];
    let signature = key.sign(&parts);
    let mut frames = vec![DELIMITER, signature.as_bytes()];
    frames.extend(parts.iter().map(Vec::as_slice));
    zmtp::send(stream, &frames)
}

/// Reads the next message that is signed with the key; of its content the first `most` bytes.
///
/// # Errors
///
/// If the stream ended.
pub(super) fn receive(stream: &mut impl Read, key: &Key, most: usize) -> io::Result<Received> {
    loop {
        if let Some(received) = receive_any(stream, key, most)? {
            return Ok(received);
        }
    }
}

/// The next message; nothing if it is not well-formed.
fn receive_any(stream: &mut impl Read, key: &Key, most: usize) -> io::Result<Option<Received>> {
    let mut mac = key.0.clone();
    let mut signature = Vec::new();
    let (mut header, mut parent, mut content, mut left_out) = (Vec::new(), Vec::new(), Vec::new(), 0);
    // The place of the next frame behind the delimiter.
    let mut place = None;
    loop {
        let frame = zmtp::Header::read(stream)?;
        if frame.is_command {
            frame.body(stream, 0, |_| {})?;
            continue;
        }
        match place {
            // Identities, and what is published.
            None => {
                let is_delimiter = frame.body(stream, DELIMITER.len() + 1, |_| {})? == DELIMITER;
                place = is_delimiter.then_some(0);
            }
            Some(at) => {
                match at {
                    0 => signature = frame.body(stream, 64, |_| {})?,
                    1 => header = frame.body(stream, MOST_OF_HEADER, |part| mac.update(part))?,
                    2 => parent = frame.body(stream, MOST_OF_HEADER, |part| mac.update(part))?,
                    3 => drop(frame.body(stream, 0, |part| mac.update(part))?),
                    4 => {
                        content = frame.body(stream, most, |part| mac.update(part))?;
                        left_out = frame.length - content.len() as u64;
                    }
                    // Buffers.
                    _ => drop(frame.body(stream, 0, |_| {})?),
                }
                place = Some(at.min(4) + 1);
            }
        }
        if !frame.has_more {
            break;
        }
    }
    let is_signed = hex(&mac.finalize().into_bytes()).as_bytes() == signature;
    if !is_signed || place != Some(5) {
        return Ok(None);
    }
    Ok(read_parts(&header, &parent, &content, left_out))
}

fn read_parts(header: &[u8], parent: &[u8], content: &[u8], left_out: u64) -> Option<Received> {
    let header: Header = serde_json::from_slice(header).ok()?;
    let parent: Option<Header> = serde_json::from_slice(parent).ok();
    let content = match left_out {
        0 => serde_json::from_slice(content).ok()?,
        _ => closed(content).unwrap_or_default(),
    };
    Some(Received { kind: header.msg_type, parent: parent.map(|parent| parent.msg_id), content, left_out })
}

/// What a JSON text says that was cut off in a string: that and what is around it is closed.
fn closed(cut: &[u8]) -> Option<Value> {
    let mut open = Vec::new();
    let mut is_string = false;
    let mut bytes = cut.iter();
    while let Some(&byte) = bytes.next() {
        match (is_string, byte) {
            (true, b'\\') => drop(bytes.next()),
            (_, b'"') => is_string = !is_string,
            (false, b'{') => open.push(b'}'),
            (false, b'[') => open.push(b']'),
            (false, b'}' | b']') => drop(open.pop()),
            _ => {}
        }
    }
    open.extend(is_string.then_some(b'"'));
    // What is cut may be an escape, one of a pair of them, or a character.
    (0..=11.min(cut.len())).find_map(|trimmed| {
        let kept = &cut[..cut.len() - trimmed];
        let text: Vec<u8> = kept.iter().chain(open.iter().rev()).copied().collect();
        serde_json::from_slice(&text).ok()
    })
}

#[cfg(test)]
mod tests {
    use jupyter_protocol::ExecuteRequest;

    use super::*;

    const HEADER: &str = r#"{"msg_id":"1","username":"u","session":"s","date":"2026-01-02T03:04:05.678901Z","msg_type":"stream","version":"5.3"}"#;
    const PARENT: &str = r#"{"msg_id":"0","username":"u","session":"s","date":"2026-01-02T03:04:05Z","msg_type":"execute_request","version":"5.3"}"#;

    /// A message as a kernel publishes it.
    fn published(key: &str, parent: &str, content: &str) -> Vec<u8> {
        let parts = [HEADER, parent, "{}", content].map(|part| part.as_bytes().to_vec());
        let signature = Key::new(key).sign(&parts);
        let mut frames: Vec<&[u8]> = vec![b"kernel.1.stream", DELIMITER, signature.as_bytes()];
        frames.extend(parts.iter().map(Vec::as_slice));
        let mut bytes = Vec::new();
        zmtp::send(&mut bytes, &frames).unwrap();
        bytes
    }

    /// RFC 4231, test case 2.
    #[test]
    fn the_signature_is_hmac_sha256_in_hexadecimal() {
        let parts = ["what do ya want ", "for nothing?"].map(|part| part.as_bytes().to_vec());
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(Key::new("Jefe").sign(&parts), expected);
    }

    #[test]
    fn what_is_sent_is_received() {
        let request = JupyterMessage::new(ExecuteRequest::new("1 + 1".to_owned()), None);
        let key = Key::new("secret");
        let mut bytes = Vec::new();
        send(&mut bytes, &key, &request).unwrap();
        let received = receive(&mut &bytes[..], &key, 1000).unwrap();
        assert_eq!((received.kind.as_str(), received.parent), ("execute_request", None));
        assert_eq!(received.content["code"], "1 + 1");
        assert_eq!(received.content["allow_stdin"], false);
    }

    #[test]
    fn what_is_not_signed_with_the_key_is_passed_over() {
        let mut bytes = published("another", PARENT, r#"{"name":"stdout","text":"forged"}"#);
        bytes.extend(published("secret", PARENT, r#"{"name":"stdout","text":"real"}"#));
        let received = receive(&mut &bytes[..], &Key::new("secret"), 1000).unwrap();
        assert_eq!(received.content["text"], "real");
        assert_eq!(received.parent.as_deref(), Some("0"));
    }

    #[test]
    fn what_is_no_message_is_passed_over() {
        let mut bytes = Vec::new();
        zmtp::send(&mut bytes, &[b"lonely"]).unwrap();
        zmtp::send(&mut bytes, &[DELIMITER, b"", b"{}"]).unwrap();
        bytes.extend(published("secret", PARENT, "[1,"));
        bytes.extend(published("secret", "{}", r#"{"name":"stdout","text":"real"}"#));
        let received = receive(&mut &bytes[..], &Key::new("secret"), 1000).unwrap();
        assert_eq!((received.content["text"].as_str(), received.parent), (Some("real"), None));
    }

    #[test]
    fn a_long_message_is_kept_in_part_and_is_still_signed() {
        let text = "x".repeat(100_000);
        let content = format!(r#"{{"name":"stdout","text":"{text}"}}"#);
        let received =
            receive(&mut &published("secret", PARENT, &content)[..], &Key::new("secret"), 1000).unwrap();
        assert_eq!(received.left_out, content.len() as u64 - 1000);
        assert_eq!(received.content["text"].as_str().unwrap(), &text[..1000 - 25]);
    }

    #[test]
    fn json_is_closed_wherever_a_string_was_cut() {
        let whole = r#"{"data":{"text/plain":"a\"b\\cü€😀\u00e9\ud83d\ude00\n."},"metadata":{}}"#;
        let start = whole.find("a\\").unwrap();
        let end = whole.find(".\"}").unwrap();
        let expected = serde_json::from_str::<Value>(whole).unwrap();
        let expected = expected["data"]["text/plain"].as_str().unwrap();
        for cut in start..=end {
            let value = closed(&whole.as_bytes()[..cut]).unwrap_or_else(|| panic!("{cut}"));
            let text = value["data"]["text/plain"].as_str().unwrap();
            assert!(expected.starts_with(text), "{cut}: {text:?}");
        }
        assert_eq!(closed(br#"{"data":{"text/plain"#), None);
    }
}
