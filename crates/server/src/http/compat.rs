//! The two compatibility routes, on the default poll, as their clients know them.
//!
//! They send and read JSON whatever the content type: a page posts its ballot as text, so that the browser sends no preflight
//! request. Where the poll hides its results, the response is an empty object.

use axum::response::Response;
use bytes::Bytes;
use throng_domain::ballot::{Ballot, BallotId};
use throng_domain::poll::Viewer;
use throng_domain::submission;

use super::ballots::{accepted, settle};
use super::error::Problem;
use super::results::{json, refresh_result, uncached};
use crate::app::CoreState;

const HIDDEN: Bytes = Bytes::from_static(b"{}");

/// `POST /api/submit`: a ballot, such as `[1,3]`; the response is the result with that ballot included. A ballot with an id
/// may have been sent before.
///
/// # Errors
/// Why the ballot wasn't counted.
pub async fn submit<B: From<Bytes>>(
    core: &CoreState,
    id: Option<BallotId>,
    body: &[u8],
) -> Result<Response<B>, Problem> {
    let (ballot, is_visible) = accept(core, id, body)?;
    let submitted = settle(core, ballot).await?;
    Ok(json(if is_visible { submitted.result } else { HIDDEN }))
}

/// The ballot in the body, and whether its voter may see the result.
fn accept(core: &CoreState, id: Option<BallotId>, body: &[u8]) -> Result<(Ballot, bool), Problem> {
    let polls = core.app.polls.current();
    let live = polls.default_poll().ok_or(Problem::PollNotFound)?;
    let choices = live.poll.choices(submission::parse_compat(body)?)?;
    let now = core.app.clock.now();
    let id = match id {
        Some(id) => id,
        // A ballot without an id of its own can't have been recorded before.
        None if live.poll.is_closed(now) => return Err(Problem::PollClosed),
        None => core.app.next_ballot_id(now),
    };
    let ballot = accepted(core, &live.poll, id, choices, now)?;
    Ok((ballot, live.poll.shows_results(Viewer::Voter, now)))
}

/// `GET /api/result`: the current result.
///
/// # Errors
/// If there is no default poll, or its result can't be read.
pub async fn result<B: From<Bytes>>(core: &CoreState) -> Result<Response<B>, Problem> {
    let now = core.app.clock.now();
    if !core.app.is_exact() {
        let live = core.app.polls.current().default_poll().cloned().ok_or(Problem::PollNotFound)?;
        refresh_result(core, &live, now).await?;
    }
    let polls = core.app.polls.current();
    let live = polls.default_poll().ok_or(Problem::PollNotFound)?;
    let is_visible = live.poll.shows_results(Viewer::Anybody, now);
    Ok(uncached(json(if is_visible { live.latest().compat.clone() } else { HIDDEN })))
}
