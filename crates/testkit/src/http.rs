//! HTTP clients: one that sends exactly what it is told to, and one that can tell what became of a request.

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use serde_json::Value;
use socket2::{Domain, Protocol, Socket, Type};

use crate::wait::WAIT_MAX;

/// An open connection.
#[derive(Debug)]
pub struct Connection<S = TcpStream> {
    stream: BufReader<S>,
    /// Whether answers have to be as the API is described.
    #[cfg(feature = "server")]
    is_checked: bool,
}

impl Connection {
    /// A connection to this address, on which nothing is waited for without end.
    pub fn open(address: SocketAddr) -> Self {
        Self::over(Self::tcp(address))
    }

    /// A connection from this address of this machine: all of 127.0.0.0/8 are.
    pub fn open_from(own: Ipv4Addr, address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        socket.bind(&SocketAddr::from((own, 0)).into()).unwrap();
        socket.connect(&address.into()).unwrap();
        Self::over(waiting(socket.into()))
    }

    /// The connection's write half, to write from another thread.
    pub fn writer(&self) -> TcpStream {
        self.stream.get_ref().try_clone().unwrap()
    }

    /// What a connection goes over.
    pub fn tcp(address: SocketAddr) -> TcpStream {
        waiting(TcpStream::connect(address).unwrap())
    }
}

/// A stream on which nothing is waited for without end.
fn waiting(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

impl<S: Read + Write> Connection<S> {
    /// A connection over this stream.
    pub fn over(stream: S) -> Self {
        Self {
            stream: BufReader::new(stream),
            #[cfg(feature = "server")]
            is_checked: false,
        }
    }

    /// The same to a server itself, without a proxy that answers in its place: answers have to be as the API is described.
    #[cfg(feature = "server")]
    #[must_use]
    pub fn checked(self) -> Self {
        Self { is_checked: true, ..self }
    }

    /// Sends a request as it should be and reads the answer.
    #[track_caller]
    pub fn request(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.send_request(method, path, headers, body);
        let answer = self.answer();
        #[cfg(feature = "server")]
        if self.is_checked {
            crate::ApiDescription::get().assert_described(method, path, &answer);
        }
        answer
    }

    /// Sends a request as it should be.
    pub fn send_request(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) {
        // A server that has heard enough may close before it has read all.
        let _ = self.stream.get_mut().write_all(&request(method, path, headers, body));
    }

    /// Sends these bytes and nothing else.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
    }

    /// The next answer; fails if the connection ends before.
    #[track_caller]
    pub fn answer(&mut self) -> Answer {
        self.try_answer().expect("an answer, not the end of the connection")
    }

    /// The next answer; `None` if the connection ended.
    pub fn try_answer(&mut self) -> Option<Answer> {
        let mut answer = self.head()?;
        if answer.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk()? {
                answer.body.extend(chunk);
            }
            return Some(answer);
        }
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        answer.body.resize(length, 0);
        self.stream.read_exact(&mut answer.body).ok()?;
        Some(answer)
    }

    /// The next answer, where it has no body whatever its length says; `None` if the connection ended.
    pub fn head(&mut self) -> Option<Answer> {
        let status_line = self.line()?;
        let status = status_line.split(' ').nth(1)?.parse().ok()?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':')?;
            headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
        Some(Answer { status, headers, body: Vec::new() })
    }

    /// Whether the server has closed the connection; waits for it. `false` if something arrives, or nothing in time.
    pub fn is_closed(&mut self) -> bool {
        match self.stream.fill_buf() {
            Ok(bytes) => bytes.is_empty(),
            Err(error) => !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
        }
    }

    /// The next chunk of a body; `Some(None)` after the last one, `None` if the connection ended.
    fn chunk(&mut self) -> Option<Option<Vec<u8>>> {
        let length = usize::from_str_radix(&self.line()?, 16).ok()?;
        let mut chunk = vec![0; length];
        self.stream.read_exact(&mut chunk).ok()?;
        self.line()?;
        Some((length > 0).then_some(chunk))
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line).ok()?;
        line.ends_with('\n').then(|| line.trim_end().to_owned())
    }
}

/// The bytes of a request as it should be.
fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: throng.test\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if method != "GET" {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Answer {
    /// An answer that came by another way.
    pub fn new(status: u16, headers: Vec<(String, String)>, body: Vec<u8>) -> Self {
        Self { status, headers, body }
    }

    /// The value of the first header of this name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// All headers, their names in lower case.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// Whether it is the last on its connection.
    pub fn closes(&self) -> bool {
        self.header("connection") == Some("close")
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Fails unless this rejects a request that isn't valid HTTP: as a problem, or with a bare status where the HTTP library can't
    /// parse it.
    #[track_caller]
    pub fn assert_bad_request(&self, status: u16) {
        match self.header("content-type") {
            Some(_) => self.assert_problem(status, "bad_request"),
            None => assert_eq!((self.status, &self.body[..]), (status, &b""[..])),
        }
    }

    /// Fails unless this is a problem of that status and code, in the form that all of them have.
    #[track_caller]
    pub fn assert_problem(&self, status: u16, code: &str) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!((self.status, problem["code"].as_str()), (status, Some(code)), "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        for field in ["type", "title", "detail"] {
            assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "{field} is missing: {problem}");
        }
    }
}

/// A client with a connection that it keeps, and opens anew where it was closed.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    connection: Option<Connection>,
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

impl Client {
    /// A client of the server at this address, not yet connected.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, connection: None }
    }

    /// Connects, unless connected; whether that went well.
    pub fn connect(&mut self) -> bool {
        if self.connection.is_none() {
            self.connection = TcpStream::connect(self.address).ok().map(|stream| Connection::over(waiting(stream)));
        }
        self.connection.is_some()
    }

    /// Sends a GET.
    pub fn get(&mut self, path: &str) -> Reply {
        self.exchange(&request("GET", path, &[], b""))
    }

    /// Sends a POST.
    pub fn post(&mut self, path: &str, body: &str) -> Reply {
        self.exchange(&request("POST", path, &[PLAIN], body.as_bytes()))
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
        let mut connection = self.connection.take().expect("connected above");
        connection.send(&request("POST", path, &[PLAIN], body.as_bytes()));
    }

    fn exchange(&mut self, request: &[u8]) -> Reply {
        if !self.connect() {
            return Reply::NotSent;
        }
        let connection = self.connection.as_mut().expect("connected above");
        // A write that fails may have been read in part, or in whole: what counts is the answer.
        let sent = connection.stream.get_mut().write_all(request);
        let answer = sent.ok().and_then(|()| connection.try_answer());
        if answer.as_ref().is_none_or(Answer::closes) {
            self.connection = None;
        }
        answer.map_or(Reply::Cut, Reply::Answer)
    }
}

/// The type of a client's ballots.
const PLAIN: (&str, &str) = ("content-type", "text/plain");
