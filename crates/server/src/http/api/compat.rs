//! The two compatibility routes, on the default poll, as their clients know them.
//!
//! They send and read JSON whatever the content type: a page posts its ballot as text, so that the browser sends no preflight
//! request. Where the poll hides its results, the response is an empty object.

use std::collections::BTreeMap;

use axum::response::Response;
use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use schemars::JsonSchema;
use serde_json::json as json_value;
use throng_domain::ballot::BallotId;
use throng_domain::poll::{Poll, Viewer};
use throng_domain::submission::{self, CompatSubmission, SentChoices};

use super::ballots::refusals;
use super::results::refresh_result;
use crate::http::body::BODY_BYTES_MAX;
use crate::http::openapi::{Operation, Tag, body_problems, examples, voter_problems};
use crate::http::problem::Problem;
use crate::http::requested_poll::THRONG_RECEIPT;
use crate::http::response::{json, uncached};
use crate::http::sender::RequestSender;
use crate::state::CoreState;
use crate::voting::{self, MissingId, ReceiptKey, Refusal, Vote};

/// The header with the ballot's proof of work: the body is the choices alone.
const PROOF: HeaderName = HeaderName::from_static("throng-proof");

/// How often each option of the default poll was chosen, by the options' ids; empty where the poll hides its result.
///
/// Only for the description: the bytes are made [once for all readers](crate::results::Snapshot::compat).
#[derive(JsonSchema)]
#[schemars(rename = "CompatResult", transparent)]
pub struct CompatCounts(#[expect(dead_code, reason = "it is only described")] BTreeMap<String, u64>);

const HIDDEN: Bytes = Bytes::from_static(b"{}");

/// `POST /api/submit`: a ballot, such as `[1,3]`; the response is the result with that ballot included. A ballot with an id
/// may have been sent before. `sender` finds out who sent it, as the poll asks, and whether they may send one now: before the
/// body is parsed.
///
/// # Errors
/// Why the ballot wasn't counted.
pub async fn submit<B: From<Bytes>>(
    core: &CoreState,
    sender: impl FnOnce(&Poll) -> Result<RequestSender, Refusal>,
    ballot_id: Option<BallotId>,
    proof: Option<String>,
    body: &[u8],
) -> Result<Response<B>, Problem> {
    let (cookie, casting) = {
        let polls = core.app.polls.current();
        let live = polls.default_poll().ok_or(Problem::PollNotFound)?;
        let RequestSender { sender, address, cookie } = sender(&live.poll)?;
        let choices = SentChoices::Options(submission::parse_compat(body)?);
        let vote = Vote { choices, ballot_id, proof, missing_id: MissingId::Generate, pass: None, sender, address };
        (cookie, voting::cast(core, &live.poll, vote))
    };
    let cast = casting.await?;
    let mut response = json(if cast.shows_results { cast.compat_result } else { HIDDEN });
    cookie.keep(cast.token.as_ref(), response.headers_mut());
    let receipt = cast.receipt.text(ReceiptKey(&core.app.ballot_receipt_key));
    let receipt = HeaderValue::from_maybe_shared(Bytes::from(receipt)).expect("digits and dashes fit in a header");
    response.headers_mut().insert(THRONG_RECEIPT, receipt);
    Ok(response)
}

/// How [`submit`] is described.
pub fn describe_submit() -> Operation {
    Operation::new(Tag::Compatibility, "submit", "Vote in the default poll")
        .describe(
            "With any content type. A ballot without an id is a new ballot each time it arrives, also if a client or a proxy sends \
             it again by itself: send a new UUID as `Idempotency-Key`.",
        )
        .parameter_in_query::<BallotId>("ballot_id", "The ballot's id.", json_value!(examples::BALLOT_ID))
        .header::<String>("Idempotency-Key", "The ballot's id.", json_value!(examples::BALLOT_ID))
        .header::<String>("Throng-Voter", "The voter's token or code, where the poll's policy needs one.", json_value!("ABCD-EFGH-JKMN-PQRS"))
        .header::<String>("Throng-Proof", "The proof of work, where the poll requires one.", json_value!("1.1782936300.10000.c0de"))
        .body_of::<CompatSubmission>(&["application/json", "text/plain"], json_value!([1, 3]))
        .responds::<CompatCounts>(StatusCode::OK, RESULT_MEANS, json_value!({ "1": 4, "2": 0, "3": 9 }))
        .with_header("Throng-Receipt", "What proves that the ballot was accepted.")
        .problems(body_problems(BODY_BYTES_MAX))
        .problems([
            Problem::OriginNotAllowed,
            Problem::OriginNotListed,
            Problem::Refused(Refusal::Rehearsal),
            Problem::PollNotFound,
            Problem::NotABallot("expected value at line 1 column 1.".to_owned()),
        ])
        .problems(refusals())
        .problems(voter_problems())
}

/// How [`result`] is described.
pub fn describe_result() -> Operation {
    Operation::new(Tag::Compatibility, "result", "The result of the default poll")
        .responds::<CompatCounts>(StatusCode::OK, RESULT_MEANS, json_value!({ "1": 4, "2": 0, "3": 9 }))
        .problems([Problem::PollNotFound, Problem::ResultsUnavailable(None)])
}

const RESULT_MEANS: &str =
    "How often each option was chosen, by the options' ids; an empty object where the poll hides its result.";

/// The proof of work in a request's headers; what isn't text is no valid proof.
pub fn proof(headers: &HeaderMap) -> Option<String> {
    headers.get(PROOF).map(|proof| String::from_utf8_lossy(proof.as_bytes()).into_owned())
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
