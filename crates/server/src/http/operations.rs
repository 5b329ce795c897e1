//! For those who operate it: is it alive, can it take ballots, what did it measure.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};

use super::error::Problem;
use super::results::{json, uncached};
use crate::app::CoreState;

/// What is said where all is well.
pub const OK: Bytes = Bytes::from_static(b"{\"status\":\"ok\"}");

/// `GET /livez`: this process runs.
pub async fn livez() -> Response {
    uncached(json(OK))
}

/// `GET /readyz`: send ballots here. Not while shutting down, nor when the store can't be read or written; behind a broker,
/// nor while that takes none.
pub async fn readyz(State(core): State<Arc<CoreState>>) -> Result<Response, Problem> {
    let app = &core.app;
    if app.shutdown.is_draining() || app.intake_failed.is_cancelled() {
        return Err(Problem::ShuttingDown);
    }
    match &core.publisher {
        // Ballots are taken without the store.
        Some(publisher) if publisher.is_ready() => {}
        Some(_) => return Err(Problem::QueueUnavailable),
        None if !app.writable.load(Ordering::Relaxed) => {
            return Err(Problem::StoreUnavailable(Some("it can't be written".to_owned())));
        }
        None => drop(app.origin.store.polls_version().await?),
    }
    Ok(uncached(json(OK)))
}

/// `GET /metrics`, as Prometheus reads them.
pub async fn metrics(State(core): State<Arc<CoreState>>) -> Response {
    openmetrics(core.app.metrics.text())
}

/// An answer of metrics.
pub fn openmetrics(text: String) -> Response {
    let mut response = text.into_response();
    let format = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, format);
    uncached(response)
}
