//! A poll's result, also where it is hidden from voters, and its comparison with the ballots.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use throng_domain::tally::DetailedTallies;

use super::request::{Administrator, SlugPath, failed, json_response, long_read, reload};
use crate::http::problem::Problem;
use crate::polls::RecordKey;
use crate::state::CoreState;
use crate::view::{RecountView, ResultsView, Tabulated};

/// `GET /polls/{slug}/results`: as it is stored now.
pub async fn show(State(core): State<Arc<CoreState>>, SlugPath(slug): SlugPath) -> Result<Response, Problem> {
    let (store, as_of) = (&core.app.source.store, core.app.clock.now());
    let poll = store.poll(&slug).await?.ok_or(Problem::PollNotFound)?;
    let DetailedTallies { tallies, details } = store.detailed_tallies(poll.id).await?;
    let tabulated = Tabulated::of(&poll, &details);
    Ok(json_response(&ResultsView::new(&poll, &tallies, as_of, as_of, false).with(tabulated.as_ref())))
}

/// `GET /polls/{slug}/recount`: the tallies, and what the ballots add up to.
pub async fn recount(
    State(core): State<Arc<CoreState>>,
    SlugPath(slug): SlugPath,
    by: Administrator,
) -> Result<Response, Problem> {
    let _permit = long_read(&core)?;
    let polls = by.polls(&core);
    let poll = polls.find(&slug).await?;
    let counted = polls.recount(&poll).await?;
    Ok(json_response(&RecountView::new(&poll, &counted, false)))
}

/// `GET /polls/{slug}/record`: the signed closing record of a poll whose result is final.
pub async fn record(
    State(core): State<Arc<CoreState>>,
    SlugPath(slug): SlugPath,
    by: Administrator,
) -> Result<Response, Problem> {
    let _permit = long_read(&core)?;
    let record = by.polls(&core).closing_record(&slug, &RecordKey::new(&core.app.record_key)).await?;
    Ok(json_response(record.json()))
}

/// `POST /polls/{slug}/recount`, without a body: corrects the tallies if they don't agree with the ballots.
pub async fn repair(
    State(core): State<Arc<CoreState>>,
    SlugPath(slug): SlugPath,
    by: Administrator,
) -> Result<Response, Problem> {
    let _permit = long_read(&core)?;
    let (poll, counted) = by.polls(&core).repair(&slug).await.map_err(|error| failed(&core, error))?;
    reload(&core).await;
    let repaired = !counted.agrees();
    Ok(json_response(&RecountView::new(&poll, &counted, repaired)))
}
