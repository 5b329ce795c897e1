//! `cargo xtask bench chain`: what a vote costs scaled out, with load, web node, broker, worker and database on this machine.

use anyhow::Context as _;

use super::contender::{Contender, Kind, Request};
use super::machine::Machine;
use super::process::Family;
use super::report::{Comparison, Fact, Ratio, Report};
use super::runs::{self, Run};
use super::scaled_out::{self, ScaledOut};
use super::{Plan, Workshop, load, machine, went_well};
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

/// Measures, prints and stores.
///
/// # Errors
/// If it can't be measured.
pub fn run(plan: &Plan) -> anyhow::Result<bool> {
    packages::ensure(&[load::WRK, SETPRIV])?;
    let workshop = Workshop::open()?;
    let services = Services::start(scaled_out::SERVERS.to_vec())?;
    let machine = Machine::describe(&workshop.scratch)?;
    let contenders = contenders(&workshop, &services)?;
    let runs = runs::all(plan, &contenders, &CONNECTIONS, &workshop.scratch)?;
    let mut facts: Vec<Fact> = counted_fact(&runs).into_iter().collect();
    for (kind, short, name) in
        [(services::Kind::Mariadb, "cost1", "MariaDB"), (services::Kind::Postgres, "cost2", "PostgreSQL")]
    {
        let system = ScaledOut::on(short, kind, workshop.throng(), &services)?;
        facts.extend(costs(&system, kind, name, plan, &services, &workshop)?);
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
    Ok(went_well(&faults))
}

fn contenders(workshop: &Workshop, services: &Services) -> anyhow::Result<[Contender; 4]> {
    let chain = |name, short, kind, worker| -> anyhow::Result<Contender> {
        let system = ScaledOut::on(short, kind, workshop.throng(), services)?;
        Ok(Contender { name, kind: Kind::ScaledOut { system, worker }, request: Request::Vote })
    };
    let empty = Kind::Empty(workshop.example("empty_axum"), &[]);
    Ok([
        Contender { name: EMPTY_AXUM, kind: empty, request: Request::Vote },
        chain(WEB_AND_BROKER, "broker", services::Kind::Postgres, false)?,
        chain(ON_MARIADB, "mariadb", services::Kind::Mariadb, true)?,
        chain(ON_POSTGRES, "postgres", services::Kind::Postgres, true)?,
    ])
}

/// The processor time that a vote costs each of those who have to do with it, while a thousand clients vote.
fn costs(
    system: &ScaledOut,
    kind: services::Kind,
    name: &str,
    plan: &Plan,
    services: &Services,
    workshop: &Workshop,
) -> anyhow::Result<Vec<Fact>> {
    let directory = tempfile::tempdir_in(&workshop.scratch)?;
    let system = system.begin()?;
    let mut web = system.web(directory.path())?;
    system.worker(&mut web, directory.path())?;
    load::send(Request::Vote, web.address, 1_000, 2)?;
    let server = |kind| {
        let pid = services.pid(kind).context("the server runs")?;
        Family::of(pid.as_raw_nonzero().get().unsigned_abs())
    };
    // The database has a process a connection, or a thread.
    let parts = [
        ("web node", web.family()?),
        ("RabbitMQ", server(services::Kind::Rabbitmq)?),
        ("worker", web.beside()?),
        (name, server(kind)?),
    ];
    let times = || parts.iter().map(|(_, part)| part.cpu_us()).collect::<anyhow::Result<Vec<u64>>>();
    let before = times()?;
    let seen = load::send(Request::Vote, web.address, 1_000, plan.seconds)?;
    let after = times()?;
    web.stop()?;
    let cost = |((part, _), (before, after)): (&(&str, Family), (u64, u64))| {
        let cost_us = (after - before) as f64 / seen.requests as f64;
        Fact::shown(format!("on {name}, a vote costs the {part}"), cost_us, "µs")
    };
    Ok(parts.iter().zip(before.into_iter().zip(after)).map(cost).collect())
}

/// The longest time that ballots took to be counted after the end of a load.
fn counted_fact(runs: &[Run]) -> Option<Fact> {
    let longest = runs.iter().filter_map(|run| run.counted_after_s).max_by(f64::total_cmp)?;
    Some(Fact::below("the last ballot counted, after the load's end", longest, "s", 1.0))
}
