//! The request log: one line for each failed request, with a rate limit and the number of lines that it suppressed. Other
//! requests are logged only on demand.
//!
//! With `LOG=info,throng::request=debug` each request has a line. Only these lines contain the client's address.

use axum::response::Response;
use hyper::StatusCode;
use throng_domain::clock::Timestamp;
use tokio::time::Instant;
use tracing::{Level, debug, enabled, error, warn};

use super::client_info::{ClientInfo, X_REQUEST_ID};
use super::problem::Failure;
use crate::config::TrustedProxies;
use crate::telemetry::log_rate_limiter::LogRateLimiter;

/// The target by which these lines are filtered.
const TARGET: &str = "throng::request";

/// The maximum number of lines of failed requests per second and core. In an outage or under overload these lines repeat each
/// other, and writing all of them would add load.
const FAILURES_MAX: u32 = 10;

/// A request, as far as it is logged.
#[derive(Debug)]
pub struct RequestLine<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its path, without the query.
    pub path: &'a str,
    /// Its sender.
    pub client: ClientInfo,
}

/// The log of one core's requests.
#[derive(Debug)]
pub struct RequestLog {
    log_limiter: LogRateLimiter,
}

impl Default for RequestLog {
    fn default() -> Self {
        Self { log_limiter: LogRateLimiter::new(FAILURES_MAX) }
    }
}

impl RequestLog {
    /// The current time, if each request is logged with its duration.
    pub fn arrival() -> Option<Instant> {
        enabled!(target: TARGET, Level::DEBUG).then(Instant::now)
    }

    /// Logs a request and its response: failures up to the rate limit, others only if enabled. A failed response gets the
    /// request id under which it is logged, for the client to report.
    pub fn log_response<B>(
        &self,
        request_line: RequestLine<'_>,
        response: &mut Response<B>,
        trusted: &TrustedProxies,
        now: impl FnOnce() -> Timestamp,
    ) {
        let failed = response.status().is_server_error();
        if !failed && request_line.client.arrived_at.is_none() {
            return;
        }
        let RequestLine { method, path, client } = request_line;
        let (status, arrived_at) = (response.status(), client.arrived_at);
        let (id, client) = client.resolve(trusted);
        // Accepted and generated ids are visible ASCII only.
        let request_id = id.to_str().unwrap_or_default();
        if let Some(arrived_at) = arrived_at {
            let elapsed_us = u64::try_from(arrived_at.elapsed().as_micros()).unwrap_or(u64::MAX);
            debug!(target: TARGET, request_id, %client, method, path, status = status.as_u16(), elapsed_us, "answered");
        }
        if failed {
            if let Some(unlogged) = self.log_limiter.take(now()) {
                let failure = response.extensions().get();
                log_failure(request_id, method, path, status, failure, unlogged);
            }
            response.headers_mut().insert(X_REQUEST_ID, id);
        }
    }
}

fn log_failure(
    request_id: &str,
    method: &str,
    path: &str,
    status: StatusCode,
    failure: Option<&Failure>,
    unlogged: Option<u64>,
) {
    let (code, cause) = failure.map(|failure| (failure.code, failure.cause.as_deref())).unzip();
    let (status, cause) = (status.as_u16(), cause.flatten());
    // 503 promises that nothing happened: the request was rejected, and its sender retries.
    if status == StatusCode::SERVICE_UNAVAILABLE {
        warn!(target: TARGET, request_id, method, path, status, code, cause, unlogged, "a request was refused");
    } else {
        error!(target: TARGET, request_id, method, path, status, code, cause, unlogged, "a request failed");
    }
}
