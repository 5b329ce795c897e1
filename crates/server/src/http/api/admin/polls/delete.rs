//! `DELETE /api/v1/admin/polls/{slug}`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::{HeaderMap, StatusCode};

use super::super::request::{
    Administrator, SlugPath, failed, no_content, reload, require_if_match, with_required_version, with_slug,
};
use crate::http::openapi::{Operation, Tag};
use crate::http::problem::Problem;
use crate::state::CoreState;

/// How [`delete`] is described.
pub fn describe() -> Operation {
    let operation = with_slug(Operation::new(Tag::Polls, "deletePoll", "Delete a draft"));
    with_required_version(operation.describe("Only a draft without ballots can be deleted."))
        .responds_empty(StatusCode::NO_CONTENT, "The draft is deleted.")
}

/// `DELETE /polls/{slug}`, with `If-Match`: deletes a draft.
pub async fn delete(
    State(core): State<Arc<CoreState>>,
    SlugPath(slug): SlugPath,
    by: Administrator,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    require_if_match(&headers)?;
    by.polls(&core).delete(&slug).await.map_err(|error| failed(&core, error))?;
    reload(&core).await;
    Ok(no_content())
}
