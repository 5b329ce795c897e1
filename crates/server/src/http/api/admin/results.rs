//! A poll's result, also where it is hidden from voters, and its comparison with the ballots.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::StatusCode;
use serde_json::{Value, json};

use throng_domain::tally::DetailedTallies;

use super::request::{
    Administrator, ChangeQuery, SlugPath, failed, json_response, long_read, reload, with_slug, with_version,
};
use crate::http::openapi::{Operation, Tag, examples, song};
use crate::http::problem::Problem;
use crate::polls::{PollError, RecordKey, SignedRecord};
use crate::state::CoreState;
use crate::view::{RecountView, ResultsView, Tabulated};

/// How [`show`] is described.
pub fn describe_show() -> Operation {
    with_slug(Operation::new(Tag::Polls, "showResultsToAdministrators", "A poll's result, as it is stored now"))
        .describe("Also where it is hidden from voters.")
        .responds::<ResultsView<'_>>(StatusCode::OK, "The result.", examples::results())
}

/// How [`recount`] is described.
pub fn describe_recount() -> Operation {
    with_slug(Operation::new(Tag::Polls, "recountPoll", "Compare a poll's tallies with its ballots"))
        .query::<ChangeQuery>()
        .responds::<RecountView<'_>>(StatusCode::OK, "Both counts.", recount_example())
        .problems([Problem::LongReadsBusy, Problem::InvalidQuery("unknown field `limit`".to_owned())])
}

/// How [`repair`] is described.
pub fn describe_repair() -> Operation {
    let operation = with_slug(Operation::new(Tag::Polls, "repairTallies", "Correct a poll's tallies"))
        .describe("If they don't agree with the ballots.");
    with_version(operation)
        .responds::<RecountView<'_>>(StatusCode::OK, "Both counts, as they were found.", recount_example())
        .problems([Problem::LongReadsBusy])
}

/// How [`record`] is described.
pub fn describe_record() -> Operation {
    with_slug(Operation::new(Tag::Polls, "showClosingRecord", "The signed closing record of a poll"))
        .describe("Once its result is final. The signature is Ed25519 over the canonical JSON (RFC 8785) of `record`.")
        .query::<ChangeQuery>()
        .responds::<SignedRecord>(StatusCode::OK, "The record.", record_example())
        .problems([
            Problem::Poll(PollError::NotFinal(song())),
            Problem::Poll(PollError::RecordDisagrees(song())),
            Problem::Poll(PollError::Busy(throng_domain::store::StoreError::Conflict(String::new()))),
            Problem::LongReadsBusy,
            Problem::InvalidQuery("unknown field `limit`".to_owned()),
        ])
}

fn record_example() -> Value {
    json!({
        "record": {
            "format": "throng-closing-record/1",
            "software": concat!("throng ", env!("CARGO_PKG_VERSION")),
            "made_at": "2026-07-01T22:01:00.000Z",
            "poll": examples::admin_poll(),
            "result": {
                "seq": 1,
                "voters": 1,
                "options": [{ "id": 1, "label": "Alpha", "count": 1 }],
                "agrees_with_ballots": true,
            },
            "ballots": {
                "recorded": 1,
                "counted": 1,
                "superseded": 0,
                "void": 0,
                "void_by_rule": [],
                "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            },
            "missing": ["votes that were refused, by reason"],
            "changes": [],
        },
        "signature": { "algorithm": "Ed25519", "public_key": "…", "value": "…" },
    })
}

fn recount_example() -> Value {
    json!({
        "poll": "song",
        "equal": true,
        "repaired": false,
        "voters": { "tallies": 3, "ballots": 3 },
        "options": [
            { "id": 1, "label": "Alpha", "tallies": 2, "ballots": 2 },
            { "id": 2, "label": "Beta", "tallies": 1, "ballots": 1 },
        ],
    })
}

/// `GET /polls/{slug}/results`: as it is stored now.
pub async fn show(State(core): State<Arc<CoreState>>, SlugPath(slug): SlugPath) -> Result<Response, Problem> {
    let (store, as_of) = (&core.app.source.store, core.app.clock.now());
    let poll = store.poll(&slug).await?.ok_or(Problem::PollNotFound)?;
    let DetailedTallies { tallies, details } = store.detailed_tallies(poll.id).await?;
    let tabulated = Tabulated::of(&poll, details);
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
