//! The policy `device` through RabbitMQ, and a worker, into MariaDB and PostgreSQL.

use anyhow::Context as _;

use super::measured::Measured;
use super::server_seed;
use crate::bench::bench_env::BenchEnv;
use crate::bench::contender::{Contender, Kind};
use crate::bench::machine;
use crate::bench::plan::Plan;
use crate::bench::report::{Comparison, Fact};
use crate::bench::request::Request;
use crate::bench::runs::{self, Run};
use crate::bench::scaled_out::{self, ScaledOut, System};
use crate::bench::seed::Voters;
use crate::services::{self, Services};
use crate::stopwatch::Stopwatch;

const CONNECTIONS: [usize; 2] = [64, 1000];

const BARS: &[(usize, Option<f64>)] = &[(64, None), (1000, Some(0.85))];

const MARIADB_DEVICE: &str = "through RabbitMQ into MariaDB, policy device";
const MARIADB_UNLIMITED: &str = "through RabbitMQ into MariaDB, unlimited";
const POSTGRES_DEVICE: &str = "through RabbitMQ into PostgreSQL, policy device";
const POSTGRES_UNLIMITED: &str = "through RabbitMQ into PostgreSQL, unlimited";

/// Each contender's name, the name of its database, the kind of its server, and who has voted before.
const CONTENDERS: [(&str, &str, services::Kind, Voters); 4] = [
    (MARIADB_DEVICE, "device", services::Kind::Mariadb, Voters::Identified),
    (MARIADB_UNLIMITED, "unlimited", services::Kind::Mariadb, Voters::Unlimited),
    (POSTGRES_DEVICE, "pgdevice", services::Kind::Postgres, Voters::Identified),
    (POSTGRES_UNLIMITED, "pgunlimited", services::Kind::Postgres, Voters::Unlimited),
];

const COMPARISONS: &[Comparison] = &[
    Comparison { top: MARIADB_DEVICE, bottom: MARIADB_UNLIMITED, bars: BARS },
    Comparison { top: POSTGRES_DEVICE, bottom: POSTGRES_UNLIMITED, bars: BARS },
];

/// Measures it with so many voters.
///
/// # Errors
/// If the benchmark can't run.
pub fn measure(plan: &Plan, voters: u64, bench_env: &BenchEnv) -> anyhow::Result<Measured> {
    let services = Services::start(scaled_out::SERVERS.to_vec())?;
    server_seed::set_memory_of_mariadb(&services)?;
    server_seed::set_memory_of_postgres(&services)?;
    let (mut contenders, mut took) = (Vec::new(), Vec::new());
    for (name, short, kind, of) in CONTENDERS {
        let system = ScaledOut::on(short, kind, bench_env.throng(), &services)?;
        println!("seeding {voters} ballots for: {name}");
        let watch = Stopwatch::start();
        let system = seeded(&system, kind, of, voters, &services, bench_env)?;
        took.push(format!("{:.0} s for those {name}", watch.elapsed().as_secs_f64()));
        contenders.push(Contender { name, kind: Kind::KeptSystem(system), request: Request::Vote });
    }
    let runs = runs::all(plan, &contenders, &CONNECTIONS, &bench_env.scratch)?;
    let facts = CONTENDERS.iter().filter_map(|(name, ..)| counted_fact(name, &runs)).collect();
    let (memory, log) = (server_seed::MEMORY_GIB, server_seed::LOG_GIB);
    let notes = vec![format!(
        "Each database server has {memory} GiB for its data and {log} GiB of log. Each database had {voters} ballots at the start, \
         those of one voter each, with random keys, or everyone's. Seeding took {}. The rates are those at which votes are \
         accepted; how far the worker is behind shows in the time until the last ballot is counted.",
        took.join(", ")
    )];
    Ok(Measured { comparisons: COMPARISONS, notes, facts, runs })
}

/// A system with so many ballots.
fn seeded(
    system: &ScaledOut,
    kind: services::Kind,
    of: Voters,
    voters: u64,
    services: &Services,
    bench_env: &BenchEnv,
) -> anyhow::Result<System> {
    let (directory, system) = (tempfile::tempdir_in(&bench_env.scratch)?, system.set_up()?);
    // On its first start, a web node creates the tables and the demo poll.
    system.web(directory.path())?.stop()?;
    let url = services.url(kind).context("the database isn't running")?;
    server_seed::seed(kind, &url, &system.database, of, voters, machine::now_ms())?;
    Ok(system)
}

/// The longest time from the end of a load until all the contender's ballots were counted.
fn counted_fact(name: &str, runs: &[Run]) -> Option<Fact> {
    let of_contender = runs.iter().filter(|run| run.contender == name);
    let longest = of_contender.filter_map(|run| run.counted_after_s).max_by(f64::total_cmp)?;
    Some(Fact::shown(format!("the last ballot counted, after the load's end, {name}"), longest, "s"))
}
