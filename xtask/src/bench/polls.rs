//! `cargo xtask bench polls`: what polls cost that nobody uses.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use rusqlite::{Connection, params};

use super::bench_env::BenchEnv;
use super::contender::{Processors, start_throng};
use super::http::exchange;
use super::machine::{self, Machine};
use super::report::{Fact, Report, median};
use super::server::Server;
use crate::command;
use crate::packages::{self, SETPRIV};
use crate::stopwatch::{Stopwatch, wait_until};

/// When every second poll closes: not during the benchmark.
const CLOSES_AT_MS: i64 = 4_102_444_800_000;

/// How long a server does nothing while its processor time is measured.
const IDLE: Duration = Duration::from_secs(10);

/// How long a change may take to be seen.
const SEEN_MAX: Duration = Duration::from_secs(10);

/// How much is measured.
#[derive(Debug, Args)]
pub struct Options {
    /// Polls in the file
    #[arg(long, default_value_t = 100_000)]
    polls: u32,
    /// Starts, and polls that are made and changed meanwhile
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Where the results are stored
    #[arg(long, default_value = "bench/results")]
    out: PathBuf,
}

/// One start of a server on the file.
struct Round {
    started_ms: f64,
    memory_kib: u64,
    idle_percent: f64,
    made_ms: f64,
    changed_ms: f64,
}

/// Runs the benchmark, prints the report and stores it.
///
/// # Errors
/// If the benchmark can't run.
pub fn run(Options { polls, rounds, out }: &Options) -> anyhow::Result<bool> {
    packages::ensure(&[SETPRIV])?;
    let bench_env = BenchEnv::open()?;
    let machine = Machine::describe(&bench_env.scratch)?;
    let directory = tempfile::tempdir_in(&bench_env.scratch)?;
    let (one, many) = (directory.path().join("one.db"), directory.path().join("many.db"));
    let throng = bench_env.throng();
    // On its first start, Throng creates its tables and the demo poll.
    for file in [&one, &many] {
        start_throng(&throng, directory.path(), file, Processors::MaySleep)?.stop()?;
    }
    seed(&many, *polls)?;
    let (mut alone, mut among) = (Vec::new(), Vec::new());
    for number in 0..*rounds {
        alone.push(round(&throng, directory.path(), &one, &format!("one-{number}"))?);
        among.push(round(&throng, directory.path(), &many, &format!("many-{number}"))?);
    }
    let of = |rounds: &[Round], value: fn(&Round) -> f64| median(rounds.iter().map(value)).unwrap_or(f64::NAN);
    let memory_kib = of(&among, |it| it.memory_kib as f64) - of(&alone, |it| it.memory_kib as f64);
    let facts = vec![
        Fact::below("start to the first response", of(&among, |it| it.started_ms), "ms", 1_000.0),
        Fact::shown("the same with one poll", of(&alone, |it| it.started_ms), "ms"),
        Fact::below("memory of a poll that nobody uses", memory_kib / f64::from(*polls), "KiB", 1.2),
        Fact::below("a poll that was made is seen after", of(&among, |it| it.made_ms), "ms", 250.0),
        Fact::below("a poll that was changed is seen after", of(&among, |it| it.changed_ms), "ms", 250.0),
        Fact::below("a core, while nothing happens", of(&among, |it| it.idle_percent), "%", 1.0),
        Fact::shown("the same with one poll", of(&alone, |it| it.idle_percent), "%"),
    ];
    let notes = vec![format!(
        "A file with {polls} polls, of which every second one has a closing time, beside a file with one; medians of {rounds} \
         starts each, one after the other. A change counts from the end of the command that made it. Processor time over {} s, \
         beginning after the changes.",
        IDLE.as_secs()
    )];
    let date = machine::today();
    Report { name: "polls", date, machine, plan: None, notes, facts, ratios: Vec::new(), runs: Vec::new() }
        .publish(out)?;
    Ok(true)
}

/// Copies the only poll of `file` so many times.
fn seed(file: &Path, polls: u32) -> anyhow::Result<()> {
    let mut database = Connection::open(file)?;
    let transaction = database.transaction()?;
    let demo: i64 = transaction.query_row("SELECT id FROM poll", [], |row| row.get(0)).context("it has no poll")?;
    let columns: String =
        transaction.query_row("SELECT group_concat(name) FROM pragma_table_info('poll')", [], |row| row.get(0))?;
    let kept: Vec<_> =
        columns.split(',').filter(|name| !["id", "slug", "closes_at", "changed"].contains(name)).collect();
    let kept = kept.join(", ");
    {
        let mut copy = transaction.prepare(&format!(
            "INSERT INTO poll (id, slug, closes_at, changed, {kept}) \
             SELECT ?1, ?2, ?3, ?4 + (SELECT version FROM polls_version), {kept} FROM poll WHERE id = ?5"
        ))?;
        let mut options = transaction
            .prepare("INSERT INTO option (poll_id, id, label, position) SELECT ?1, id, label, position FROM option WHERE poll_id = ?2")?;
        for number in 1..=i64::from(polls) {
            let closes_at = (number % 2 == 0).then_some(CLOSES_AT_MS + number);
            copy.execute(params![demo + number, format!("poll-{number}"), closes_at, number, demo])?;
            options.execute(params![demo + number, demo])?;
        }
        transaction.execute("UPDATE polls_version SET version = version + ?1", [polls])?;
    }
    Ok(transaction.commit()?)
}

fn round(throng: &Path, directory: &Path, file: &Path, slug: &str) -> anyhow::Result<Round> {
    let server = start_throng(throng, directory, file, Processors::MaySleep)?;
    let database = format!("sqlite://{}", file.display());
    let change = |arguments: &[&str]| {
        let mut command = command::program(throng);
        command::output(command.args(arguments).env("DATABASE_URL", &database).current_dir(directory)).map(drop)
    };
    let poll = format!("/api/v1/polls/{slug}");
    change(&["poll", "create", slug, "--title", "First", "--option", "A", "--option", "B", "--opens-at", "now"])?;
    let made_ms = seen_after(server.address, &poll, "First")?;
    change(&["poll", "edit", slug, "--title", "Second"])?;
    let changed_ms = seen_after(server.address, &poll, "Second")?;
    let idle_percent = idle_percent(&server)?;
    let memory_kib = server.processes()?.memory_kib()?;
    let started_ms = server.started_in.as_secs_f64() * 1e3;
    server.stop()?;
    println!("{slug}: started in {started_ms:.0} ms, {memory_kib} KiB, idle {idle_percent:.2} %");
    Ok(Round { started_ms, memory_kib, idle_percent, made_ms, changed_ms })
}

/// How long it takes until the poll has this title, in milliseconds.
fn seen_after(server: SocketAddr, path: &str, title: &str) -> anyhow::Result<f64> {
    let watch = Stopwatch::start();
    let shown = || exchange(server, "GET", path, "").ok().filter(|poll| poll.contains(title));
    wait_until(SEEN_MAX, shown).with_context(|| format!("{path} wasn't `{title}` within {} s", SEEN_MAX.as_secs()))?;
    Ok(watch.elapsed().as_secs_f64() * 1e3)
}

/// The share of a core that the server uses while nothing happens, in percent.
#[expect(clippy::disallowed_methods, reason = "an idle server has no event to wait for")]
fn idle_percent(server: &Server) -> anyhow::Result<f64> {
    let (processes, watch) = (server.processes()?, Stopwatch::start());
    let before_us = processes.cpu_us()?;
    thread::sleep(IDLE);
    let used_us = processes.cpu_us()? - before_us;
    Ok(used_us as f64 / 1e4 / watch.elapsed().as_secs_f64())
}
