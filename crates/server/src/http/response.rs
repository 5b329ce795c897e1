//! Responses, and who may cache them.

use axum::response::Response;
use bytes::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH};
use hyper::{HeaderMap, StatusCode};

/// `Cache-Control` of a response that must not be cached.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// `Cache-Control` of a response that a shared cache may keep for one second, and a browser not at all: any number of readers
/// then costs one request per second. Varnish takes only the last directive as its grace period: ten seconds without it.
const SHARED: HeaderValue = HeaderValue::from_static("public, max-age=0, s-maxage=1, stale-while-revalidate=0");

/// Lets a cache in front serve the response for a few seconds more while it fetches the next one. In a header for such caches
/// alone (RFC 9213): a browser that read it would show its voter a result from before the vote.
const CDN_CACHE_CONTROL: (HeaderName, HeaderValue) = (
    HeaderName::from_static("cdn-cache-control"),
    HeaderValue::from_static("public, max-age=1, stale-while-revalidate=5"),
);

/// A JSON response. A response to POST needs no `Cache-Control`: no cache stores it (RFC 9111, 3).
pub fn json<B: From<Bytes>>(body: Bytes) -> Response<B> {
    let mut response = Response::new(B::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The response, marked as not to be cached.
pub fn uncached<B>(mut response: Response<B>) -> Response<B> {
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    response
}

/// The response, marked as cacheable by shared caches in front.
pub fn cached<B>(mut response: Response<B>) -> Response<B> {
    let (cdn_cache_control, directives) = CDN_CACHE_CONTROL;
    response.headers_mut().insert(CACHE_CONTROL, SHARED);
    response.headers_mut().insert(cdn_cache_control, directives);
    response
}

/// A JSON response with an entity tag; 304 if the client already has it.
pub fn tagged(body: Bytes, etag: &str, headers: &HeaderMap) -> Response {
    let etag = HeaderValue::from_str(etag).expect("entity tags are made of letters, digits and dashes");
    let not_modified = headers.get_all(IF_NONE_MATCH).iter().any(|tags| contains_etag(tags, &etag));
    let mut response = cached(json(if not_modified { Bytes::new() } else { body }));
    if not_modified {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    response.headers_mut().insert(ETAG, etag);
    response
}

/// Whether a list of entity tags contains this one; weak and strong tags compare as equal here (RFC 9110, 13.1.2).
fn contains_etag(tags: &HeaderValue, etag: &HeaderValue) -> bool {
    let (Ok(tags), Ok(etag)) = (tags.to_str(), etag.to_str()) else { return false };
    let opaque = |tag: &str| tag.trim_start_matches("W/").to_owned();
    tags.split(',').map(str::trim).any(|tag| tag == "*" || opaque(tag) == opaque(etag))
}
