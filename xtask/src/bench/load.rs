//! The load: wrk, which keeps each connection busy with one request after the other.

use std::net::SocketAddr;

use anyhow::Context as _;
use serde::Deserialize;

use super::contender::Request;
use crate::command;
use crate::packages::Program;

/// The load generator.
pub const WRK: Program = Program { name: "wrk", package: "wrk" };

/// Threads that send.
const THREADS: usize = 2;

/// What wrk saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Seen {
    /// Requests that were answered.
    pub requests: u64,
    /// How long it sent, in microseconds.
    pub duration_us: u64,
    /// Half of the answers came within this time, in microseconds.
    pub p50_us: u64,
    /// 99 in 100 answers came within this time, in microseconds.
    pub p99_us: u64,
    /// Answers that were errors, connections that failed, requests without an answer for 2 s.
    pub errors: u64,
}

impl Seen {
    /// Answers a second.
    pub fn rate(&self) -> f64 {
        self.requests as f64 / (self.duration_us as f64 / 1e6)
    }
}

/// Sends `request` over `connections` connections for `seconds`.
///
/// # Errors
/// If wrk fails.
pub fn send(request: Request, to: SocketAddr, connections: usize, seconds: u32) -> anyhow::Result<Seen> {
    let mut wrk = command::program(WRK.name);
    wrk.args([format!("-t{THREADS}"), format!("-c{connections}"), format!("-d{seconds}s")]);
    wrk.args(["-s", "xtask/src/bench/load.lua", &format!("http://{to}{}", request.path()), "--", request.method()]);
    wrk.args(request.body());
    let printed = command::output(&mut wrk)?;
    let line = printed.lines().last().unwrap_or_default();
    serde_json::from_str(line).with_context(|| format!("wrk printed no summary: {printed}"))
}
