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
use throng_domain::store::Store;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tracing::warn;

use crate::http::{Dependency, OK, Problem, json, openmetrics, refusal_body, uncached};
use crate::metrics::WorkerMetrics;
use crate::serve::{
    Answer, ConnectionMetrics, Core, Cores, IdleTimeouts, Listen, PlainRequest, RequestBody, Shutdown, find_free,
};

/// What is asked of a worker.
#[derive(Debug)]
pub struct Health {
    /// What is measured.
    pub metrics: WorkerMetrics,
    /// Where it records, from when it can.
    store: OnceLock<Arc<dyn Store>>,
    /// What it waits for until then.
    missing: watch::Receiver<Dependency>,
    /// Cancelled when it is on its way out.
    stop: CancellationToken,
}

impl Health {
    /// That of a worker which can't record yet, for want of what is `missing`.
    pub fn new(metrics: WorkerMetrics, stop: CancellationToken, missing: watch::Receiver<Dependency>) -> Self {
        Self { metrics, store: OnceLock::new(), missing, stop }
    }

    /// From now on it records, in this store.
    pub fn set_ready(&self, store: Arc<dyn Store>) {
        let is_first = self.store.set(store).is_ok();
        debug_assert!(is_first, "a worker becomes ready once");
    }
}

/// Serves them on one thread until `shutdown` has run.
///
/// # Errors
/// If the address can't be had.
pub fn serve(
    health: Arc<Health>,
    listen: SocketAddr,
    clock: &Arc<dyn Clock>,
    shutdown: Arc<Shutdown>,
) -> anyhow::Result<Cores> {
    let service = Service { router: router(health) };
    let beside = Box::pin(std::future::ready(()));
    let core = Core { service, beside, connections: ConnectionMetrics::default(), unsent_bytes: Gauge::default() };
    // For those who operate it, on a network of theirs.
    let listen = Listen {
        address: listen,
        tls: None,
        is_proxy: Arc::new(|_| true),
        proxy_protocol: false,
        idle: IdleTimeouts::all(IdleTimeouts::default().clients),
    };
    Cores::start(&listen, vec![core], refusal_body, clock, shutdown).with_context(|| cant_serve(listen.address))
}

/// Finds that they can be served at `listen`, before a worker takes what it would have to give back.
///
/// # Errors
/// If the address can't be had.
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

/// It can record: not while something is waited for at its start, nor while ending, nor when the store can't be read.
async fn readyz(health: &Health) -> Response {
    if health.stop.is_cancelled() {
        return Problem::ShuttingDown.into_response();
    }
    let Some(store) = health.store.get() else { return health.missing.borrow().problem().into_response() };
    match store.polls_version().await {
        Ok(_) => uncached(json(OK)),
        Err(error) => {
            warn!(%error, "the store can't be read");
            Problem::from(error).into_response()
        }
    }
}

struct Service {
    router: Router,
}

impl Answer for Service {
    type Begun = std::convert::Infallible;

    fn begin(&self, _: &PlainRequest<'_>, _: IpAddr) -> Option<Self::Begun> {
        None
    }

    async fn finish(&self, never: Self::Begun) -> hyper::Response<Bytes> {
        match never {}
    }

    async fn answer<B: RequestBody>(&self, request: Request<B>, _: IpAddr) -> Response {
        match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}
