//! `cargo xtask bench chain`: what a vote costs scaled out, with load, web node, broker, worker and database on this machine.

use super::contender::{Contender, Kind, Request};
use super::machine::Machine;
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
    let facts = counted_fact(&runs).into_iter().collect();
    let ratios = Ratio::all(COMPARISONS, &runs);
    let faults = runs::faults(&runs);
    let notes = vec!["Processor time and memory are those of the web node alone.".to_owned()];
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

/// The longest time that ballots took to be counted after the end of a load.
fn counted_fact(runs: &[Run]) -> Option<Fact> {
    let longest = runs.iter().filter_map(|run| run.counted_after_s).max_by(f64::total_cmp)?;
    Some(Fact::below("the last ballot counted, after the load's end", longest, "s", 1.0))
}
