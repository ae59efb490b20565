//! The client's side of ZMTP 3.0, the protocol of ZeroMQ sockets, without security of its own.
//!
//! A frame says itself how long it is, and who sends it is not to be trusted: no memory is taken for a length that is
//! only announced, and of a long frame only the beginning is kept.

use std::io::{self, Read, Write};

/// The kinds of sockets that a client of a kernel has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Sends requests, and gets replies.
    Dealer,
    /// Gets what is published.
    Sub,
}

const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;

/// The first 64 bytes of each side: the signature, version 3.0, the mechanism NULL, no server.
fn greeting() -> [u8; 64] {
    let mut greeting = [0; 64];
    greeting[0] = 0xff;
    greeting[9] = 0x7f;
    greeting[10] = 3;
    greeting[12..16].copy_from_slice(b"NULL");
    greeting
}

/// Makes a connection that was just opened ready for messages.
///
/// # Errors
///
/// If the other side is no such socket.
pub(super) fn shake_hands(stream: &mut (impl Read + Write), kind: Kind, identity: &[u8]) -> io::Result<()> {
    stream.write_all(&greeting())?;
    let mut theirs = [0; 64];
    stream.read_exact(&mut theirs)?;
    if theirs[0] != 0xff || theirs[9] & 1 == 0 || theirs[10] < 3 || theirs[12..17] != *b"NULL\0" {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the other side speaks no ZMTP 3"));
    }
    let socket_type: &[u8] = match kind {
        Kind::Dealer => b"DEALER",
        Kind::Sub => b"SUB",
    };
    let mut ready = b"\x05READY".to_vec();
    for (name, value) in [(&b"Socket-Type"[..], socket_type), (b"Identity", identity)] {
        ready.push(name.len() as u8);
        ready.extend_from_slice(name);
        ready.extend_from_slice(&(value.len() as u32).to_be_bytes());
        ready.extend_from_slice(value);
    }
    write_frame(stream, COMMAND, &ready)?;
    let header = Header::read(stream)?;
    let theirs = header.body(stream, 256, |_| {})?;
    if !header.is_command || !theirs.starts_with(b"\x05READY") {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the other side is not ready"));
    }
    match kind {
        Kind::Dealer => Ok(()),
        // All that is published.
        Kind::Sub => write_frame(stream, 0, &[1]),
    }
}

/// Sends a message of several frames.
pub(super) fn send(stream: &mut impl Write, frames: &[&[u8]]) -> io::Result<()> {
    let mut bytes = Vec::new();
    for (index, frame) in frames.iter().enumerate() {
        let more = if index + 1 < frames.len() { MORE } else { 0 };
        write_frame(&mut bytes, more, frame)?;
    }
    stream.write_all(&bytes)
}

fn write_frame(stream: &mut impl Write, flags: u8, body: &[u8]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(body.len() + 9);
    match u8::try_from(body.len()) {
        Ok(length) => bytes.extend_from_slice(&[flags, length]),
        Err(_) => {
            bytes.push(flags | LONG);
            bytes.extend_from_slice(&(body.len() as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(body);
    stream.write_all(&bytes)
}

/// What a frame says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Whether the message has a further frame.
    pub(super) has_more: bool,
    /// Whether it is for the protocol itself.
    pub(super) is_command: bool,
    /// Bytes of its body.
    pub(super) length: u64,
}

impl Header {
    /// Reads the next one.
    ///
    /// # Errors
    ///
    /// If the stream ended.
    pub(super) fn read(stream: &mut impl Read) -> io::Result<Self> {
        let mut flags = [0];
        stream.read_exact(&mut flags)?;
        let length = if flags[0] & LONG != 0 {
            let mut length = [0; 8];
            stream.read_exact(&mut length)?;
            u64::from_be_bytes(length)
        } else {
            let mut length = [0];
            stream.read_exact(&mut length)?;
            length[0].into()
        };
        Ok(Self { has_more: flags[0] & MORE != 0, is_command: flags[0] & COMMAND != 0, length })
    }

    /// Reads the body: its first `most` bytes. All of it passes `each`.
    ///
    /// # Errors
    ///
    /// If the stream ended.
    pub(super) fn body(
        self,
        stream: &mut impl Read,
        most: usize,
        mut each: impl FnMut(&[u8]),
    ) -> io::Result<Vec<u8>> {
        let mut kept = Vec::new();
        let mut left = self.length;
        let mut buffer = [0; 1 << 14];
        while left > 0 {
            let room = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let part = &mut buffer[..room];
            stream.read_exact(part)?;
            each(part);
            kept.extend_from_slice(&part[..room.min(most - kept.len())]);
            left -= room as u64;
        }
        Ok(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream of which both directions are known.
    struct Wire<'a> {
        theirs: &'a [u8],
        ours: Vec<u8>,
    }

    impl Read for Wire<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.theirs.read(buffer)
        }
    }

    impl Write for Wire<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.ours.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What a socket of libzmq 4.3 says first.
    fn theirs(socket_type: &str) -> Vec<u8> {
        let mut theirs = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1];
        theirs.extend_from_slice(b"NULL");
        theirs.resize(64, 0);
        let length = (31 + socket_type.len()) as u8;
        theirs.extend_from_slice(&[4, length]);
        theirs.extend_from_slice(b"\x05READY\x0bSocket-Type\0\0\0");
        theirs.push(socket_type.len() as u8);
        theirs.extend_from_slice(socket_type.as_bytes());
        theirs.extend_from_slice(b"\x08Identity\0\0\0\0");
        theirs[65] = (theirs.len() - 66) as u8;
        theirs
    }

    #[test]
    fn hands_are_shaken() {
        let theirs = theirs("ROUTER");
        let mut wire = Wire { theirs: &theirs, ours: Vec::new() };
        shake_hands(&mut wire, Kind::Dealer, b"me").unwrap();
        let ours = &wire.ours[64..];
        assert_eq!(ours, b"\x04\x2b\x05READY\x0bSocket-Type\0\0\0\x06DEALER\x08Identity\0\0\0\x02me");

        let mut wire = Wire { theirs: &theirs, ours: Vec::new() };
        shake_hands(&mut wire, Kind::Sub, b"").unwrap();
        assert!(wire.ours.ends_with(&[0, 1, 1]), "it subscribes to all");
    }

    #[test]
    fn who_speaks_something_else_is_refused() {
        let http = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let mut curve = theirs("ROUTER");
        curve[12..17].copy_from_slice(b"CURVE");
        for theirs in [&http[..], &curve, &curve[..20]] {
            let mut wire = Wire { theirs, ours: Vec::new() };
            assert!(shake_hands(&mut wire, Kind::Dealer, b"me").is_err());
        }
    }

    #[test]
    fn frames_come_back_as_they_were_sent() {
        let long = vec![7; 300];
        let mut bytes = Vec::new();
        send(&mut bytes, &[b"a", b"", &long]).unwrap();
        let mut stream = &bytes[..];
        for (expected, has_more) in [(&b"a"[..], true), (b"", true), (&long, false)] {
            let header = Header::read(&mut stream).unwrap();
            assert_eq!(header, Header { has_more, is_command: false, length: expected.len() as u64 });
            assert_eq!(header.body(&mut stream, 1000, |_| {}).unwrap(), expected);
        }
        assert!(stream.is_empty());
    }

    #[test]
    fn of_a_long_frame_the_beginning_is_kept() {
        let mut bytes = vec![LONG];
        bytes.extend_from_slice(&100_000_u64.to_be_bytes());
        bytes.extend_from_slice(&vec![1; 100_000]);
        bytes.extend_from_slice(b"\0\x01z");
        let mut stream = &bytes[..];
        let mut seen = 0;
        let kept = Header::read(&mut stream).unwrap().body(&mut stream, 10, |part| seen += part.len());
        assert_eq!((kept.unwrap(), seen), (vec![1; 10], 100_000));
        assert_eq!(stream, b"\0\x01z");
    }

    /// A length that is only announced takes no memory.
    #[test]
    fn a_frame_that_is_not_there_is_an_error() {
        let mut stream = &b"\x02\xff\xff\xff\xff\xff\xff\xff\xffabc"[..];
        let header = Header::read(&mut stream).unwrap();
        assert_eq!(header.length, u64::MAX);
        assert!(header.body(&mut stream, usize::MAX, |_| {}).is_err());
    }
}
