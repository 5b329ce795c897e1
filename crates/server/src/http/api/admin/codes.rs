//! A poll's invitation codes: made in batches, listed and revoked.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use throng_domain::code::BatchName;
use throng_domain::policy::Policy;

use super::request::{
    Administrator, ChangeQuery, JsonBody, PathParameters, SlugPath, failed, json_response, with_json_body, with_slug,
    with_status, with_version,
};
use crate::http::openapi::{Operation, Tag, song};
use crate::http::problem::Problem;
use crate::polls::{NewBatch as MadeBatch, PollError, PollService};
use crate::state::CoreState;
use crate::view::BatchView;
use crate::voting::PolicyKey;

/// The most codes that a request makes; `throng poll codes create` makes more.
const CODES_MAX: u32 = 10_000;

/// A batch to be made.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewCodes")]
pub struct NewBatch {
    /// How many codes.
    #[schemars(range(min = 1, max = 10_000))]
    count: u32,
    /// Its name; batch- and its number, if none is given.
    #[serde(default)]
    batch: Option<BatchName>,
}

/// The name of a batch in the path.
#[derive(Debug, Deserialize)]
pub struct BatchPath {
    batch: BatchName,
}

#[derive(JsonSchema, Serialize)]
#[schemars(rename = "CodeBatches")]
struct Batches<'a> {
    batches: Vec<BatchView<'a>>,
}

#[derive(JsonSchema, Serialize)]
#[schemars(rename = "MadeCodes")]
struct MadeView<'a> {
    batch: &'a BatchName,
    codes: Vec<String>,
}

/// How [`list`] is described.
pub fn describe_list() -> Operation {
    with_slug(Operation::new(Tag::Codes, "listCodeBatches", "The batches of codes that a poll has"))
        .describe("Without the codes, which aren't stored.")
        .query::<ChangeQuery>()
        .responds::<Batches<'_>>(StatusCode::OK, "The batches.", json!({ "batches": [batch_example()] }))
        .problems([no_codes(), Problem::InvalidQuery("unknown field `limit`".to_owned())])
}

/// How [`create`] is described.
pub fn describe_create() -> Operation {
    let operation = with_slug(Operation::new(Tag::Codes, "createCodes", "Make a batch of codes"))
        .describe("Only this response has the codes.");
    let operation = with_json_body::<NewBatch>(operation, json!({ "count": 2, "batch": "members" }));
    let codes = json!({ "batch": "members", "codes": ["ABCD-EFGH-JKMN-PQRS", "0123-4567-89AB-CDEF"] });
    with_version(operation).responds::<MadeView<'_>>(StatusCode::CREATED, "The codes.", codes).problems([no_codes()])
}

/// How [`revoke`] is described.
pub fn describe_revoke() -> Operation {
    let operation = with_slug(Operation::new(Tag::Codes, "revokeCodes", "Revoke a batch of codes"))
        .describe("Ballots that were cast with its codes stay.")
        .path::<BatchName>("batch", "The batch's name.", json!("members"));
    with_version(operation).responds::<BatchView<'_>>(StatusCode::OK, "The batch.", batch_example()).problems([
        no_codes(),
        Problem::NotFound,
        Problem::Poll(PollError::NoSuchBatch { slug: song(), name: BatchName::of_number(7) }),
    ])
}

fn batch_example() -> Value {
    json!({
        "batch": "members",
        "codes": 2,
        "made_at": "2026-07-01T20:00:00.000Z",
        "exported_at": "2026-07-01T20:00:00.100Z",
        "revoked_at": null,
    })
}

fn no_codes() -> Problem {
    Problem::Poll(PollError::HasNoCodes { slug: song(), policy: Policy::Device })
}

/// `GET /polls/{slug}/codes`: the batches, without the codes, which aren't stored.
pub async fn list(
    State(core): State<Arc<CoreState>>,
    SlugPath(slug): SlugPath,
    by: Administrator,
) -> Result<Response, Problem> {
    let batches = by.polls(&core).batches(&slug).await?;
    Ok(json_response(&Batches { batches: batches.iter().map(BatchView::from).collect() }))
}

/// `POST /polls/{slug}/codes`: makes a batch; only this response has the codes.
pub async fn create(
    State(core): State<Arc<CoreState>>,
    SlugPath(slug): SlugPath,
    by: Administrator,
    JsonBody(NewBatch { count, batch }): JsonBody<NewBatch>,
) -> Result<Response, Problem> {
    if !(1..=CODES_MAX).contains(&count) {
        return Err(Problem::InvalidBody(format!(
            "count is 1 to {CODES_MAX}; for more at once, use `throng poll codes create`"
        )));
    }
    let polls = by.polls(&core);
    let key = PolicyKey(&core.app.policy_key);
    let new = polls.begin_batch(&slug, batch, count, key, rand::random).await.map_err(|error| failed(&core, error))?;
    if let Err(error) = store(polls, &new).await {
        // Nobody gets its codes.
        let _ = polls.revoke_batch(&slug, &new.batch.name).await;
        return Err(failed(&core, error));
    }
    let codes = new.parts().flatten().map(|(_, code)| code.to_string()).collect();
    Ok(with_status(StatusCode::CREATED, json_response(&MadeView { batch: &new.batch.name, codes })))
}

async fn store(polls: PollService<'_>, new: &MadeBatch) -> Result<(), PollError> {
    for part in new.parts() {
        polls.store_part(new, part).await?;
    }
    polls.finish_batch(new).await
}

/// `DELETE /polls/{slug}/codes/{batch}`: revokes the batch. Ballots that were cast with its codes stay.
pub async fn revoke(
    State(core): State<Arc<CoreState>>,
    SlugPath(slug): SlugPath,
    PathParameters(BatchPath { batch }): PathParameters<BatchPath>,
    by: Administrator,
) -> Result<Response, Problem> {
    let revoked = by.polls(&core).revoke_batch(&slug, &batch).await.map_err(|error| failed(&core, error))?;
    Ok(json_response(&BatchView::from(&revoked)))
}
