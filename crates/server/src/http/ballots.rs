//! Casting a ballot.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::header::CONTENT_TYPE;
use hyper::{HeaderMap, StatusCode};
use throng_domain::ballot::{Ballot, BallotId, Choices};
use throng_domain::clock::Timestamp;
use throng_domain::poll::{Poll, PollState, Viewer};
use throng_domain::store::Outcome;
use throng_domain::submission::Submission;

use super::body::WholeBody;
use super::error::Problem;
use super::poll_path::PollPath;
use super::results::json;
use crate::app::CoreState;
use crate::intake::{NotRecorded, Settled};

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
    settle(&core, accepted(&live.poll, id, choices, now)?).await?;
    let seen = live.poll.shows_results(Viewer::Voter, now);
    // Published before the ballot was answered, so the latest result has the ballot in it.
    let results = seen.then(|| live.rendered(now));
    let results = results.as_ref().map_or(&b"null"[..], |rendered| &rendered.json);
    let body = [format!(r#"{{"ballot_id":"{id}","status":"counted","results":"#).as_bytes(), results, b"}"].concat();
    let mut response = json(body.into());
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

/// The ballot that arrived at `accepted_at`, unless the poll isn't open yet. Whether it came too late the store says:
/// a ballot sent again after the close, because its answer was lost, is answered as the first time.
///
/// # Errors
/// That the poll isn't open yet.
pub fn accepted(poll: &Poll, id: BallotId, choices: Choices, accepted_at: Timestamp) -> Result<Ballot, Problem> {
    match poll.state(accepted_at) {
        PollState::Draft | PollState::Scheduled => Err(Problem::PollNotOpen),
        PollState::Open | PollState::Closing | PollState::Final => {
            Ok(Ballot::unlimited(poll.id, id, choices, accepted_at))
        }
    }
}

/// Has a ballot recorded and gives its outcome, if that is that it is counted.
///
/// # Errors
/// Why it isn't counted, or that it isn't known whether it is.
pub async fn settle(core: &CoreState, ballot: Ballot) -> Result<Settled, Problem> {
    let id = ballot.id;
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
