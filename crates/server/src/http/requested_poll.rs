//! The poll that a request is about, as far as its address and its receipt say.
//!
//! A poll may list the origins whose pages vote in it. So it has to be known before a request's body is read, and when its response
//! gets the headers for other sites' pages.

use std::sync::Arc;

use axum::extract::{FromRequestParts as _, RawPathParams, Request};
use hyper::header::{HeaderName, ORIGIN};
use throng_domain::submission::parse_ballot_id;

use crate::results::LivePoll;
use crate::state::CoreState;
use crate::voting::{Receipt, ReceiptKey};

/// The paths of the compatibility routes, which are about the default poll.
pub const SUBMIT: &str = "/api/submit";
pub const RESULT: &str = "/api/result";

/// The header with a ballot's receipt.
pub const THRONG_RECEIPT: HeaderName = HeaderName::from_static("throng-receipt");

/// The poll, in the extensions of the request once it was found.
#[derive(Clone, Debug)]
pub struct RequestedPoll(pub Arc<LivePoll>);

/// The poll that a request is about. `None` if it is about none, or there is no such poll, or that isn't known, since the store is
/// unavailable: what responds to the request finds out which.
pub async fn requested_poll(core: &CoreState, request: &mut Request) -> Option<Arc<LivePoll>> {
    if let Some(RequestedPoll(known)) = request.extensions().get() {
        return Some(Arc::clone(known));
    }
    let found = find(core, request).await?;
    request.extensions_mut().insert(RequestedPoll(Arc::clone(&found)));
    Some(found)
}

async fn find(core: &CoreState, request: &mut Request) -> Option<Arc<LivePoll>> {
    let (polls, source) = (&core.app.polls, &core.app.source);
    if matches!(request.uri().path(), SUBMIT | RESULT) {
        return polls.current().default_poll().cloned();
    }
    let (mut parts, body) = std::mem::take(request).into_parts();
    let params = RawPathParams::from_request_parts(&mut parts, core).await;
    *request = Request::from_parts(parts, body);
    let params = params.ok()?;
    let param = |wanted| params.iter().find_map(|(name, value)| (name == wanted).then_some(value));
    // A show has a slug, too.
    let is_polls = request.uri().path().contains("/polls/");
    if let Some(slug) = param("slug").filter(|_| is_polls) {
        return polls.find(slug, source).await.ok().flatten();
    }
    // Only pages are of an origin.
    let receipt = request.headers().get(THRONG_RECEIPT).filter(|_| request.headers().contains_key(ORIGIN))?;
    let key = ReceiptKey(&core.app.ballot_receipt_key);
    let receipt = Receipt::verified(key, receipt.to_str().ok()?, parse_ballot_id(param("ballot_id")?)?)?;
    polls.get(receipt.poll, source).await.ok().flatten()
}
