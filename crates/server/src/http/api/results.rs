//! Results: the same object for every client, which a cache in front may keep for one second.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::{HeaderMap, StatusCode};
use serde_json::json;
use throng_domain::clock::Timestamp;
use throng_domain::poll::Viewer;
use throng_domain::store::StoreError;

use super::polls::{ETAG_MEANS, IF_NONE_MATCH_MEANS, NOT_MODIFIED_MEANS, PollPath, with_slug};
use crate::http::openapi::{Operation, Tag, examples};
use crate::http::problem::Problem;
use crate::http::response::{tagged, uncached};
use crate::results::LivePoll;
use crate::state::CoreState;
use crate::view::ResultsView;

/// `GET /api/v1/polls/{slug}/results`.
pub async fn show(
    State(core): State<Arc<CoreState>>,
    PollPath { live, pass }: PollPath,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let now = core.app.clock.now();
    if pass.is_none() && !live.poll.shows_results(Viewer::Anybody, now) {
        return Err(Problem::ResultsHidden);
    }
    let rendered = if live.poll.kind.is_tabulated() {
        let unavailable = |error: StoreError| Problem::ResultsUnavailable(Some(error.to_string()));
        core.app.tabulate(&live).await.map_err(unavailable)?;
        live.rendered_tabulation(now, core.app.age_max_ms())
    } else {
        refresh_result(&core, &live, now).await?;
        None
    };
    let rendered = rendered.unwrap_or_else(|| live.rendered(now, core.app.age_max_ms()));
    let response = tagged(rendered.json.clone(), &rendered.etag, &headers);
    Ok(if pass.is_some() { uncached(response) } else { response })
}

/// How [`show`] is described.
pub fn describe_show() -> Operation {
    with_slug(Operation::new(Tag::Voting, "showResults", "A poll's result"))
        .describe(
            "The counts, with the percentages and what they are shares of. A result with a higher `seq` replaces one with a lower. \
             Shared caches may keep it for one second.",
        )
        .header::<String>("If-None-Match", IF_NONE_MATCH_MEANS, json!("\"1-1782936060000-open-0\""))
        .responds::<ResultsView<'_>>(StatusCode::OK, "The result.", examples::results())
        .with_header("ETag", ETAG_MEANS)
        .responds_empty(StatusCode::NOT_MODIFIED, NOT_MODIFIED_MEANS)
        .with_header("ETag", ETAG_MEANS)
        .problems([Problem::ResultsHidden, Problem::ResultsUnavailable(None)])
}

/// Refreshes the poll's result if it is older than allowed: see [`App::refresh_result`](crate::state::App::refresh_result).
///
/// # Errors
/// [`Problem::ResultsUnavailable`] if it can't be read.
pub async fn refresh_result(core: &CoreState, live: &LivePoll, now: Timestamp) -> Result<(), Problem> {
    core.app.refresh_result(live, now).await.map_err(|error| Problem::ResultsUnavailable(Some(error.to_string())))
}
