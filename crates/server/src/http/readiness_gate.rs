//! A core's way in from before there is anything to answer with: while what the server needs is away at its start.
//!
//! Until then `/livez` says that the process runs, and everything else is refused with the reason; nothing is taken.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use hyper::header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN};
use hyper::{Method, Request};
use throng_domain::clock::Clock;
use tokio::sync::watch;

use super::asker::Asker;
use super::body::read;
use super::front::{Begun, Front, PUBLIC, preflight_answer};
use super::operations::OK;
use super::request_log::{Asked, RequestLog};
use super::results::{json, uncached};
use super::{CorsOrigins, Problem, TrustedProxies};
use crate::config::{Config, PublicUrl};
use crate::metrics::HttpMetrics;
use crate::serve::{Answer, PlainRequest, RequestBody};

/// What a server or a worker can't begin without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dependency {
    /// The database.
    Store,
    /// The broker.
    Queue,
}

impl Dependency {
    /// What the log calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Store => "the database",
            Self::Queue => "the broker",
        }
    }

    /// Why nothing is taken while it is away. The log has the cause.
    pub fn problem(self) -> Problem {
        match self {
            Self::Store => Problem::StoreUnavailable(None),
            Self::Queue => Problem::QueueUnavailable,
        }
    }
}

/// One core's way in: closed until [`Self::open`] is called, then its [`Front`].
#[derive(Debug)]
pub struct ReadinessGate {
    front: OnceLock<Front>,
    missing: watch::Receiver<Dependency>,
    clock: Arc<dyn Clock>,
    public_url: PublicUrl,
    cors_origins: CorsOrigins,
    trusted_proxies: TrustedProxies,
    metrics: Arc<HttpMetrics>,
    log: RequestLog,
}

impl ReadinessGate {
    /// A closed one; `missing` is what is waited for.
    pub fn new(
        config: &Config,
        clock: &Arc<dyn Clock>,
        metrics: Arc<HttpMetrics>,
        missing: watch::Receiver<Dependency>,
    ) -> Self {
        Self {
            front: OnceLock::new(),
            missing,
            clock: Arc::clone(clock),
            public_url: config.public_url.clone(),
            cors_origins: config.cors_origins.clone(),
            trusted_proxies: config.trusted_proxies.clone(),
            metrics,
            log: RequestLog::default(),
        }
    }

    /// From now on `front` answers.
    pub fn open(&self, front: Front) {
        let opened = self.front.set(front).is_ok();
        debug_assert!(opened, "a gate is opened once");
    }

    async fn refuse<B: RequestBody>(&self, request: Request<B>, peer: IpAddr) -> Response {
        let asker = Asker::of(request.headers(), peer, &self.trusted_proxies, RequestLog::arrival());
        let without_prefix = self.public_url.without_prefix(request.uri());
        let path = without_prefix.as_ref().unwrap_or(request.uri()).path().to_owned();
        let method = request.method().clone();
        let public = path.starts_with(PUBLIC);
        let origin = request.headers().get(ORIGIN).cloned();
        let is_preflight = public && method == Method::OPTIONS;
        let mut response = if is_preflight && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
            preflight_answer()
        } else if path == "/livez" {
            uncached(json::<Body>(OK))
        } else {
            // Read first: a client that still writes might not see the answer.
            let problem = read(request.into_body()).await.err().unwrap_or_else(|| self.missing.borrow().problem());
            problem.into_response()
        };
        let asked = Asked { method: method.as_str(), path: &path, asker };
        self.log.answered(asked, &mut response, &self.trusted_proxies, || self.clock.now());
        if public {
            self.cors_origins.allow(origin.as_ref(), response.headers_mut());
        }
        self.metrics.answered(response.status().as_u16());
        response
    }
}

impl Answer for Arc<ReadinessGate> {
    type Begun = Begun;

    fn begin(&self, request: &PlainRequest<'_>, peer: IpAddr) -> Option<Begun> {
        self.front.get()?.begin(request, peer)
    }

    async fn finish(&self, begun: Begun) -> hyper::Response<Bytes> {
        let front = self.front.get().expect("what was begun was begun by the front");
        front.finish(begun).await
    }

    async fn answer<B: RequestBody>(&self, request: Request<B>, peer: IpAddr) -> Response {
        match self.front.get() {
            Some(front) => front.answer(request, peer).await,
            None => self.refuse(request, peer).await,
        }
    }
}
