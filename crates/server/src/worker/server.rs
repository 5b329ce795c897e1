//! A worker's health and metrics, over HTTP on a port of its own.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use bytes::Bytes;
use hyper::Request;
use prometheus_client::metrics::gauge::Gauge;
use throng_domain::clock::Clock;
use throng_domain::store::PollStore;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tracing::warn;

use crate::http::{OK, Problem, error_body, json, openmetrics, uncached};
use crate::net::{
    Core, Cores, FastPath, IdleTimeouts, Listen, RequestBody, Service, Shutdown, SimpleRequest, find_free,
};
use crate::state::Dependency;
use crate::telemetry::metrics::{ConnectionMetrics, WorkerMetrics};

/// A worker's state, as its HTTP endpoints report it.
#[derive(Debug)]
pub struct Health {
    /// The metrics.
    pub metrics: WorkerMetrics,
    /// The store, once the worker can record.
    store: OnceLock<Arc<dyn PollStore>>,
    /// The dependency that it waits for until then.
    missing: watch::Receiver<Dependency>,
    /// Cancelled when the worker is stopping.
    stop: CancellationToken,
}

impl Health {
    /// The state of a worker that can't record yet, since the dependency `missing` is unavailable.
    pub fn new(metrics: WorkerMetrics, stop: CancellationToken, missing: watch::Receiver<Dependency>) -> Self {
        Self { metrics, store: OnceLock::new(), missing, stop }
    }

    /// Marks the worker as ready to record in this store.
    pub fn set_ready(&self, store: Arc<dyn PollStore>) {
        let is_first = self.store.set(store).is_ok();
        debug_assert!(is_first, "a worker becomes ready once");
    }
}

/// Serves a worker's health and metrics on one thread until `shutdown` has run.
///
/// # Errors
/// If the address can't be bound.
pub fn serve(
    health: Arc<Health>,
    listen: SocketAddr,
    clock: &Arc<dyn Clock>,
    shutdown: Arc<Shutdown>,
) -> anyhow::Result<Cores> {
    let service = HealthService { router: router(health) };
    let background = Box::pin(std::future::ready(()));
    let core = Core { service, background, connections: ConnectionMetrics::default(), unsent_bytes: Gauge::default() };
    // For operators, on an internal network.
    let listen = Listen {
        address: listen,
        tls: None,
        is_proxy: Arc::new(|_| true),
        proxy_protocol: false,
        idle: IdleTimeouts::all(IdleTimeouts::default().clients),
    };
    Cores::start(&listen, vec![core], error_body, clock, shutdown).with_context(|| cant_serve(listen.address))
}

/// Checks that `listen` can be bound, before a worker consumes ballots that it would have to return.
///
/// # Errors
/// If the address can't be bound.
pub fn ensure_free(listen: SocketAddr) -> anyhow::Result<()> {
    find_free(listen).map(drop).with_context(|| cant_serve(listen))
}

fn cant_serve(address: SocketAddr) -> String {
    format!("can't serve on {address}; is another worker running here? Set WORKER_LISTEN")
}

fn router(health: Arc<Health>) -> Router {
    let (ready, measured) = (Arc::clone(&health), health);
    Router::new()
        .route("/livez", get(async || uncached(json::<Body>(OK))))
        .route("/readyz", get(async move || readyz(&ready).await))
        .route("/metrics", get(async move || openmetrics(measured.metrics.text())))
        .fallback(async || Problem::NotFound)
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
}

/// Whether the worker can record: not while it waits for a dependency at its start, nor while stopping, nor when the store
/// can't be read.
async fn readyz(health: &Health) -> Response {
    if health.stop.is_cancelled() {
        return Problem::ShuttingDown.into_response();
    }
    let Some(store) = health.store.get() else {
        return Problem::NotReady(*health.missing.borrow(), None).into_response();
    };
    match store.polls_version().await {
        Ok(_) => uncached(json(OK)),
        Err(error) => {
            warn!(%error, "the store can't be read");
            Problem::store_not_ready(error).into_response()
        }
    }
}

struct HealthService {
    router: Router,
}

impl Service for HealthService {
    async fn respond<B: RequestBody>(&self, request: Request<B>, _: IpAddr) -> Response {
        match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

impl FastPath for HealthService {
    type Accepted = std::convert::Infallible;

    fn accept(&self, _: &SimpleRequest<'_>, _: IpAddr) -> Option<Self::Accepted> {
        None
    }

    async fn respond_fast(&self, never: Self::Accepted) -> hyper::Response<Bytes> {
        match never {}
    }
}
