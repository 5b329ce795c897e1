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

/// `POST /api/v1/polls/{slug}/ballots`: 201 once the ballot is counted, or 202 once it is durable at the broker, from which
/// workers record it. The same ballot sent again gets the same response.
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
    let id = ballot_id(headers, query, submission.ballot_id)?.ok_or_else(missing_id)?;
    let submitted = settle(core, accepted(core, &live.poll, id, choices, now)?).await?;
    let (status, text) = match submitted.disposition {
        Disposition::Recorded(_) => (StatusCode::CREATED, "counted"),
        Disposition::Accepted => (StatusCode::ACCEPTED, "accepted"),
    };
    let is_visible = live.poll.shows_results(Viewer::Voter, now);
    // Results are published before a ballot is completed: if this one is counted, the latest result includes it.
    let results = is_visible.then(|| live.rendered(now, core.app.age_max_ms()));
    let results = results.as_ref().map_or(&b"null"[..], |rendered| &rendered.json);
    let body = [format!(r#"{{"ballot_id":"{id}","status":"{text}","results":"#).as_bytes(), results, b"}"].concat();
    let mut response = json(body.into());
    *response.status_mut() = status;
    Ok(response)
}

/// The ballot that arrived at `accepted_at`, if the poll accepts it.
///
/// Without a broker, the store decides whether it is too late: a ballot sent again after the close, because its response was
/// lost, gets the same response as the first time. Behind a broker the store isn't queried here, and a ballot that will not
/// count must not be accepted, so the close is checked here.
///
/// # Errors
/// [`Problem::PollNotOpen`] or [`Problem::PollClosed`].
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

/// Submits a ballot and returns its disposition if it counts or will count.
///
/// # Errors
/// Why the ballot doesn't count, or that it is unknown whether it does.
pub async fn settle(core: &CoreState, ballot: Ballot) -> Result<Submitted, Problem> {
    let id = ballot.id;
    let submitted = core.ballot_queue.submit(ballot).await.map_err(|error| match error {
        SubmitError::Busy => Problem::Overloaded,
        SubmitError::Unavailable if core.app.is_behind_broker() => Problem::QueueUnavailable,
        SubmitError::Unavailable => Problem::StoreUnavailable(None),
        SubmitError::Unknown => Problem::OutcomeUnknown(Some(id), None),
    })?;
    match submitted.disposition {
        Disposition::Accepted | Disposition::Recorded(Outcome::Counted | Outcome::CountedBefore) => Ok(submitted),
        Disposition::Recorded(Outcome::KeyTaken { id: holder, .. }) if holder == id => Err(Problem::BallotIdReused),
        Disposition::Recorded(Outcome::KeyTaken { choices, .. }) => Err(Problem::AlreadyVoted(choices)),
        Disposition::Recorded(Outcome::TooEarly) => Err(Problem::PollNotOpen),
        Disposition::Recorded(Outcome::TooLate) => Err(Problem::PollClosed),
    }
}

fn missing_id() -> Problem {
    Problem::NotABallot(
        "The ballot has no id. Send a new UUID as ballot_id or in Idempotency-Key, so that the ballot counts once \
         however often it is sent."
            .to_owned(),
    )
}

fn require_json_or_text(headers: &HeaderMap) -> Result<(), Problem> {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    let known = ["application/json", "text/plain"].iter().any(|kind| essence.eq_ignore_ascii_case(kind));
    if known { Ok(()) } else { Err(Problem::UnsupportedMediaType) }
}
