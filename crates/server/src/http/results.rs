//! Results: one object for everybody, which a cache in front may keep for a second.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH};
use hyper::{HeaderMap, StatusCode};
use throng_domain::clock::Timestamp;
use throng_domain::poll::Viewer;

use super::error::Problem;
use super::poll_path::PollPath;
use crate::app::CoreState;
use crate::results::LivePoll;

/// For an answer that is true only now.
const CURRENT: HeaderValue = HeaderValue::from_static("no-store");

/// For an answer that a shared cache may keep for a second, and a browser not at all: a crowd of readers then costs one
/// request a second. Varnish reads the last part alone as how long it may be shown after that: without it, ten seconds.
const SHARED: HeaderValue = HeaderValue::from_static("public, max-age=0, s-maxage=1, stale-while-revalidate=0");

/// That a cache in front may show it for a few seconds more while it fetches the next. It is said to those alone (RFC
/// 9213): a browser that was told so would show its voter a result from before the vote.
const SHOWN_WHILE_FETCHING: (HeaderName, HeaderValue) = (
    HeaderName::from_static("cdn-cache-control"),
    HeaderValue::from_static("public, max-age=1, stale-while-revalidate=5"),
);

/// `GET /api/v1/polls/{slug}/results`.
pub async fn show(
    State(core): State<Arc<CoreState>>,
    PollPath(live): PollPath,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let now = core.app.clock.now();
    if !live.poll.shows_results(Viewer::Anybody, now) {
        return Err(Problem::ResultsHidden);
    }
    freshen(&core, &live, now).await?;
    let rendered = live.rendered(now, core.app.age_max_ms());
    Ok(tagged(rendered.json.clone(), &rendered.etag, &headers))
}

/// Sees that the poll's result is as fresh as was promised: see [`App::freshen`](crate::app::App::freshen).
///
/// # Errors
/// If it can't be read.
pub async fn freshen(core: &CoreState, live: &LivePoll, now: Timestamp) -> Result<(), Problem> {
    core.app.freshen(live, now).await.map_err(|error| Problem::ResultsUnavailable(Some(error.to_string())))
}

/// An answer of JSON. To a POST, that is all: no cache keeps what answers one (RFC 9111, 3).
pub fn json<B: From<Bytes>>(body: Bytes) -> Response<B> {
    let mut response = Response::new(B::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An answer that is true only now.
pub fn uncached<B>(mut response: Response<B>) -> Response<B> {
    response.headers_mut().insert(CACHE_CONTROL, CURRENT);
    response
}

/// An answer that caches in front may keep, and show to a crowd.
pub fn cached<B>(mut response: Response<B>) -> Response<B> {
    let (shown_while_fetching, how) = SHOWN_WHILE_FETCHING;
    response.headers_mut().insert(CACHE_CONTROL, SHARED);
    response.headers_mut().insert(shown_while_fetching, how);
    response
}

/// An answer of JSON with an entity tag; 304 where the caller has it already.
pub fn tagged(body: Bytes, etag: &str, asked: &HeaderMap) -> Response {
    let etag = HeaderValue::from_str(etag).expect("entity tags are made of letters, digits and dashes");
    let known = asked.get_all(IF_NONE_MATCH).iter().any(|tags| names(tags, &etag));
    let mut response = cached(json(if known { Bytes::new() } else { body }));
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    response.headers_mut().insert(ETAG, etag);
    response
}

/// Whether a list of entity tags names this one; weak and strong count the same here (RFC 9110, 13.1.2).
fn names(tags: &HeaderValue, etag: &HeaderValue) -> bool {
    let (Ok(tags), Ok(etag)) = (tags.to_str(), etag.to_str()) else { return false };
    let opaque = |tag: &str| tag.trim_start_matches("W/").to_owned();
    tags.split(',').map(str::trim).any(|tag| tag == "*" || opaque(tag) == opaque(etag))
}
