//! Casting a ballot.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::header::CONTENT_TYPE;
use hyper::{HeaderMap, StatusCode};
use throng_domain::ballot::{Ballot, BallotId, Choices};
use throng_domain::clock::Timestamp;
use throng_domain::poll::{PollState, Viewer};
use throng_domain::store::Outcome;
use throng_domain::submission::Submission;

use super::body::WholeBody;
use super::error::Problem;
use super::poll_path::PollPath;
use super::results::{CURRENT, json};
use crate::app::CoreState;
use crate::intake::{NotRecorded, Settled};
use crate::results::LivePoll;

/// `POST /api/v1/polls/{slug}/ballots`: 201 once the ballot is counted; the same again for the same ballot.
pub async fn submit(
    State(core): State<Arc<CoreState>>,
    PollPath(live): PollPath,
    headers: HeaderMap,
    WholeBody(body): WholeBody,
) -> Result<Response, Problem> {
    require_json_or_text(&headers)?;
    let now = core.app.clock.now();
    let submission = Submission::parse(&body)?;
    let choices = live.poll.choices(submission.choices)?;
    let id = submission.ballot_id;
    cast(&core, &live, id, choices, now).await?;
    let seen = live.poll.shows_results(Viewer::Voter, now);
    // Published before the ballot was answered, so the latest result has the ballot in it.
    let results = seen.then(|| live.rendered(now));
    let results = results.as_ref().map_or(&b"null"[..], |rendered| &rendered.json);
    let body = [format!(r#"{{"ballot_id":"{id}","status":"counted","results":"#).as_bytes(), results, b"}"].concat();
    let mut response = json(body.into(), CURRENT);
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

/// Has a ballot recorded and gives its outcome, if that is that it is counted.
///
/// # Errors
/// Why it isn't counted, or that it isn't known whether it is.
pub async fn cast(
    core: &CoreState,
    live: &LivePoll,
    id: BallotId,
    choices: Choices,
    accepted_at: Timestamp,
) -> Result<Settled, Problem> {
    // The store has the last word; a closed poll's crowd needn't wait for it.
    match live.poll.state(accepted_at) {
        PollState::Draft | PollState::Scheduled => return Err(Problem::PollNotOpen),
        PollState::Open => {}
        PollState::Closing | PollState::Final => return Err(Problem::PollClosed),
    }
    let ballot = Ballot::unlimited(live.poll.id, id, choices, accepted_at);
    let settled = core.desk.submit(ballot).await.inspect_err(|error| {
        if *error == NotRecorded::Busy {
            core.metrics.ballot_refused();
        }
    })?;
    match settled.outcome {
        Outcome::Counted | Outcome::CountedBefore => Ok(settled),
        Outcome::KeyTaken { id: holder, .. } if holder == id => Err(Problem::BallotIdReused),
        Outcome::KeyTaken { choices, .. } => Err(Problem::AlreadyVoted(choices)),
        Outcome::TooEarly => Err(Problem::PollNotOpen),
        Outcome::TooLate => Err(Problem::PollClosed),
    }
}

fn require_json_or_text(headers: &HeaderMap) -> Result<(), Problem> {
    let named = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = named.split(';').next().unwrap_or_default().trim();
    let known = ["application/json", "text/plain"].iter().any(|kind| essence.eq_ignore_ascii_case(kind));
    if known { Ok(()) } else { Err(Problem::UnsupportedMediaType) }
}
