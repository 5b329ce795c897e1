//! The serving layout: one thread and one single-threaded runtime a core, each with its own listening socket on the
//! same port (`SO_REUSEPORT`), so that the kernel spreads connections and a request never changes its core.
//!
//! This is what `axum::serve` would be, with six differences: no work moves between threads (some 15 to 25 percent
//! more requests a second on two cores), nor a thread between processors (see [`processors`]), a thread interrupts nobody
//! and works off all that has come (see [`turns`]), plain requests are answered without HTTP's library around them (see
//! [`lane`]; a quarter more at 1,000 connections), every connection has deadlines (see [`guard`]), and a shutdown closes
//! nothing that a client could still be writing to.
//! Everything unusual about how Throng serves is in this module; what it serves is an [`Answer`].

mod addresses;
mod connection;
mod date;
mod deadlines;
mod guard;
mod http1;
mod http2;
mod lane;
mod listen;
mod opening;
mod outgoing;
mod plain;
mod processors;
mod proxy_protocol;
mod refusal;
mod rules;
mod shutdown;
mod tls;
mod turns;
mod unread;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use axum::BoxError;
use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::{Request, Response, StatusCode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use throng_domain::clock::Clock;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::{debug, warn};

use self::addresses::Addresses;
use self::connection::Host;
use self::date::Date;
pub use self::deadlines::IdleTimeouts;
use self::http2::UnsentBytes;
use self::listen::Places;
pub use self::listen::{TooFewDescriptors, ensure_descriptors, find_free};
pub use self::plain::{PlainMethod, PlainRequest};
pub use self::shutdown::Shutdown;
pub use self::tls::{Tls, TlsFaults, TlsFiles};
use crate::log_rate_limiter::LogRateLimiter;

/// What answers requests on one core.
pub trait Answer: Send + Sync + 'static {
    /// A plain request that was taken on, until it is answered.
    type Begun: Send;

    /// Takes on a plain request that `peer` has sent; `None` leaves it to [`Self::answer`].
    fn begin(&self, request: &PlainRequest<'_>, peer: IpAddr) -> Option<Self::Begun>;

    /// Answers a request that was taken on.
    fn finish(&self, begun: Self::Begun) -> impl Future<Output = Response<Bytes>> + Send;

    /// Answers any request; `peer` is the address it came from.
    fn answer<B: RequestBody>(&self, request: Request<B>, peer: IpAddr) -> impl Future<Output = Response<Body>> + Send;
}

/// The body of a request, whichever HTTP it came by.
pub trait RequestBody: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static {}

impl<B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static> RequestBody for B {}

/// The body of an answer that HTTP itself gives, to a request that can't be read.
pub type RefusalBody = fn(StatusCode) -> Bytes;

/// Work that goes on beside the requests, and ends by itself once the shutdown does: see [`Shutdown::ended`].
pub type Beside = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// Threads a core may have for work that blocks, such as asking the database whether it is there, or finding the broker's
/// address when a connection is made anew: none is on the way of a vote otherwise.
const BLOCKING_THREADS_MAX: usize = 2;

/// Whether a proxy of ours is at an address.
pub type IsProxy = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// Where connections are taken, and how.
#[derive(Clone)]
pub struct Listen {
    /// The address; with port 0, any port that is free.
    pub address: SocketAddr,
    /// What encrypts them; without it they are plain, and HTTP/1.1.
    pub tls: Option<Arc<Tls>>,
    /// Knows proxies of ours, which many clients may come by.
    pub is_proxy: IsProxy,
    /// Whether their connections begin with a header of the PROXY protocol.
    pub proxy_protocol: bool,
    /// How long a connection may be idle.
    pub idle: IdleTimeouts,
}

/// Counts of one core's connections; clones count together.
#[derive(Clone, Debug, Default)]
pub struct ConnectionMetrics {
    /// Those that are open now.
    pub open: Gauge,
    /// All that were ever accepted.
    pub accepted: Counter,
}

/// One core: what it answers with, what runs beside, and its gauges.
pub struct Core<S> {
    /// Answers its requests.
    pub service: S,
    /// Runs on its thread, which ends when this does.
    pub beside: Beside,
    /// Counts its connections.
    pub connections: ConnectionMetrics,
    /// Counts the bytes of responses that its clients of HTTP/2 have yet to take.
    pub unsent_bytes: Gauge,
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
    /// Takes connections at `listen` and serves on one thread for each of `cores`.
    ///
    /// # Errors
    /// If the address can't be had, or the system gives no thread.
    pub fn start<S: Answer>(
        listen: &Listen,
        cores: Vec<Core<S>>,
        refusal_body: RefusalBody,
        clock: &Arc<dyn Clock>,
        shutdown: Arc<Shutdown>,
    ) -> io::Result<Self> {
        let cores_count = cores.len();
        let sockets = listen::sockets(listen.address, cores_count)?;
        let address = sockets.first().map_or(Ok(listen.address), |socket| socket.local_addr())?;
        let connections_max = listen::connections_max()? / cores_count.max(1);
        let processors = processors::one_each(cores_count).unwrap_or_default();
        let mut threads = Vec::new();
        for (number, (socket, core)) in sockets.into_iter().zip(cores).enumerate() {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads(BLOCKING_THREADS_MAX)
                .build()?;
            // Until this core has stopped accepting, it counts as a connection that is still open.
            let accepts = shutdown.connections().token();
            let listener = {
                let _in_runtime = runtime.enter();
                TcpListener::from_std(socket)?
            };
            let Core { service, beside, connections, unsent_bytes } = core;
            let unsent = UnsentBytes::new(unsent_bytes, cores_count);
            let addresses = Arc::new(Addresses::new(connections_max, Arc::clone(&listen.is_proxy)));
            let host = Arc::new(Host {
                service,
                refusal_body,
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
            let door = Door { listener, connections_max, connections };
            let processor = processors.get(number).copied();
            let serve = move || {
                schedule(processor);
                serve(&runtime, door, &host, beside, accepts);
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

/// Where connections come in.
struct Door {
    listener: TcpListener,
    connections_max: usize,
    connections: ConnectionMetrics,
}

/// Tells the system how this thread, a core's, is to be run. It serves as well when that is refused, only not as fast.
fn schedule(processor: Option<usize>) {
    if let Err(error) = turns::take_whole_turns() {
        debug!(%error, "this core's thread is scheduled as any other");
    }
    if let Some(Err(error)) = processor.map(processors::stay_on) {
        debug!(%error, "this core's thread stays on no processor");
    }
}

fn serve<S: Answer>(
    runtime: &Runtime,
    Door { listener, connections_max, connections }: Door,
    host: &Arc<Host<S>>,
    beside: Beside,
    accepts: TaskTrackerToken,
) {
    runtime.block_on(async {
        let beside = tokio::spawn(beside);
        let dated = Arc::clone(host);
        tokio::spawn(async move { dated.date.keep().await });
        let mut places = Places::new(connections_max);
        let accepting = async {
            loop {
                let place = places.take().await;
                match listener.accept().await {
                    Ok(accepted) => {
                        // With none, it is closed.
                        let Some(share) = host.addresses.admit(accepted.1.ip()) else { continue };
                        let opened = connection::Opened::new(place, share, connections.clone());
                        connection::spawn(accepted, Arc::clone(host), opened);
                    }
                    Err(error) => listen::after_accept_error(&error).await,
                }
            }
        };
        tokio::select! {
            never = accepting => never,
            () = host.shutdown.stop_accepting() => {}
        }
        // Connections that the kernel has accepted already would be reset with the socket: take them along.
        for accepted in listen::accept_waiting(listener) {
            let Some(place) = places.try_take() else { break };
            let Some(share) = host.addresses.admit(accepted.1.ip()) else { continue };
            let opened = connection::Opened::new(place, share, connections.clone());
            connection::spawn(accepted, Arc::clone(host), opened);
        }
        drop(accepts);
        host.shutdown.ended().await;
        if connections.open.get() > 0 {
            warn!(connections = connections.open.get(), "connections are cut at the end of the shutdown");
        }
        // If it panicked, that was told when it did.
        let _ = beside.await;
    });
}
