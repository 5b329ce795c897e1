//! `PUT /api/v1/admin/polls/{slug}`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::StatusCode;
use throng_domain::poll_change::EditFault;
use throng_domain::window::WindowFault;

use super::super::request::{
    Administrator, JsonBody, SlugPath, changed, failed, new_poll_example, responds_poll, with_json_body, with_slug,
    with_status, with_version,
};
use crate::http::openapi::{Operation, Tag, song};
use crate::http::problem::Problem;
use crate::polls::{Applied, PollDefinition, PollError};
use crate::state::CoreState;

/// How [`apply`] is described.
pub fn describe() -> Operation {
    let operation = with_slug(Operation::new(Tag::Polls, "applyPoll", "Create a poll, or change it to what the body says"))
        .describe(
            "The same again changes nothing. What the body leaves out becomes as in a new poll, but when the poll opens and closes \
             stays.",
        )
        .problems([
            Problem::Poll(PollError::SlugTaken(String::new())),
            Problem::Poll(PollError::RehearsalForGood { slug: song(), rehearsal: false }),
            Problem::Poll(PollError::Edit { slug: song(), fault: EditFault::Fixed(vec!["the options"]) }),
            Problem::Poll(PollError::Window { slug: song(), fault: WindowFault::Draft }),
            Problem::Poll(PollError::Invalid(vec!["the title needs 1 to 200 characters".to_owned()])),
        ]);
    let operation = with_version(with_json_body::<PollDefinition>(operation, new_poll_example()));
    let operation = responds_poll(operation, StatusCode::CREATED, "The poll was created.");
    responds_poll(operation, StatusCode::OK, "The poll, which was changed or was so already.")
}

/// `PUT /polls/{slug}`: creates the poll, or changes it so that it is as the body says. The same again changes nothing.
pub async fn apply(
    State(core): State<Arc<CoreState>>,
    SlugPath(slug): SlugPath,
    by: Administrator,
    JsonBody(definition): JsonBody<PollDefinition>,
) -> Result<Response, Problem> {
    if definition.slug != slug {
        return Err(Problem::InvalidBody("its slug is another one than in the address".to_owned()));
    }
    let applied = by.polls(&core).apply(&definition).await.map_err(|error| failed(&core, error))?;
    let response = changed(&core, applied.poll().0).await;
    Ok(match applied {
        Applied::Created(_) => with_status(StatusCode::CREATED, response),
        Applied::Changed(_) | Applied::Unchanged(_) => response,
    })
}
