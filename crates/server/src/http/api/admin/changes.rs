//! Opening, closing and archiving a poll, and passes for load runs in one.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use throng_domain::window::WindowFault;

use super::request::{
    Administrator, JsonBody, SlugPath, changed, failed, json_response, responds_poll, with_change, with_json_body,
    with_slug, with_version,
};
use crate::http::openapi::{Operation, Tag, song};
use crate::http::problem::Problem;
use crate::polls::{PollError, TimeArg};
use crate::state::CoreState;
use crate::view::PassView;

/// When a poll opens and closes.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// When it opens: `now`, a time, or a delay.
    #[serde(default = "now")]
    at: TimeArg,
    /// When it closes; a delay counts from the opening.
    #[serde(default)]
    closes_at: Option<TimeArg>,
    /// Lets a closed poll accept ballots again, from now on.
    #[serde(default)]
    again: bool,
}

/// When a poll closes.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Close {
    /// `now`, a time, or a delay.
    #[serde(default = "now")]
    at: TimeArg,
}

/// Until when a pass is valid.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPass {
    /// A time, or a delay from now.
    expires_at: TimeArg,
}

fn now() -> TimeArg {
    TimeArg::Now
}

/// How [`open`] is described.
pub fn describe_open() -> Operation {
    let operation = with_slug(Operation::new(Tag::Polls, "openPoll", "Open a poll, or set when it opens"));
    let operation = with_json_body::<Open>(operation, json!({ "at": "now", "closes_at": "+2h" }));
    responds_poll(with_version(operation), StatusCode::OK, THE_POLL).problems([not_so()])
}

/// How [`close`] is described.
pub fn describe_close() -> Operation {
    let operation = with_slug(Operation::new(Tag::Polls, "closePoll", "Close a poll, or set when it closes"));
    let operation = with_json_body::<Close>(operation, json!({ "at": "+2h" }));
    responds_poll(with_version(operation), StatusCode::OK, THE_POLL).problems([not_so()])
}

/// How [`archive`] is described.
pub fn describe_archive() -> Operation {
    let operation = with_slug(Operation::new(Tag::Polls, "archivePoll", "Archive a poll whose result is final"));
    responds_poll(with_version(operation), StatusCode::OK, THE_POLL)
}

/// How [`unarchive`] is described.
pub fn describe_unarchive() -> Operation {
    let operation = with_slug(Operation::new(Tag::Polls, "unarchivePoll", "Take an archived poll back"));
    responds_poll(with_version(operation), StatusCode::OK, THE_POLL)
}

const THE_POLL: &str = "The poll as it is now.";

fn not_so() -> Problem {
    Problem::Poll(PollError::Window { slug: song(), fault: WindowFault::Draft })
}

/// `POST /polls/{slug}/open`.
pub async fn open(
    State(core): State<Arc<CoreState>>,
    SlugPath(slug): SlugPath,
    by: Administrator,
    JsonBody(Open { at, closes_at, again }): JsonBody<Open>,
) -> Result<Response, Problem> {
    if again && at != TimeArg::Now {
        return Err(Problem::InvalidBody("a closed poll accepts ballots again from now on; leave out `at`".to_owned()));
    }
    let polls = by.polls(&core);
    let opened = if again { polls.reopen(&slug, closes_at).await } else { polls.open(&slug, at, closes_at).await };
    Ok(changed(&core, &opened.map_err(|error| failed(&core, error))?).await)
}

/// `POST /polls/{slug}/close`.
pub async fn close(
    State(core): State<Arc<CoreState>>,
    SlugPath(slug): SlugPath,
    by: Administrator,
    JsonBody(Close { at }): JsonBody<Close>,
) -> Result<Response, Problem> {
    let closed = by.polls(&core).close(&slug, at).await.map_err(|error| failed(&core, error))?;
    Ok(changed(&core, &closed).await)
}

/// `POST /polls/{slug}/archive`, without a body.
pub async fn archive(
    State(core): State<Arc<CoreState>>,
    SlugPath(slug): SlugPath,
    by: Administrator,
) -> Result<Response, Problem> {
    let archived = by.polls(&core).archive(&slug, true).await.map_err(|error| failed(&core, error))?;
    Ok(changed(&core, &archived).await)
}

/// `POST /polls/{slug}/unarchive`, without a body.
pub async fn unarchive(
    State(core): State<Arc<CoreState>>,
    SlugPath(slug): SlugPath,
    by: Administrator,
) -> Result<Response, Problem> {
    let back = by.polls(&core).archive(&slug, false).await.map_err(|error| failed(&core, error))?;
    Ok(changed(&core, &back).await)
}

/// How [`pass`] is described.
pub fn describe_pass() -> Operation {
    let operation = with_slug(Operation::new(Tag::Polls, "makePass", "Make a pass for load runs in a rehearsal"));
    let operation = with_json_body::<NewPass>(operation, json!({ "expires_at": "+1h" }));
    let example = json!({ "pass": "1785528000000.0123456789abcdef", "expires_at": "2026-07-31T20:00:00.000Z" });
    with_change(operation)
        .responds::<PassView<'_>>(StatusCode::OK, "The pass, for the header `Throng-Rehearsal`.", example)
        .problems([Problem::Poll(PollError::NotARehearsal(song()))])
}

/// `POST /polls/{slug}/pass`: a pass for load runs in a rehearsal. Nothing is changed.
pub async fn pass(
    State(core): State<Arc<CoreState>>,
    SlugPath(slug): SlugPath,
    by: Administrator,
    JsonBody(NewPass { expires_at }): JsonBody<NewPass>,
) -> Result<Response, Problem> {
    let pass = by.polls(&core).pass(&slug, expires_at, &core.app.rehearsal_key).await?;
    Ok(json_response(&PassView::new(&pass.text, pass.expires_at)))
}
