//! A whole server in this process, and a client that sends exactly what it is told to.
#![allow(dead_code, reason = "each test binary uses its own part of this")]
#![allow(clippy::unwrap_used, reason = "a test fails where it can't go on")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use throng::app::{App, Server};
use throng::config::{Config, Sources};
use throng_domain::clock::{ManualClock, Timestamp};
use tokio::sync::oneshot;

/// How long a test waits for an answer before it fails.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// When the servers' clock stands, unless a test moves it.
pub const NOW: Timestamp = Timestamp(1_800_000_000_000);

/// A server on a port of its own, with a database of its own and a clock that stands still.
pub struct TestServer {
    pub address: SocketAddr,
    pub clock: Arc<ManualClock>,
    pub app: Arc<App>,
    pub directory: TempDir,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TestServer {
    /// A server with the demo poll.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// A server with these settings beside its own address and database.
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database = format!("sqlite://{}", directory.path().join("throng.db").display());
        let mut pairs = vec![("LISTEN", "127.0.0.1:0"), ("DATABASE_URL", &database)];
        pairs.extend(settings);
        let config = Config::read(&Sources::from_pairs(&pairs)).unwrap();
        let clock = Arc::new(ManualClock::new(NOW));
        let (started, starts) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let server_clock = Arc::clone(&clock);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let server = Server::start(config, server_clock, 2).await.unwrap();
                started.send((server.address(), Arc::clone(server.app()))).unwrap();
                let stop = async { stopped.await.unwrap_or(()) };
                server.run_until(stop).await.unwrap();
            });
        });
        let (address, app) = starts.recv_timeout(ANSWER_MAX).expect("the server starts");
        Self { address, clock, app, directory, stop: Some(stop), thread: Some(thread) }
    }

    /// Begins the shutdown; [`Self::join`] waits for its end.
    pub fn begin_stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }

    /// Stops the server and waits for its end.
    pub fn join(&mut self) {
        self.begin_stop();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }

    /// A new connection.
    pub fn connect(&self) -> Connection {
        Connection::open(self.address)
    }

    /// The answer to a GET.
    pub fn get(&self, path: &str) -> Answer {
        self.connect().request("GET", path, &[], b"")
    }

    /// The answer to a POST of JSON.
    pub fn post(&self, path: &str, body: &[u8]) -> Answer {
        self.connect().request("POST", path, &[("content-type", "application/json")], body)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.join();
        }
    }
}

/// An open connection.
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(ANSWER_MAX)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    /// Sends a request as it should be and reads the answer.
    pub fn request(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.send_request(method, path, headers, body);
        self.answer()
    }

    /// Sends a request as it should be.
    pub fn send_request(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: throng.test\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if method != "GET" {
            request.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        request.push_str("\r\n");
        // A server that has heard enough may close before it has read all.
        let _ = self.stream.get_mut().write_all(&[request.as_bytes(), body].concat());
    }

    /// Sends these bytes and nothing else.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
    }

    /// The next answer; fails if the connection ends before.
    pub fn answer(&mut self) -> Answer {
        self.try_answer().expect("an answer, not the end of the connection")
    }

    /// The next answer; `None` if the connection ended.
    pub fn try_answer(&mut self) -> Option<Answer> {
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
        let mut answer = Answer { status, headers, body: Vec::new() };
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        answer.body.resize(length, 0);
        self.stream.read_exact(&mut answer.body).ok()?;
        Some(answer)
    }

    /// Whether the server has closed the connection; waits for it.
    pub fn is_closed(&mut self) -> bool {
        matches!(self.stream.fill_buf(), Ok([]) | Err(_))
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
        Some(line.trim_end().to_owned())
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of the first header of this name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
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
