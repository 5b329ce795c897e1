//! HTTP: the routes, and the request handling that all of them share.

mod api;
mod body;
mod client_info;
mod cookies;
mod cors;
mod device_cookie;
mod docs;
mod forwarded;
mod gateway;
mod idempotency;
mod openapi;
mod operations;
mod origin;
mod pages;
mod problem;
mod readiness_gate;
mod request_log;
mod requested_poll;
mod response;
mod sender;

use std::sync::Arc;

use axum::Router;

pub use self::docs::whole_document as api_document;
pub use self::gateway::Gateway;
pub use self::operations::{OK, openmetrics};
pub use self::problem::{Problem, error_body};
pub use self::readiness_gate::ReadinessGate;
pub use self::response::{json, uncached};
use crate::state::CoreState;

/// Every route, for one core.
pub fn router(core: Arc<CoreState>) -> Router {
    Router::new()
        .merge(operations::router())
        .merge(docs::router())
        .merge(api::router(&core))
        .merge(pages::router(&core))
        .fallback(pages::not_found)
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .with_state(core)
}
