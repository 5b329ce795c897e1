//! `throng bench`: votes against a running server, then checks that it counted them.
//!
//! Two loads: [`rounds`], in which all clients vote at the same instant, and [`open_loop`], a constant rate that doesn't wait
//! for the server. Everything runs on one thread: a vote costs the bench little, and the other cores are left to the server,
//! which is usually on the same machine.

mod client;
mod connection;
mod counts;
mod descriptors;
mod findings;
mod open_loop;
mod progress;
mod report;
mod response;
mod rounds;
mod target;

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use clap::value_parser;
use jiff::SignedDuration;

use self::client::Client;
use self::counts::{Counts, Votes};
use self::findings::Findings;
use self::open_loop::Schedule;
use self::report::{Load, Report};
use self::target::Target;

/// Default number of rounds.
const ROUNDS: u32 = 10;

/// What either load needs.
struct RunContext {
    /// One vote request per option; clients use them in turn.
    requests: Vec<Bytes>,
    /// How long a vote may wait for its response.
    timeout: Duration,
    findings: Findings,
}

/// Arguments of `throng bench`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Server to vote on; http only
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: Target,
    /// Number of clients, each with its own connection, opened before the first vote
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = value_parser!(u32).range(1..))]
    clients: u32,
    /// Number of rounds, in each of which all clients vote at the same instant [default: 10]
    #[arg(long, value_name = "R", conflicts_with = "rate", value_parser = value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Votes per second instead of rounds, started on schedule whether or not the server keeps up; a vote waits if no client
    /// is free, and its wait is part of its latency
    #[arg(long, value_name = "VOTES", requires = "duration", value_parser = value_parser!(u32).range(1..=1_000_000))]
    rate: Option<u32>,
    /// How long to vote at that rate, such as 30s
    #[arg(long, value_name = "TIME", requires = "rate", value_parser = positive)]
    duration: Option<Duration>,
    /// Time after which a vote counts as unanswered
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = positive)]
    timeout: Duration,
    /// How long the server may take to show the last vote in its result. The result is read until it agrees; a server that
    /// caches its result or counts from a queue needs this time before the first vote too, if others have just voted
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    settle: Duration,
    /// Print the report as one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the load and prints the report.
///
/// # Errors
/// If the load can't be run, a vote failed, or the server's count is wrong.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    descriptors::raise_limit(arguments.clients)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(bench(arguments))?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        serde_json::to_writer(&mut out, &report)?;
        writeln!(out)?;
    } else {
        write!(out, "{report}")?;
    }
    let faults = report.faults();
    if !faults.is_empty() {
        bail!(faults.join("; "));
    }
    Ok(())
}

async fn bench(arguments: &Arguments) -> anyhow::Result<Report> {
    let target = &arguments.url;
    let address = target.address().await?;
    let read = async || Counts::read(target, address, arguments.timeout).await;
    let before = read().await.context("the result can't be read before the first vote")?;
    let requests: Vec<_> = before.options().map(|option| target.vote(option)).collect();
    if requests.is_empty() {
        bail!("{target} shows no options to vote for; does its default poll exist, and are its results public?");
    }
    let context = Arc::new(RunContext { requests, timeout: arguments.timeout, findings: Findings::new()? });
    let clients = Client::open_all(address, arguments.clients, arguments.timeout).await?;

    let load = arguments.load();
    let took = progress::show(&context.findings, load.votes(), async {
        match load {
            Load::Rounds { rounds, .. } => rounds::run(clients, &context, rounds).await,
            Load::Rate { rate, duration, .. } => open_loop::run(clients, &context, Schedule::new(rate, duration)).await,
        }
    });
    let took = took.await?;
    let figures = context.findings.figures();
    let votes = Votes::settle(&before, &figures, arguments.settle, read).await;
    Ok(Report::new(target.to_string(), load, took, figures, votes))
}

impl Arguments {
    fn load(&self) -> Load {
        let clients = self.clients;
        match (self.rate, self.duration) {
            (Some(rate), Some(duration)) => Load::Rate { clients, rate, duration },
            // Each requires the other.
            (_, _) => Load::Rounds { clients, rounds: self.rounds.unwrap_or(ROUNDS) },
        }
    }
}

impl RunContext {
    /// The `n`th vote's request.
    fn request(&self, n: u64) -> &[u8] {
        let options = u64::try_from(self.requests.len()).unwrap_or(u64::MAX);
        usize::try_from(n % options).ok().and_then(|index| self.requests.get(index)).map_or(&[], |request| request)
    }
}

/// A length of time, such as `10s` or `1m 30s`.
fn time(text: &str) -> Result<Duration, String> {
    let invalid = |_| "write it with its unit, such as 10s, 500ms or 2m".to_owned();
    let time: SignedDuration = text.parse().map_err(invalid)?;
    Duration::try_from(time).map_err(|_| "it must not be negative".to_owned())
}

fn positive(text: &str) -> Result<Duration, String> {
    time(text).and_then(|time| if time.is_zero() { Err("it must be greater than zero".to_owned()) } else { Ok(time) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_needs_a_unit_and_is_not_negative() {
        assert_eq!(time("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(time("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(time("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(time("0s"), Ok(Duration::ZERO));
        assert!(time("10").is_err_and(|error| error.contains("such as 10s")));
        assert!(time("-1s").is_err());
        assert!(positive("0s").is_err());
    }
}
