//! What every request goes through before and after its route.

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

use super::asker::Asker;
use super::body::{read, require_no_coding};
use super::cors::CorsOrigins;
use super::error::Problem;
use super::idempotency::ballot_id;
use super::origin;
use super::original;
use super::pages;
use super::request_log::{Asked, RequestLog};
use crate::app::CoreState;
use crate::serve::{Answer, PlainMethod, PlainRequest, RequestBody};

/// Where the routes that pages of other sites may call begin.
pub(super) const PUBLIC: &str = "/api/";

/// The two original routes.
const SUBMIT: &str = "/api/submit";
const RESULT: &str = "/api/result";

/// One core's way in: the routes, and around them what is the same for all: a panic becomes an answer, other sites'
/// pages get the headers they need, every answer is counted, and a failure is logged.
#[derive(Debug)]
pub struct Front {
    router: Router,
    core: Arc<CoreState>,
    log: RequestLog,
}

/// A plain request to one of the original routes.
#[derive(Debug)]
pub struct Begun {
    asker: Asker,
    route: Original,
    origin: Option<HeaderValue>,
    body: SmallVec<[u8; 32]>,
}

#[derive(Clone, Copy, Debug)]
enum Original {
    Submit,
    Result,
}

impl Front {
    /// The way in to `router`.
    pub fn new(router: Router, core: Arc<CoreState>) -> Self {
        Self { router, core, log: RequestLog::default() }
    }

    /// Has `route` answer what is `asked`, whatever happens, and completes its answer: `origin` is the page that asks, and
    /// `public` whether pages of other sites may.
    async fn complete<B: From<Bytes>>(
        &self,
        asked: Asked<'_>,
        route: impl Future<Output = Response<B>>,
        public: bool,
        origin: Option<&HeaderValue>,
    ) -> Response<B> {
        let routed = AssertUnwindSafe(route).catch_unwind().await;
        let mut response = routed.unwrap_or_else(|panic| {
            let message = panic.downcast_ref::<&str>().copied();
            let message = message.or(panic.downcast_ref::<String>().map(String::as_str));
            let message = message.unwrap_or("without a word");
            Problem::Internal(Some(format!("it panicked: {message}"))).response()
        });
        let app = &self.core.app;
        self.log.answered(asked, &mut response, &app.config.trusted_proxies, || app.clock.now());
        if public {
            app.config.cors_origins.allow(origin, response.headers_mut());
        }
        self.core.metrics.answered(response.status().as_u16());
        response
    }

    /// Whether ballots of this origin's pages are taken without a further look.
    fn lists(&self, origin: Option<&[u8]>) -> bool {
        match (&self.core.app.config.cors_origins, origin) {
            (CorsOrigins::Any, _) => true,
            (listed, Some(origin)) => listed.names(origin),
            (_, None) => false,
        }
    }

    async fn original<B: From<Bytes>>(&self, route: Original, id: Option<BallotId>, body: &[u8]) -> Response<B> {
        let answer = match route {
            Original::Submit => original::submit(&self.core, id, body).await.inspect_err(|why| self.core.refused(why)),
            Original::Result => original::result(&self.core).await,
        };
        answer.unwrap_or_else(|problem| problem.response())
    }

    /// The vote storm comes in at the two original routes, which have no parameters: they are told apart here, and
    /// only the others pay for a router.
    async fn route<B: RequestBody>(&self, request: Request<B>, public: bool, peer: IpAddr) -> Response {
        // All that is posted to any route is a ballot.
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
                let sent = match id {
                    Ok(id) => read(request.into_body()).await.map(|body| (id, body)),
                    Err(problem) => Err(problem),
                };
                match sent.inspect_err(|why| self.core.refused(why)) {
                    Ok((id, body)) => self.original(Original::Submit, id, &body).await,
                    Err(problem) => problem.response(),
                }
            }
            (RESULT, &(Method::GET | Method::HEAD)) => self.original(Original::Result, None, &[]).await,
            (_, &Method::OPTIONS) if public && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD) => {
                preflight_answer()
            }
            ("*", &Method::OPTIONS) => options_response(HeaderValue::from_static("GET, HEAD, POST")),
            _ if let Some(address) = pages::written_right(request.uri()) => moved(address),
            // Its future is large, and most connections never need it.
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

impl Answer for Front {
    type Begun = Begun;

    fn begin(&self, request: &PlainRequest<'_>, peer: IpAddr) -> Option<Begun> {
        let route = match (request.path, request.method) {
            (SUBMIT, PlainMethod::Post) => Original::Submit,
            (RESULT, PlainMethod::Get) => Original::Result,
            _ => return None,
        };
        // Whether a page may send a ballot that isn't listed takes more of its request to say.
        let is_pages = request.origin.is_some() || request.has_fetch_site;
        if is_pages && request.method == PlainMethod::Post && !self.lists(request.origin) {
            return None;
        }
        let origin = request.origin.map(HeaderValue::from_bytes).transpose().ok()?;
        let asker = Asker::of_plain(request, peer, &self.core.app.config.trusted_proxies, RequestLog::arrival());
        Some(Begun { asker, route, origin, body: SmallVec::from_slice(request.body) })
    }

    async fn finish(&self, Begun { asker, route, origin, body }: Begun) -> hyper::Response<Bytes> {
        let (method, path) = match route {
            Original::Submit => ("POST", SUBMIT),
            Original::Result => ("GET", RESULT),
        };
        self.complete(Asked { method, path, asker }, self.original(route, None, &body), true, origin.as_ref()).await
    }

    async fn answer<B: RequestBody>(&self, mut request: Request<B>, peer: IpAddr) -> Response {
        if let Some(target) = self.core.app.config.public_url.without_prefix(request.uri()) {
            *request.uri_mut() = target;
        }
        let trusted = &self.core.app.config.trusted_proxies;
        let asker = Asker::of(request.headers(), peer, trusted, RequestLog::arrival());
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let public = uri.path().starts_with(PUBLIC);
        let origin = request.headers().get(ORIGIN).cloned();
        let asked = Asked { method: method.as_str(), path: uri.path(), asker };
        let mut response = self.complete(asked, self.route(request, public, peer), public, origin.as_ref()).await;
        self.core.app.config.public_url.prefix_location(response.headers_mut());
        response
    }
}

/// What can be done at an address: load balancers ask so for health.
fn options_response(allow: HeaderValue) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().insert(ALLOW, allow);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The way to the address where the same thing is, for good; a form is sent on to it.
fn moved(address: HeaderValue) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response.headers_mut().insert(LOCATION, address);
    response
}

pub(super) fn preflight_answer() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    CorsOrigins::allow_sending(response.headers_mut());
    response
}
