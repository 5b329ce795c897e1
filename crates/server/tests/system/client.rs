//! A client that can tell apart what it must: answered, never sent, or cut off with the outcome unknown.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// After this long without an answer the client goes away.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// A client with a connection that it keeps.
pub struct Client {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

/// What became of a request.
#[derive(Debug)]
pub enum Reply {
    /// It was answered.
    Answer(Answer),
    /// There was nobody to send it to.
    NotSent,
    /// It was sent, at least in part, and no whole answer came.
    Cut,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// Whether it is the last on its connection.
    pub closes: bool,
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        Self { address, stream: None }
    }

    /// Connects, unless connected; whether that went well.
    pub fn connect(&mut self) -> bool {
        if self.stream.is_none() {
            self.stream = TcpStream::connect(self.address).ok().map(|stream| {
                stream.set_read_timeout(Some(ANSWER_MAX)).unwrap();
                stream.set_nodelay(true).unwrap();
                BufReader::new(stream)
            });
        }
        self.stream.is_some()
    }

    pub fn get(&mut self, path: &str) -> Reply {
        self.exchange(&request("GET", path, ""))
    }

    pub fn post(&mut self, path: &str, body: &str) -> Reply {
        self.exchange(&request("POST", path, body))
    }

    /// The JSON at `path`; fails unless it is answered with 200.
    pub fn get_json(&mut self, path: &str) -> Value {
        match self.get(path) {
            Reply::Answer(answer) if answer.status == 200 => answer.json(),
            reply @ (Reply::Answer(_) | Reply::NotSent | Reply::Cut) => panic!("GET {path}: {reply:?}"),
        }
    }

    /// Sends a POST, whole, and goes away.
    pub fn post_and_leave(&mut self, path: &str, body: &str) {
        assert!(self.connect(), "nobody listens on {}", self.address);
        let stream = self.stream.take();
        stream.unwrap().get_mut().write_all(request("POST", path, body).as_bytes()).unwrap();
    }

    fn exchange(&mut self, request: &str) -> Reply {
        if !self.connect() {
            return Reply::NotSent;
        }
        let stream = self.stream.as_mut().expect("connected above");
        // A write that fails may have been read in part, or in whole: what counts is the answer.
        let sent = stream.get_mut().write_all(request.as_bytes());
        let answer = sent.ok().and_then(|()| read_answer(stream));
        if answer.as_ref().is_none_or(|answer| answer.closes) {
            self.stream = None;
        }
        answer.map_or(Reply::Cut, Reply::Answer)
    }
}

fn request(method: &str, path: &str, body: &str) -> String {
    let length = body.len();
    format!("{method} {path} HTTP/1.1\r\nhost: t\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n{body}")
}

/// The next answer; `None` if it doesn't come, or not whole.
fn read_answer(stream: &mut BufReader<TcpStream>) -> Option<Answer> {
    let mut line = || {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        line.ends_with("\r\n").then(|| line.trim_end().to_lowercase())
    };
    let status = line()?.split(' ').nth(1)?.parse().ok()?;
    let (mut length, mut closes) = (0, false);
    loop {
        let header = line()?;
        match header.split_once(':').map(|(name, value)| (name, value.trim())) {
            Some(("content-length", value)) => length = value.parse().ok()?,
            Some(("connection", value)) => closes = value == "close",
            Some(_) => {}
            None if header.is_empty() => break,
            None => return None,
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(Answer { status, closes, body })
}
