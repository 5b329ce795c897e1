//! Sockets to listen on, and how many connections the system allows.

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

/// Connections that may wait in the kernel to be accepted, a socket; the system's `somaxconn` may allow fewer.
const BACKLOG: i32 = 8_192;

/// File descriptors kept for everything that is no connection.
const DESCRIPTORS_KEPT: u64 = 128;

/// The fewest connections for which a core is worth starting.
const CONNECTIONS_MIN: u64 = 32;

/// How often it is said that clients wait for a place.
pub(super) const SAID_EVERY: Duration = Duration::from_secs(10);

/// How long to wait when the system has no descriptor left for a connection.
const EXHAUSTED_WAIT: Duration = Duration::from_millis(50);

/// Finds that `address` can be had, now; gives it with the port that was found where 0 asks for any.
///
/// # Errors
/// If somebody listens there, or the system doesn't let this process.
pub fn find_free(address: SocketAddr) -> io::Result<SocketAddr> {
    // Sockets that share a port also share it with another process that does the same. A socket that doesn't share
    // can't be bound while somebody listens there: so a second server fails here instead of taking half the votes.
    let socket = socket(address)?;
    socket.bind(&address.into())?;
    local_address(&socket)
}

/// `count` sockets listening on the same address, among which the kernel spreads connections.
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
    // So that a restart doesn't have to wait for the connections of the process before.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn local_address(socket: &Socket) -> io::Result<SocketAddr> {
    socket.local_addr()?.as_socket().ok_or_else(|| io::Error::other("not an internet address"))
}

/// How many connections may be open at once: as many as the process may have descriptors, after raising that limit
/// as far as it may be raised, less a few for files.
pub(super) fn connections_max() -> io::Result<usize> {
    Ok(usize::try_from(descriptors()?.saturating_sub(DESCRIPTORS_KEPT)).unwrap_or(usize::MAX).max(1))
}

/// The process's limit of open files, raised as far as it may be raised.
fn descriptors() -> io::Result<u64> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit)?;
    Ok(getrlimit(Resource::Nofile).current.unwrap_or(1 << 20))
}

/// A limit of open files that leaves no room for connections.
#[derive(Debug, thiserror::Error)]
#[error(
    "the limit of open files is {has}, and {needed} is the least to serve with on this machine; raise it (systemd's \
     LimitNOFILE, ulimit -n)"
)]
pub struct TooFewDescriptors {
    has: u64,
    needed: u64,
}

/// Finds that there is room for connections on so many cores.
///
/// # Errors
/// [`TooFewDescriptors`], or the system's if the limit can't be read.
pub fn ensure_descriptors(cores: usize) -> io::Result<()> {
    let has = descriptors()?;
    let needed = DESCRIPTORS_KEPT + CONNECTIONS_MIN * u64::try_from(cores).unwrap_or(u64::MAX);
    if has < needed { Err(io::Error::other(TooFewDescriptors { has, needed })) } else { Ok(()) }
}

/// The places for connections on one core.
pub(super) struct Places {
    free: Arc<Semaphore>,
    max: usize,
    said: Option<Instant>,
}

impl Places {
    pub(super) fn new(max: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(max)), max, said: None }
    }

    /// A place. With none free, clients wait in the kernel's queue, where they cost nothing; the log says so now and then.
    pub(super) async fn take(&mut self) -> OwnedSemaphorePermit {
        if let Some(place) = self.try_take() {
            return place;
        }
        if self.said.is_none_or(|said| said.elapsed() >= SAID_EVERY) {
            self.said = Some(Instant::now());
            warn!(
                connections = self.max,
                "a core has no place for another connection, so clients wait until one closes; raise the limit of open \
                 files (systemd's LimitNOFILE, ulimit -n), or add nodes"
            );
        }
        Arc::clone(&self.free).acquire_owned().await.expect("the semaphore is never closed")
    }

    /// A place, if one is free.
    pub(super) fn try_take(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).try_acquire_owned().ok()
    }
}

/// Waits out an error of `accept`, where waiting helps.
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

/// The connections that the kernel has accepted already; afterwards the socket is closed.
pub(super) fn accept_waiting(listener: TcpListener) -> impl Iterator<Item = (TcpStream, SocketAddr)> {
    let listener = listener.into_std().inspect_err(|error| warn!(%error, "connections that wait are cut")).ok();
    std::iter::from_fn(move || {
        loop {
            match listener.as_ref()?.accept() {
                Ok((stream, peer)) => {
                    let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
                    if let Ok(stream) = stream {
                        return Some((stream, peer));
                    }
                }
                // Gone while it waited; there may be others.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(_) => return None,
            }
        }
    })
}
