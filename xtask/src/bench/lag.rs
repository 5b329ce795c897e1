//! `cargo xtask bench lag`: the time until a vote is visible on another node.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use serde_json::Value;

use super::bench_env::BenchEnv;
use super::http::fetch;
use super::machine::Machine;
use super::report::{Fact, Report};
use super::request::Request;
use super::scaled_out::{self, ScaledOut};
use super::{http, load, machine};
use crate::packages::{self, SETPRIV};
use crate::services::{Kind, Services};
use crate::stopwatch::{Stopwatch, wait_until};

/// Idle voters in the first part, and voters who vote as fast as they can in the second.
const VOTERS: usize = 1_000;

/// How long a vote may take to become visible.
const SHOWN_MAX: Duration = Duration::from_secs(10);

/// How long the only voter waits before each vote: results are published at most ten times per second, so a shorter wait would
/// measure that interval.
const AT_REST: Duration = Duration::from_millis(200);

/// How long the load lasts, in seconds.
const LOAD_S: u32 = 40;

/// A vote that is measured, and the option that no other vote chooses.
const MARK: &str = "[5]";
const MARKED: &str = "5";

/// How often the time is measured.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Votes at rest, and votes under full load
    #[arg(long, default_value_t = 200)]
    votes: u32,
    /// Where the results are stored
    #[arg(long, default_value = "bench/results")]
    out: PathBuf,
}

/// Runs the benchmark, prints the report and stores it.
///
/// # Errors
/// If the benchmark can't run, or a vote doesn't become visible.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    packages::ensure(&[load::WRK, SETPRIV])?;
    machine::raise_descriptor_limit()?;
    let bench_env = BenchEnv::open()?;
    let services = Services::start(scaled_out::SERVERS.to_vec())?;
    let machine = Machine::describe(&bench_env.scratch)?;
    let mut facts = Vec::new();
    for (kind, short, name) in [(Kind::Mariadb, "mariadb", "MariaDB"), (Kind::Postgres, "postgres", "PostgreSQL")] {
        let system = ScaledOut::on(short, kind, bench_env.throng(), &services)?.set_up()?;
        let (near, far) = (tempfile::tempdir_in(&bench_env.scratch)?, tempfile::tempdir_in(&bench_env.scratch)?);
        let (mut voted, shown) = (system.web(near.path())?, system.web(far.path())?);
        system.worker(&mut voted, near.path())?;
        let nodes = Nodes { voted: voted.address, shown: shown.address };
        facts.extend(at_rest(&nodes, name, options.votes)?);
        facts.extend(under_load(&nodes, name, options.votes)?);
        voted.stop()?;
        shown.stop()?;
    }
    let notes = vec![format!(
        "From sending a vote to one node until another shows it: {} votes, first one every {} ms beside {VOTERS} idle \
         connections, then one after the other beside {VOTERS} that vote as fast as they can. All of it is on this machine.",
        options.votes,
        AT_REST.as_millis()
    )];
    let date = machine::today();
    Report { name: "lag", date, machine, plan: None, notes, facts, ratios: Vec::new(), runs: Vec::new() }
        .publish(&options.out)?;
    Ok(true)
}

/// The node where votes are cast, and the node where they must become visible.
#[derive(Clone, Copy, Debug)]
struct Nodes {
    voted: SocketAddr,
    shown: SocketAddr,
}

fn at_rest(nodes: &Nodes, name: &str, votes: u32) -> anyhow::Result<[Fact; 2]> {
    let idle: Vec<TcpStream> = (0..VOTERS).map(|_| TcpStream::connect(nodes.voted)).collect::<Result<_, _>>()?;
    let lags = lags(nodes, votes, AT_REST)?;
    drop(idle);
    Ok(facts(&lags, &format!("{name}, {VOTERS} idle"), 50.0))
}

fn under_load(nodes: &Nodes, name: &str, votes: u32) -> anyhow::Result<[Fact; 2]> {
    let lags = thread::scope(|scope| {
        let load = scope.spawn(|| load::send(Request::Vote, nodes.voted, VOTERS, LOAD_S));
        let watch = Stopwatch::start();
        let lags = lags(nodes, votes, Duration::ZERO)?;
        let measured_s = watch.elapsed().as_secs_f64();
        load.join().map_err(|_| anyhow!("the load panicked"))??;
        if measured_s > f64::from(LOAD_S) {
            bail!("{votes} votes took {measured_s:.0} s, but the load only {LOAD_S} s: measure fewer votes");
        }
        anyhow::Ok(lags)
    })?;
    Ok(facts(&lags, &format!("{name}, under full load"), 250.0))
}

/// How long each vote took to become visible, in milliseconds, ascending; the voter waits for `pause` before each.
#[expect(clippy::disallowed_methods, reason = "an idle voter has no event to wait for")]
fn lags(nodes: &Nodes, votes: u32, pause: Duration) -> anyhow::Result<Vec<f64>> {
    let mut lags = Vec::new();
    for _ in 0..votes {
        thread::sleep(pause);
        let before = tally(nodes.shown)?;
        let watch = Stopwatch::start();
        http::exchange(nodes.voted, "POST", Request::Vote.path(), MARK)?;
        if wait_until(SHOWN_MAX, || tally(nodes.shown).ok().filter(|now| *now > before)).is_none() {
            bail!("a vote wasn't visible within {} s", SHOWN_MAX.as_secs());
        }
        lags.push(watch.elapsed().as_secs_f64() * 1e3);
    }
    lags.sort_by(f64::total_cmp);
    Ok(lags)
}

/// The tally of the option that only the measured votes choose.
fn tally(node: SocketAddr) -> anyhow::Result<u64> {
    let result: Value = serde_json::from_str(&fetch(node, Request::Result)?)?;
    result[MARKED].as_u64().with_context(|| format!("no tally of option {MARKED} in {result}"))
}

fn facts(lags: &[f64], name: &str, bar_ms: f64) -> [Fact; 2] {
    let at = |share: usize| lags.get(lags.len() * share / 100).copied().unwrap_or(f64::NAN);
    println!("{name}: p50 {:.1} ms, p99 {:.1} ms", at(50), at(99));
    [
        Fact::below(format!("{name}: p50"), at(50), "ms", bar_ms),
        Fact::below(format!("{name}: p99"), at(99), "ms", bar_ms),
    ]
}
