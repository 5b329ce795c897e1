//! `GET /api/v1/polls/{slug}/challenge?ballot_id=…`.

use std::sync::Arc;

use axum::extract::{Extension, RawQuery, State};
use axum::response::Response;
use hyper::HeaderMap;
use serde::Serialize;

use super::polls::PollPath;
use crate::http::idempotency::ballot_id;
use crate::http::origin::Peer;
use crate::http::problem::Problem;
use crate::http::response::{json, uncached};
use crate::http::sender::RequestSender;
use crate::state::CoreState;
use crate::view::rfc3339_text;
use crate::voting;

/// A challenge for a ballot; all `null` where no proof of work is required now.
#[derive(Default, Serialize)]
struct Given {
    challenge: Option<String>,
    difficulty: Option<u32>,
    expires_at: Option<String>,
}

/// `GET /api/v1/polls/{slug}/challenge`: the challenge whose proof the ballot with this id has to come with.
pub async fn show(
    State(core): State<Arc<CoreState>>,
    PollPath { live, .. }: PollPath,
    Extension(Peer(peer)): Extension<Peer>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = ballot_id(&headers, query.as_deref(), None)?.ok_or_else(|| {
        Problem::NotABallot("A challenge is for one ballot: send the ballot's id, a UUID, as ?ballot_id=.".to_owned())
    })?;
    let sender = RequestSender::of(&core, &live.poll, &headers, peer, None).sender;
    let given = voting::challenge(&core, &live.poll, sender, id)?.map_or_else(Given::default, |challenge| Given {
        challenge: Some(challenge.text),
        difficulty: Some(challenge.difficulty),
        expires_at: Some(rfc3339_text(challenge.expires_at)),
    });
    let body = serde_json::to_vec(&given).expect("a challenge has only strings for keys");
    Ok(uncached(json(body.into())))
}
