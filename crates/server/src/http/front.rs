//! What every request goes through before and after its route.

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

    async fn answer(self, request: Request<Incoming>) -> Response {
        let public = request.uri().path().starts_with(PUBLIC);
        let origin = request.headers().get(ORIGIN).cloned();
        let preflight = public
            && request.method() == Method::OPTIONS
            && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        let mut response = if preflight { preflight_answer() } else { self.route(request).await };
        if public {
            self.core.app.config.cors_origins.allow(origin.as_ref(), response.headers_mut());
        }
        if self.core.app.shutdown.is_draining() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        self.core.metrics.answered(response.status().as_u16());
        response
    }

    async fn route(&self, request: Request<Incoming>) -> Response {
        match AssertUnwindSafe(self.router.clone().oneshot(request)).catch_unwind().await {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(panic) => {
                let message =
                    panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(|s| s.as_str()));
                error!(message, "a request panicked");
                Problem::Internal.into_response()
            }
        }
    }
}

fn preflight_answer() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    CorsOrigins::allow_sending(response.headers_mut());
    response
}

impl hyper::service::Service<Request<Incoming>> for Front {
    type Response = Response;
    type Error = std::convert::Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Response, Self::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        Box::pin(self.clone().answer(request).map(Ok))
    }
}
