//! Listening sockets, and the number of connections that the system allows.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tracing::warn;

/// Connections per socket that may wait in the kernel to be accepted; the system's `somaxconn` may lower it.
const BACKLOG: i32 = 8_192;

/// File descriptors reserved for everything except connections.
const DESCRIPTORS_KEPT: u64 = 128;

/// The minimum number of connections per core.
const CONNECTIONS_MIN: u64 = 32;

/// How often a reached connection limit is logged.
pub(super) const LOG_EVERY: Duration = Duration::from_secs(10);

/// How long to wait when the system has no file descriptor left for a connection.
const EXHAUSTED_WAIT: Duration = Duration::from_millis(50);

/// Checks that `address` can be bound now; returns it with the port that the system chose for port 0.
///
/// # Errors
/// If another process listens there, or this process lacks the permission.
pub fn find_free(address: SocketAddr) -> io::Result<SocketAddr> {
    // With SO_REUSEPORT another process can bind the same port. A socket without it can't be bound while another process
    // listens there, so a second server fails here instead of receiving half the votes.
    let socket = socket(address)?;
    socket.bind(&address.into())?;
    local_address(&socket)
}

/// `count` sockets listening on the same address, among which the kernel distributes connections.
pub(super) fn sockets(address: SocketAddr, count: usize) -> io::Result<Vec<StdListener>> {
    let address = find_free(address)?;
    (0..count)
        .map(|_| {
            let socket = socket(address)?;
            socket.set_reuse_port(true)?;
            socket.bind(&address.into())?;
            socket.listen(BACKLOG)?;
            Ok(socket.into())
        })
        .collect()
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart need not wait for connections of the previous process.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn local_address(socket: &Socket) -> io::Result<SocketAddr> {
    socket.local_addr()?.as_socket().ok_or_else(|| io::Error::other("not an internet address"))
}

/// The maximum number of open connections: the process's file descriptors (the limit is raised as far as possible) without
/// [`DESCRIPTORS_KEPT`].
pub(super) fn connections_max() -> io::Result<usize> {
    Ok(usize::try_from(descriptors()?.saturating_sub(DESCRIPTORS_KEPT)).unwrap_or(usize::MAX).max(1))
}

/// Raises the process's limit of open files as far as possible, and returns it.
fn descriptors() -> io::Result<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    Ok(getrlimit(Resource::Nofile).current.unwrap_or(1 << 20))
}

/// The limit of open files is too low for connections.
#[derive(Debug, thiserror::Error)]
#[error(
    "the limit of open files is {has}, and {needed} is the least to serve with on this machine; raise it (systemd's \
     LimitNOFILE, ulimit -n)"
)]
pub struct TooFewDescriptors {
    has: u64,
    needed: u64,
}

/// Checks that there are enough file descriptors for connections on `cores` cores.
///
/// # Errors
/// [`TooFewDescriptors`], or the system's error if the limit can't be raised.
pub fn ensure_descriptors(cores: usize) -> io::Result<()> {
    let has = descriptors()?;
    let needed = DESCRIPTORS_KEPT + CONNECTIONS_MIN * u64::try_from(cores).unwrap_or(u64::MAX);
    if has < needed { Err(io::Error::other(TooFewDescriptors { has, needed })) } else { Ok(()) }
}

/// Limits the open connections of one core.
pub(super) struct ConnectionLimit {
    free: Arc<Semaphore>,
    max: usize,
    logged: Option<Instant>,
}

impl ConnectionLimit {
    pub(super) fn new(max: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(max)), max, logged: None }
    }

    /// A permit for one connection. If none is free, clients wait in the kernel's queue, where they cost nothing; this is
    /// logged at most every [`LOG_EVERY`].
    pub(super) async fn acquire(&mut self) -> OwnedSemaphorePermit {
        if let Some(permit) = self.try_acquire() {
            return permit;
        }
        if self.logged.is_none_or(|logged| logged.elapsed() >= LOG_EVERY) {
            self.logged = Some(Instant::now());
            warn!(
                connections = self.max,
                "a core has no place for another connection, so clients wait until one closes; raise the limit of open \
                 files (systemd's LimitNOFILE, ulimit -n), or add nodes"
            );
        }
        Arc::clone(&self.free).acquire_owned().await.expect("the semaphore is never closed")
    }

    /// A permit, if one is free.
    pub(super) fn try_acquire(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).try_acquire_owned().ok()
    }
}

/// Waits after an error of `accept` if waiting helps.
pub(super) async fn after_accept_error(error: &io::Error) {
    let connection_gone = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    );
    if !connection_gone {
        warn!(%error, "no connection can be accepted; trying again");
        tokio::time::sleep(EXHAUSTED_WAIT).await;
    }
}

/// The connections that the kernel has already accepted; the socket is closed afterwards.
pub(super) fn accept_waiting(listener: TcpListener) -> impl Iterator<Item = (TcpStream, SocketAddr)> {
    let listener = listener.into_std().inspect_err(|error| warn!(%error, "waiting connections are closed")).ok();
    std::iter::from_fn(move || {
        loop {
            match listener.as_ref()?.accept() {
                Ok((stream, peer)) => {
                    let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
                    if let Ok(stream) = stream {
                        return Some((stream, peer));
                    }
                }
                // The client closed it while it waited; there may be others.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(_) => return None,
            }
        }
    })
}
