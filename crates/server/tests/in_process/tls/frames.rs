//! An HTTP/2 client that sends exactly the frames that it is told to (RFC 9113).

use std::io::{self, Read as _, Write as _};
use std::time::Duration;

use crate::tls::client::TlsStream;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const CONTINUATION: u8 = 9;

/// Flags.
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// Errors' codes.
pub const NO_ERROR: u32 = 0;
pub const REFUSED_STREAM: u32 = 7;
pub const CANCEL: u32 = 8;
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// What an answer's head begins with where its status is 200: an entry of the table that HPACK begins with.
pub const STATUS_200: u8 = 0x88;

/// As [`STATUS_200`], for 400.
pub const STATUS_400: u8 = 0x8c;

#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The code of an error: at the end of a reset, after the last stream of a goodbye.
    pub fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

/// The bytes of a frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The bytes of a frame with a request's head; `flags` says whether it ends there.
pub fn head(stream: u32, flags: u8, method: &str, path: &str) -> Vec<u8> {
    frame(HEADERS, flags, stream, &fields(method, path, &[]))
}

/// The bytes of a frame that takes a request back.
pub fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
}

/// A request's head as HPACK has it (RFC 7541), each field spelt out.
pub fn fields(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let own = [(":method", method), (":scheme", "https"), (":path", path), (":authority", "throng.test")];
    block(&[&own, more].concat())
}

/// Fields as HPACK has them, each spelt out.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        text(&mut block, name);
        text(&mut block, value);
    }
    block
}

/// A text with its length before it, which takes seven bits of each byte after the first.
fn text(block: &mut Vec<u8>, text: &str) {
    let length = text.len();
    if length < 127 {
        block.push(u8::try_from(length).unwrap());
    } else {
        block.push(127);
        let mut rest = length - 127;
        while rest >= 128 {
            block.push(u8::try_from(rest % 128).unwrap() | 128);
            rest /= 128;
        }
        block.push(u8::try_from(rest).unwrap());
    }
    block.extend_from_slice(text.as_bytes());
}

/// An open connection.
pub struct Http2 {
    stream: TlsStream,
}

impl Http2 {
    /// Begins as every client does, with settings that change nothing.
    pub fn begin(stream: TlsStream) -> Self {
        Self::begin_with(stream, &[])
    }

    /// Begins with these settings.
    pub fn begin_with(stream: TlsStream, settings: &[(u16, u32)]) -> Self {
        let mut this = Self { stream };
        let payload: Vec<u8> =
            settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
        this.send(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(SETTINGS, 0, 0, &payload)[..]].concat()).unwrap();
        this
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// The next frame; `None` if the connection ended.
    pub fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.stream.read_exact(&mut payload).ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// The next frame that is as wanted; fails if the connection ends before.
    #[track_caller]
    pub fn until(&mut self, what: &str, wanted: impl Fn(&Frame) -> bool) -> Frame {
        std::iter::from_fn(|| self.next()).find(wanted).unwrap_or_else(|| panic!("the connection ended before {what}"))
    }

    /// The body of the answer on `stream`; fails unless it ends.
    #[track_caller]
    pub fn body(&mut self, stream: u32) -> String {
        let mut body = Vec::new();
        loop {
            let part = self.until("the answer's end", |frame| frame.stream == stream && frame.kind <= HEADERS);
            if part.kind == DATA {
                body.extend_from_slice(&part.payload);
            }
            if part.flags & END_STREAM != 0 {
                return String::from_utf8(body).unwrap();
            }
        }
    }

    /// All frames until the connection ends.
    pub fn rest(&mut self) -> Vec<Frame> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// The connection below, no read on which takes longer than this.
    pub fn into_stream(self, read_max: Duration) -> TlsStream {
        self.stream.sock.set_read_timeout(Some(read_max)).unwrap();
        self.stream
    }
}
