//! HTTP: the routes, and the request handling that all of them share.

mod ballots;
mod body;
mod client_info;
mod compat;
mod cors;
mod error;
mod forwarded;
mod gateway;
mod idempotency;
mod operations;
mod origin;
mod pages;
mod poll_path;
mod polls;
mod proxies;
mod readiness_gate;
mod request_log;
mod results;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

pub use self::cors::{ANY_WITH_CREDENTIALS, CorsOrigins, browser_origin};
pub use self::error::{Problem, error_body};
pub use self::gateway::Gateway;
pub use self::operations::{OK, openmetrics};
pub use self::pages::ReceiptKey;
pub use self::proxies::TrustedProxies;
pub use self::readiness_gate::{Dependency, ReadinessGate};
pub use self::results::{json, uncached};
use crate::app::CoreState;

/// Every route, for one core.
pub fn router(core: Arc<CoreState>) -> Router {
    Router::new()
        // The gateway handles these before the router, so a request that arrives here has another method.
        .route("/api/submit", post(async || Problem::NotFound))
        .route("/api/result", get(async || Problem::NotFound))
        .route("/api/v1/polls/{slug}", get(polls::show))
        .route("/api/v1/polls/{slug}/ballots", post(ballots::submit))
        .route("/api/v1/polls/{slug}/results", get(results::show))
        .route("/livez", get(operations::livez))
        .route("/readyz", get(operations::readyz))
        .route("/metrics", get(operations::metrics))
        .merge(pages::router())
        .fallback(pages::not_found)
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .with_state(core)
}
