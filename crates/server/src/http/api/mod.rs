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

use super::cors;
use super::openapi::{DescribedRoutes, Route};
use super::origin;
use super::problem::Problem;
use super::requested_poll::{RESULT, SUBMIT};
use crate::state::CoreState;

/// The API's routes, for one core.
pub fn router(core: &Arc<CoreState>) -> Router<Arc<CoreState>> {
    let routes = routes()
        .into_router()
        .fallback(async || Problem::NotFound)
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed);
    let routes = Router::new().nest("/api", routes);
    let routes = origin::protect(routes, core, |_, problem, _, _| problem.into_response());
    cors::share(routes, core).merge(admin::router(core))
}

/// The descriptions of the API's routes.
pub fn described() -> Vec<Route> {
    [routes().into_descriptions("/api", None), admin::described()].concat()
}

/// The routes for voters, below `/api`.
fn routes() -> DescribedRoutes {
    DescribedRoutes::default()
        // The gateway handles these before the router, so a request that arrives here has another method.
        .post("/submit", async || Problem::NotFound, compat::describe_submit)
        .get("/result", async || Problem::NotFound, compat::describe_result)
        .get("/v1/ballots/{ballot_id}", standing::show, standing::describe_show)
        .delete("/v1/ballots/{ballot_id}", standing::withdraw, standing::describe_withdraw)
        .get("/v1/polls/{slug}", polls::show, polls::describe_show)
        .post("/v1/polls/{slug}/ballots", ballots::submit, ballots::describe_submit)
        .get("/v1/polls/{slug}/challenge", challenge::show, challenge::describe_show)
        .get("/v1/polls/{slug}/results", results::show, results::describe_show)
        .get("/v1/shows/{slug}", shows::show, shows::describe_show)
}

/// Whether `path` is one of the API's, while there is no router yet: pages of other sites may read that the server isn't ready.
pub fn is_public(path: &str) -> bool {
    let begins = |prefix| path.starts_with(prefix);
    path == SUBMIT || path == RESULT || ["/api/v1/polls/", "/api/v1/ballots/", "/api/v1/shows/"].into_iter().any(begins)
}
