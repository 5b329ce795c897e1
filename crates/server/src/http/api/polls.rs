//! A poll's question and options, and its state.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, State};
use axum::response::Response;
use hyper::HeaderMap;
use hyper::http::request::Parts;

use crate::http::problem::Problem;
use crate::http::requested_poll::RequestedPoll;
use crate::http::response::tagged;
use crate::results::LivePoll;
use crate::state::CoreState;
use crate::view::PollView;

/// `GET /api/v1/polls/{slug}`.
pub async fn show(State(core): State<Arc<CoreState>>, PollPath(live): PollPath, headers: HeaderMap) -> Response {
    let now = core.app.clock.now();
    let body = serde_json::to_vec(&PollView::new(&live.poll, now)).expect("a poll has only strings for keys");
    let etag = format!("\"{}-{}\"", live.poll.version, live.poll.state(now).as_str());
    tagged(body.into(), &etag, &headers)
}

/// The poll whose slug is in the path. A slug that can't be decoded is treated as a poll that doesn't exist.
#[derive(Debug)]
pub struct PollPath(pub Arc<LivePoll>);

impl FromRequestParts<Arc<CoreState>> for PollPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, core: &Arc<CoreState>) -> Result<Self, Problem> {
        if let Some(RequestedPoll(live)) = parts.extensions.get() {
            return Ok(Self(Arc::clone(live)));
        }
        let Path(slug) = Path::<String>::from_request_parts(parts, core).await.map_err(|_| Problem::PollNotFound)?;
        let app = &core.app;
        let live = app.polls.find(&slug, &app.source).await.map_err(Problem::store_not_ready)?;
        live.map(Self).ok_or(Problem::PollNotFound)
    }
}
