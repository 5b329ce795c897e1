//! Casting a ballot.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::header::CONTENT_TYPE;
use hyper::{HeaderMap, StatusCode, Uri};
use throng_domain::ballot::{Ballot, BallotId, Choices};
use throng_domain::clock::Timestamp;
use throng_domain::poll::{Poll, PollState, Viewer};
use throng_domain::store::Outcome;
use throng_domain::submission::Submission;

use super::body::WholeBody;
use super::error::Problem;
use super::idempotency::ballot_id;
use super::poll_path::PollPath;
use super::results::json;
use crate::app::CoreState;
use crate::intake::{Disposition, SubmitError, Submitted};

/// `POST /api/v1/polls/{slug}/ballots`: 201 once the ballot is counted, 202 once a broker has it that workers take it
/// from; the same again for the same ballot.
pub async fn submit(
    State(core): State<Arc<CoreState>>,
    live: Result<PollPath, Problem>,
    uri: Uri,
    headers: HeaderMap,
    body: Result<WholeBody, Problem>,
) -> Result<Response, Problem> {
    cast(&core, live, uri.query(), &headers, body).await.inspect_err(|why| core.refused(why))
}

async fn cast(
    core: &CoreState,
    live: Result<PollPath, Problem>,
    query: Option<&str>,
    headers: &HeaderMap,
    body: Result<WholeBody, Problem>,
) -> Result<Response, Problem> {
    let (PollPath(live), WholeBody(body)) = (live?, body?);
    require_json_or_text(headers)?;
    let now = core.app.clock.now();
    let submission = Submission::parse(&body)?;
    let choices = live.poll.choices(submission.choices)?;
    let id = ballot_id(headers, query, submission.ballot_id)?.ok_or_else(without_id)?;
    let settled = settle(core, accepted(core, &live.poll, id, choices, now)?).await?;
    let (status, said) = match settled.disposition {
        Disposition::Recorded(_) => (StatusCode::CREATED, "counted"),
        Disposition::Accepted => (StatusCode::ACCEPTED, "accepted"),
    };
    let seen = live.poll.shows_results(Viewer::Voter, now);
    // Published before the ballot was answered: if it is counted, the latest result has it.
    let results = seen.then(|| live.rendered(now, core.app.age_max_ms()));
    let results = results.as_ref().map_or(&b"null"[..], |rendered| &rendered.json);
    let body = [format!(r#"{{"ballot_id":"{id}","status":"{said}","results":"#).as_bytes(), results, b"}"].concat();
    let mut response = json(body.into());
    *response.status_mut() = status;
    Ok(response)
}

/// The ballot that arrived at `accepted_at`, if the poll takes it.
///
/// Whether it came too late the store says, where it is asked right away: a ballot sent again after the close, because
/// its answer was lost, is answered as the first time. Through a broker the store isn't asked, and a ballot must not be
/// accepted that will not count: there the close is judged here.
///
/// # Errors
/// That the poll isn't open yet, or not any more.
pub fn accepted(
    core: &CoreState,
    poll: &Poll,
    id: BallotId,
    choices: Choices,
    accepted_at: Timestamp,
) -> Result<Ballot, Problem> {
    match poll.state(accepted_at) {
        PollState::Draft | PollState::Scheduled => Err(Problem::PollNotOpen),
        PollState::Closing | PollState::Final if core.app.is_behind_broker() => Err(Problem::PollClosed),
        PollState::Open | PollState::Closing | PollState::Final => {
            Ok(Ballot::unlimited(poll.id, id, choices, poll.arrival(accepted_at)))
        }
    }
}

/// Submits a ballot, and returns its disposition if it counts or will.
///
/// # Errors
/// Why it doesn't count, or that it isn't known whether it does.
pub async fn settle(core: &CoreState, ballot: Ballot) -> Result<Submitted, Problem> {
    let id = ballot.id;
    let settled = core.ballot_queue.submit(ballot).await.map_err(|error| match error {
        SubmitError::Busy => Problem::Overloaded,
        SubmitError::Unavailable if core.app.is_behind_broker() => Problem::QueueUnavailable,
        SubmitError::Unavailable => Problem::StoreUnavailable(None),
        SubmitError::Unknown => Problem::OutcomeUnknown(Some(id), None),
    })?;
    match settled.disposition {
        Disposition::Accepted | Disposition::Recorded(Outcome::Counted | Outcome::CountedBefore) => Ok(settled),
        Disposition::Recorded(Outcome::KeyTaken { id: holder, .. }) if holder == id => Err(Problem::BallotIdReused),
        Disposition::Recorded(Outcome::KeyTaken { choices, .. }) => Err(Problem::AlreadyVoted(choices)),
        Disposition::Recorded(Outcome::TooEarly) => Err(Problem::PollNotOpen),
        Disposition::Recorded(Outcome::TooLate) => Err(Problem::PollClosed),
    }
}

fn without_id() -> Problem {
    Problem::NotABallot(
        "The ballot has no id: give it one, a new UUID, as ballot_id or in Idempotency-Key, by which it counts once however \
         often it is sent."
            .to_owned(),
    )
}

fn require_json_or_text(headers: &HeaderMap) -> Result<(), Problem> {
    let named = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = named.split(';').next().unwrap_or_default().trim();
    let known = ["application/json", "text/plain"].iter().any(|kind| essence.eq_ignore_ascii_case(kind));
    if known { Ok(()) } else { Err(Problem::UnsupportedMediaType) }
}
