//! `GET /api/v1/polls/{slug}/challenge?ballot_id=…`.

use std::sync::Arc;

use axum::extract::{Extension, RawQuery, State};
use axum::response::Response;
use hyper::{HeaderMap, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use throng_domain::ballot::BallotId;

use super::polls::{PollPath, with_slug};
use crate::http::idempotency::ballot_id;
use crate::http::openapi::{Operation, Tag, examples, voter_problems};
use crate::http::origin::Peer;
use crate::http::problem::Problem;
use crate::http::response::{json, uncached};
use crate::http::sender::RequestSender;
use crate::state::CoreState;
use crate::view::{Rfc3339, rfc3339_text};
use crate::voting;

/// A challenge for a ballot; all `null` where no proof of work is required now.
#[derive(Default, JsonSchema, Serialize)]
#[schemars(rename = "BallotChallenge")]
struct Given {
    /// What to solve.
    challenge: Option<String>,
    /// How often a hash is computed, on average, until it is solved.
    difficulty: Option<u32>,
    #[schemars(with = "Option<Rfc3339>")]
    expires_at: Option<String>,
}

/// How [`show`] is described.
pub fn describe_show() -> Operation {
    with_slug(Operation::new(Tag::Voting, "showChallenge", "What to solve for a ballot"))
        .describe("A challenge, where the poll requires a proof of work for the ballot with this id now.")
        .parameter_in_query::<BallotId>("ballot_id", "The id of the ballot.", json!(examples::BALLOT_ID))
        .header::<String>(
            "Idempotency-Key",
            "The id of the ballot, in the place of `ballot_id`.",
            json!(examples::BALLOT_ID),
        )
        .header::<String>(
            "Throng-Voter",
            "The voter's token or code, where the poll's policy needs one.",
            json!("ABCD-EFGH-JKMN-PQRS"),
        )
        .responds::<Given>(
            StatusCode::OK,
            "The challenge; `null` where no proof is required now.",
            json!({ "challenge": null, "difficulty": null, "expires_at": null }),
        )
        .problems([Problem::NotABallot("A challenge is for one ballot: send the ballot's id.".to_owned())])
        .problems(voter_problems())
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
