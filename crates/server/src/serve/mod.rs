//! The serving layout: one thread and one single-threaded runtime a core, each with its own listening socket on the
//! same port (`SO_REUSEPORT`), so that the kernel spreads connections and a request never changes its core.
//!
//! This is what `axum::serve` would be, with three differences: no work moves between threads (some 15 to 25 percent
//! more requests a second on two cores, and half the memory a connection), every connection has deadlines (see
//! [`guard`]), and a shutdown closes nothing that a client could still be writing to. Everything unusual about how
//! Throng serves is in this module; what it serves is a plain service.

mod connection;
mod guard;
mod listen;
mod refusal;
mod shutdown;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper::{Request, Response, StatusCode};
use prometheus_client::metrics::gauge::Gauge;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::warn;

pub use self::shutdown::Shutdown;

/// What answers requests on one core. It is cloned for each connection.
pub trait Answer:
    Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + 'static
{
}

impl<S> Answer for S where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + 'static
{
}

/// The body of an answer that HTTP itself gives, to a request that can't be read.
pub type RefusalBody = fn(StatusCode) -> Bytes;

/// Threads a core may have for work that blocks, such as asking the database whether it is there: none is on the way
/// of a vote.
const BLOCKING_THREADS_MAX: usize = 2;

/// What holds for every connection of a core.
#[derive(Clone, Copy)]
struct Limits {
    connections_max: usize,
    refusal_body: RefusalBody,
}

/// One core: what it answers with, what runs beside, and its gauge of open connections.
pub struct Core<S> {
    /// Answers its requests.
    pub service: S,
    /// Runs on its thread for as long as it serves.
    pub beside: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Counts its open connections.
    pub connections: Gauge,
}

/// Threads that serve.
#[derive(Debug)]
pub struct Cores {
    /// The address listened on; tells the port if port 0 was asked for.
    pub address: SocketAddr,
    shutdown: Arc<Shutdown>,
    threads: Vec<JoinHandle<()>>,
}

impl Cores {
    /// Listens on `listen` and serves on one thread for each of `cores`.
    ///
    /// # Errors
    /// If the address can't be had, or the system gives no thread.
    pub fn start<S: Answer>(
        listen: SocketAddr,
        cores: Vec<Core<S>>,
        refusal_body: RefusalBody,
        shutdown: Arc<Shutdown>,
    ) -> io::Result<Self> {
        let sockets = listen::sockets(listen, cores.len())?;
        let address = sockets.first().map_or(Ok(listen), |socket| socket.local_addr())?;
        let connections_max = listen::connections_max()? / sockets.len().max(1);
        let mut threads = Vec::new();
        for (number, (socket, core)) in sockets.into_iter().zip(cores).enumerate() {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads(BLOCKING_THREADS_MAX)
                .build()?;
            // Until this core has stopped accepting, it counts as a connection that is still open.
            let accepts = shutdown.connections().token();
            let shutdown = Arc::clone(&shutdown);
            let listener = {
                let _in_runtime = runtime.enter();
                TcpListener::from_std(socket)?
            };
            let limits = Limits { connections_max, refusal_body };
            let serve = move || serve(&runtime, listener, core, limits, &shutdown, accepts);
            threads.push(thread::Builder::new().name(format!("core-{number}")).spawn(serve)?);
        }
        Ok(Self { address, shutdown, threads })
    }

    /// Waits until every thread has ended; they end after [`Shutdown::run`].
    pub fn join(self) {
        for thread in self.threads {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
        debug_assert!(self.shutdown.is_draining());
    }
}

fn serve<S: Answer>(
    runtime: &Runtime,
    listener: TcpListener,
    core: Core<S>,
    Limits { connections_max, refusal_body }: Limits,
    shutdown: &Arc<Shutdown>,
    accepts: TaskTrackerToken,
) {
    runtime.block_on(async {
        tokio::spawn(core.beside);
        let places = Arc::new(Semaphore::new(connections_max));
        let accepting = async {
            loop {
                // A place first: with none free, clients wait in the kernel's queue, where they cost nothing.
                let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
                match listener.accept().await {
                    Ok((stream, _)) => {
                        let opened = connection::Opened::new(place, core.connections.clone());
                        connection::spawn(stream, core.service.clone(), refusal_body, shutdown, opened);
                    }
                    Err(error) => listen::after_accept_error(&error).await,
                }
            }
        };
        tokio::select! {
            never = accepting => never,
            () = shutdown.stop_accepting() => {}
        }
        // Connections that the kernel has accepted already would be reset with the socket: take them along.
        for stream in listen::accept_waiting(listener) {
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else { break };
            let opened = connection::Opened::new(place, core.connections.clone());
            connection::spawn(stream, core.service.clone(), refusal_body, shutdown, opened);
        }
        drop(accepts);
        shutdown.ended().await;
        if core.connections.get() > 0 {
            warn!(connections = core.connections.get(), "connections were cut at the end of the shutdown");
        }
    });
}
