//! Rules that void ballots: shown before and after first, then applied, and undone the same way.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use throng_domain::ballot::VoterKey;
use throng_domain::poll::{OptionId, Slug};
use throng_domain::void::VoidRule;

use super::request::{
    Administrator, JsonBody, PathParameters, SlugPath, failed, json_response, long_read, reload, with_json_body,
    with_slug, with_version,
};
use crate::http::openapi::{Operation, Tag, song};
use crate::http::problem::Problem;
use crate::polls::{PollError, TimeArg, VoidChange};
use crate::state::CoreState;
use crate::view::VoidChangeView;

/// Which ballots are to be void: those that fit all of the given conditions.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "VoidRule")]
pub struct Rule {
    /// Those that arrived at this time or later.
    #[serde(default)]
    from: Option<TimeArg>,
    /// Those that arrived before this time.
    #[serde(default)]
    until: Option<TimeArg>,
    /// Those of this voter, by the pseudonym in an export.
    #[serde(default)]
    voter: Option<VoterKey>,
    /// Those that chose exactly these options.
    #[serde(default)]
    choices: Option<Vec<OptionId>>,
}

/// How [`add`] is described.
pub fn describe_add() -> Operation {
    let operation = with_slug(Operation::new(Tag::Polls, "voidBallots", "Void ballots by a rule"))
        .describe("Shows the result before and after; with `?apply=true` and a `reason` it is made so.");
    with_version(with_json_body::<Rule>(operation, json!({ "choices": [2] })))
        .responds::<VoidChangeView<'_>>(StatusCode::OK, "The result before and after.", change_example())
        .problems([Problem::LongReadsBusy, differs_again()])
}

/// How [`undo`] is described.
pub fn describe_undo() -> Operation {
    let operation = with_slug(Operation::new(Tag::Polls, "undoVoid", "Undo a rule that voids ballots"))
        .describe("Shows the result before and after; with `?apply=true` and a `reason` it is made so.")
        .path::<u32>("number", "The rule's number in the poll.", json!(1));
    let mut example = change_example();
    example.as_object_mut().expect("it is one").remove("by_this_rule");
    with_version(operation)
        .responds::<VoidChangeView<'_>>(StatusCode::OK, "The result before and after.", example)
        .problems([Problem::LongReadsBusy, Problem::NotFound, differs_again()])
}

fn differs_again() -> Problem {
    Problem::Poll(PollError::DiffersAgain(song()))
}

fn change_example() -> Value {
    json!({
        "poll": "song",
        "applied": false,
        "void_ballots": 1,
        "by_this_rule": 1,
        "voters": { "before": 3, "after": 2 },
        "options": [
            { "id": 1, "label": "Alpha", "before": 2, "after": 2 },
            { "id": 2, "label": "Beta", "before": 1, "after": 0 },
        ],
    })
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
