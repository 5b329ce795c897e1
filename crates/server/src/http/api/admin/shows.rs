//! Shows: listed, shown, created, changed and deleted.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::header::{ETAG, HeaderValue, LOCATION};
use hyper::{HeaderMap, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use throng_domain::poll::Slug;
use throng_domain::show::Show;
use throng_domain::store::StoreError;

use super::request::{
    Administrator, JsonBody, SlugPath, failed, json_response, no_content, require_if_match, with_change,
    with_json_body, with_required_version, with_status,
};
use crate::http::openapi::{Operation, Tag, song};
use crate::http::problem::Problem;
use crate::polls::{PollError, ShowDefinition};
use crate::state::CoreState;

#[derive(JsonSchema, Serialize)]
#[schemars(rename = "ShowList")]
struct Shows {
    shows: Vec<Show>,
}

/// New values for a show's title or polls.
#[derive(Debug, Default, JsonSchema, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "ShowPatch")]
pub struct Patch {
    /// What it is called.
    title: Option<String>,
    /// Its polls, in their order.
    polls: Option<Vec<Slug>>,
}

/// How [`list`] is described.
pub fn describe_list() -> Operation {
    Operation::new(Tag::Shows, "listShows", "The shows").responds::<Shows>(
        StatusCode::OK,
        "The shows.",
        json!({ "shows": [show_example()] }),
    )
}

/// How [`show`] is described.
pub fn describe_show() -> Operation {
    let operation = with_slug(Operation::new(Tag::Shows, "showShow", "A show, with its drafts"));
    responds_show(operation, StatusCode::OK)
}

/// How [`create`] is described.
pub fn describe_create() -> Operation {
    let operation = Operation::new(Tag::Shows, "createShow", "Create a show")
        .problems(invalid())
        .problems([Problem::from(StoreError::Conflict("there is a show `evening` already".to_owned()))]);
    let example = json!({ "slug": "evening", "title": "Tonight", "polls": ["song", "host"] });
    let operation = with_change(with_json_body::<ShowDefinition>(operation, example));
    responds_show(operation, StatusCode::CREATED).with_header("Location", "Its address.")
}

/// How [`edit`] is described.
pub fn describe_edit() -> Operation {
    let operation = with_slug(Operation::new(Tag::Shows, "editShow", "Change a show")).problems(invalid());
    let operation = with_json_body::<Patch>(operation, json!({ "polls": ["host", "song"] }));
    responds_show(with_required_version(operation), StatusCode::OK)
}

/// How [`delete`] is described.
pub fn describe_delete() -> Operation {
    let operation = with_slug(Operation::new(Tag::Shows, "deleteShow", "Delete a show")).describe("Its polls stay.");
    with_required_version(operation).responds_empty(StatusCode::NO_CONTENT, "It is deleted.")
}

fn with_slug(operation: Operation) -> Operation {
    let not_found = Problem::Poll(PollError::ShowNotFound(song()));
    operation
        .path::<Slug>("slug", "The show's name in addresses.", json!("evening"))
        .problems([not_found, Problem::PollNotFound])
}

fn responds_show(operation: Operation, status: StatusCode) -> Operation {
    operation
        .responds::<Show>(status, "The show.", show_example())
        .with_header("ETag", "The show's version, for `If-Match`.")
}

fn invalid() -> [Problem; 1] {
    [Problem::Poll(PollError::InvalidShow(vec!["the title needs 1 to 200 characters".to_owned()]))]
}

fn show_example() -> Value {
    json!({ "slug": "evening", "title": "Tonight", "polls": ["song", "host"], "version": 1 })
}

/// `GET /shows`.
pub async fn list(State(core): State<Arc<CoreState>>) -> Result<Response, Problem> {
    Ok(json_response(&Shows { shows: core.app.source.store.shows().await? }))
}

/// `GET /shows/{slug}`: as it is stored, with drafts.
pub async fn show(
    State(core): State<Arc<CoreState>>,
    SlugPath(slug): SlugPath,
    by: Administrator,
) -> Result<Response, Problem> {
    Ok(show_response(&by.polls(&core).find_show(&slug).await?))
}

/// `POST /shows`.
pub async fn create(
    State(core): State<Arc<CoreState>>,
    by: Administrator,
    JsonBody(definition): JsonBody<ShowDefinition>,
) -> Result<Response, Problem> {
    let show = by.polls(&core).create_show(definition).await.map_err(|error| failed(&core, error))?;
    let mut response = with_status(StatusCode::CREATED, changed(&core, &show).await);
    let location =
        HeaderValue::from_str(&format!("/api/v1/admin/shows/{}", show.slug)).expect("a slug fits in a header");
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

/// `PATCH /shows/{slug}`, with `If-Match`.
pub async fn edit(
    State(core): State<Arc<CoreState>>,
    SlugPath(slug): SlugPath,
    by: Administrator,
    headers: HeaderMap,
    JsonBody(Patch { title, polls }): JsonBody<Patch>,
) -> Result<Response, Problem> {
    require_if_match(&headers)?;
    let show = by.polls(&core).edit_show(&slug, title, polls).await.map_err(|error| failed(&core, error))?;
    Ok(changed(&core, &show).await)
}

/// `DELETE /shows/{slug}`, with `If-Match`: its polls stay.
pub async fn delete(
    State(core): State<Arc<CoreState>>,
    SlugPath(slug): SlugPath,
    by: Administrator,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    require_if_match(&headers)?;
    by.polls(&core).delete_show(&slug).await.map_err(|error| failed(&core, error))?;
    reload(&core).await;
    Ok(no_content())
}

async fn changed(core: &CoreState, show: &Show) -> Response {
    reload(core).await;
    show_response(show)
}

/// Lets this server know of a change. Others, and this one if it fails here, see it within a second.
async fn reload(core: &CoreState) {
    let _ = core.app.shows.reload(&*core.app.source.store).await;
}

fn show_response(show: &Show) -> Response {
    let mut response = json_response(show);
    let etag = HeaderValue::from_str(&format!("\"{}\"", show.version)).expect("digits fit in a header");
    response.headers_mut().insert(ETAG, etag);
    response
}
