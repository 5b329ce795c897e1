//! `GET` and `DELETE /api/v1/ballots/{ballot_id}`, with the ballot's receipt.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::response::Response;
use hyper::{HeaderMap, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json as json_value};
use throng_domain::ballot::BallotId;
use throng_domain::store::Standing;
use throng_domain::submission::parse_ballot_id;

use crate::http::openapi::{Operation, Tag, examples};
use crate::http::origin::Peer;
use crate::http::problem::Problem;
use crate::http::requested_poll::THRONG_RECEIPT;
use crate::http::response::{json, uncached};
use crate::http::sender::take_share;
use crate::results::LivePoll;
use crate::state::CoreState;
use crate::voting::{self, Receipt, ReceiptKey, Refusal, Status};

/// The ballot's id in the path, unless it can't be decoded.
type BallotPath = Result<Path<String>, PathRejection>;

/// What became of a ballot.
#[derive(JsonSchema, Serialize)]
struct BallotStanding<'a> {
    ballot_id: BallotId,
    poll: &'a str,
    status: BallotStatus,
}

/// What became of a ballot.
#[derive(Clone, Copy, Debug, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BallotStatus {
    /// The broker has it; a worker will record it.
    Accepted,
    /// It isn't recorded yet.
    Pending,
    /// It counts.
    Counted,
    /// Its voter has cast another one since, which counts in its place.
    Replaced,
    /// Its voter has withdrawn it.
    Withdrawn,
    /// Its voter had used the quota when it was recorded, so it doesn't count.
    Duplicate,
    /// It doesn't count, by a rule that an operator has set.
    Void,
    /// It was recorded too late to count.
    Rejected,
}

/// `GET /api/v1/ballots/{ballot_id}`: what became of the ballot.
pub async fn show(
    State(core): State<Arc<CoreState>>,
    ballot_id: BallotPath,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (receipt, live) = of_receipt(&core, ballot_id, &headers).await?;
    let standing = voting::standing(&core, &live.poll, &receipt).await?;
    Ok(response(StatusCode::OK, &receipt, &live, standing.into()))
}

/// How [`show`] is described.
pub fn describe_show() -> Operation {
    with_receipt(Operation::new(Tag::Voting, "showBallot", "What became of a ballot")).responds::<BallotStanding<'_>>(
        StatusCode::OK,
        "What became of it.",
        standing_example("counted"),
    )
}

/// How [`withdraw`] is described.
pub fn describe_withdraw() -> Operation {
    let refusals = [
        Refusal::NotChangeable,
        Refusal::NothingToWithdraw,
        Refusal::PollNotOpen,
        Refusal::PollClosed,
        Refusal::RateLimited { retry_after_s: 7 },
        Refusal::OutcomeUnknown(BallotId(uuid::Uuid::nil())),
    ];
    with_receipt(Operation::new(Tag::Voting, "withdrawBallot", "Withdraw a ballot"))
        .describe("Only where the poll lets voters change their ballots, and until it closes.")
        .problems([Problem::OriginNotAllowed, Problem::OriginNotListed])
        .responds::<BallotStanding<'_>>(StatusCode::OK, "The ballot is withdrawn.", standing_example("withdrawn"))
        .responds::<BallotStanding<'_>>(
            StatusCode::ACCEPTED,
            "The broker has the withdrawal; workers will record it.",
            standing_example("accepted"),
        )
        .problems(refusals.map(Problem::Refused))
}

fn standing_example(status: &str) -> Value {
    json_value!({ "ballot_id": examples::BALLOT_ID, "poll": "demo", "status": status })
}

fn with_receipt(operation: Operation) -> Operation {
    operation
        .path::<BallotId>("ballot_id", "The ballot's id.", json_value!(examples::BALLOT_ID))
        .required_header::<String>(
            "Throng-Receipt",
            "The receipt from the response to the ballot.",
            json_value!(examples::RECEIPT),
        )
        .problems([Problem::ReceiptInvalid, Problem::PollNotFound])
}

/// `DELETE /api/v1/ballots/{ballot_id}`: 200 once the ballot is withdrawn, or 202 once that is durable at the broker. Sent again,
/// it has the same response.
pub async fn withdraw(
    State(core): State<Arc<CoreState>>,
    ballot_id: BallotPath,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    withdrawn(&core, ballot_id, peer, &headers).await.inspect_err(|problem| problem.count_refused_ballot(&core))
}

async fn withdrawn(
    core: &CoreState,
    ballot_id: BallotPath,
    peer: IpAddr,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let (receipt, live) = of_receipt(core, ballot_id, headers).await?;
    take_share(core, &live.poll, headers, peer)?;
    Ok(match voting::withdraw(core, &live.poll, &receipt).await? {
        Status::Counted | Status::Outdated => response(StatusCode::OK, &receipt, &live, BallotStatus::Withdrawn),
        Status::Accepted => response(StatusCode::ACCEPTED, &receipt, &live, BallotStatus::Accepted),
    })
}

/// The receipt in the request, and its poll.
async fn of_receipt(
    core: &CoreState,
    ballot_id: BallotPath,
    headers: &HeaderMap,
) -> Result<(Receipt, Arc<LivePoll>), Problem> {
    let id = ballot_id.ok().and_then(|Path(id)| parse_ballot_id(&id)).ok_or(Problem::ReceiptInvalid)?;
    let text = headers.get(THRONG_RECEIPT).and_then(|receipt| receipt.to_str().ok()).ok_or(Problem::ReceiptInvalid)?;
    let key = ReceiptKey(&core.app.ballot_receipt_key);
    let receipt = Receipt::verified(key, text, id).ok_or(Problem::ReceiptInvalid)?;
    let app = &core.app;
    let live = app.polls.get(receipt.poll, &app.source).await.map_err(Problem::store_not_ready)?;
    let live = live.ok_or(Problem::PollNotFound)?;
    Ok((receipt, live))
}

impl From<Standing> for BallotStatus {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Pending => Self::Pending,
            Standing::Counted => Self::Counted,
            Standing::Replaced => Self::Replaced,
            Standing::Withdrawn => Self::Withdrawn,
            Standing::Duplicate => Self::Duplicate,
            Standing::Void => Self::Void,
            Standing::Rejected => Self::Rejected,
        }
    }
}

fn response(code: StatusCode, receipt: &Receipt, live: &LivePoll, status: BallotStatus) -> Response {
    let standing = BallotStanding { ballot_id: receipt.ballot_id, poll: live.poll.slug.as_str(), status };
    let body = serde_json::to_vec(&standing).expect("a ballot's standing has only strings for keys");
    let mut response = uncached(json(body.into()));
    *response.status_mut() = code;
    response
}
