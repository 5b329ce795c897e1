//! The two compatibility routes, on the default poll, as their clients know them.
//!
//! They send and read JSON whatever the content type: a page posts its ballot as text, so that the browser sends no preflight
//! request. Where the poll hides its results, the response is an empty object.

use axum::response::Response;
use bytes::Bytes;
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use throng_domain::ballot::BallotId;
use throng_domain::poll::{Poll, Viewer};
use throng_domain::submission::{self, SentChoices};

use super::results::refresh_result;
use crate::http::problem::Problem;
use crate::http::requested_poll::THRONG_RECEIPT;
use crate::http::response::{json, uncached};
use crate::http::sender::RequestSender;
use crate::state::CoreState;
use crate::voting::{self, MissingId, ReceiptKey, Refusal, Vote};

/// The header with the ballot's proof of work: the body is the choices alone.
const PROOF: HeaderName = HeaderName::from_static("throng-proof");

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
