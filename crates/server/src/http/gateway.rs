//! The processing that all requests share, before and after routing.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::FutureExt as _;
use hyper::header::{ACCESS_CONTROL_REQUEST_METHOD, ALLOW, CACHE_CONTROL, HeaderValue, LOCATION, ORIGIN};
use hyper::{Method, Request, StatusCode};
use smallvec::SmallVec;
use throng_domain::ballot::BallotId;
use tower::ServiceExt as _;

use super::body::{read, require_no_coding};
use super::client_info::ClientInfo;
use super::compat;
use super::cors::CorsOrigins;
use super::error::Problem;
use super::idempotency::ballot_id;
use super::origin;
use super::pages;
use super::request_log::{RequestLine, RequestLog};
use crate::app::CoreState;
use crate::net::{FastPath, RequestBody, Service, SimpleMethod, SimpleRequest};

/// The prefix of the routes that pages of other sites may call.
pub(super) const PUBLIC: &str = "/api/";

/// The two compatibility routes.
const SUBMIT: &str = "/api/submit";
const RESULT: &str = "/api/result";

/// One core's service: the routes and their common processing. A panic becomes a response, CORS headers are added, every
/// response is counted, and failures are logged.
#[derive(Debug)]
pub struct Gateway {
    router: Router,
    core: Arc<CoreState>,
    log: RequestLog,
}

/// A simple request to one of the compatibility routes.
#[derive(Debug)]
pub struct AcceptedRequest {
    client: ClientInfo,
    route: Compat,
    origin: Option<HeaderValue>,
    body: SmallVec<[u8; 32]>,
}

#[derive(Clone, Copy, Debug)]
enum Compat {
    Submit,
    Result,
}

impl Gateway {
    /// A gateway in front of `router`.
    pub fn new(router: Router, core: Arc<CoreState>) -> Self {
        Self { router, core, log: RequestLog::default() }
    }

    /// Runs `route`, catches its panics, and completes its response. `origin` is that of the page that sent the request;
    /// `public` is whether pages of other sites may read the response.
    async fn complete<B: From<Bytes>>(
        &self,
        request_line: RequestLine<'_>,
        route: impl Future<Output = Response<B>>,
        public: bool,
        origin: Option<&HeaderValue>,
    ) -> Response<B> {
        let result = AssertUnwindSafe(route).catch_unwind().await;
        let mut response = result.unwrap_or_else(|panic| {
            let message = panic.downcast_ref::<&str>().copied();
            let message = message.or(panic.downcast_ref::<String>().map(String::as_str));
            let message = message.unwrap_or("no message");
            Problem::Internal(Some(format!("panicked: {message}"))).response()
        });
        let app = &self.core.app;
        self.log.log_response(request_line, &mut response, &app.config.trusted_proxies, || app.clock.now());
        if public {
            app.config.cors_origins.allow(origin, response.headers_mut());
        }
        self.core.metrics.answered(response.status().as_u16());
        response
    }

    /// Whether ballots from this origin's pages are accepted without further checks.
    fn is_listed(&self, origin: Option<&[u8]>) -> bool {
        match (&self.core.app.config.cors_origins, origin) {
            (CorsOrigins::Any, _) => true,
            (listed, Some(origin)) => listed.contains(origin),
            (_, None) => false,
        }
    }

    async fn compat<B: From<Bytes>>(&self, route: Compat, id: Option<BallotId>, body: &[u8]) -> Response<B> {
        let response = match route {
            Compat::Submit => compat::submit(&self.core, id, body).await.inspect_err(|why| self.core.refused(why)),
            Compat::Result => compat::result(&self.core).await,
        };
        response.unwrap_or_else(|problem| problem.response())
    }

    /// Most requests under load are for the two compatibility routes, which have no path parameters: they are matched here, and
    /// only the others go through the router.
    async fn route<B: RequestBody>(&self, request: Request<B>, public: bool, peer: IpAddr) -> Response {
        // Every POST, to any route, carries a ballot.
        if request.method() == Method::POST
            && !origin::may_vote(&self.core.app.config, request.uri(), request.headers(), peer)
        {
            self.core.refused(&Problem::OriginNotAllowed);
            return pages::refused_without_poll(
                &self.core.app.config.public_url,
                Problem::OriginNotAllowed,
                request.uri(),
                request.headers(),
            );
        }
        match (request.uri().path(), request.method()) {
            (SUBMIT, &Method::POST) => {
                let id = require_no_coding(request.headers())
                    .and_then(|()| ballot_id(request.headers(), request.uri().query(), None));
                let parsed = match id {
                    Ok(id) => read(request.into_body()).await.map(|body| (id, body)),
                    Err(problem) => Err(problem),
                };
                match parsed.inspect_err(|why| self.core.refused(why)) {
                    Ok((id, body)) => self.compat(Compat::Submit, id, &body).await,
                    Err(problem) => problem.response(),
                }
            }
            (RESULT, &(Method::GET | Method::HEAD)) => self.compat(Compat::Result, None, &[]).await,
            (_, &Method::OPTIONS) if public && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD) => {
                preflight_response()
            }
            ("*", &Method::OPTIONS) => options_response(HeaderValue::from_static("GET, HEAD, POST")),
            _ if let Some(address) = pages::canonical_address(request.uri()) => moved_permanently(address),
            // Boxed: the future is large, and most connections never need it.
            (_, method) => {
                let is_options = method == Method::OPTIONS;
                match Box::pin(self.router.clone().oneshot(request)).await {
                    Ok(response) if is_options && response.status() == StatusCode::METHOD_NOT_ALLOWED => {
                        options_response(response.headers().get(ALLOW).cloned().unwrap_or(HeaderValue::from_static("")))
                    }
                    Ok(response) => response,
                    Err(never) => match never {},
                }
            }
        }
    }
}

impl Service for Gateway {
    async fn respond<B: RequestBody>(&self, mut request: Request<B>, peer: IpAddr) -> Response {
        if let Some(target) = self.core.app.config.public_url.without_prefix(request.uri()) {
            *request.uri_mut() = target;
        }
        let trusted = &self.core.app.config.trusted_proxies;
        let client = ClientInfo::of(request.headers(), peer, trusted, RequestLog::arrival());
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let public = uri.path().starts_with(PUBLIC);
        let origin = request.headers().get(ORIGIN).cloned();
        let request_line = RequestLine { method: method.as_str(), path: uri.path(), client };
        let mut response =
            self.complete(request_line, self.route(request, public, peer), public, origin.as_ref()).await;
        self.core.app.config.public_url.prefix_location(response.headers_mut());
        response
    }
}

impl FastPath for Gateway {
    type Accepted = AcceptedRequest;

    fn accept(&self, request: &SimpleRequest<'_>, peer: IpAddr) -> Option<AcceptedRequest> {
        let route = match (request.path, request.method) {
            (SUBMIT, SimpleMethod::Post) => Compat::Submit,
            (RESULT, SimpleMethod::Get) => Compat::Result,
            _ => return None,
        };
        // Whether a page of an unlisted origin may send a ballot depends on more of the request than is parsed here.
        let is_from_page = request.origin.is_some() || request.has_fetch_site;
        if is_from_page && request.method == SimpleMethod::Post && !self.is_listed(request.origin) {
            return None;
        }
        let origin = request.origin.map(HeaderValue::from_bytes).transpose().ok()?;
        let client = ClientInfo::of_simple(request, peer, &self.core.app.config.trusted_proxies, RequestLog::arrival());
        Some(AcceptedRequest { client, route, origin, body: SmallVec::from_slice(request.body) })
    }

    async fn respond_fast(
        &self,
        AcceptedRequest { client, route, origin, body }: AcceptedRequest,
    ) -> hyper::Response<Bytes> {
        let (method, path) = match route {
            Compat::Submit => ("POST", SUBMIT),
            Compat::Result => ("GET", RESULT),
        };
        self.complete(RequestLine { method, path, client }, self.compat(route, None, &body), true, origin.as_ref())
            .await
    }
}

/// The response to `OPTIONS`, which some load balancers use as a health check.
fn options_response(allow: HeaderValue) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(ALLOW, allow);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A permanent redirect to the canonical address; a browser sends a form again to that address.
fn moved_permanently(address: HeaderValue) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response.headers_mut().insert(LOCATION, address);
    response
}

pub(super) fn preflight_response() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    CorsOrigins::allow_preflight(response.headers_mut());
    response
}
