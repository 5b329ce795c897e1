//! `cargo xtask bench backup`: how much `throng backup` reduces the rate of votes while it copies a file with many ballots, and
//! whether the copy is complete.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use serde_json::Value;

use super::bench_env::BenchEnv;
use super::contender::{Processors, start_throng};
use super::machine::Machine;
use super::report::{Fact, Report};
use super::request::Request;
use super::seed::Voters;
use super::server::Server;
use super::{load, machine, seed};
use crate::command;
use crate::packages::{self, SETPRIV};
use crate::stopwatch::{Stopwatch, wait_until};

/// Clients that vote without a pause.
const CONNECTIONS: usize = 256;

/// How often the length of the log is checked.
const CHECK_EVERY: Duration = Duration::from_millis(20);

/// How long a backup may take to end after the last load beside it.
const END_MAX: Duration = Duration::from_secs(600);

/// How much is copied, and how often.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Ballots in the file before the first vote
    #[arg(long, default_value_t = 10_000_000)]
    ballots: u64,
    /// Rounds: in each, a load without a backup, and one for as long as a backup takes
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of one load
    #[arg(long, default_value_t = 5)]
    seconds: u32,
    /// Where the results are stored
    #[arg(long, default_value = "bench/results")]
    out: PathBuf,
}

/// What a round measured.
struct Round {
    /// Votes per second without a backup, and with one.
    rates: (f64, f64),
    backup_s: f64,
    log_peak_bytes: u64,
    ballots: u64,
}

/// Runs the benchmark, prints the report and stores it.
///
/// # Errors
/// If the benchmark can't run, a vote fails, or a copy isn't complete.
pub fn run(options: &Options) -> anyhow::Result<bool> {
    packages::ensure(&[load::WRK, SETPRIV])?;
    machine::raise_descriptor_limit()?;
    let bench_env = BenchEnv::open()?;
    let machine = Machine::describe(&bench_env.scratch)?;
    let directory = tempfile::tempdir_in(&bench_env.scratch)?;
    let file = directory.path().join("full.db");
    println!("seeding {} ballots", options.ballots);
    start_throng(&bench_env.throng(), directory.path(), &file, Processors::Awake)?.stop()?;
    seed::seed(&file, Voters::Unlimited, options.ballots, machine::now_ms())?;
    let server = start_throng(&bench_env.throng(), directory.path(), &file, Processors::Awake)?;
    load::send(Request::Vote, server.address, CONNECTIONS, 1)?;
    let mut rounds = Vec::new();
    for number in 1..=options.rounds {
        machine::wait_until_quiet()?;
        let round = one_round(&bench_env.throng(), &server, &file, options.seconds)?;
        println!(
            "round {number}/{}: {:.0} votes/s without, {:.0} with a backup, ratio {:.3}; the backup took {:.1} s; the log had \
             at most {} MB; {} ballots in the copy, recounted",
            options.rounds,
            round.rates.0,
            round.rates.1,
            round.rates.1 / round.rates.0,
            round.backup_s,
            round.log_peak_bytes / 1_000_000,
            round.ballots,
        );
        rounds.push(round);
    }
    server.stop()?;
    let mut ratios: Vec<f64> = rounds.iter().map(|round| round.rates.1 / round.rates.0).collect();
    ratios.sort_by(f64::total_cmp);
    let median = *ratios.get(ratios.len() / 2).context("there were no rounds")?;
    let log_peak = rounds.iter().map(|round| round.log_peak_bytes).max().unwrap_or(0);
    let longest = rounds.iter().map(|round| round.backup_s).fold(0.0, f64::max);
    let facts = vec![
        Fact::at_least("votes with a backup / without, median", median, "", 0.8),
        Fact::below("the log's length, at most", log_peak as f64 / 1e6, "MB", 1_000.0),
        Fact::shown("the longest backup", longest, "s"),
    ];
    let notes = vec![
        format!("{} ballots were in the file before the first vote; {CONNECTIONS} clients vote.", options.ballots),
        "Each copy was checked by `throng backup`, and its tallies agreed with `throng poll recount`.".to_owned(),
    ];
    let date = machine::today();
    Report { name: "backup", date, machine, plan: None, notes, facts, ratios: Vec::new(), runs: Vec::new() }
        .publish(&options.out)?;
    Ok(true)
}

fn one_round(throng: &Path, server: &Server, file: &Path, seconds: u32) -> anyhow::Result<Round> {
    let copy = file.with_extension("copy");
    let without = vote(server, seconds)?;
    let (over, log) = (AtomicBool::new(false), file.with_extension("db-wal"));
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| log_peak(&log, &over));
        let measured = with_backup(throng, server, file, &copy, seconds);
        over.store(true, Ordering::Relaxed);
        let log_peak_bytes = watcher.join().unwrap_or(u64::MAX);
        let (with, backup_s) = measured?;
        let ballots = recount(throng, &copy)?;
        std::fs::remove_file(&copy)?;
        Ok(Round { rates: (without, with), backup_s, log_peak_bytes, ballots })
    })
}

/// Sends votes while a backup runs; returns their rate, and how long the backup took.
fn with_backup(throng: &Path, server: &Server, file: &Path, copy: &Path, seconds: u32) -> anyhow::Result<(f64, f64)> {
    let watch = Stopwatch::start();
    let mut backup = command::program(throng);
    backup.args(["--database-url", &format!("sqlite://{}", file.display()), "backup"]).arg(copy);
    let mut backup = backup.stdin(Stdio::null()).spawn()?;
    let measured = vote_beside(&mut backup, server, seconds);
    let ended = wait_until(END_MAX, || backup.try_wait().ok().flatten());
    let took_s = watch.elapsed().as_secs_f64();
    let Some(status) = ended else {
        backup.kill()?;
        bail!("the backup doesn't end");
    };
    ensure!(status.success(), "the backup failed: {status}");
    Ok((measured?, took_s))
}

fn vote_beside(backup: &mut Child, server: &Server, seconds: u32) -> anyhow::Result<f64> {
    let mut rates = Vec::new();
    // The last load, which outlasts the backup, is included only if it is the only one: the measured cost is lower then.
    while rates.is_empty() || backup.try_wait()?.is_none() {
        rates.push(vote(server, seconds)?);
    }
    if rates.len() > 1 {
        rates.pop();
    }
    Ok(rates.iter().sum::<f64>() / rates.len() as f64)
}

fn vote(server: &Server, seconds: u32) -> anyhow::Result<f64> {
    let summary = load::send(Request::Vote, server.address, CONNECTIONS, seconds)?;
    ensure!(summary.errors == 0, "{} of the votes failed", summary.errors);
    Ok(summary.rate())
}

/// The largest size of the log in bytes until `over` is set.
fn log_peak(log: &Path, over: &AtomicBool) -> u64 {
    let mut most = 0;
    while !over.load(Ordering::Relaxed) {
        most = most.max(std::fs::metadata(log).map_or(0, |metadata| metadata.len()));
        std::thread::park_timeout(CHECK_EVERY);
    }
    most
}

/// Recounts the copy's ballots; returns their number.
fn recount(throng: &Path, copy: &Path) -> anyhow::Result<u64> {
    let mut recount = command::program(throng);
    recount.args(["--database-url", &format!("sqlite://{}", copy.display()), "poll", "recount", "demo", "--json"]);
    let counted: Value = serde_json::from_str(&command::output(&mut recount)?)?;
    ensure!(counted["equal"] == true, "the copy's tallies don't agree with its ballots: {counted}");
    counted["voters"]["ballots"].as_u64().context("the recount has no number of ballots")
}
