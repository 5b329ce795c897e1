//! A TCP proxy that injects faults between a client and any server: a database, a broker, a cache or Throng.
//!
//! ```no_run
//! # use throng_testkit::{ChaosProxy, Fault};
//! let proxy = ChaosProxy::start("127.0.0.1:5432");
//! // … connect to proxy.address() in the server's place, then:
//! proxy.set(Fault::Frozen);
//! ```

use std::cell::Cell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, oneshot, watch};
use tokio::task::LocalSet;

/// A fault of all connections, those that are open and those to come, until another is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// None: forwards all bytes.
    None,
    /// Accepts connections, reads bytes and forwards none, either way.
    Frozen,
    /// Closes every connection, and new ones at once.
    Unavailable,
    /// Closes the connection on which a client sends this text, before the server receives it.
    CutBefore(&'static str),
    /// Forwards this text when a client sends it, and closes the connection when the response arrives.
    LoseResponseTo(&'static str),
}

/// What becomes of the response to one HTTP request, which the server has handled in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Response {
    /// The client receives it.
    Passed,
    /// The connection ends without it.
    Lost,
    /// The client receives a gateway's own response of this status instead, as from Envoy and Varnish.
    Replaced(u16),
}

/// A proxy in front of one server, on a thread of its own. It closes all connections and ends when it is dropped.
pub struct ChaosProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ChaosProxy {
    /// A proxy at an address of its own in front of `server`, its host and port.
    pub fn start(server: impl ToString) -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)), server)
    }

    /// The same, at this address.
    pub fn at(address: SocketAddr, server: impl ToString) -> Self {
        let listener = std::net::TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let (stop, stopped) = oneshot::channel();
        let (accepting, server) = (Arc::clone(&shared), server.to_string());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            LocalSet::new().block_on(&runtime, async {
                tokio::select! {
                    () = accept(listener, server, accepting) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// Where to connect in the server's place.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the fault, which replaces any other.
    pub fn set(&self, fault: Fault) {
        self.shared.fault.send_replace(fault);
    }

    /// Sets what becomes of the next responses to HTTP requests that begin with `start`, such as `POST`, one after the other;
    /// those after them are passed. Only for clients that wait for a response before they send another request.
    pub fn plan(&self, start: &'static str, responses: &[Response]) {
        let plan = Plan { start, responses: responses.iter().copied().collect() };
        *self.shared.plan.lock().unwrap_or_else(PoisonError::into_inner) = plan;
    }

    /// How many responses were lost or replaced as planned.
    pub fn lost(&self) -> usize {
        self.shared.lost.load(Ordering::SeqCst)
    }

    /// How many reads from clients returned bytes.
    pub fn reads(&self) -> usize {
        self.shared.reads.load(Ordering::SeqCst)
    }

    /// Sends `bytes` in the server's place to the clients that have sent `text`. Must be called while the server itself sends
    /// nothing.
    pub fn send_to_clients_that_sent(&self, text: &'static [u8], bytes: &'static [u8]) {
        let _ = self.shared.injected.send((text, bytes));
    }
}

impl Drop for ChaosProxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Bytes to send to the clients that have sent a text.
type Injection = (&'static [u8], &'static [u8]);

struct Shared {
    fault: watch::Sender<Fault>,
    injected: broadcast::Sender<Injection>,
    plan: Mutex<Plan>,
    lost: AtomicUsize,
    reads: AtomicUsize,
}

#[derive(Default)]
struct Plan {
    start: &'static str,
    responses: VecDeque<Response>,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            fault: watch::Sender::new(Fault::None),
            injected: broadcast::Sender::new(16),
            plan: Mutex::default(),
            lost: AtomicUsize::new(0),
            reads: AtomicUsize::new(0),
        }
    }
}

impl Shared {
    /// What becomes of the response to a request with these first bytes; `None` if they don't begin one that is planned for.
    fn planned(&self, sent: &[u8]) -> Option<Response> {
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        if plan.start.is_empty() || !sent.starts_with(plan.start.as_bytes()) {
            return None;
        }
        let response = plan.responses.pop_front().unwrap_or(Response::Passed);
        if response != Response::Passed {
            self.lost.fetch_add(1, Ordering::SeqCst);
        }
        Some(response)
    }
}

async fn accept(listener: std::net::TcpListener, server: String, shared: Arc<Shared>) {
    let listener = TcpListener::from_std(listener).unwrap();
    let server: Arc<str> = server.into();
    while let Ok((client, _)) = listener.accept().await {
        if *shared.fault.borrow() != Fault::Unavailable {
            tokio::task::spawn_local(forward(client, Arc::clone(&server), Arc::clone(&shared)));
        }
    }
}

/// Forwards one connection until either side, or the proxy, ends it: then both sides are closed.
async fn forward(client: TcpStream, server: Arc<str>, shared: Arc<Shared>) {
    let mut fault = shared.fault.subscribe();
    let Ok(server) = TcpStream::connect(&*server).await else { return };
    for side in [&client, &server] {
        let _ = side.set_nodelay(true);
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let connection =
        Connection { shared: &shared, fault: fault.clone(), next: Cell::new(Next::Passes), sent: Cell::default() };
    tokio::select! {
        () = connection.forward_requests(from_client, to_server) => {}
        () = connection.forward_responses(from_server, to_client) => {}
        _ = fault.wait_for(|fault| *fault == Fault::Unavailable) => {}
    }
}

/// What becomes of the next bytes from the server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Passes,
    /// The connection ends.
    Ends,
    /// A gateway's response of this status comes in their place.
    IsReplaced(u16),
    /// They are the rest of a response that was replaced.
    IsDropped,
}

struct Connection<'a> {
    shared: &'a Shared,
    fault: watch::Receiver<Fault>,
    next: Cell<Next>,
    /// The first bytes that the client sent, for [`ChaosProxy::send_to_clients_that_sent`].
    sent: Cell<Vec<u8>>,
}

/// How many bytes of a client are kept.
const SENT_MAX: usize = 1 << 20;

impl Connection<'_> {
    async fn forward_requests(&self, mut client: OwnedReadHalf, mut server: OwnedWriteHalf) {
        let mut bytes = vec![0; 64 * 1_024];
        while let Ok(count @ 1..) = client.read(&mut bytes).await {
            let sent = &bytes[..count];
            self.shared.reads.fetch_add(1, Ordering::SeqCst);
            self.keep(sent);
            match self.unfrozen().await {
                None | Some(Fault::Unavailable) => return,
                Some(Fault::CutBefore(text)) if contains(sent, text.as_bytes()) => return,
                Some(Fault::LoseResponseTo(text)) if contains(sent, text.as_bytes()) => self.next.set(Next::Ends),
                Some(Fault::None | Fault::Frozen | Fault::CutBefore(_) | Fault::LoseResponseTo(_)) => {}
            }
            match self.shared.planned(sent) {
                Some(Response::Passed) => self.next.set(Next::Passes),
                Some(Response::Lost) => self.next.set(Next::Ends),
                Some(Response::Replaced(status)) => self.next.set(Next::IsReplaced(status)),
                None if self.next.get() == Next::IsDropped => self.next.set(Next::Passes),
                None => {}
            }
            if server.write_all(sent).await.is_err() {
                return;
            }
        }
    }

    async fn forward_responses(&self, mut server: OwnedReadHalf, mut client: OwnedWriteHalf) {
        let mut bytes = vec![0; 64 * 1_024];
        let mut injected = self.shared.injected.subscribe();
        loop {
            let response = tokio::select! {
                read = server.read(&mut bytes) => match read {
                    Ok(count @ 1..) => bytes[..count].to_vec(),
                    Ok(0) | Err(_) => return,
                },
                Ok((text, injected)) = injected.recv() => {
                    if !self.has_sent(text) {
                        continue;
                    }
                    injected.to_vec()
                }
            };
            if self.unfrozen().await.is_none_or(|fault| fault == Fault::Unavailable) {
                return;
            }
            let response = match self.next.get() {
                Next::Passes => response,
                Next::Ends => return,
                Next::IsReplaced(status) => {
                    self.next.set(Next::IsDropped);
                    gateway_response(status)
                }
                Next::IsDropped => continue,
            };
            if client.write_all(&response).await.is_err() {
                return;
            }
        }
    }

    /// The fault, once it isn't that everything is frozen; `None` if the proxy has ended.
    async fn unfrozen(&self) -> Option<Fault> {
        let mut fault = self.fault.clone();
        fault.wait_for(|fault| *fault != Fault::Frozen).await.ok().map(|fault| *fault)
    }

    fn keep(&self, sent: &[u8]) {
        let mut kept = self.sent.take();
        if kept.len() + sent.len() <= SENT_MAX {
            kept.extend_from_slice(sent);
        }
        self.sent.set(kept);
    }

    fn has_sent(&self, text: &[u8]) -> bool {
        let kept = self.sent.take();
        let found = contains(&kept, text);
        self.sent.set(kept);
        found
    }
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

fn gateway_response(status: u16) -> Vec<u8> {
    let body = "<h1>Error: Guru Meditation</h1>";
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} Gateway\r\ncontent-type: text/html\r\nretry-after: 0\r\ncontent-length: {length}");
    format!("{head}\r\n\r\n{body}").into_bytes()
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::http::Connection;

    /// A server that sends back what it receives.
    fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                std::thread::spawn(move || std::io::copy(&mut &client, &mut &client));
            }
        });
        address
    }

    /// What comes back when this is sent; empty if the connection ends.
    fn sent(mut stream: &TcpStream, text: &str) -> String {
        stream.write_all(text.as_bytes()).unwrap();
        let mut bytes = [0; 1_024];
        let count = stream.read(&mut bytes).unwrap_or(0);
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    }

    #[test]
    fn faults_end_the_connections_that_they_name() {
        let proxy = ChaosProxy::start(echo());
        let connect = || TcpStream::connect(proxy.address()).unwrap();
        let old = connect();
        assert_eq!(sent(&old, "BEGIN"), "BEGIN");
        for fault in [Fault::CutBefore("COMMIT"), Fault::LoseResponseTo("COMMIT")] {
            proxy.set(fault);
            let stream = connect();
            assert_eq!([sent(&stream, "INSERT"), sent(&stream, "then COMMIT;")], ["INSERT", ""], "{fault:?}");
        }
        proxy.set(Fault::Unavailable);
        assert_eq!((&old).read(&mut [0]).unwrap_or(0), 0);
        proxy.set(Fault::None);
        assert_eq!(sent(&connect(), "COMMIT"), "COMMIT");
    }

    #[test]
    fn frozen_bytes_come_once_it_is_over() {
        let proxy = ChaosProxy::start(echo());
        proxy.set(Fault::Frozen);
        let stream = TcpStream::connect(proxy.address()).unwrap();
        (&stream).write_all(b"early").unwrap();
        crate::wait_until("the proxy has read it", || proxy.reads() == 1);
        stream.set_nonblocking(true).unwrap();
        assert!((&stream).read(&mut [0]).is_err(), "nothing has come");
        stream.set_nonblocking(false).unwrap();
        proxy.set(Fault::None);
        let mut bytes = [0; 5];
        (&stream).read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"early");
    }

    #[test]
    fn planned_responses_are_lost_or_replaced_in_order() {
        // To a client, what it sent is a response.
        let proxy = ChaosProxy::start(echo());
        proxy.plan("HTTP", &[Response::Passed, Response::Replaced(503), Response::Lost]);
        let response = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        let mut connection = Connection::open(proxy.address());
        let mut status = || {
            connection.send(response);
            connection.try_answer().map(|answer| answer.status)
        };
        assert_eq!([status(), status(), status()], [Some(200), Some(503), None]);
        assert_eq!(proxy.lost(), 2);
    }

    #[test]
    fn only_clients_that_sent_the_text_receive_what_is_injected() {
        let proxy = ChaosProxy::start(echo());
        let [one, other] = [(); 2].map(|()| TcpStream::connect(proxy.address()).unwrap());
        assert_eq!([sent(&one, "publish"), sent(&other, "read")], ["publish", "read"]);
        proxy.send_to_clients_that_sent(b"publish", b"blocked");
        let mut bytes = [0; 7];
        (&one).read_exact(&mut bytes).unwrap();
        assert_eq!((&bytes, sent(&other, "again").as_str()), (b"blocked", "again"));
    }
}
