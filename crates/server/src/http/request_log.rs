//! What the log says of requests: of each that failed, a line, and how many more there were; of all others nothing,
//! unless it is asked for.
//!
//! With `LOG=info,throng::request=debug` each request has a line. Only these have the client's address in them.

use std::sync::{Mutex, PoisonError};

use axum::response::Response;
use hyper::StatusCode;
use throng_domain::clock::Timestamp;
use tokio::time::Instant;
use tracing::{Level, debug, enabled, error, warn};

use super::asker::{Asker, X_REQUEST_ID};
use super::error::Failure;
use super::proxies::TrustedProxies;

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
#[derive(Debug, Default)]
pub struct RequestLog {
    allowance: Mutex<Allowance>,
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
            if let Some(unlogged) = self.allowance.lock().unwrap_or_else(PoisonError::into_inner).take(now()) {
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

/// How many lines a second may still have.
#[derive(Debug, Default)]
struct Allowance {
    second: i64,
    used: u32,
    unlogged: u64,
}

impl Allowance {
    /// Takes one line; `None` if there is none left. Returned with it is how many had none before it, if any.
    fn take(&mut self, now: Timestamp) -> Option<Option<u64>> {
        let second = now.0.div_euclid(1_000);
        if second != self.second {
            (self.second, self.used) = (second, 0);
        }
        if self.used == FAILURES_MAX {
            self.unlogged += 1;
            return None;
        }
        self.used += 1;
        Some(Some(std::mem::take(&mut self.unlogged)).filter(|unlogged| *unlogged > 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_so_many_lines_and_the_next_one_says_how_many_more_there_were() {
        let mut allowance = Allowance::default();
        let now = Timestamp(1_800_000_000_999);
        for _ in 0..FAILURES_MAX {
            assert_eq!(allowance.take(now), Some(None));
        }
        for _ in 0..3 {
            assert_eq!(allowance.take(now), None);
        }
        assert_eq!(allowance.take(now.plus_ms(1)), Some(Some(3)));
        assert_eq!(allowance.take(now.plus_ms(2)), Some(None));
    }
}
