//! `POST /api/v1/admin/polls`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::StatusCode;
use hyper::header::{HeaderValue, LOCATION};

use super::super::request::{
    Administrator, JsonBody, changed, failed, new_poll_example, responds_poll, with_change, with_json_body, with_status,
};
use crate::http::openapi::{Operation, Tag};
use crate::http::problem::Problem;
use crate::polls::{PollDefinition, PollError};
use crate::state::CoreState;

/// How [`create`] is described.
pub fn describe() -> Operation {
    let operation = Operation::new(Tag::Polls, "createPoll", "Create a poll")
        .describe("Without `opens_at` it is a draft, which only administrators see.")
        .problems([
            Problem::Poll(PollError::SlugTaken(String::new())),
            Problem::Poll(PollError::Invalid(vec!["the title needs 1 to 200 characters".to_owned()])),
        ]);
    let operation = with_change(with_json_body::<PollDefinition>(operation, new_poll_example()));
    responds_poll(operation, StatusCode::CREATED, "The poll.").with_header("Location", "Its address.")
}

/// `POST /polls`: creates a poll.
pub async fn create(
    State(core): State<Arc<CoreState>>,
    by: Administrator,
    JsonBody(definition): JsonBody<PollDefinition>,
) -> Result<Response, Problem> {
    let (new, schedule) = definition.into_new_poll()?;
    let poll = by.polls(&core).create(new, schedule).await.map_err(|error| failed(&core, error))?;
    let mut response = with_status(StatusCode::CREATED, changed(&core, &poll).await);
    let location =
        HeaderValue::from_str(&format!("/api/v1/admin/polls/{}", poll.slug)).expect("a slug fits in a header");
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}
