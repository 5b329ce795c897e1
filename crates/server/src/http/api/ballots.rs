//! `POST /api/v1/polls/{slug}/ballots`.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::response::Response;
use hyper::header::CONTENT_TYPE;
use hyper::{HeaderMap, StatusCode, Uri};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json as json_value;
use serde_json::value::RawValue;
use throng_domain::ballot::BallotId;
use throng_domain::poll::{InvalidChoice, OptionId};
use throng_domain::submission::Submission;

use super::polls::{PollPath, with_slug};
use super::standing::BallotStatus;
use crate::http::body::{BODY_BYTES_MAX, WholeBody};
use crate::http::idempotency::ballot_id;
use crate::http::openapi::{Operation, Tag, body_problems, examples, voter_problems};
use crate::http::origin::Peer;
use crate::http::problem::Problem;
use crate::http::response::json;
use crate::http::sender::{RequestSender, take_share};
use crate::state::CoreState;
use crate::view::ResultsView;
use crate::voting::{self, DeviceToken, Earlier, MissingId, ReceiptKey, Refusal, Status, Vote};

/// A ballot that was counted, or accepted to be counted.
#[derive(JsonSchema, Serialize)]
struct CastBallot<'a> {
    ballot_id: BallotId,
    status: BallotStatus,
    /// What proves that it was accepted.
    receipt: String,
    /// The result, with this ballot if it is counted; `null` where its voter may not see it.
    #[schemars(with = "Option<ResultsView<'_>>")]
    results: Option<&'a RawValue>,
    /// The token of the voter's device, for a page whose browser may keep no cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    voter: Option<&'a str>,
}

/// `POST /api/v1/polls/{slug}/ballots`: 201 once the ballot is counted, or 202 once it is durable at the broker, from which
/// workers record it. The same ballot sent again gets the same response.
pub async fn submit(
    State(core): State<Arc<CoreState>>,
    live: Result<PollPath, Problem>,
    Extension(Peer(peer)): Extension<Peer>,
    uri: Uri,
    headers: HeaderMap,
    body: Result<WholeBody, Problem>,
) -> Result<Response, Problem> {
    cast(&core, live, peer, uri.query(), &headers, body)
        .await
        .inspect_err(|problem| problem.count_refused_ballot(&core))
}

/// How [`submit`] is described.
pub fn describe_submit() -> Operation {
    let example = json_value!({
        "ballot_id": examples::BALLOT_ID,
        "status": "counted",
        "receipt": examples::RECEIPT,
        "results": examples::results(),
    });
    let accepted = json_value!({
        "ballot_id": examples::BALLOT_ID,
        "status": "accepted",
        "receipt": examples::RECEIPT,
        "results": null,
    });
    with_slug(Operation::new(Tag::Voting, "castBallot", "Cast a ballot"))
        .describe(
            "The ballot has to have an id, a new UUID, best of version 7: in the body, as `Idempotency-Key` or as `?ballot_id=`. \
             Send it again with the same id if its response is lost: it counts once.",
        )
        .parameter_in_query::<BallotId>("ballot_id", "The ballot's id, unless the body has it.", json_value!(examples::BALLOT_ID))
        .header::<String>("Idempotency-Key", "The ballot's id, unless the body has it.", json_value!(examples::BALLOT_ID))
        .header::<String>("Throng-Voter", "The voter's token or code, unless the body has it.", json_value!("ABCD-EFGH-JKMN-PQRS"))
        .body_of::<Submission>(
            &["application/json", "text/plain"],
            json_value!({ "ballot_id": examples::BALLOT_ID, "choices": [2] }),
        )
        .responds::<CastBallot<'_>>(StatusCode::CREATED, "The ballot is counted.", example)
        .responds::<CastBallot<'_>>(StatusCode::ACCEPTED, "The broker has the ballot; workers will count it.", accepted)
        .problems(body_problems(BODY_BYTES_MAX))
        .problems([
            Problem::OriginNotAllowed,
            Problem::OriginNotListed,
            Problem::UnsupportedMediaType,
            Problem::NotABallot("expected value at line 1 column 1.".to_owned()),
        ])
        .problems(refusals())
        .problems(voter_problems())
}

/// Why a ballot isn't counted, whatever its voter.
pub fn refusals() -> Vec<Problem> {
    let id = BallotId(uuid::Uuid::nil());
    let challenge = || "1.1782936300.10000.c0de".to_owned();
    let refusals = [
        Refusal::InvalidChoice(InvalidChoice::Unknown(OptionId(9))),
        Refusal::BallotIdReused,
        Refusal::AlreadyVoted(Earlier::OfNetwork { ballots: 1 }),
        Refusal::OptionQuotaUsed(OptionId(3)),
        Refusal::NotChangeable,
        Refusal::ProofRequired { challenge: Some(challenge()) },
        Refusal::ProofInvalid { challenge: challenge() },
        Refusal::PollNotOpen,
        Refusal::PollClosed,
        Refusal::RateLimited { retry_after_s: 7 },
        Refusal::OutcomeUnknown(id),
    ];
    refusals.map(Problem::Refused).into()
}

async fn cast(
    core: &CoreState,
    live: Result<PollPath, Problem>,
    peer: IpAddr,
    query: Option<&str>,
    headers: &HeaderMap,
    body: Result<WholeBody, Problem>,
) -> Result<Response, Problem> {
    let (PollPath { live, pass }, WholeBody(body)) = (live?, body?);
    if pass.is_none() {
        take_share(core, &live.poll, headers, peer)?;
    }
    require_json_or_text(headers)?;
    let submission = Submission::parse(&body)?;
    let ballot_id = ballot_id(headers, query, submission.ballot_id)?;
    let Submission { choices, voter, proof, .. } = submission;
    let RequestSender { sender, address, cookie } =
        RequestSender::of(core, &live.poll, headers, peer, voter.as_deref());
    let vote = Vote { choices, ballot_id, proof, missing_id: MissingId::Refuse, pass, sender, address };
    let cast = voting::cast(core, &live.poll, vote).await.map_err(problem)?;
    let (code, status) = match cast.status {
        Status::Counted => (StatusCode::CREATED, BallotStatus::Counted),
        Status::Outdated => (StatusCode::CREATED, BallotStatus::Replaced),
        Status::Accepted => (StatusCode::ACCEPTED, BallotStatus::Accepted),
    };
    // Results are published before a ballot is completed: if this one is counted, the latest result includes it.
    let results = cast.shows_results.then(|| live.rendered(cast.accepted_at, core.app.age_max_ms()));
    let results = results.as_ref().map(|rendered| rendered.raw_json());
    let voter = cast.token.as_ref().filter(|_| cookie.is_missing()).map(DeviceToken::as_str);
    let receipt = cast.receipt.text(ReceiptKey(&core.app.ballot_receipt_key));
    let body = serde_json::to_vec(&CastBallot { ballot_id: cast.ballot_id, status, receipt, results, voter });
    let mut response = json(body.expect("a ballot has only strings for keys").into());
    cookie.keep(cast.token.as_ref(), response.headers_mut());
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
