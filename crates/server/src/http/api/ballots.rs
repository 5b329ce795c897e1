//! `POST /api/v1/polls/{slug}/ballots`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::header::CONTENT_TYPE;
use hyper::{HeaderMap, StatusCode, Uri};
use serde::Serialize;
use serde_json::value::RawValue;
use throng_domain::ballot::BallotId;
use throng_domain::submission::Submission;

use super::polls::PollPath;
use crate::http::body::WholeBody;
use crate::http::idempotency::ballot_id;
use crate::http::problem::Problem;
use crate::http::response::json;
use crate::state::CoreState;
use crate::voting::{self, MissingId, Refusal, Status, Vote};

/// A ballot that was counted, or accepted to be counted.
#[derive(Serialize)]
struct CastBallot<'a> {
    ballot_id: BallotId,
    status: &'static str,
    /// The result, with this ballot if it is counted; `null` where its voter may not see it.
    results: Option<&'a RawValue>,
}

/// `POST /api/v1/polls/{slug}/ballots`: 201 once the ballot is counted, or 202 once it is durable at the broker, from which
/// workers record it. The same ballot sent again gets the same response.
pub async fn submit(
    State(core): State<Arc<CoreState>>,
    live: Result<PollPath, Problem>,
    uri: Uri,
    headers: HeaderMap,
    body: Result<WholeBody, Problem>,
) -> Result<Response, Problem> {
    cast(&core, live, uri.query(), &headers, body).await.inspect_err(|problem| problem.count_refused_ballot(&core))
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
    let submission = Submission::parse(&body)?;
    let ballot_id = ballot_id(headers, query, submission.ballot_id)?;
    let vote = Vote { choices: submission.choices, ballot_id, missing_id: MissingId::Refuse };
    let cast = voting::cast(core, &live.poll, vote).await.map_err(problem)?;
    let (code, status) = match cast.status {
        Status::Counted => (StatusCode::CREATED, "counted"),
        Status::Accepted => (StatusCode::ACCEPTED, "accepted"),
    };
    // Results are published before a ballot is completed: if this one is counted, the latest result includes it.
    let results = cast.shows_results.then(|| live.rendered(cast.accepted_at, core.app.age_max_ms()));
    let results = results.as_ref().map(|rendered| rendered.raw_json());
    let body = serde_json::to_vec(&CastBallot { ballot_id: cast.ballot_id, status, results });
    let mut response = json(body.expect("a ballot has only strings for keys").into());
    *response.status_mut() = code;
    Ok(response)
}

/// Here the id is a part of the ballot.
fn problem(refusal: Refusal) -> Problem {
    if refusal != Refusal::BallotIdMissing {
        return refusal.into();
    }
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
