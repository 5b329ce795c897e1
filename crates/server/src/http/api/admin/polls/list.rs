//! `GET /api/v1/admin/polls`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use throng_domain::poll::PollId;

use super::super::request::{Parameters, json_response};
use crate::http::openapi::{Operation, Tag, examples};
use crate::http::problem::Problem;
use crate::state::CoreState;
use crate::view::AdminPollView;

/// The most polls in one response.
const PAGE_MAX: usize = 1_000;

/// Which polls to list.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Archived ones too.
    #[serde(default)]
    archived: bool,
    /// Those after this place, from `next` of an earlier response.
    #[serde(default)]
    after: i64,
    /// At most so many.
    #[serde(default = "default_limit")]
    #[schemars(with = "u16", range(min = 1, max = PAGE_MAX))]
    limit: usize,
}

fn default_limit() -> usize {
    100
}

#[derive(JsonSchema, Serialize)]
#[schemars(rename = "PollList")]
struct ListView<'a> {
    polls: Vec<AdminPollView<'a>>,
    next: Option<i64>,
}

/// How [`list`] is described.
pub fn describe() -> Operation {
    Operation::new(Tag::Polls, "listPolls", "The polls")
        .describe("In order of creation; `next` in the response is the `after` of the next page.")
        .query::<ListQuery>()
        .responds::<ListView<'_>>(StatusCode::OK, "A page.", json!({ "polls": [examples::admin_poll()], "next": null }))
        .problems([Problem::InvalidQuery(format!("limit is 1 to {PAGE_MAX}"))])
}

/// `GET /polls`: in order of creation.
pub async fn list(
    State(core): State<Arc<CoreState>>,
    Parameters(query): Parameters<ListQuery>,
) -> Result<Response, Problem> {
    if !(1..=PAGE_MAX).contains(&query.limit) {
        return Err(Problem::InvalidQuery(format!("limit is 1 to {PAGE_MAX}")));
    }
    let (app, now) = (&core.app, core.app.clock.now());
    let (polls, next) = app.polls.page(PollId(query.after), query.limit, query.archived, &app.source).await?;
    let (polls, next) = (polls.iter().map(|poll| AdminPollView::new(poll, now)).collect(), next.map(|next| next.0));
    Ok(json_response(&ListView { polls, next }))
}
