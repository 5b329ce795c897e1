//! A poll's invitation codes: made in batches, listed and revoked.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use throng_domain::code::BatchName;

use super::request::{Administrator, JsonBody, PathParameters, SlugPath, failed, json_response, with_status};
use crate::http::problem::Problem;
use crate::polls::{NewBatch as MadeBatch, PollError, PollService};
use crate::state::CoreState;
use crate::view::BatchView;
use crate::voting::PolicyKey;

/// The most codes that a request makes; `throng poll codes create` makes more.
const CODES_MAX: u32 = 10_000;

/// A batch to be made.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewBatch {
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

#[derive(Serialize)]
struct Batches<'a> {
    batches: Vec<BatchView<'a>>,
}

#[derive(Serialize)]
struct MadeView<'a> {
    batch: &'a BatchName,
    codes: Vec<String>,
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
