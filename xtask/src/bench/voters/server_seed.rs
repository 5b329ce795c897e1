//! A database on a server that already contains many ballots.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Signal, kill_process};

use crate::bench::seed::Voters;
use crate::bench::sql_client::execute;
use crate::services::{Kind, Services};
use crate::stopwatch::wait_checking_rarely;

/// How long ago the last vote was, in milliseconds, and the rate of the votes, in ballots per millisecond.
const AGO_MS: u64 = 3_600_000;
const BALLOTS_PER_MS: u64 = 100;

/// The memory of each server for its data, in GiB: enough for the ballots of ten million voters, as on a server that was set up for
/// them. As shipped, both servers use 128 MiB.
pub const MEMORY_GIB: u64 = 4;

/// How much a server logs until it must have written the changed pages, in GiB.
pub const LOG_GIB: u64 = 4;

/// How long a server may take to restart.
const RESTARTED_MAX: Duration = Duration::from_secs(120);

/// What is different between the servers.
struct Dialect {
    /// The name of the column `key`.
    key: &'static str,
    /// What comes before and after an expression of hex digits to make it bytes.
    bytes: [&'static str; 2],
    /// The function that makes hex digits of a number.
    to_hex: &'static str,
    /// What comes after a number to make it text.
    text: &'static str,
    /// The operator that divides integers.
    div: &'static str,
    /// What comes before and after the number of rows to make rows with the numbers from 1 on in the column `seq`.
    numbers: [&'static str; 2],
    /// What the server would do later, during the measurements.
    tidy: &'static [&'static str],
}

const MARIADB: Dialect = Dialect {
    key: "`key`",
    bytes: ["unhex(", ")"],
    to_hex: "hex",
    text: "",
    div: "DIV",
    numbers: ["seq_1_to_", ""],
    tidy: &["ANALYZE TABLE ballot"],
};

const POSTGRES: Dialect = Dialect {
    key: "key",
    bytes: ["decode(", ", 'hex')"],
    to_hex: "to_hex",
    text: "::text",
    div: "/",
    numbers: ["generate_series(1, ", ") AS numbers (seq)"],
    tidy: &["VACUUM (FREEZE, ANALYZE) ballot", "CHECKPOINT"],
};

/// Gives MariaDB memory and log for many ballots.
///
/// # Errors
/// If it isn't running, or refuses.
pub fn set_memory_of_mariadb(services: &Services) -> anyhow::Result<()> {
    let url = services.url(Kind::Mariadb).context("MariaDB isn't running")?;
    let set_memory = format!("SET GLOBAL innodb_buffer_pool_size = {}", MEMORY_GIB << 30);
    let set_log = format!("SET GLOBAL innodb_log_file_size = {}", LOG_GIB << 30);
    execute(Kind::Mariadb, &url, None, &[&set_memory, &set_log]).map(drop)
}

/// Gives PostgreSQL memory and log for many ballots.
///
/// # Errors
/// If it isn't running, or doesn't restart.
pub fn set_memory_of_postgres(services: &Services) -> anyhow::Result<()> {
    let url = services.url(Kind::Postgres).context("PostgreSQL isn't running")?;
    let memory = format!("{MEMORY_GIB}GB");
    let set_memory = format!("ALTER SYSTEM SET shared_buffers = '{memory}'");
    let set_log = format!("ALTER SYSTEM SET max_wal_size = '{LOG_GIB}GB'");
    execute(Kind::Postgres, &url, None, &[&set_memory, &set_log])?;
    // It is started again when it has ended.
    kill_process(services.pid(Kind::Postgres).context("PostgreSQL isn't running")?, Signal::INT)?;
    let shown = || execute(Kind::Postgres, &url, None, &["SHOW shared_buffers"]);
    let restarted = || shown().ok().filter(|shown| *shown == memory);
    wait_checking_rarely(RESTARTED_MAX, restarted).map(drop).context("PostgreSQL didn't restart with more memory")
}

/// Adds `count` ballots to the only poll of a database, with the tallies that recording them would have produced, and sets the poll's
/// policy. Each ballot is that of [`Request::Vote`](crate::bench::request::Request). The keys of identified voters are as random as
/// pseudonyms, so that an index is filled as it is in operation. `now_ms` is the time in milliseconds since 1970.
///
/// # Errors
/// If the database isn't a fresh one of Throng's.
pub fn seed(kind: Kind, url: &str, database: &str, voters: Voters, count: u64, now_ms: u64) -> anyhow::Result<()> {
    let dialect = match kind {
        Kind::Mariadb | Kind::Mysql => MARIADB,
        Kind::Postgres => POSTGRES,
        Kind::Rabbitmq | Kind::Memcached => bail!("not a database server"),
    };
    let execute = |statements: &[&str]| execute(kind, url, Some(database), statements);
    let before = execute(&["SELECT count(*) FROM poll", "SELECT count(*) FROM ballot"])?;
    ensure!(before.lines().eq(["1", "0"]), "it isn't a new database: {before:?}");
    let first_ms = now_ms - AGO_MS - count / BALLOTS_PER_MS;
    let policy = match voters {
        Voters::Unlimited => "unlimited",
        Voters::Identified => "device",
    };
    let poll = "(SELECT id FROM poll)";
    execute(&[
        &format!("UPDATE poll SET policy = '{policy}', opens_at = {first_ms}"),
        &insert(&dialect, voters, count, first_ms),
        &format!("INSERT INTO result (poll_id, shard, seq, voters) VALUES ({poll}, 0, {count}, {count})"),
        &format!("INSERT INTO tally (poll_id, option_id, shard, count) VALUES ({poll}, 1, 0, {count})"),
        &format!("INSERT INTO tally (poll_id, option_id, shard, count) VALUES ({poll}, 3, 0, {count})"),
    ])?;
    execute(dialect.tidy).map(drop)
}

/// The statement that inserts the ballots, which the server itself makes of the numbers from 1 to `count`.
fn insert(dialect: &Dialect, voters: Voters, count: u64, first_ms: u64) -> String {
    let Dialect { key, bytes: [begin, end], to_hex, text, div, numbers: [before, after], tidy: _ } = dialect;
    let at_ms = format!("({first_ms} + seq {div} {BALLOTS_PER_MS})");
    // A UUID of version 7: the time, a number that ascends within the millisecond, and digits as good as random ones.
    let id = format!(
        "{begin}concat(lpad({to_hex}{at_ms}, 12, '0'), '7', lpad({to_hex}(seq % {BALLOTS_PER_MS}), 3, '0'), \
         '8', left(md5((-seq){text}), 15)){end}"
    );
    let row = match voters {
        Voters::Unlimited => format!("{id}, NULL, '[1,3]', {at_ms}, NULL"),
        // 15 bytes for the voter, and the ballot's slot, 0.
        Voters::Identified => {
            format!("{begin}concat(left(md5((seq){text}), 30), '00'){end}, {id}, '[1,3]', {at_ms}, 'device'")
        }
    };
    format!(
        "INSERT INTO ballot (poll_id, {key}, ballot_id, choices, accepted_at, policy) \
         SELECT (SELECT id FROM poll), {row} FROM {before}{count}{after}"
    )
}
