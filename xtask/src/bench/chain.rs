//! `cargo xtask bench chain`: what a vote costs scaled out, with load, web node, broker, worker and database on this machine.

use anyhow::Context as _;

use super::bench_env::BenchEnv;
use super::contender::{Contender, Kind};
use super::machine::Machine;
use super::plan::Plan;
use super::process::Processes;
use super::report::{Comparison, Fact, Ratio, Report};
use super::request::Request;
use super::runs::{self, Run};
use super::scaled_out::{self, ScaledOut};
use super::{load, machine};
use crate::packages::{self, SETPRIV};
use crate::services::{self, Services};

const CONNECTIONS: [usize; 2] = [64, 1000];

const EMPTY_AXUM: &str = "empty axum::serve";
const WEB_AND_BROKER: &str = "web + broker";
const ON_MARIADB: &str = "all, on MariaDB";
const ON_POSTGRES: &str = "all, on PostgreSQL";

const COMPARISONS: &[Comparison] = &[
    Comparison { top: WEB_AND_BROKER, bottom: EMPTY_AXUM, bars: &[(64, None), (1000, Some(0.80))] },
    Comparison { top: ON_MARIADB, bottom: EMPTY_AXUM, bars: &[(64, Some(0.18)), (1000, Some(0.60))] },
    Comparison { top: ON_POSTGRES, bottom: EMPTY_AXUM, bars: &[(64, Some(0.18)), (1000, Some(0.60))] },
];

/// Runs the benchmark, prints the report and stores it.
///
/// # Errors
/// If the benchmark can't run.
pub fn run(plan: &Plan) -> anyhow::Result<bool> {
    packages::ensure(&[load::WRK, SETPRIV])?;
    let bench_env = BenchEnv::open()?;
    let services = Services::start(scaled_out::SERVERS.to_vec())?;
    let machine = Machine::describe(&bench_env.scratch)?;
    let contenders = contenders(&bench_env, &services)?;
    let runs = runs::all(plan, &contenders, &CONNECTIONS, &bench_env.scratch)?;
    let mut facts: Vec<Fact> = counted_fact(&runs).into_iter().collect();
    for (kind, short, name) in
        [(services::Kind::Mariadb, "cost1", "MariaDB"), (services::Kind::Postgres, "cost2", "PostgreSQL")]
    {
        let system = ScaledOut::on(short, kind, bench_env.throng(), &services)?;
        facts.extend(costs(&system, kind, name, plan, &services, &bench_env)?);
    }
    let ratios = Ratio::all(COMPARISONS, &runs);
    let faults = runs::faults(&runs);
    let notes = vec![
        "Processor time and memory in the last table are those of the web node alone; the costs of a vote in each part are \
         from a load of their own, at 1,000 connections."
            .to_owned(),
    ];
    let date = machine::today();
    Report { name: "chain", date, machine, plan: Some(plan.clone()), notes, facts, ratios, runs }.publish(&plan.out)?;
    Ok(runs::print_faults(&faults))
}

fn contenders(bench_env: &BenchEnv, services: &Services) -> anyhow::Result<[Contender; 4]> {
    let chain = |name, short, kind, worker| -> anyhow::Result<Contender> {
        let system = ScaledOut::on(short, kind, bench_env.throng(), services)?;
        Ok(Contender { name, kind: Kind::ScaledOut { system, worker }, request: Request::Vote })
    };
    let empty = Kind::Empty(bench_env.example("empty_axum"), &[]);
    Ok([
        Contender { name: EMPTY_AXUM, kind: empty, request: Request::Vote },
        chain(WEB_AND_BROKER, "broker", services::Kind::Postgres, false)?,
        chain(ON_MARIADB, "mariadb", services::Kind::Mariadb, true)?,
        chain(ON_POSTGRES, "postgres", services::Kind::Postgres, true)?,
    ])
}

/// The processor time that a vote costs each part of the system, while 1,000 clients vote.
fn costs(
    system: &ScaledOut,
    kind: services::Kind,
    name: &str,
    plan: &Plan,
    services: &Services,
    bench_env: &BenchEnv,
) -> anyhow::Result<Vec<Fact>> {
    let directory = tempfile::tempdir_in(&bench_env.scratch)?;
    let system = system.set_up()?;
    let mut web = system.web(directory.path())?;
    system.worker(&mut web, directory.path())?;
    load::send(Request::Vote, web.address, 1_000, 2)?;
    let server = |kind| {
        let pid = services.pid(kind).context("the server isn't running")?;
        Processes::of(pid.as_raw_nonzero().get().unsigned_abs())
    };
    // The database has one process or one thread per connection.
    let parts = [
        ("web node", web.processes()?),
        ("RabbitMQ", server(services::Kind::Rabbitmq)?),
        ("worker", web.companion()?),
        (name, server(kind)?),
    ];
    let times = || parts.iter().map(|(_, part)| part.cpu_us()).collect::<anyhow::Result<Vec<u64>>>();
    let before = times()?;
    let summary = load::send(Request::Vote, web.address, 1_000, plan.seconds)?;
    let after = times()?;
    web.stop()?;
    let cost = |((part, _), (before, after)): (&(&str, Processes), (u64, u64))| {
        let cost_us = (after - before) as f64 / summary.requests as f64;
        Fact::shown(format!("on {name}, a vote costs the {part}"), cost_us, "µs")
    };
    Ok(parts.iter().zip(before.into_iter().zip(after)).map(cost).collect())
}

/// The longest time from the end of a load until all its ballots were counted.
fn counted_fact(runs: &[Run]) -> Option<Fact> {
    let longest = runs.iter().filter_map(|run| run.counted_after_s).max_by(f64::total_cmp)?;
    Some(Fact::below("the last ballot counted, after the load's end", longest, "s", 1.0))
}
