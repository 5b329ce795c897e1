//! A poll's question and options, and its state.
//!
//! Of a rehearsal, nothing is public: without a valid pass, every address below it is refused.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, State};
use axum::response::Response;
use hyper::header::HeaderName;
use hyper::http::request::Parts;
use hyper::{HeaderMap, StatusCode};
use serde_json::json as json_value;
use throng_domain::poll::{Poll, Slug};

use crate::http::openapi::{Operation, Tag, examples};
use crate::http::problem::Problem;
use crate::http::requested_poll::RequestedPoll;
use crate::http::response::{json, tagged, uncached};
use crate::results::LivePoll;
use crate::state::CoreState;
use crate::view::PollView;
use crate::voting::{Refusal, RehearsalKey, RehearsalPass};

/// The pass of a load run in a rehearsal.
const THRONG_REHEARSAL: HeaderName = HeaderName::from_static("throng-rehearsal");

/// `GET /api/v1/polls/{slug}`.
pub async fn show(
    State(core): State<Arc<CoreState>>,
    PollPath { live, pass }: PollPath,
    headers: HeaderMap,
) -> Response {
    let now = core.app.clock.now();
    let body = serde_json::to_vec(&PollView::new(&live.poll, now)).expect("a poll has only strings for keys");
    let etag = format!("\"{}-{}\"", live.poll.version, live.poll.state(now).as_str());
    if pass.is_some() { uncached(json(body.into())) } else { tagged(body.into(), &etag, &headers) }
}

/// How [`show`] is described.
pub fn describe_show() -> Operation {
    with_slug(Operation::new(Tag::Voting, "showPoll", "A poll"))
        .describe(
            "Its question and options, whether it is open, and what a ballot needs. Says nothing about the client.",
        )
        .header::<String>("If-None-Match", IF_NONE_MATCH_MEANS, json_value!("\"1-open\""))
        .responds::<PollView<'_>>(StatusCode::OK, "The poll.", examples::poll())
        .with_header("ETag", ETAG_MEANS)
        .responds_empty(StatusCode::NOT_MODIFIED, NOT_MODIFIED_MEANS)
        .with_header("ETag", ETAG_MEANS)
}

/// What the header is, of responses that caches keep.
pub const ETAG_MEANS: &str = "The version of the response, to be sent as `If-None-Match` next time.";

/// What the header is.
pub const IF_NONE_MATCH_MEANS: &str = "The `ETag` of an earlier response, which is sent again only if it has changed.";

/// What a response with the status 304 means.
pub const NOT_MODIFIED_MEANS: &str = "It is as it was in the response with this `ETag`.";

/// The operation, on the poll in the path.
pub fn with_slug(operation: Operation) -> Operation {
    operation
        .path::<Slug>("slug", "The poll's name in addresses.", json_value!("demo"))
        .problems([Problem::PollNotFound, Problem::Refused(Refusal::Rehearsal)])
}

/// The poll whose slug is in the path. A slug that can't be decoded is treated as a poll that doesn't exist.
#[derive(Debug)]
pub struct PollPath {
    /// The poll.
    pub live: Arc<LivePoll>,
    /// The valid pass that the request has, if the poll is a rehearsal.
    pub pass: Option<RehearsalPass>,
}

impl FromRequestParts<Arc<CoreState>> for PollPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, core: &Arc<CoreState>) -> Result<Self, Problem> {
        let live = match parts.extensions.get() {
            Some(RequestedPoll(live)) => Arc::clone(live),
            None => find(parts, core).await?,
        };
        if !live.poll.rehearsal {
            return Ok(Self { live, pass: None });
        }
        let pass = pass(core, &live.poll, &parts.headers).ok_or(Problem::Refused(Refusal::Rehearsal))?;
        Ok(Self { live, pass: Some(pass) })
    }
}

async fn find(parts: &mut Parts, core: &Arc<CoreState>) -> Result<Arc<LivePoll>, Problem> {
    let Path(slug) = Path::<String>::from_request_parts(parts, core).await.map_err(|_| Problem::PollNotFound)?;
    let app = &core.app;
    let live = app.polls.find(&slug, &app.source).await.map_err(Problem::store_not_ready)?;
    live.ok_or(Problem::PollNotFound)
}

/// The valid pass for this rehearsal in a request's headers.
fn pass(core: &CoreState, rehearsal: &Poll, headers: &HeaderMap) -> Option<RehearsalPass> {
    let text = headers.get(THRONG_REHEARSAL)?.to_str().ok()?;
    RehearsalKey(&core.app.rehearsal_key).verify(rehearsal, text, core.app.clock.now())
}
