//! The export of a poll's ballots.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use hyper::StatusCode;
use hyper::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use throng_domain::poll::{Poll, Slug};
use throng_domain::store::{Cursor, Store, StoreError};
use tokio::sync::OwnedSemaphorePermit;
use tracing::error;

use super::request::{Parameters, SlugPath, with_slug};
use crate::http::openapi::{Operation, Tag};
use crate::http::problem::Problem;
use crate::polls::{EXPORT_PAGE_BALLOTS, Export, ExportFormat, RankingFormat, rankings_text};
use crate::state::CoreState;

/// How the ballots are written.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportQuery {
    /// The format.
    #[serde(default)]
    format: Format,
    /// Whether each ballot has a pseudonym of its voter.
    #[serde(default)]
    voters: bool,
}

/// The word for a format.
#[derive(Clone, Copy, Debug, Default, JsonSchema, Deserialize)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "ExportFormat")]
enum Format {
    #[default]
    Csv,
    Ndjson,
    Blt,
    Soi,
}

/// An export under way.
struct Pages {
    store: Arc<dyn Store>,
    poll: Poll,
    format: ExportFormat,
    voters: bool,
    next: Next,
    _permit: OwnedSemaphorePermit,
}

/// What is written next.
enum Next {
    Header,
    Page(Option<Cursor>),
    Nothing,
}

/// How [`export`] is described.
pub fn describe_export() -> Operation {
    let csv = "ballot_id,accepted_at,choices,policy\n018f4d1e-7c00-7000-8000-000000000001,2026-07-01T20:01:00.000Z,1 3,unlimited\n";
    let ndjson = "{\"ballot_id\":\"018f4d1e-7c00-7000-8000-000000000001\",\"accepted_at\":\"2026-07-01T20:01:00.000Z\",\
                  \"choices\":[1,3],\"policy\":\"unlimited\"}\n";
    with_slug(Operation::new(Tag::Polls, "exportBallots", "Every ballot of a poll"))
        .describe("A line each, in the order of their keys; with the formats `blt` and `soi`, of a ranked poll, each ranking that counts with its number of ballots. If the database fails meanwhile, the response is cut off.")
        .query::<ExportQuery>()
        .responds_as::<str>(StatusCode::OK, "The ballots.", "text/csv", json!(csv))
        .responds_as::<str>(StatusCode::OK, "The ballots.", "application/x-ndjson", json!(ndjson))
        .responds_as::<str>(StatusCode::OK, "The ballots.", "text/plain", json!("2 1\n1 1 2 0\n0\n\"Alpha\"\n\"Beta\"\n\"Song?\"\n"))
        .with_header("Content-Disposition", "A name for the file.")
        .problems([
            Problem::InvalidQuery("unknown variant `xml`, expected `csv` or `ndjson`".to_owned()),
            Problem::LongReadsBusy,
        ])
}

/// `GET /polls/{slug}/ballots`: every ballot, a line each, read and sent page by page. If the database fails meanwhile, the response
/// is cut off, which an HTTP client reports as an error.
pub async fn export(
    State(core): State<Arc<CoreState>>,
    SlugPath(slug): SlugPath,
    Parameters(query): Parameters<ExportQuery>,
) -> Result<Response, Problem> {
    let permit = Arc::clone(&core.app.exports).try_acquire_owned().map_err(|_| Problem::LongReadsBusy)?;
    let store = Arc::clone(&core.app.source.store);
    let poll = store.poll(&slug).await?.ok_or(Problem::PollNotFound)?;
    let (format, media_type, extension) = match query.format {
        Format::Csv => (ExportFormat::Csv, "text/csv; charset=utf-8; header=present", "csv"),
        Format::Ndjson => (ExportFormat::Ndjson, "application/x-ndjson", "ndjson"),
        Format::Blt => return rankings(&*store, &poll, RankingFormat::Blt).await,
        Format::Soi => return rankings(&*store, &poll, RankingFormat::Soi).await,
    };
    let pages = Pages { store, poll, format, voters: query.voters, next: Next::Header, _permit: permit };
    let body = Body::from_stream(stream::try_unfold(pages, Pages::write_next));
    Ok(attachment(body, media_type, &slug, extension))
}

/// Each ranking that counts, with its number of ballots.
async fn rankings(store: &dyn Store, poll: &Poll, format: RankingFormat) -> Result<Response, Problem> {
    let text = rankings_text(store, poll, format).await?;
    let text = text.ok_or_else(|| {
        Problem::InvalidQuery("the formats blt and soi are for ranked polls, which this one isn't".to_owned())
    })?;
    Ok(attachment(text.into(), "text/plain; charset=utf-8", &poll.slug, format.extension()))
}

fn attachment(body: Body, media_type: &'static str, slug: &Slug, extension: &str) -> Response {
    let mut response = Response::new(body);
    let disposition = format!("attachment; filename=\"{slug}.{extension}\"");
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_str(&disposition).expect("a slug fits in a header"));
    response
}

impl Pages {
    async fn write_next(self) -> Result<Option<(Bytes, Self)>, StoreError> {
        let slug = self.poll.slug.clone();
        let written = self.next_part().await;
        written
            .inspect_err(|error| error!(%error, poll = %slug, "an export can't be continued; its response is cut off"))
    }

    async fn next_part(mut self) -> Result<Option<(Bytes, Self)>, StoreError> {
        let export = Export::new(&self.poll, self.format, self.voters);
        let (text, next) = match self.next {
            Next::Header => (export.header(), Next::Page(None)),
            Next::Page(after) => {
                let page = self.store.ballots(self.poll.id, after, EXPORT_PAGE_BALLOTS).await?;
                let next = if page.next.is_some() { Next::Page(page.next) } else { Next::Nothing };
                (export.lines(&page.ballots), next)
            }
            Next::Nothing => return Ok(None),
        };
        self.next = next;
        Ok(Some((text.into(), self)))
    }
}
