//! `cargo xtask bench …`: comparative benchmarks, interleaved on one machine, because ratios are valid on other machines and
//! absolute figures aren't.

mod backup;
mod bench_env;
mod builds;
mod chain;
mod contender;
mod drain;
mod embedded;
mod growth;
mod http;
mod lag;
mod load;
mod machine;
mod new_poll;
mod one_database;
mod overload;
mod plan;
mod polls;
mod process;
mod report;
mod request;
mod runs;
mod scaled_out;
mod seed;
mod server;
mod signed_votes;
mod sql_client;
mod tls_database;
mod voters;

use clap::Subcommand;

use self::plan::Plan;

/// The benchmarks.
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Durable votes and result reads, against empty servers
    Embedded(Plan),
    /// Votes and draining a queue on this build, against another build
    Builds(builds::Options),
    /// Votes through RabbitMQ, a worker and a database, against an empty server
    Chain(Plan),
    /// One worker that records two million ballots from the queue
    Drain(drain::Options),
    /// Votes, and draining a queue, with TLS to the database, against the same without
    TlsDatabase(tls_database::Options),
    /// The time from a vote at one node to its result at another
    Lag(lag::Options),
    /// Votes and result reads on a file with ten million ballots, against an empty one
    Growth(growth::Options),
    /// What 100,000 polls cost that nobody uses: a start, memory, a change, an idle server
    Polls(polls::Options),
    /// Votes in polls with ten million identified voters, against the same where everyone may vote any number of times
    Voters(voters::Options),
    /// What a refused vote costs, and how many votes are counted while ten times as many clients vote
    Overload(Plan),
    /// Votes while `throng backup` copies a file with ten million ballots, against votes without it
    Backup(backup::Options),
}

/// Runs a benchmark. Returns whether there were no faults; a bar that isn't reached is only shown.
///
/// # Errors
/// If the benchmark can't run.
pub fn run(bench: &Bench) -> anyhow::Result<bool> {
    match bench {
        Bench::Embedded(plan) => embedded::run(plan),
        Bench::Builds(options) => builds::run(options),
        Bench::Chain(plan) => chain::run(plan),
        Bench::Drain(options) => drain::run(options),
        Bench::TlsDatabase(options) => tls_database::run(options),
        Bench::Lag(options) => lag::run(options),
        Bench::Growth(options) => growth::run(options),
        Bench::Polls(options) => polls::run(options),
        Bench::Voters(options) => voters::run(options),
        Bench::Overload(plan) => overload::run(plan),
        Bench::Backup(options) => backup::run(options),
    }
}
