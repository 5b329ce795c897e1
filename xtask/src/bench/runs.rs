//! One contender under load, and a whole programme of such runs.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Serialize;
use serde_json::Value;

use super::contender::{Contender, Request};
use super::http::ask;
use super::server::Server;
use super::{Plan, load, machine};
use crate::stopwatch::{Stopwatch, wait_until};

/// Seconds of load before a measurement begins.
const WARM_UP_S: u32 = 1;

/// How long the ballots of a load may take to be counted.
const COUNTED_MAX: Duration = Duration::from_secs(30);

/// What one run measured.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// From 1.
    pub round: usize,
    /// The contender's name.
    pub contender: &'static str,
    /// Connections that were kept busy.
    pub connections: usize,
    /// Answers a second.
    pub requests_per_s: f64,
    /// Half of the answers came within this.
    pub p50_ms: f64,
    /// 99 in 100 answers came within this.
    pub p99_ms: f64,
    /// Processor time of the server, for one request.
    pub cpu_us_per_request: f64,
    /// The most memory the server had resident.
    pub memory_peak_mb: f64,
    /// Requests that were answered.
    pub requests: u64,
    /// Errors of any kind, in the warm-up too.
    pub errors: u64,
    /// Ballots, where the contender counts them.
    pub ballots: Option<Ballots>,
    /// From the end of the load until all ballots that were answered were counted, in seconds.
    pub counted_after_s: Option<f64>,
}

/// Ballots of one run, its warm-up included.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Ballots {
    /// Those that were answered.
    pub answered: u64,
    /// Those that were counted: also those whose clients hung up at the end of the load, at most one a connection.
    pub counted: u64,
    /// Whether none is missing and none too many.
    pub agree: bool,
}

/// Runs every contender at each number of connections, round after round, the order turning from round to round.
///
/// # Errors
/// If a server or the load fails; an error among the answers is only counted.
pub fn all(plan: &Plan, contenders: &[Contender], connections: &[usize], scratch: &Path) -> anyhow::Result<Vec<Run>> {
    machine::raise_descriptor_limit()?;
    let mut runs = Vec::new();
    for round in 1..=plan.rounds {
        for &connections in connections {
            for contender in in_turn(contenders, round - 1) {
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

/// What is wrong with these runs, in words.
pub fn faults(runs: &[Run]) -> Vec<String> {
    let mut faults = Vec::new();
    for run in runs {
        let which = format!("round {}, {} at {} connections", run.round, run.contender, run.connections);
        if run.errors > 0 {
            faults.push(format!("{which}: {} errors", run.errors));
        }
        if let Some(Ballots { answered, counted, agree: false }) = run.ballots {
            faults.push(format!("{which}: {answered} ballots answered, {counted} counted"));
        }
    }
    faults
}

fn one(plan: &Plan, contender: &Contender, round: usize, connections: usize, scratch: &Path) -> anyhow::Result<Run> {
    let directory = tempfile::tempdir_in(scratch)?;
    let server = contender.start(directory.path())?;
    let family = server.family()?;
    let request = contender.request;
    let counted_before = if contender.counts() { Some(ballots_counted(&server)?) } else { None };
    let warm_up = load::send(request, server.address, connections, WARM_UP_S)?;
    let cpu_before = family.cpu_us()?;
    let seen = load::send(request, server.address, connections, plan.seconds)?;
    let cpu_us = family.cpu_us()? - cpu_before;
    if seen.requests == 0 {
        bail!("not one request was answered");
    }
    let watch = Stopwatch::start();
    let mut counted_after_s = None;
    let ballots = match counted_before {
        Some(before) => {
            let answered = warm_up.requests + seen.requests;
            // Where workers count, the last ones are still on their way.
            let all = || ballots_counted(&server).ok().filter(|counted| counted - before >= answered);
            if wait_until(COUNTED_MAX, all).is_some() {
                counted_after_s = Some(watch.elapsed().as_secs_f64());
            }
            let counted = ballots_counted(&server)? - before;
            // Each of the two loads ends by hanging up, with at most one request under way on each connection.
            let agree = (answered..=answered + 2 * connections as u64).contains(&counted);
            Some(Ballots { answered, counted, agree })
        }
        None => None,
    };
    let memory_peak_mb = family.memory_peak_kib()? as f64 / 1024.0;
    server.stop()?;
    Ok(Run {
        round,
        contender: contender.name,
        connections,
        requests_per_s: seen.rate(),
        p50_ms: seen.p50_us as f64 / 1e3,
        p99_ms: seen.p99_us as f64 / 1e3,
        cpu_us_per_request: cpu_us as f64 / seen.requests as f64,
        memory_peak_mb,
        requests: seen.requests,
        errors: warm_up.errors + seen.errors,
        ballots,
        counted_after_s,
    })
}

/// The tally of option 1, which every ballot of the load chooses.
pub fn ballots_counted(server: &Server) -> anyhow::Result<u64> {
    let result: Value = serde_json::from_str(&ask(server.address, Request::Result)?)?;
    result["1"].as_u64().with_context(|| format!("no tally of option 1 in {result}"))
}

fn in_turn<T>(all: &[T], first: usize) -> impl Iterator<Item = &T> {
    all.iter().cycle().skip(first % all.len().max(1)).take(all.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_begins_with_another() {
        let order = |first| in_turn(&["a", "b", "c"], first).copied().collect::<String>();
        assert_eq!([0, 1, 2, 3].map(order), ["abc", "bca", "cab", "abc"]);
    }
}
