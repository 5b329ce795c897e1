//! `GET` and `DELETE /api/v1/ballots/{ballot_id}`, with the ballot's receipt.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::response::Response;
use hyper::{HeaderMap, StatusCode};
use serde::Serialize;
use throng_domain::ballot::BallotId;
use throng_domain::store::Standing;
use throng_domain::submission::parse_ballot_id;

use crate::http::origin::Peer;
use crate::http::problem::Problem;
use crate::http::requested_poll::THRONG_RECEIPT;
use crate::http::response::{json, uncached};
use crate::http::sender::take_share;
use crate::results::LivePoll;
use crate::state::CoreState;
use crate::voting::{self, Receipt, ReceiptKey, Status};

/// The ballot's id in the path, unless it can't be decoded.
type BallotPath = Result<Path<String>, PathRejection>;

/// What became of a ballot.
#[derive(Serialize)]
struct BallotStanding<'a> {
    ballot_id: BallotId,
    poll: &'a str,
    status: &'static str,
}

/// `GET /api/v1/ballots/{ballot_id}`: what became of the ballot.
pub async fn show(
    State(core): State<Arc<CoreState>>,
    ballot_id: BallotPath,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (receipt, live) = of_receipt(&core, ballot_id, &headers).await?;
    let standing = voting::standing(&core, &live.poll, &receipt).await?;
    Ok(response(StatusCode::OK, &receipt, &live, word(standing)))
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
        Status::Counted | Status::Outdated => response(StatusCode::OK, &receipt, &live, word(Standing::Withdrawn)),
        Status::Accepted => response(StatusCode::ACCEPTED, &receipt, &live, "accepted"),
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

fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Pending => "pending",
        Standing::Counted => "counted",
        Standing::Replaced => "replaced",
        Standing::Withdrawn => "withdrawn",
        Standing::Duplicate => "duplicate",
        Standing::Void => "void",
        Standing::Rejected => "rejected",
    }
}

fn response(code: StatusCode, receipt: &Receipt, live: &LivePoll, status: &'static str) -> Response {
    let standing = BallotStanding { ballot_id: receipt.ballot_id, poll: live.poll.slug.as_str(), status };
    let body = serde_json::to_vec(&standing).expect("a ballot's standing has only strings for keys");
    let mut response = uncached(json(body.into()));
    *response.status_mut() = code;
    response
}
