//! The policy `device` on an SQLite file: the rate of votes, how soon after the start they are accepted, and how much memory a voter
//! takes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rusqlite::Connection;

use super::measured::Measured;
use crate::bench::bench_env::BenchEnv;
use crate::bench::contender::{Contender, Database, Kind, Processors, start_throng, wait_for_vote};
use crate::bench::plan::Plan;
use crate::bench::report::{Comparison, Fact};
use crate::bench::request::Request;
use crate::bench::seed::{self, Voters};
use crate::bench::{machine, runs};
use crate::stopwatch::Stopwatch;

const CONNECTIONS: [usize; 2] = [64, 1000];

const IDENTIFIED: &str = "vote, policy device";
const UNLIMITED: &str = "vote, unlimited";

const COMPARISONS: &[Comparison] =
    &[Comparison { top: IDENTIFIED, bottom: UNLIMITED, bars: &[(64, None), (1000, Some(0.95))] }];

/// A server on a seeded file, once it has accepted a vote.
struct Started {
    took: Duration,
    memory_kib: u64,
}

/// Measures it with so many voters.
///
/// # Errors
/// If the benchmark can't run, or the votes don't identify voters.
pub fn measure(plan: &Plan, voters: u64, bench_env: &BenchEnv) -> anyhow::Result<Measured> {
    let directory = tempfile::tempdir_in(&bench_env.scratch)?;
    let throng = bench_env.throng();
    let seeded = |name: &str, of| seeded(&throng, directory.path(), name, of, voters);
    let (identified, unlimited) =
        (seeded("identified.db", Voters::Identified)?, seeded("unlimited.db", Voters::Unlimited)?);
    machine::wait_until_quiet()?;
    let with_voters = started(&throng, directory.path(), &identified)?;
    ensure!(last_number(&identified)? > voters, "a vote at /api/submit wasn't recorded as an identified voter's");
    let without = started(&throng, directory.path(), &unlimited)?;
    let per_voter = (with_voters.memory_kib as f64 - without.memory_kib as f64) * 1024.0 / voters as f64;
    let facts = vec![
        Fact::below("from the start to the first vote, policy device", with_voters.took.as_secs_f64(), "s", 5.0),
        Fact::shown("the same, unlimited", without.took.as_secs_f64(), "s"),
        Fact::below("memory for each voter", per_voter, "bytes", 32.0),
    ];

    let contender = |name, database| {
        let kind = Kind::Throng(throng.clone(), database, Processors::Awake);
        Contender { name, kind, request: Request::Vote }
    };
    let contenders =
        [contender(IDENTIFIED, Database::OfVoters(identified)), contender(UNLIMITED, Database::Kept(unlimited))];
    let runs = runs::all(plan, &contenders, &CONNECTIONS, &bench_env.scratch)?;
    let notes = vec![format!(
        "Each file had {voters} ballots at the start, those of one voter each or everyone's; each vote is a new voter's. The files \
         were in the system's page cache when the first server started."
    )];
    Ok(Measured { comparisons: COMPARISONS, notes, facts, runs })
}

/// A file with so many ballots.
fn seeded(throng: &Path, directory: &Path, name: &str, voters: Voters, count: u64) -> anyhow::Result<PathBuf> {
    let file = directory.join(name);
    println!("seeding {count} ballots in {name}");
    // On its first start, Throng creates its tables and the demo poll.
    start_throng(throng, directory, &file, Processors::Awake)?.stop()?;
    seed::seed(&file, voters, count, machine::now_ms())?;
    Ok(file)
}

fn started(throng: &Path, directory: &Path, file: &Path) -> anyhow::Result<Started> {
    let watch = Stopwatch::start();
    let server = start_throng(throng, directory, file, Processors::Awake)?;
    wait_for_vote(&server)?;
    let started = Started { took: watch.elapsed(), memory_kib: server.processes()?.memory_kib()? };
    server.stop()?;
    Ok(started)
}

/// The number of the last ballot of an identified voter.
fn last_number(file: &Path) -> anyhow::Result<u64> {
    let last = "SELECT coalesce(max(number), 0) FROM voter_ballot";
    Connection::open(file)?.query_row(last, [], |row| row.get(0)).context("the file has no voters")
}
