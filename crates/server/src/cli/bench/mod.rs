//! `throng bench`: votes against a running server, then checks that it counted them.

mod progress;
mod report;

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::value_parser;
use jiff::SignedDuration;
use throng_domain::poll::Slug;
use throng_loadgen::{Generator, Load, LoadError, Poll, Rehearsal, ResultError, Target};

use self::report::Report;

/// The most bytes that are read of a pass's file.
const PASS_BYTES_MAX: u64 = 1_024;

/// Default number of rounds.
const ROUNDS: u32 = 10;

/// Arguments of `throng bench`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Server to vote on; http only
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: Target,
    /// Rehearsal to vote in, in place of the default poll: by the routes of version 1, with ballot ids, as many times as the load
    /// says. No voter takes part in it
    #[arg(long, value_name = "SLUG", requires = "pass_file")]
    rehearse: Option<Slug>,
    /// File with the pass for it, as `throng poll pass` prints it; - for standard input
    #[arg(long, value_name = "FILE", requires = "rehearse")]
    pass_file: Option<PathBuf>,
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
    // One thread: the other cores are left to the server.
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
    let (load, poll) = (arguments.load(), arguments.poll()?);
    let generator =
        Generator::connect(arguments.url.clone(), poll, load, arguments.timeout).await.map_err(with_advice)?;
    let findings = generator.findings();
    let run = progress::show(&findings, load.votes(), generator.run()).await?;
    let rehearsal = arguments.rehearse.as_ref().map(Slug::to_string);
    Ok(Report::new(arguments.url.to_string(), rehearsal, run.count(arguments.settle).await))
}

/// The error, with what the user can do about it.
fn with_advice(error: LoadError) -> anyhow::Error {
    match error {
        LoadError::TooManyClients { clients_max, .. } => {
            anyhow!("{error}: use --clients {clients_max} at most, or raise the hard limit (`ulimit -Hn`)")
        }
        LoadError::UnknownHost { host, source } => {
            anyhow::Error::new(source).context(format!("the host {host} can't be resolved; check --url"))
        }
        LoadError::NoServer { url, source } => {
            anyhow::Error::new(source).context(format!("nothing answers at {url}; start the server, or check --url"))
        }
        LoadError::NoResult(ResultError::Status { status: 403, ref route }) if route.contains("/api/v1/") => anyhow!(
            "{error}: the pass isn't for this poll, has expired, or was made with another APP_SECRET than the server has; make \
             one with `throng poll pass`"
        ),
        LoadError::RaiseLimit(_)
        | LoadError::Closed(_)
        | LoadError::NoResult(_)
        | LoadError::NoOptions { .. }
        | LoadError::NoRehearsal { .. }
        | LoadError::Unconnected { .. }
        | LoadError::Client(_) => error.into(),
    }
}

impl Arguments {
    fn poll(&self) -> anyhow::Result<Poll> {
        let (Some(slug), Some(file)) = (&self.rehearse, &self.pass_file) else { return Ok(Poll::Default) };
        Ok(Poll::Rehearsal(Rehearsal { slug: slug.to_string(), pass: read_pass(file)?, run: rand::random() }))
    }

    fn load(&self) -> Load {
        let clients = self.clients;
        match (self.rate, self.duration) {
            (Some(rate), Some(duration)) => Load::Rate { clients, rate, duration },
            // Each requires the other.
            (_, _) => Load::Rounds { clients, rounds: self.rounds.unwrap_or(ROUNDS) },
        }
    }
}

/// The pass in this file, or on standard input.
fn read_pass(file: &Path) -> anyhow::Result<String> {
    let name = file.display();
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().take(PASS_BYTES_MAX).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(PASS_BYTES_MAX).read_to_string(&mut text))
    };
    read.with_context(|| format!("the pass in {name} can't be read"))?;
    let pass = text.trim();
    if pass.is_empty() || !pass.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.') {
        bail!("{name} has no pass; make one with `throng poll pass`");
    }
    Ok(pass.to_owned())
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
    use crate::app::with_causes;

    #[test]
    fn load_that_cannot_be_run_is_reported_with_what_to_do() {
        let source = || std::io::Error::other("no");
        let report = |error| with_causes(&with_advice(error));
        assert_eq!(
            report(LoadError::TooManyClients { clients: 9, needed: 73, limit: 70, clients_max: 6 }),
            "9 clients need 73 open files, and this process may have 70: \
             use --clients 6 at most, or raise the hard limit (`ulimit -Hn`)"
        );
        assert_eq!(
            report(LoadError::UnknownHost { host: "a".to_owned(), source: source() }),
            "the host a can't be resolved; check --url: no"
        );
        assert_eq!(
            report(LoadError::NoServer { url: "http://a:80".to_owned(), source: source() }),
            "nothing answers at http://a:80; start the server, or check --url: no"
        );
        assert_eq!(report(LoadError::Closed(source())), "the server closed the first connection: no");
    }

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
