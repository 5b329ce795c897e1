//! Who changed what.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use throng_domain::poll::Slug;

use super::request::{Parameters, json_response};
use crate::http::openapi::{Operation, Tag};
use crate::http::problem::Problem;
use crate::state::CoreState;
use crate::view::AuditView;

/// The most entries in one response.
const PAGE_MAX: usize = 1_000;

/// Which changes to list.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditQuery {
    /// Those of this poll, which may be deleted.
    poll: Option<Slug>,
    /// Those before the one with this number.
    before: Option<u64>,
    /// At most so many.
    #[serde(default = "default_limit")]
    #[schemars(with = "u16", range(min = 1, max = PAGE_MAX))]
    limit: usize,
}

fn default_limit() -> usize {
    100
}

#[derive(JsonSchema, Serialize)]
#[schemars(rename = "ChangeList")]
struct Changes<'a> {
    changes: Vec<AuditView<'a>>,
}

/// How [`list`] is described.
pub fn describe_list() -> Operation {
    let change = json!({
        "number": 2,
        "at": "2026-07-01T20:00:00.000Z",
        "author": "anna#1@api",
        "reason": "spring",
        "action": "open",
        "poll": "song",
        "changes": { "opens_at": [null, "2026-07-01T20:00:00.000Z"] },
    });
    Operation::new(Tag::Access, "listChanges", "Who changed what")
        .describe("The last change first.")
        .query::<AuditQuery>()
        .responds::<Changes<'_>>(StatusCode::OK, "A page.", json!({ "changes": [change] }))
        .problems([Problem::InvalidQuery(format!("limit is 1 to {PAGE_MAX}"))])
}

/// `GET /audit`: the last change first.
pub async fn list(
    State(core): State<Arc<CoreState>>,
    Parameters(query): Parameters<AuditQuery>,
) -> Result<Response, Problem> {
    if !(1..=PAGE_MAX).contains(&query.limit) {
        return Err(Problem::InvalidQuery(format!("limit is 1 to {PAGE_MAX}")));
    }
    let entries = core.app.source.store.audit_log(query.poll.as_ref(), query.before, query.limit).await?;
    Ok(json_response(&Changes { changes: entries.iter().map(AuditView::from).collect() }))
}
