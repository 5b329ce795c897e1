//! Error responses to requests that never reach the service, in the same form as all other errors. A request that the HTTP
//! library can't parse gets a bare status from the library.

use axum::body::Body;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};

use super::service::ErrorBody;

/// The response to a request that was rejected because of overload, before any processing.
pub(super) fn overloaded(body: ErrorBody) -> Response<Body> {
    let mut response = error_response(StatusCode::SERVICE_UNAVAILABLE, body);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// The response to a request that the library could parse but HTTP doesn't allow.
pub(super) fn error_response(status: StatusCode, body: ErrorBody) -> Response<Body> {
    let mut response = Response::new(Body::from(body(status)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
