//! What the log says of requests: of each that failed, a line, and how many more there were; of all others nothing,
//! unless it is asked for.
//!
//! With `LOG=info,throng::request=debug` each request has a line. Only these have the client's address in them.

use axum::response::Response;
use hyper::StatusCode;
use throng_domain::clock::Timestamp;
use tokio::time::Instant;
use tracing::{Level, debug, enabled, error, warn};

use super::asker::{Asker, X_REQUEST_ID};
use super::error::Failure;
use super::proxies::TrustedProxies;
use crate::log_rate_limiter::LogRateLimiter;

/// What these lines are filtered by.
const TARGET: &str = "throng::request";

/// Lines of failed requests in a second and core. In an outage, or a crowd beyond the bound, each says the same as the
/// one before, and writing them all would be one more burden.
const FAILURES_MAX: u32 = 10;

/// A request, as far as the log names it.
#[derive(Debug)]
pub struct Asked<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its path, without a query.
    pub path: &'a str,
    /// Who sent it.
    pub asker: Asker,
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
    /// The moment of a request's arrival, if its line is to say how long it took.
    pub fn arrival() -> Option<Instant> {
        enabled!(target: TARGET, Level::DEBUG).then(Instant::now)
    }

    /// Logs how a request was answered, if that is to be logged. A failure gets the name that it has in the log, for its
    /// sender to complain with.
    pub fn answered<B>(
        &self,
        asked: Asked<'_>,
        response: &mut Response<B>,
        trusted: &TrustedProxies,
        now: impl FnOnce() -> Timestamp,
    ) {
        let failed = response.status().is_server_error();
        if !failed && asked.asker.came.is_none() {
            return;
        }
        let Asked { method, path, asker } = asked;
        let (status, came) = (response.status(), asker.came);
        let (id, client) = asker.identify(trusted);
        // Nothing but visible ASCII is taken or made.
        let request_id = id.to_str().unwrap_or_default();
        if let Some(came) = came {
            let elapsed_us = u64::try_from(came.elapsed().as_micros()).unwrap_or(u64::MAX);
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
    // 503 promises that nothing happened: that is a refusal, and its sender comes again.
    if status == StatusCode::SERVICE_UNAVAILABLE {
        warn!(target: TARGET, request_id, method, path, status, code, cause, unlogged, "a request was refused");
    } else {
        error!(target: TARGET, request_id, method, path, status, code, cause, unlogged, "a request failed");
    }
}
