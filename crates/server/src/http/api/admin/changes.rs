//! Opening, closing and archiving a poll, and passes for load runs in one.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;

use super::request::{Administrator, JsonBody, SlugPath, changed, failed, json_response};
use crate::http::problem::Problem;
use crate::polls::TimeArg;
use crate::state::CoreState;
use crate::view::PassView;

/// When a poll opens and closes.
#[derive(Debug, Deserialize)]
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
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Close {
    /// `now`, a time, or a delay.
    #[serde(default = "now")]
    at: TimeArg,
}

/// Until when a pass is valid.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPass {
    /// A time, or a delay from now.
    expires_at: TimeArg,
}

fn now() -> TimeArg {
    TimeArg::Now
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
