//! `GET /api/v1/admin/polls/{slug}`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::StatusCode;

use super::super::request::{SlugPath, poll_response, responds_poll, with_slug};
use crate::http::openapi::{Operation, Tag};
use crate::http::problem::Problem;
use crate::state::CoreState;

/// How [`show`] is described.
pub fn describe() -> Operation {
    let operation = with_slug(Operation::new(Tag::Polls, "showPollToAdministrators", "A poll, as it is stored"));
    responds_poll(
        operation.describe("Also a draft. Its `ETag` is its version, for `If-Match`."),
        StatusCode::OK,
        "The poll.",
    )
}

/// `GET /polls/{slug}`: as it is stored.
pub async fn show(State(core): State<Arc<CoreState>>, SlugPath(slug): SlugPath) -> Result<Response, Problem> {
    let poll = core.app.source.store.poll(&slug).await?.ok_or(Problem::PollNotFound)?;
    Ok(poll_response(&core, &poll))
}
