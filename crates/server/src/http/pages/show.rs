//! `GET /shows/{slug}`: the page of the poll that a show is at, whichever that is.
//!
//! It is that poll's own page, so it works without JavaScript; its script also looks which poll the show is at.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use hyper::{HeaderMap, Uri};

use super::page::{FollowedShow, PollPage, ShowPage};
use super::rendered::{html, private_page, refused_without_poll, visit_of};
use crate::http::api::shows::ShowPath;
use crate::http::problem::Problem;
use crate::http::response::cached;
use crate::state::CoreState;

/// The current poll's ballot form or result, or what is said before the first poll is known.
pub(super) async fn show(
    State(core): State<Arc<CoreState>>,
    path: Result<ShowPath, Problem>,
    uri: Uri,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let site = &core.app.config.public_url;
    let path = match path {
        Ok(path) => path,
        Err(problem) => return refused_without_poll(site, problem, &uri, &headers),
    };
    let (slug, now) = (&path.show.slug, core.app.clock.now());
    let Some(live) = path.current(now) else {
        let show = FollowedShow::new(site, slug, None, now);
        return cached(html(&ShowPage::new(site, path.show.title.clone(), show)));
    };
    // If the store is unavailable, the page shows the latest known result.
    let _ = core.app.refresh_result(live, now).await;
    let visit = visit_of(&core, &live.poll, &query.unwrap_or_default());
    let cacheable: fn(Response) -> Response = if visit.voter_field().is_none() { cached } else { private_page };
    let show = FollowedShow::new(site, slug, Some(&live.poll), now);
    cacheable(html(&PollPage::new(live, now, visit).in_show(show)))
}
