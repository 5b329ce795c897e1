//! Shows: listed, shown, created, changed and deleted.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hyper::header::{ETAG, HeaderValue, LOCATION};
use hyper::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use throng_domain::poll::Slug;
use throng_domain::show::Show;

use super::request::{
    Administrator, JsonBody, SlugPath, failed, json_response, no_content, require_if_match, with_status,
};
use crate::http::problem::Problem;
use crate::polls::ShowDefinition;
use crate::state::CoreState;

#[derive(Serialize)]
struct Shows {
    shows: Vec<Show>,
}

/// New values for a show's title or polls.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Patch {
    title: Option<String>,
    polls: Option<Vec<Slug>>,
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
