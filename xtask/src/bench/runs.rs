//! Runs of contenders under load.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Serialize;
use serde_json::Value;

use super::contender::Contender;
use super::http::fetch;
use super::plan::Plan;
use super::request::Request;
use super::server::Server;
use super::{load, machine};
use crate::stopwatch::{Stopwatch, wait_until};

/// Seconds of load before a measurement begins.
pub const WARM_UP_S: u32 = 1;

/// How long it may take until all ballots of a load are counted: a worker that records fewer than the nodes accept has a backlog,
/// and only a missing ballot is a fault.
const COUNTED_MAX: Duration = Duration::from_secs(120);

/// The measurements of one run.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// The round, from 1.
    pub round: usize,
    /// The contender's name.
    pub contender: &'static str,
    /// The number of connections.
    pub connections: usize,
    /// Responses per second.
    pub requests_per_s: f64,
    /// The median response time.
    pub p50_ms: f64,
    /// The 99th percentile of the response time.
    pub p99_ms: f64,
    /// Processor time of the server per request.
    pub cpu_us_per_request: f64,
    /// The server's peak resident memory.
    pub memory_peak_mb: f64,
    /// Requests that got a response.
    pub requests: u64,
    /// Errors of any kind, including the warm-up.
    pub errors: u64,
    /// Ballots, where the contender counts them.
    pub ballots: Option<Ballots>,
    /// The time from the end of the load until all acknowledged ballots were counted, in seconds.
    pub counted_after_s: Option<f64>,
}

/// Ballots of one run, its warm-up included.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Ballots {
    /// Acknowledged ballots.
    pub answered: u64,
    /// Counted ballots, including those whose clients disconnected at the end of the load, at most one per connection.
    pub counted: u64,
    /// Whether no ballot is missing and none was counted in excess.
    pub agree: bool,
}

/// Runs every contender at each number of connections, round after round, in an order that rotates from round to round.
///
/// # Errors
/// If a server or the load fails; error responses are only counted.
pub fn all(plan: &Plan, contenders: &[Contender], connections: &[usize], scratch: &Path) -> anyhow::Result<Vec<Run>> {
    machine::raise_descriptor_limit()?;
    let mut runs = Vec::new();
    for round in 1..=plan.rounds {
        for &connections in connections {
            for contender in rotated(contenders, round - 1) {
                machine::wait_until_quiet()?;
                let run = one(plan, contender, round, connections, scratch)
                    .with_context(|| format!("{} at {connections} connections", contender.name))?;
                let (of, name) = (plan.rounds, run.contender);
                println!(
                    "round {round}/{of} {connections:>5} connections  {name:<24} {:>8.0}/s  p99 {:>6.2} ms  {} errors",
                    run.requests_per_s, run.p99_ms, run.errors
                );
                runs.push(run);
            }
        }
    }
    Ok(runs)
}

/// Descriptions of the faults of these runs.
pub fn faults(runs: &[Run]) -> Vec<String> {
    let mut faults = Vec::new();
    for run in runs {
        let which = format!("round {}, {} at {} connections", run.round, run.contender, run.connections);
        if run.errors > 0 {
            faults.push(format!("{which}: {} errors", run.errors));
        }
        if let Some(Ballots { answered, counted, agree: false }) = run.ballots {
            faults.push(format!("{which}: {answered} ballots acknowledged, {counted} counted"));
        }
    }
    faults
}

/// Prints the faults; returns whether there are none.
pub fn print_faults(faults: &[String]) -> bool {
    faults.iter().for_each(|fault| println!("fault: {fault}"));
    faults.is_empty()
}

fn one(plan: &Plan, contender: &Contender, round: usize, connections: usize, scratch: &Path) -> anyhow::Result<Run> {
    let directory = tempfile::tempdir_in(scratch)?;
    let server = contender.start(directory.path())?;
    let processes = server.processes()?;
    let (request, headers) = (contender.request, contender.headers());
    let send = |seconds| load::send_with(request, &headers, server.address, connections, seconds);
    let counted_before = if contender.counts() { Some(ballots_counted(&server)?) } else { None };
    let warm_up = send(WARM_UP_S)?;
    let cpu_before = processes.cpu_us()?;
    let summary = send(plan.seconds)?;
    let cpu_us = processes.cpu_us()? - cpu_before;
    if summary.requests == 0 {
        bail!("no request got a response");
    }
    let watch = Stopwatch::start();
    let mut counted_after_s = None;
    let ballots = match counted_before {
        Some(before) => {
            let answered = warm_up.requests + summary.requests;
            // Where workers count, the last ballots may not have been counted yet.
            let all = || ballots_counted(&server).ok().filter(|counted| counted - before >= answered);
            if wait_until(COUNTED_MAX, all).is_some() {
                counted_after_s = Some(watch.elapsed().as_secs_f64());
            }
            let counted = ballots_counted(&server)? - before;
            // Each of the two loads ends by closing its connections, with at most one request in flight on each.
            let agree = (answered..=answered + 2 * connections as u64).contains(&counted);
            Some(Ballots { answered, counted, agree })
        }
        None => None,
    };
    let memory_peak_mb = processes.memory_peak_kib()? as f64 / 1024.0;
    server.stop()?;
    Ok(Run {
        round,
        contender: contender.name,
        connections,
        requests_per_s: summary.rate(),
        p50_ms: summary.p50_us as f64 / 1e3,
        p99_ms: summary.p99_us as f64 / 1e3,
        cpu_us_per_request: cpu_us as f64 / summary.requests as f64,
        memory_peak_mb,
        requests: summary.requests,
        errors: warm_up.errors + summary.errors,
        ballots,
        counted_after_s,
    })
}

/// The tally of option 1, which every ballot of the load chooses.
pub fn ballots_counted(server: &Server) -> anyhow::Result<u64> {
    let result: Value = serde_json::from_str(&fetch(server.address, Request::Result)?)?;
    result["1"].as_u64().with_context(|| format!("no tally of option 1 in {result}"))
}

fn rotated<T>(all: &[T], first: usize) -> impl Iterator<Item = &T> {
    all.iter().cycle().skip(first % all.len().max(1)).take(all.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_starts_with_another_contender() {
        let order = |first| rotated(&["a", "b", "c"], first).copied().collect::<String>();
        assert_eq!([0, 1, 2, 3].map(order), ["abc", "bca", "cab", "abc"]);
    }
}
