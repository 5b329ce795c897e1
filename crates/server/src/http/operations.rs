//! Endpoints for operators: liveness, readiness and metrics.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use schemars::JsonSchema;
use serde_json::json as json_value;

use super::openapi::{DescribedRoutes, Operation, Route, Tag};
use super::problem::Problem;
use super::response::{json, uncached};
use crate::state::{CoreState, Dependency};

/// The body of a successful health check.
pub const OK: Bytes = Bytes::from_static(b"{\"status\":\"ok\"}");

/// The routes, for one core.
pub fn router() -> Router<Arc<CoreState>> {
    routes().into_router()
}

/// The descriptions of the routes.
pub fn described() -> Vec<Route> {
    routes().into_descriptions("", None)
}

fn routes() -> DescribedRoutes {
    DescribedRoutes::default().get("/livez", livez, describe_livez).get("/readyz", readyz, describe_readyz).get(
        "/metrics",
        metrics,
        describe_metrics,
    )
}

/// What a health check responds with.
#[derive(JsonSchema)]
struct Health {
    #[expect(dead_code, reason = "it is only described: the response is always the same")]
    status: &'static str,
}

fn describe_livez() -> Operation {
    Operation::new(Tag::Operations, "livez", "Whether the process is running").responds::<Health>(
        StatusCode::OK,
        "It is.",
        json_value!({ "status": "ok" }),
    )
}

fn describe_readyz() -> Operation {
    Operation::new(Tag::Operations, "readyz", "Whether this server accepts ballots")
        .responds::<Health>(StatusCode::OK, "It does.", json_value!({ "status": "ok" }))
        .problems([Problem::ShuttingDown])
}

fn describe_metrics() -> Operation {
    Operation::new(Tag::Operations, "metrics", "Metrics, for Prometheus").responds_as::<str>(
        StatusCode::OK,
        "In OpenMetrics text format.",
        "application/openmetrics-text",
        json_value!("# EOF\n"),
    )
}

/// `GET /livez`: the process is running.
async fn livez() -> Response {
    uncached(json(OK))
}

/// `GET /readyz`: whether this server accepts ballots. Not ready while shutting down, while the store can't be read or written,
/// or, behind a broker, while the broker accepts none.
async fn readyz(State(core): State<Arc<CoreState>>) -> Result<Response, Problem> {
    let app = &core.app;
    if app.shutdown.is_draining() || app.intake_failed.is_cancelled() {
        return Err(Problem::ShuttingDown);
    }
    match &core.publisher {
        // Behind a broker, ballots are accepted without the store.
        Some(publisher) if publisher.is_ready() => {}
        Some(_) => return Err(Problem::NotReady(Dependency::Queue, None)),
        None if !app.writable.load(Ordering::Relaxed) => {
            return Err(Problem::NotReady(Dependency::Store, Some("the database is not writable".to_owned())));
        }
        None => drop(app.source.store.polls_version().await.map_err(Problem::store_not_ready)?),
    }
    Ok(uncached(json(OK)))
}

/// `GET /metrics`, for Prometheus.
async fn metrics(State(core): State<Arc<CoreState>>) -> Response {
    openmetrics(core.app.metrics.text())
}

/// A response with metrics in the OpenMetrics text format.
pub fn openmetrics(text: String) -> Response {
    let mut response = text.into_response();
    let format = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, format);
    uncached(response)
}
