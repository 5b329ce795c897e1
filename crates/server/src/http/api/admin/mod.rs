//! Administration over HTTP, at `/api/v1/admin`: for programs, with a token in each request.
//!
//! Nothing here is reached without a valid token, whatever its address or method; which role a route needs, [`router`] says. Pages of
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
use axum::routing::{delete, get, patch, post, put};
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use throng_domain::admin_token::{AdminToken, Role};

use crate::access::{self, AccessError};
use crate::http::forwarded::client_address;
use crate::http::origin::{Peer, is_from_own_page};
use crate::http::problem::Problem;
use crate::http::response::uncached;
use crate::state::CoreState;

/// The routes, for one core.
pub fn router(core: &Arc<CoreState>) -> Router<Arc<CoreState>> {
    let viewers = Router::new()
        .route("/token", get(tokens::own))
        .route("/audit", get(audit::list))
        .route("/polls", get(polls::list))
        .route("/polls/{slug}", get(polls::show))
        .route("/polls/{slug}/results", get(results::show))
        .route("/shows", get(shows::list))
        .route("/shows/{slug}", get(shows::show));
    let editors = Router::new()
        .route("/polls", post(polls::create))
        .route("/polls/{slug}", put(polls::apply).patch(polls::edit).delete(polls::delete))
        .route("/polls/{slug}/open", post(changes::open))
        .route("/polls/{slug}/close", post(changes::close))
        .route("/polls/{slug}/archive", post(changes::archive))
        .route("/polls/{slug}/unarchive", post(changes::unarchive))
        .route("/polls/{slug}/ballots", get(ballots::export))
        .route("/polls/{slug}/recount", get(results::recount).post(results::repair))
        .route("/polls/{slug}/record", get(results::record))
        .route("/polls/{slug}/voids", post(voids::add))
        .route("/polls/{slug}/voids/{number}", delete(voids::undo))
        .route("/polls/{slug}/pass", post(changes::pass))
        .route("/polls/{slug}/codes", get(codes::list).post(codes::create))
        .route("/polls/{slug}/codes/{batch}", delete(codes::revoke))
        .route("/shows", post(shows::create))
        .route("/shows/{slug}", patch(shows::edit).delete(shows::delete));
    let admins = Router::new()
        .route("/tokens", get(tokens::list).post(tokens::create))
        .route("/tokens/{number}", delete(tokens::revoke))
        .route("/webhooks", get(webhooks::list).post(webhooks::create))
        .route("/webhooks/{number}", delete(webhooks::delete))
        .route("/webhooks/{number}/test", post(webhooks::test));
    let routes = for_role(viewers, Role::Viewer)
        .merge(for_role(editors, Role::Editor))
        .merge(for_role(admins, Role::Admin))
        .fallback(async || Problem::NotFound)
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed);
    Router::new().nest("/api/v1/admin", routes.layer(from_fn_with_state(Arc::clone(core), require_token)))
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
