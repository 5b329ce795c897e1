//! Which pages of other sites may read the responses of the public API and send it JSON: those of the origins that are configured,
//! or that the requested poll lists in their place. Which pages may send a ballot, including as text, is decided in
//! [`super::origin`].
//!
//! A router has to ask for this with [`share`]: what isn't public, such as metrics, gets it neither by its address nor by
//! accident. Responses allow credentials only if this is configured: for pages that are to send the cookie of a poll with the
//! policy `device`, or credentials for an authenticating proxy in front of Throng.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    CACHE_CONTROL, HeaderValue, ORIGIN, VARY,
};
use hyper::{HeaderMap, Method, StatusCode};
use throng_domain::origins::AllowedOrigins;

use super::problem::catch_panic;
use super::requested_poll::requested_poll;
use crate::config::CorsOrigins;
use crate::state::CoreState;

/// The response headers exposed to pages: the version of a result, the time to wait before a retry, a vote's receipt, and the id to
/// report.
const EXPOSED: HeaderValue = HeaderValue::from_static("etag, retry-after, throng-receipt, x-request-id");

/// Lets pages of the configured origins call every route of `router`, and read its errors.
pub fn share(router: Router<Arc<CoreState>>, core: &Arc<CoreState>) -> Router<Arc<CoreState>> {
    router.layer(from_fn_with_state(Arc::clone(core), respond_to_page))
}

async fn respond_to_page(State(core): State<Arc<CoreState>>, mut request: Request, next: Next) -> Response {
    let origin = request.headers().get(ORIGIN).cloned();
    let live = requested_poll(&core, &mut request).await;
    let mut response = if is_preflight(request.method(), request.headers()) {
        preflight_response()
    } else {
        catch_panic(next.run(request)).await
    };
    let (configured, listed) = (&core.app.config.cors_origins, live.as_deref().map(|live| &live.poll.allowed_origins));
    allow(configured, listed, origin.as_ref(), response.headers_mut());
    response
}

/// Whether a browser asks, before a page's request, what the page may send.
pub fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The response to a preflight request: the methods and request headers that a page may send.
pub fn preflight_response() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, DELETE"));
    headers.insert(
        ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static(
            "content-type, idempotency-key, if-none-match, throng-proof, throng-receipt, throng-voter",
        ),
    );
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}

/// Adds the headers that let a page of `origin` read the response: if the poll that the response is about lists it or, where the
/// poll lists none, if it is configured.
///
/// With [`CorsOrigins::Any`], a response with `Cache-Control` gets them even without an `origin`: a cache may later serve it to
/// a page of another site.
pub fn allow(
    configured: &CorsOrigins,
    listed: Option<&AllowedOrigins>,
    origin: Option<&HeaderValue>,
    headers: &mut HeaderMap,
) {
    if let Some(listed) = listed.filter(|listed| !listed.is_empty()) {
        return allow_of_poll(listed, configured, origin, headers);
    }
    match configured {
        CorsOrigins::Any if origin.is_none() && !headers.contains_key(CACHE_CONTROL) => {}
        CorsOrigins::Any => {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
        CorsOrigins::Listed(listed) => drop(allow_listed(listed, origin, headers)),
        CorsOrigins::ListedWithCredentials(listed) => {
            if allow_listed(listed, origin, headers) {
                headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            }
        }
    }
}

/// Allows the requesting origin if the poll lists it. Credentials are for the server's operator to allow: an origin's requests may
/// carry them only if it is configured too.
fn allow_of_poll(
    listed: &AllowedOrigins,
    configured: &CorsOrigins,
    origin: Option<&HeaderValue>,
    headers: &mut HeaderMap,
) {
    headers.append(VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = origin.filter(|origin| listed.contains(origin.as_bytes())) else { return };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    if let CorsOrigins::ListedWithCredentials(trusted) = configured
        && trusted.contains(origin)
    {
        headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
}

/// Allows the requesting origin if it is listed; returns whether it is.
fn allow_listed(listed: &[HeaderValue], origin: Option<&HeaderValue>, headers: &mut HeaderMap) -> bool {
    headers.append(VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = origin.filter(|origin| listed.contains(origin)) else { return false };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    true
}
