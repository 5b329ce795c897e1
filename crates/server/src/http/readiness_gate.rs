//! A core's service while the server waits at startup for the database or the broker.
//!
//! Until then `/livez` responds that the process is running, and every other request is refused with the reason; no ballot is
//! accepted.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use hyper::Request;
use hyper::header::{CONTENT_SECURITY_POLICY, ORIGIN};
use throng_domain::clock::Clock;
use tokio::sync::watch;

use super::api;
use super::body::{BODY_BYTES_MAX, read};
use super::client_info::ClientInfo;
use super::cors;
use super::gateway::{AcceptedRequest, Gateway, UNFRAMED};
use super::operations::OK;
use super::problem::Problem;
use super::request_log::{RequestLine, RequestLog};
use super::response::{json, uncached};
use crate::config::{Config, CorsOrigins, PublicUrl, TrustedProxies};
use crate::net::{FastPath, RequestBody, Service, SimpleRequest};
use crate::state::Dependency;
use crate::telemetry::metrics::HttpMetrics;

/// One core's service: closed until [`Self::open`] is called, then its [`Gateway`].
#[derive(Debug)]
pub struct ReadinessGate {
    gateway: OnceLock<Gateway>,
    missing: watch::Receiver<Dependency>,
    clock: Arc<dyn Clock>,
    public_url: PublicUrl,
    cors_origins: CorsOrigins,
    trusted_proxies: TrustedProxies,
    metrics: Arc<HttpMetrics>,
    log: RequestLog,
}

impl ReadinessGate {
    /// A closed gate; `missing` is what the server waits for.
    pub fn new(
        config: &Config,
        clock: &Arc<dyn Clock>,
        metrics: Arc<HttpMetrics>,
        missing: watch::Receiver<Dependency>,
    ) -> Self {
        Self {
            gateway: OnceLock::new(),
            missing,
            clock: Arc::clone(clock),
            public_url: config.public_url.clone(),
            cors_origins: config.cors_origins.clone(),
            trusted_proxies: config.trusted_proxies.clone(),
            metrics,
            log: RequestLog::default(),
        }
    }

    /// Opens the gate: from now on `gateway` responds. Called once.
    pub fn open(&self, gateway: Gateway) {
        let opened = self.gateway.set(gateway).is_ok();
        debug_assert!(opened, "a gate is opened only once");
    }

    async fn refuse<B: RequestBody>(&self, request: Request<B>, peer: IpAddr) -> Response {
        let client = ClientInfo::of(request.headers(), peer, &self.trusted_proxies, RequestLog::arrival());
        let without_prefix = self.public_url.without_prefix(request.uri());
        let path = without_prefix.as_ref().unwrap_or(request.uri()).path().to_owned();
        let method = request.method().clone();
        let public = api::is_public(&path);
        let origin = request.headers().get(ORIGIN).cloned();
        let mut response = if public && cors::is_preflight(&method, request.headers()) {
            cors::preflight_response()
        } else if path == "/livez" {
            uncached(json::<Body>(OK))
        } else {
            // The body is read first: a client that is still writing might not see the response.
            let unread = read(request.into_body(), BODY_BYTES_MAX).await.err();
            unread.unwrap_or_else(|| Problem::NotReady(*self.missing.borrow(), None)).into_response()
        };
        let request_line = RequestLine { method: method.as_str(), path: &path, client };
        self.log.log_response(request_line, &mut response, &self.trusted_proxies, || self.clock.now());
        if public {
            cors::allow(&self.cors_origins, None, origin.as_ref(), response.headers_mut());
        }
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, UNFRAMED);
        self.metrics.count_response(response.status().as_u16());
        response
    }
}

impl Service for Arc<ReadinessGate> {
    async fn respond<B: RequestBody>(&self, request: Request<B>, peer: IpAddr) -> Response {
        match self.gateway.get() {
            Some(gateway) => gateway.respond(request, peer).await,
            None => self.refuse(request, peer).await,
        }
    }
}

impl FastPath for Arc<ReadinessGate> {
    type Accepted = AcceptedRequest;

    fn accept(&self, request: &SimpleRequest<'_>, peer: IpAddr) -> Option<AcceptedRequest> {
        self.gateway.get()?.accept(request, peer)
    }

    fn respond_fast(&self, accepted: AcceptedRequest) -> impl Future<Output = hyper::Response<Bytes>> + Send {
        let gateway = self.gateway.get().expect("only an open gate accepts requests");
        gateway.respond_fast(accepted)
    }
}
