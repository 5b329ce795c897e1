//! Administration over HTTP, at `/api/v1/admin`: for programs, with a token in each request.
//!
//! Nothing here is reached without a valid token, whatever its address or method; which role a route needs, [`BY_ROLE`] says. Pages of
//! other sites get nothing from it: it isn't part of what [`super::super::cors`] shares, it reads no cookie, and a request that a
//! browser sends from another site is refused.

mod audit;
mod ballots;
mod changes;
mod codes;
mod polls;
mod request;
mod results;
mod shows;
mod tokens;
mod voids;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use throng_domain::admin_token::{AdminToken, Role};

use crate::access::{self, AccessError};
use crate::http::forwarded::client_address;
use crate::http::openapi::{DescribedRoutes, Route};
use crate::http::origin::{Peer, is_from_own_page};
use crate::http::problem::Problem;
use crate::http::response::uncached;
use crate::state::CoreState;

/// The routes, for one core.
pub fn router(core: &Arc<CoreState>) -> Router<Arc<CoreState>> {
    let routes = BY_ROLE
        .into_iter()
        .fold(Router::new(), |all, (role, routes)| all.merge(for_role(routes().into_router(), role)));
    let routes =
        routes.fallback(async || Problem::NotFound).method_not_allowed_fallback(async || Problem::MethodNotAllowed);
    Router::new().nest(BELOW, routes.layer(from_fn_with_state(Arc::clone(core), require_token)))
}

/// The descriptions of the routes.
pub fn described() -> Vec<Route> {
    BY_ROLE.into_iter().flat_map(|(role, routes)| routes().into_descriptions(BELOW, Some(role))).collect()
}

/// What every route's path begins with.
const BELOW: &str = "/api/v1/admin";

/// The routes, by the lowest role that may use them.
const BY_ROLE: [(Role, fn() -> DescribedRoutes); 3] =
    [(Role::Viewer, for_viewers), (Role::Editor, for_editors), (Role::Admin, for_admins)];

fn for_viewers() -> DescribedRoutes {
    DescribedRoutes::default()
        .get("/token", tokens::own, tokens::describe_own)
        .get("/audit", audit::list, audit::describe_list)
        .get("/polls", polls::list, polls::describe_list)
        .get("/polls/{slug}", polls::show, polls::describe_show)
        .get("/polls/{slug}/results", results::show, results::describe_show)
        .get("/shows", shows::list, shows::describe_list)
        .get("/shows/{slug}", shows::show, shows::describe_show)
}

fn for_editors() -> DescribedRoutes {
    DescribedRoutes::default()
        .post("/polls", polls::create, polls::describe_create)
        .put("/polls/{slug}", polls::apply, polls::describe_apply)
        .patch("/polls/{slug}", polls::edit, polls::describe_edit)
        .delete("/polls/{slug}", polls::delete, polls::describe_delete)
        .post("/polls/{slug}/open", changes::open, changes::describe_open)
        .post("/polls/{slug}/close", changes::close, changes::describe_close)
        .post("/polls/{slug}/archive", changes::archive, changes::describe_archive)
        .post("/polls/{slug}/unarchive", changes::unarchive, changes::describe_unarchive)
        .get("/polls/{slug}/ballots", ballots::export, ballots::describe_export)
        .get("/polls/{slug}/recount", results::recount, results::describe_recount)
        .post("/polls/{slug}/recount", results::repair, results::describe_repair)
        .get("/polls/{slug}/record", results::record, results::describe_record)
        .post("/polls/{slug}/voids", voids::add, voids::describe_add)
        .delete("/polls/{slug}/voids/{number}", voids::undo, voids::describe_undo)
        .post("/polls/{slug}/pass", changes::pass, changes::describe_pass)
        .get("/polls/{slug}/codes", codes::list, codes::describe_list)
        .post("/polls/{slug}/codes", codes::create, codes::describe_create)
        .delete("/polls/{slug}/codes/{batch}", codes::revoke, codes::describe_revoke)
        .post("/shows", shows::create, shows::describe_create)
        .patch("/shows/{slug}", shows::edit, shows::describe_edit)
        .delete("/shows/{slug}", shows::delete, shows::describe_delete)
}

fn for_admins() -> DescribedRoutes {
    DescribedRoutes::default()
        .get("/tokens", tokens::list, tokens::describe_list)
        .post("/tokens", tokens::create, tokens::describe_create)
        .delete("/tokens/{number}", tokens::revoke, tokens::describe_revoke)
        .get("/webhooks", webhooks::list, webhooks::describe_list)
        .post("/webhooks", webhooks::create, webhooks::describe_create)
        .delete("/webhooks/{number}", webhooks::delete, webhooks::describe_delete)
        .post("/webhooks/{number}/test", webhooks::test, webhooks::describe_test)
}

/// These routes, for tokens with this role or a higher one.
fn for_role(routes: Router<Arc<CoreState>>, needed: Role) -> Router<Arc<CoreState>> {
    routes.route_layer(from_fn_with_state(needed, require_role))
}

async fn require_role(
    State(needed): State<Role>,
    Extension(token): Extension<AdminToken>,
    request: Request,
    next: Next,
) -> Response {
    match access::require(&token, needed) {
        Ok(()) => next.run(request).await,
        Err(error) => Problem::from(error).into_response(),
    }
}

async fn require_token(
    State(core): State<Arc<CoreState>>,
    Extension(Peer(peer)): Extension<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    let config = &core.app.config;
    if !is_from_own_page(config, request.uri(), request.headers(), peer) {
        return Problem::CrossSite.into_response();
    }
    let address = client_address(peer, request.headers(), &config.trusted_proxies);
    let recognized = match bearer(request.headers()) {
        Some(text) => core.app.access.recognize(text, address).await,
        None => Err(AccessError::Missing),
    };
    match recognized {
        Ok(token) => {
            request.extensions_mut().insert(token);
            uncached(next.run(request).await)
        }
        Err(error) => Problem::from(error).into_response(),
    }
}

/// The token in the one header `Authorization`, after the scheme `Bearer` (RFC 6750, 2.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (only, None) = (values.next()?, values.next()) else { return None };
    let (scheme, token) = only.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}
