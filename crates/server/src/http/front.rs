//! What every request goes through before and after its route.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use hyper::body::Incoming;
use hyper::header::{ACCESS_CONTROL_REQUEST_METHOD, CONNECTION, HeaderValue, ORIGIN};
use hyper::{Method, Request, StatusCode};
use tower::ServiceExt as _;
use tracing::error;

use super::cors::CorsOrigins;
use super::error::Problem;
use super::original;
use crate::app::CoreState;

/// Where the routes that pages of other sites may call begin.
const PUBLIC: &str = "/api/";

/// One core's way in: the routes, and around them what is the same for all: a panic becomes an answer, other sites'
/// pages get the headers they need, a shutdown closes the connection with its answer, and every answer is counted.
#[derive(Clone, Debug)]
pub struct Front {
    router: Router,
    core: Arc<CoreState>,
}

impl Front {
    /// The way in to `router`.
    pub fn new(router: Router, core: Arc<CoreState>) -> Self {
        Self { router, core }
    }

    /// Answers a request, whatever happens.
    ///
    /// # Errors
    /// None.
    pub async fn answer(self, request: Request<Incoming>) -> Result<Response, Infallible> {
        let public = request.uri().path().starts_with(PUBLIC);
        let origin = request.headers().get(ORIGIN).cloned();
        let routed = AssertUnwindSafe(self.route(request, public)).catch_unwind().await;
        let mut response = routed.unwrap_or_else(|panic| {
            let message = panic.downcast_ref::<&str>().copied();
            let message = message.or(panic.downcast_ref::<String>().map(String::as_str));
            error!(message, "a request panicked");
            Problem::Internal.into_response()
        });
        if public {
            self.core.app.config.cors_origins.allow(origin.as_ref(), response.headers_mut());
        }
        if self.core.app.shutdown.is_draining() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        self.core.metrics.answered(response.status().as_u16());
        Ok(response)
    }

    /// The vote storm comes in at the two original routes, which have no parameters: they are told apart here, and
    /// only the others pay for a router.
    async fn route(&self, request: Request<Incoming>, public: bool) -> Response {
        match (request.uri().path(), request.method()) {
            ("/api/submit", &Method::POST) => original::submit(&self.core, request.into_body()).await.into_response(),
            ("/api/result", &(Method::GET | Method::HEAD)) => original::result(&self.core).into_response(),
            (_, &Method::OPTIONS) if public && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD) => {
                preflight_answer()
            }
            // Its future is large, and most connections never need it.
            _ => match Box::pin(self.router.clone().oneshot(request)).await {
                Ok(response) => response,
                Err(never) => match never {},
            },
        }
    }
}

fn preflight_answer() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    CorsOrigins::allow_sending(response.headers_mut());
    response
}
