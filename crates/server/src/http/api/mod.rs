//! The API: the two compatibility routes and version 1, which pages of other sites may call (see [`super::cors`]), and
//! [administration](admin), which they may not.

mod admin;
mod ballots;
mod challenge;
pub mod compat;
pub mod polls;
mod results;
pub mod shows;
mod standing;

use std::sync::Arc;

use axum::Router;
use axum::response::IntoResponse as _;
use axum::routing::{get, post};

use super::cors;
use super::origin;
use super::problem::Problem;
use super::requested_poll::{RESULT, SUBMIT};
use crate::state::CoreState;

/// The API's routes, for one core.
pub fn router(core: &Arc<CoreState>) -> Router<Arc<CoreState>> {
    let routes = Router::new()
        // The gateway handles these before the router, so a request that arrives here has another method.
        .route("/submit", post(async || Problem::NotFound))
        .route("/result", get(async || Problem::NotFound))
        .route("/v1/ballots/{ballot_id}", get(standing::show).delete(standing::withdraw))
        .route("/v1/polls/{slug}", get(polls::show))
        .route("/v1/polls/{slug}/ballots", post(ballots::submit))
        .route("/v1/polls/{slug}/challenge", get(challenge::show))
        .route("/v1/polls/{slug}/results", get(results::show))
        .route("/v1/shows/{slug}", get(shows::show))
        .fallback(async || Problem::NotFound)
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed);
    let routes = Router::new().nest("/api", routes);
    let routes = origin::protect(routes, core, |_, problem, _, _| problem.into_response());
    cors::share(routes, core).merge(admin::router(core))
}

/// Whether `path` is one of the API's, while there is no router yet: pages of other sites may read that the server isn't ready.
pub fn is_public(path: &str) -> bool {
    let begins = |prefix| path.starts_with(prefix);
    path == SUBMIT || path == RESULT || ["/api/v1/polls/", "/api/v1/ballots/", "/api/v1/shows/"].into_iter().any(begins)
}
