//! The load generator: wrk, which sends one request after the other on each connection.

use std::net::SocketAddr;

use anyhow::Context as _;
use serde::Deserialize;

use super::request::Request;
use crate::command;
use crate::packages::Program;

/// The program.
pub const WRK: Program = Program { name: "wrk", package: "wrk" };

/// Threads that send requests; load.lua has the same number.
const THREADS: usize = 2;

/// The summary that wrk prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Summary {
    /// Requests that got a response.
    pub requests: u64,
    /// The duration of the load, in microseconds.
    pub duration_us: u64,
    /// The median response time, in microseconds.
    pub p50_us: u64,
    /// The 99th percentile of the response time, in microseconds.
    pub p99_us: u64,
    /// Error responses, failed connections, and requests without a response for 2 s.
    pub errors: u64,
}

impl Summary {
    /// Responses per second.
    pub fn rate(&self) -> f64 {
        self.requests as f64 / (self.duration_us as f64 / 1e6)
    }
}

/// Sends `request` over `connections` connections for `seconds`.
///
/// # Errors
/// If wrk fails.
pub fn send(request: Request, to: SocketAddr, connections: usize, seconds: u32) -> anyhow::Result<Summary> {
    send_with(request, &[], to, connections, seconds)
}

/// As [`send`], with these header lines in each request. Of a value `@FILE`, each request has another line of the file, in turn.
///
/// # Errors
/// If wrk fails.
pub fn send_with(
    request: Request,
    headers: &[String],
    to: SocketAddr,
    connections: usize,
    seconds: u32,
) -> anyhow::Result<Summary> {
    let mut wrk = command::program(WRK.name);
    wrk.args([format!("-t{THREADS}"), format!("-c{connections}"), format!("-d{seconds}s")]);
    wrk.args(["-s", "xtask/src/bench/load.lua", &format!("http://{to}{}", request.path()), "--", request.method()]);
    wrk.arg(request.body().unwrap_or_default()).args(headers);
    let printed = command::output(&mut wrk)?;
    let line = printed.lines().last().unwrap_or_default();
    serde_json::from_str(line).with_context(|| format!("wrk printed no summary: {printed}"))
}
