//! The threads that serve connections, one per core.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use prometheus_client::metrics::gauge::Gauge;
use throng_domain::clock::Clock;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::{debug, warn};

use super::addresses::{Addresses, IsProxy};
use super::connection::{self, ConnectionGuard};
use super::core_context::CoreContext;
use super::date::Date;
use super::deadlines::IdleTimeouts;
use super::http2::UnsentBytes;
use super::listen::{self, ConnectionLimit};
use super::service::{ErrorBody, FastPath};
use super::shutdown::Shutdown;
use super::tls::Tls;
use crate::sched::{affinity, policy};
use crate::telemetry::log_rate_limiter::LogRateLimiter;
use crate::telemetry::metrics::ConnectionMetrics;

/// A core's background work. It completes by itself once the shutdown has ended: see [`Shutdown::ended`].
pub type Background = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// Threads per core for blocking work, such as checking the database's health or resolving the broker's address. No ballot
/// waits for them.
const BLOCKING_THREADS_MAX: usize = 2;

/// Where connections are accepted, and how.
#[derive(Clone)]
pub struct Listen {
    /// The address; with port 0, the system chooses a free port.
    pub address: SocketAddr,
    /// Encrypts connections; if `None`, they aren't encrypted.
    pub tls: Option<Arc<Tls>>,
    /// Identifies trusted proxies, each of which may serve many clients.
    pub is_proxy: IsProxy,
    /// Whether connections from trusted proxies begin with a PROXY protocol header.
    pub proxy_protocol: bool,
    /// How long a connection may be idle.
    pub idle: IdleTimeouts,
}

/// One core: its service, its background work, and its gauges.
pub struct Core<S> {
    /// Responds to requests.
    pub service: S,
    /// Runs on the core's thread, which exits only after it has completed.
    pub background: Background,
    /// Counts connections.
    pub connections: ConnectionMetrics,
    /// Counts response bytes that HTTP/2 clients haven't read yet.
    pub unsent_bytes: Gauge,
}

/// The serving threads.
#[derive(Debug)]
pub struct Cores {
    /// The listen address, with the port that the system chose for port 0.
    pub address: SocketAddr,
    shutdown: Arc<Shutdown>,
    threads: Vec<JoinHandle<()>>,
}

impl Cores {
    /// Accepts connections at `listen` and serves them on one thread for each of `cores`.
    ///
    /// # Errors
    /// If the address can't be bound, or a thread can't be created.
    pub fn start<S: FastPath>(
        listen: &Listen,
        cores: Vec<Core<S>>,
        error_body: ErrorBody,
        clock: &Arc<dyn Clock>,
        shutdown: Arc<Shutdown>,
    ) -> io::Result<Self> {
        let cores_count = cores.len();
        let sockets = listen::sockets(listen.address, cores_count)?;
        let address = sockets.first().map_or(Ok(listen.address), |socket| socket.local_addr())?;
        let connections_max = listen::connections_max()? / cores_count.max(1);
        let processors = affinity::one_per_core(cores_count).unwrap_or_default();
        let mut threads = Vec::new();
        for (number, (socket, core)) in sockets.into_iter().zip(cores).enumerate() {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads(BLOCKING_THREADS_MAX)
                .build()?;
            // Until this core has stopped accepting, it counts as an open connection.
            let accepts = shutdown.connections().token();
            let listener = {
                let _in_runtime = runtime.enter();
                TcpListener::from_std(socket)?
            };
            let Core { service, background, connections, unsent_bytes } = core;
            let unsent = UnsentBytes::new(unsent_bytes, cores_count);
            let addresses = Arc::new(Addresses::new(connections_max, Arc::clone(&listen.is_proxy)));
            let context = Arc::new(CoreContext {
                service,
                error_body,
                shutdown: Arc::clone(&shutdown),
                date: Date::new(Arc::clone(clock)),
                tls: listen.tls.clone(),
                unsent,
                is_proxy: Arc::clone(&listen.is_proxy),
                proxy_protocol: listen.proxy_protocol,
                idle: listen.idle,
                addresses,
                clock: Arc::clone(clock),
                unexpected: LogRateLimiter::new(1),
            });
            let acceptor = Acceptor { listener, connections_max, connections };
            let processor = processors.get(number).copied();
            let serve = move || {
                schedule(processor);
                serve(&runtime, acceptor, &context, background, accepts);
            };
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

/// Accepts a core's connections.
struct Acceptor {
    listener: TcpListener,
    connections_max: usize,
    connections: ConnectionMetrics,
}

/// Sets how the system schedules this core's thread. If the system refuses, the thread only serves more slowly.
fn schedule(processor: Option<usize>) {
    if let Err(error) = policy::use_batch_policy() {
        debug!(%error, "this core's thread has the default scheduling policy");
    }
    if let Some(Err(error)) = processor.map(affinity::pin_to) {
        debug!(%error, "this core's thread isn't pinned to a processor");
    }
}

fn serve<S: FastPath>(
    runtime: &Runtime,
    Acceptor { listener, connections_max, connections }: Acceptor,
    core: &Arc<CoreContext<S>>,
    background: Background,
    accepts: TaskTrackerToken,
) {
    runtime.block_on(async {
        let background = tokio::spawn(background);
        let context = Arc::clone(core);
        tokio::spawn(async move { context.date.keep().await });
        let mut limit = ConnectionLimit::new(connections_max);
        let accepting = async {
            loop {
                let permit = limit.acquire().await;
                match listener.accept().await {
                    Ok(accepted) => {
                        // Dropping the connection closes it.
                        let Some(share) = core.addresses.admit(accepted.1.ip()) else { continue };
                        let guard = ConnectionGuard::new(permit, share, connections.clone());
                        connection::spawn(accepted, Arc::clone(core), guard);
                    }
                    Err(error) => listen::after_accept_error(&error).await,
                }
            }
        };
        tokio::select! {
            never = accepting => never,
            () = core.shutdown.stop_accepting() => {}
        }
        // Closing the socket would reset the connections that the kernel has already accepted: serve them too.
        for accepted in listen::accept_waiting(listener) {
            let Some(permit) = limit.try_acquire() else { break };
            let Some(share) = core.addresses.admit(accepted.1.ip()) else { continue };
            let guard = ConnectionGuard::new(permit, share, connections.clone());
            connection::spawn(accepted, Arc::clone(core), guard);
        }
        drop(accepts);
        core.shutdown.ended().await;
        if connections.open.get() > 0 {
            warn!(connections = connections.open.get(), "connections are closed at the end of the shutdown");
        }
        // A panic was logged when it happened.
        let _ = background.await;
    });
}
