//! A poll's question and options, and its state.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::HeaderMap;

use super::poll_path::PollPath;
use crate::http::response::tagged;
use crate::state::CoreState;
use crate::view::PollView;

/// `GET /api/v1/polls/{slug}`.
pub async fn show(State(core): State<Arc<CoreState>>, PollPath(live): PollPath, headers: HeaderMap) -> Response {
    let now = core.app.clock.now();
    let body = serde_json::to_vec(&PollView::new(&live.poll, now)).expect("a poll has only strings for keys");
    let etag = format!("\"{}-{}\"", live.poll.version, live.poll.state(now).as_str());
    tagged(body.into(), &etag, &headers)
}
