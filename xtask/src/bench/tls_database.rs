//! `cargo xtask bench tls-database`: the cost of TLS to a database on the same machine, with votes recorded by the web node and
//! with a queue that is drained.

use anyhow::Context as _;
use clap::Args;

use super::bench_env::BenchEnv;
use super::contender::{Contender, Kind};
use super::machine::Machine;
use super::one_database::OneDatabase;
use super::plan::Plan;
use super::report::{Comparison, Fact, Ratio, Report};
use super::request::Request;
use super::scaled_out::{self, ScaledOut};
use super::{drain, load, machine, runs};
use crate::packages::{self, SETPRIV};
use crate::services::{self, Services};

const CONNECTIONS: [usize; 2] = [64, 512];

/// The lowest acceptable rate with TLS, relative to the rate without it.
const BAR: f64 = 0.85;

/// The URL options with TLS, and without.
const MODES: [(&str, &str); 2] = [("with TLS", "?sslmode=no-verify"), ("without", "?sslmode=disable")];

const BARS: &[(usize, Option<f64>)] = &[(64, Some(BAR)), (512, Some(BAR))];

const COMPARISONS: &[Comparison] = &[
    Comparison { top: "MariaDB with TLS", bottom: "MariaDB without", bars: BARS },
    Comparison { top: "PostgreSQL with TLS", bottom: "PostgreSQL without", bars: BARS },
];

/// How long is measured, and how much is drained.
#[derive(Clone, Debug, Args)]
pub struct Options {
    #[command(flatten)]
    plan: Plan,
    /// Ballots on the queue before a worker starts
    #[arg(long, default_value_t = 1_000_000)]
    ballots: u64,
}

/// Runs the benchmark, prints the report and stores it.
///
/// # Errors
/// If the benchmark can't run.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    let Options { plan, ballots } = options;
    packages::ensure(&[load::WRK, SETPRIV])?;
    let bench_env = BenchEnv::open()?;
    let services = Services::start(scaled_out::SERVERS.to_vec())?;
    let machine = Machine::describe(&bench_env.scratch)?;
    let contenders = [
        contender("MariaDB with TLS", "tls0", services::Kind::Mariadb, MODES[0].1, &bench_env, &services)?,
        contender("MariaDB without", "tls1", services::Kind::Mariadb, MODES[1].1, &bench_env, &services)?,
        contender("PostgreSQL with TLS", "tls2", services::Kind::Postgres, MODES[0].1, &bench_env, &services)?,
        contender("PostgreSQL without", "tls3", services::Kind::Postgres, MODES[1].1, &bench_env, &services)?,
    ];
    let runs = runs::all(plan, &contenders, &CONNECTIONS, &bench_env.scratch)?;
    let mut facts = Vec::new();
    for (kind, name, short) in [
        (services::Kind::Mariadb, "MariaDB", ["drain0", "drain1"]),
        (services::Kind::Postgres, "PostgreSQL", ["drain2", "drain3"]),
    ] {
        let mut rates = Vec::new();
        for ((mode, options), short) in MODES.into_iter().zip(short) {
            let system = ScaledOut::on(short, kind, bench_env.throng(), &services)?.with_options(options);
            let drained = drain::measure(&system, &format!("{name} {mode}"), *ballots, &bench_env)?;
            facts.push(Fact::shown(format!("one worker into {name} {mode}"), drained.rate, "ballots/s"));
            rates.push(drained.rate);
        }
        facts.push(Fact::at_least(format!("the same, with TLS ÷ without, {name}"), rates[0] / rates[1], "", BAR));
    }
    let ratios = Ratio::all(COMPARISONS, &runs);
    let faults = runs::faults(&runs);
    let notes = vec!["Load, web node, database, broker and worker are on this machine.".to_owned()];
    let date = machine::today();
    let report = Report { name: "tls-database", date, machine, plan: Some(plan.clone()), notes, facts, ratios, runs };
    report.publish(&plan.out)?;
    Ok(runs::print_faults(&faults))
}

fn contender(
    name: &'static str,
    short: &'static str,
    kind: services::Kind,
    options: &'static str,
    bench_env: &BenchEnv,
    services: &Services,
) -> anyhow::Result<Contender> {
    let server = services.url(kind).context("the database isn't running")?;
    let database = OneDatabase::on(short, kind, bench_env.throng(), server, options);
    Ok(Contender { name, kind: Kind::OneDatabase(database), request: Request::Vote })
}
