//! Results: the same object for every client, which a cache in front may keep for one second.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::HeaderMap;
use throng_domain::clock::Timestamp;
use throng_domain::poll::Viewer;
use throng_domain::store::StoreError;

use super::polls::PollPath;
use crate::http::problem::Problem;
use crate::http::response::{tagged, uncached};
use crate::results::LivePoll;
use crate::state::CoreState;

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

/// Refreshes the poll's result if it is older than allowed: see [`App::refresh_result`](crate::state::App::refresh_result).
///
/// # Errors
/// [`Problem::ResultsUnavailable`] if it can't be read.
pub async fn refresh_result(core: &CoreState, live: &LivePoll, now: Timestamp) -> Result<(), Problem> {
    core.app.refresh_result(live, now).await.map_err(|error| Problem::ResultsUnavailable(Some(error.to_string())))
}
