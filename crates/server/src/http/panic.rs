//! Panics in a route: they become a response, so that one request doesn't end the crowd's connections.

use std::panic::AssertUnwindSafe;

use axum::response::Response;
use bytes::Bytes;
use futures_util::FutureExt as _;

use super::problem::Problem;

/// The response of `route`; if it panics, that of [`Problem::Internal`].
pub async fn catch_panic<B: From<Bytes>>(route: impl Future<Output = Response<B>>) -> Response<B> {
    AssertUnwindSafe(route).catch_unwind().await.unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<&str>().copied();
        let message = message.or(panic.downcast_ref::<String>().map(String::as_str));
        let message = message.unwrap_or("no message");
        Problem::Internal(Some(format!("panicked: {message}"))).response()
    })
}
