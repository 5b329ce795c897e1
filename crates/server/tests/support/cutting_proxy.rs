//! A proxy that loses responses after the server has sent them, as networks and gateways do.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::Connection;
use super::client::Answer;

/// What becomes of the response to a POST, which the server has handled in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The client gets it.
    Passed,
    /// The connection ends without it.
    Cut,
    /// The client gets a gateway's own response of this status instead, as Envoy and Varnish give.
    Replaced(u16),
}

/// A proxy in front of a server. It ends when it is dropped.
pub struct CuttingProxy {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    server: SocketAddr,
    /// What becomes of the next responses to POSTs; those after them are passed.
    fates: Mutex<Vec<Fate>>,
    /// The responses that were lost.
    lost: AtomicUsize,
    ended: AtomicBool,
}

impl CuttingProxy {
    /// A proxy in front of the server at this address, which passes everything.
    pub fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (fates, lost, ended) = (Mutex::default(), AtomicUsize::new(0), AtomicBool::new(false));
        let shared = Arc::new(Shared { server, fates, lost, ended });
        let accepting = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            for client in listener.incoming() {
                if accepting.ended.load(Ordering::SeqCst) {
                    break;
                }
                let (client, shared) = (client.unwrap(), Arc::clone(&accepting));
                std::thread::spawn(move || shared.serve(client));
            }
        });
        Self { address, shared, thread: Some(thread) }
    }

    /// Sets what becomes of the next responses to POSTs.
    pub fn plan(&self, fates: &[Fate]) {
        let fates = fates.iter().rev().copied().collect();
        *self.shared.fates.lock().unwrap_or_else(PoisonError::into_inner) = fates;
    }

    /// How many responses were lost so far.
    pub fn lost(&self) -> usize {
        self.shared.lost.load(Ordering::SeqCst)
    }
}

impl Shared {
    /// Carries the requests of one connection until it ends.
    fn serve(&self, client: TcpStream) {
        let mut server = Connection::open(self.server);
        let mut requests = BufReader::new(client);
        while let Some((request, is_post)) = next_request(&mut requests) {
            server.send(&request);
            let Some(answer) = server.try_answer() else { return };
            let fate = if is_post { self.next_fate() } else { Fate::Passed };
            let response = match fate {
                Fate::Passed => response(&answer),
                Fate::Cut => return,
                Fate::Replaced(status) => gateway_response(status),
            };
            if requests.get_mut().write_all(&response).is_err() {
                return;
            }
        }
    }

    fn next_fate(&self) -> Fate {
        let fate = self.fates.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or(Fate::Passed);
        if fate != Fate::Passed {
            self.lost.fetch_add(1, Ordering::SeqCst);
        }
        fate
    }
}

/// The bytes of the next request, and whether it is a POST.
fn next_request(client: &mut BufReader<TcpStream>) -> Option<(Vec<u8>, bool)> {
    let (mut request, mut length) = (Vec::new(), 0);
    loop {
        let begun = request.len();
        client.read_until(b'\n', &mut request).ok().filter(|read| *read > 0)?;
        let line = std::str::from_utf8(&request[begun..]).ok()?.trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.is_empty() {
            break;
        }
    }
    let head = request.len();
    request.resize(head + length, 0);
    client.read_exact(&mut request[head..]).ok()?;
    let is_post = request.starts_with(b"POST");
    Some((request, is_post))
}

fn response(answer: &Answer) -> Vec<u8> {
    let mut response = format!("HTTP/1.1 {} Status\r\n", answer.status);
    for (name, value) in answer.headers() {
        response.push_str(&format!("{name}: {value}\r\n"));
    }
    if answer.header("content-length").is_none() && answer.status != 304 {
        response.push_str("content-length: 0\r\n");
    }
    [response.as_bytes(), b"\r\n", &answer.body].concat()
}

fn gateway_response(status: u16) -> Vec<u8> {
    let body = "<h1>Error: Guru Meditation</h1>";
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Gateway\r\ncontent-type: text/html\r\nretry-after: 0\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

impl Drop for CuttingProxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // It looks whether it has ended when somebody comes.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
