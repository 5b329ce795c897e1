//! Rules that void ballots: shown before and after first, then applied, and undone the same way.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use throng_domain::ballot::VoterKey;
use throng_domain::poll::{OptionId, Slug};
use throng_domain::void::VoidRule;

use super::request::{Administrator, JsonBody, PathParameters, SlugPath, failed, json_response, long_read, reload};
use crate::http::problem::Problem;
use crate::polls::{TimeArg, VoidChange};
use crate::state::CoreState;
use crate::view::VoidChangeView;

/// Which ballots are to be void: those that fit all of the given conditions.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    #[serde(default)]
    from: Option<TimeArg>,
    #[serde(default)]
    until: Option<TimeArg>,
    #[serde(default)]
    voter: Option<VoterKey>,
    #[serde(default)]
    choices: Option<Vec<OptionId>>,
}

/// `POST /polls/{slug}/voids`: the result before and after; with `?apply=true&reason=…` it is made so.
pub async fn add(
    State(core): State<Arc<CoreState>>,
    SlugPath(slug): SlugPath,
    by: Administrator,
    JsonBody(rule): JsonBody<Rule>,
) -> Result<Response, Problem> {
    let now = core.app.clock.now();
    let time = |time: Option<TimeArg>| time.map(|time| time.resolve(now, now));
    let mut choices = rule.choices;
    if let Some(choices) = &mut choices {
        choices.sort_unstable();
        choices.dedup();
    }
    let rule = VoidRule { from: time(rule.from), until: time(rule.until), voter: rule.voter, choices };
    change(&core, &slug, &by, VoidChange::Add(rule)).await
}

/// `DELETE /polls/{slug}/voids/{number}`: the result before and after; with `?apply=true&reason=…` the rule is undone.
pub async fn undo(
    State(core): State<Arc<CoreState>>,
    SlugPath(slug): SlugPath,
    PathParameters(NumberPath { number }): PathParameters<NumberPath>,
    by: Administrator,
) -> Result<Response, Problem> {
    change(&core, &slug, &by, VoidChange::Undo(number)).await
}

/// The number of a rule in the path.
#[derive(Debug, Deserialize)]
pub struct NumberPath {
    number: u32,
}

async fn change(
    core: &Arc<CoreState>,
    slug: &Slug,
    by: &Administrator,
    change: VoidChange,
) -> Result<Response, Problem> {
    let apply = by.apply;
    let (polls, adds) = (by.polls(core), matches!(change, VoidChange::Add(_)));
    if apply {
        by.require_reason()?;
    }
    let _permit = long_read(core)?;
    let changed = if apply { polls.change_voids(slug, change).await } else { polls.preview(slug, &change).await };
    let (poll, counted) = changed.map_err(|error| failed(core, error))?;
    if apply {
        reload(core).await;
    }
    Ok(json_response(&VoidChangeView::new(&poll, &counted, adds, apply)))
}
