//! The processing that all requests share, before and after routing.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{FutureExt as _, TryFutureExt as _};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, LOCATION, ORIGIN,
};
use hyper::{HeaderMap, Method, Request, StatusCode, Uri};
use smallvec::SmallVec;
use throng_domain::poll::Poll;
use tower::ServiceExt as _;

use super::api::compat;
use super::body::{BODY_BYTES_MAX, read, require_no_coding};
use super::client_info::ClientInfo;
use super::cors;
use super::idempotency::ballot_id;
use super::origin::{self, Peer};
use super::pages;
use super::problem::{Problem, catch_panic};
use super::request_log::{RequestLine, RequestLog};
use super::requested_poll::{RESULT, SUBMIT};
use super::sender::{RequestSender, take_share};
use crate::config::CorsOrigins;
use crate::net::{FastPath, RequestBody, Service, SimpleMethod, SimpleRequest};
use crate::state::CoreState;
use crate::voting::Refusal;

/// The policy of what isn't a poll's page: nobody shows it in a frame.
pub const UNFRAMED: HeaderValue = HeaderValue::from_static("frame-ancestors 'none'");

/// One core's service: the routes and their common processing. A panic becomes a response, every response is counted, and
/// failures are logged.
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

#[derive(Debug)]
enum Compat {
    /// With who votes, unless the share of their network is used up.
    Submit(Result<RequestSender, Refusal>),
    Result,
}

impl Gateway {
    /// A gateway in front of `router`.
    pub fn new(router: Router, core: Arc<CoreState>) -> Self {
        Self { router, core, log: RequestLog::default() }
    }

    /// Logs and counts a request's response, which no page may show in a frame unless it says which.
    fn complete<B>(&self, request_line: RequestLine<'_>, mut response: Response<B>) -> Response<B> {
        let app = &self.core.app;
        response.headers_mut().entry(CONTENT_SECURITY_POLICY).or_insert(UNFRAMED);
        self.log.log_response(request_line, &mut response, &app.config.trusted_proxies, || app.clock.now());
        self.core.metrics.count_response(response.status().as_u16());
        response
    }

    /// Whether ballots from this origin's pages are accepted in the default poll without further checks.
    fn is_listed(&self, origin: Option<&[u8]>) -> bool {
        if self.core.app.polls.current().default_poll().is_some_and(|live| !live.poll.allowed_origins.is_empty()) {
            return false;
        }
        match (&self.core.app.config.cors_origins, origin) {
            (CorsOrigins::Any, _) => true,
            (listed, Some(origin)) => listed.contains(origin),
            (_, None) => false,
        }
    }

    /// The response of a compatibility route to a page of `origin`, or to a client that isn't a page.
    ///
    /// Not an async function, which would contain `route` twice: as its argument, and where it waits for it. Every connection has
    /// room for this future.
    fn compat<B: From<Bytes>>(
        &self,
        route: impl Future<Output = Result<Response<B>, Problem>>,
        origin: Option<&HeaderValue>,
    ) -> impl Future<Output = Response<B>> {
        let route = route.map(|done| done.unwrap_or_else(|problem| problem.response()));
        catch_panic(route).map(move |mut response| {
            let polls = self.core.app.polls.current();
            let listed = polls.default_poll().map(|live| &live.poll.allowed_origins);
            cors::allow(&self.core.app.config.cors_origins, listed, origin, response.headers_mut());
            response
        })
    }

    /// Counts the ballot among the refused ones if `submit` fails.
    fn count_refused<B>(
        &self,
        submit: impl Future<Output = Result<Response<B>, Problem>>,
    ) -> impl Future<Output = Result<Response<B>, Problem>> {
        submit.inspect_err(|problem| problem.count_refused_ballot(&self.core))
    }

    /// Whether a ballot in the default poll may be sent so.
    fn require_allowed(&self, uri: &Uri, headers: &HeaderMap, peer: IpAddr) -> Result<(), Problem> {
        let polls = self.core.app.polls.current();
        let listed = polls.default_poll().map(|live| &live.poll.allowed_origins);
        origin::require_allowed(&self.core.app.config, listed, uri, headers, peer)
    }

    async fn read_and_submit<B: RequestBody>(&self, request: Request<B>, peer: IpAddr) -> Result<Response, Problem> {
        let (head, body) = request.into_parts();
        let read = async {
            self.require_allowed(&head.uri, &head.headers, peer)?;
            require_no_coding(&head.headers)?;
            let id = ballot_id(&head.headers, head.uri.query(), None)?;
            Ok((id, read(body, BODY_BYTES_MAX).await?))
        };
        let (id, body) = read.await.inspect_err(|problem: &Problem| problem.count_refused_ballot(&self.core))?;
        let sender = |poll: &Poll| {
            take_share(&self.core, poll, &head.headers, peer)?;
            Ok(RequestSender::of(&self.core, poll, &head.headers, peer, None))
        };
        self.count_refused(compat::submit(&self.core, sender, id, compat::proof(&head.headers), &body)).await
    }

    /// Most requests under load are for the two compatibility routes, which have no path parameters: they are matched here, and
    /// only the others go through the router.
    async fn route<B: RequestBody>(&self, mut request: Request<B>, peer: IpAddr) -> Response {
        match (request.uri().path(), request.method()) {
            (SUBMIT, &Method::POST) => {
                let origin = request.headers().get(ORIGIN).cloned();
                self.compat(self.read_and_submit(request, peer), origin.as_ref()).await
            }
            (RESULT, &(Method::GET | Method::HEAD)) => {
                self.compat(compat::result(&self.core), request.headers().get(ORIGIN)).await
            }
            ("*", &Method::OPTIONS) => {
                let mut response = Response::new(Body::empty());
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
                into_options_response(response)
            }
            _ if let Some(address) = pages::canonical_address(request.uri()) => moved_permanently(address),
            // Boxed: the future is large, and most connections never need it.
            (_, method) => {
                let is_options = method == Method::OPTIONS;
                request.extensions_mut().insert(Peer(peer));
                let router = async {
                    match self.router.clone().oneshot(request).await {
                        Ok(response) => response,
                        Err(never) => match never {},
                    }
                };
                let mut response = Box::pin(catch_panic(router)).await;
                if response.status() == StatusCode::NO_CONTENT {
                    // The router gives every response a length, which this status forbids (RFC 9110, 8.6).
                    response.headers_mut().remove(CONTENT_LENGTH);
                }
                if is_options && response.status() == StatusCode::METHOD_NOT_ALLOWED {
                    into_options_response(response)
                } else {
                    response
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
        let response = self.route(request, peer).await;
        let mut response = self.complete(RequestLine { method: method.as_str(), path: uri.path(), client }, response);
        self.core.app.config.public_url.prefix_location(response.headers_mut());
        response
    }
}

impl FastPath for Gateway {
    type Accepted = AcceptedRequest;

    fn accept(&self, request: &SimpleRequest<'_>, peer: IpAddr) -> Option<AcceptedRequest> {
        let is_vote = match (request.path, request.method) {
            (SUBMIT, SimpleMethod::Post) => true,
            (RESULT, SimpleMethod::Get) => false,
            _ => return None,
        };
        // Whether a page of an unlisted origin may send a ballot depends on more of the request than is parsed here.
        let is_from_page = request.origin.is_some() || request.has_fetch_site;
        if is_from_page && is_vote && !self.is_listed(request.origin) {
            return None;
        }
        let origin = request.origin.map(HeaderValue::from_bytes).transpose().ok()?;
        let client = ClientInfo::of_simple(request, peer, &self.core.app.config.trusted_proxies, RequestLog::arrival());
        let route =
            if is_vote { Compat::Submit(RequestSender::of_simple(&self.core, request, peer)) } else { Compat::Result };
        Some(AcceptedRequest { client, route, origin, body: SmallVec::from_slice(request.body) })
    }

    async fn respond_fast(&self, accepted: AcceptedRequest) -> hyper::Response<Bytes> {
        let origin = accepted.origin.as_ref();
        let (method, path, response) = match accepted.route {
            Compat::Submit(sender) => {
                // Pinned here, so that it isn't moved into one future after the other.
                let submit = pin!(compat::submit(&self.core, |_| sender, None, None, &accepted.body));
                ("POST", SUBMIT, self.compat(self.count_refused(submit), origin).await)
            }
            Compat::Result => ("GET", RESULT, self.compat(compat::result(&self.core), origin).await),
        };
        self.complete(RequestLine { method, path, client: accepted.client }, response)
    }
}

/// The response to `OPTIONS`, which some load balancers use as a health check, from one that says that the method isn't
/// allowed: with the same `Allow` and the same headers for other sites' pages.
fn into_options_response(mut response: Response) -> Response {
    *response.status_mut() = StatusCode::NO_CONTENT;
    *response.body_mut() = Body::empty();
    let headers = response.headers_mut();
    headers.remove(CONTENT_TYPE);
    headers.remove(CONTENT_LENGTH);
    headers.entry(ALLOW).or_insert(HeaderValue::from_static(""));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A permanent redirect to the canonical address; a browser sends a form again to that address.
fn moved_permanently(address: HeaderValue) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    // The query may name a voter.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(LOCATION, address);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each open connection has room for this future, whether or not it votes.
    #[test]
    fn future_of_a_simple_request_stays_small() {
        fn size_of_future<F>(_: impl Fn(&'static Gateway, AcceptedRequest) -> F) -> usize {
            size_of::<F>()
        }
        let bytes = size_of_future(<Gateway as FastPath>::respond_fast);
        assert!(bytes <= 1_024, "{bytes}");
    }
}
