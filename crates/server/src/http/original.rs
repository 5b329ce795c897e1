//! The two original routes, on the default poll, as their clients know them.
//!
//! They send and read JSON whatever type is named: a page posts its ballot as text, so that the browser asks no
//! permission first. Where the poll hides its results, the answer is an empty object.

use std::sync::Arc;

use axum::response::Response;
use bytes::Bytes;
use hyper::body::Incoming;
use throng_domain::poll::Viewer;
use throng_domain::submission;

use super::ballots::cast;
use super::body::read;
use super::error::Problem;
use super::results::{CURRENT, json};
use crate::app::CoreState;
use crate::results::LivePoll;

const HIDDEN: Bytes = Bytes::from_static(b"{}");

/// `POST /api/submit`: a ballot, `[1,3]`; the answer is the result with that ballot in it.
///
/// # Errors
/// Why it wasn't counted.
pub async fn submit(core: &CoreState, body: Incoming) -> Result<Response, Problem> {
    let body = read(body).await?;
    let live = default_poll(core)?;
    let now = core.app.clock.now();
    let choices = live.poll.choices(submission::parse_original(&body)?)?;
    let id = core.next_ballot_id(now);
    let settled = cast(core, &live, id, choices, now).await?;
    let seen = live.poll.shows_results(Viewer::Voter, now);
    Ok(json(if seen { settled.results.original.clone() } else { HIDDEN }, CURRENT))
}

/// `GET /api/result`: the result.
///
/// # Errors
/// If there is no default poll.
pub fn result(core: &CoreState) -> Result<Response, Problem> {
    let live = default_poll(core)?;
    let seen = live.poll.shows_results(Viewer::Anybody, core.app.clock.now());
    Ok(json(if seen { live.latest().original.clone() } else { HIDDEN }, CURRENT))
}

fn default_poll(core: &CoreState) -> Result<Arc<LivePoll>, Problem> {
    core.app.polls.by_slug(core.app.config.default_poll.as_str()).ok_or(Problem::PollNotFound)
}
