//! Recording ballots. Ballots are counted nowhere else.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use sqlx::mysql::MySqlConnection;
use throng_domain::ballot::{Ballot, BallotKey};
use throng_domain::poll::PollId;
use throng_domain::store::Outcome;

use super::ballots::{bytes, id};
use super::connection::simple_query;
use super::error::{corrupt, is_conflict};
use super::polls::{self, word};
use super::tallies;
use crate::store::record_plan::RecordPlan;

/// How often a batch is attempted that conflicts with another transaction over its ballots or tallies.
const TRIES_MAX: usize = 6;

/// The ballots inserted by one statement: below 1 MB even if each chooses all options. A server accepts statements of 4
/// MB and more.
const INSERT_ROWS: usize = 1_000;

const INSERT: &str = "INSERT INTO ballot (poll_id, `key`, ballot_id, choices, accepted_at) VALUES ";

/// The keys looked up by one statement. MariaDB creates a temporary table for a list of 1,000.
const LOOK_UP_KEYS: usize = 500;

/// Inserts the ballots that aren't stored yet and adds only those to the tallies, in a transaction that the caller commits.
///
/// Optimistic, then exact: the first attempt inserts all of them, which succeeds only if none of their keys is in use.
/// Otherwise that transaction is rolled back, and the next one first looks up which are stored. If another transaction inserts
/// one of them at the same time, that attempt is rolled back as well, and repeated when the other transaction has ended.
pub(super) async fn insert_and_count(
    writer: &mut MySqlConnection,
    shard: u64,
    polls: &[PollId],
    ballots: &[Ballot],
) -> sqlx::Result<Vec<Outcome>> {
    let mut mode = InsertMode::Optimistic;
    for _ in 1..TRIES_MAX {
        match attempt(writer, mode, shard, polls, ballots).await {
            // After some of these errors a part of the transaction is still open.
            Err(error) if is_conflict(&error) => simple_query(&mut *writer, "ROLLBACK").await.map(drop)?,
            result => return result,
        };
        mode = InsertMode::Exact;
    }
    attempt(writer, mode, shard, polls, ballots).await
}

/// How a batch is inserted.
#[derive(Clone, Copy, Debug)]
enum InsertMode {
    /// All of it, on the assumption that it is new.
    Optimistic,
    /// Only what isn't stored yet.
    Exact,
}

async fn attempt(
    writer: &mut MySqlConnection,
    mode: InsertMode,
    shard: u64,
    polls: &[PollId],
    ballots: &[Ballot],
) -> sqlx::Result<Vec<Outcome>> {
    let windows = polls::begin_with_windows(writer, polls).await?;
    let mut batch = RecordPlan::judge(ballots, &windows);
    match mode {
        InsertMode::Optimistic => {
            batch.count_all();
            look_up(writer, &mut batch).await?;
            let candidates: Vec<_> = batch.candidates().collect();
            insert(writer, &candidates, tallies::add(&batch.changes(), shard)).await?;
        }
        InsertMode::Exact => {
            let stored = look_up(writer, &mut batch).await?;
            let free: Vec<_> =
                batch.candidates().filter(|ballot| !stored.contains(&(ballot.poll, ballot.key))).collect();
            free.iter().for_each(|ballot| batch.count(ballot.poll, ballot.key));
            insert(writer, &free, tallies::add(&batch.changes(), shard)).await?;
        }
    }
    batch.outcomes().map_err(corrupt)
}

/// Inserts all of these ballots and adds them to the tallies, or fails. Everything sent as text goes in one request:
/// over TLS on one machine, each request saved is a few per cent of a small batch.
async fn insert(writer: &mut MySqlConnection, ballots: &[&Ballot], add: Vec<String>) -> sqlx::Result<()> {
    let (full, rest) = ballots.as_chunks::<INSERT_ROWS>();
    for ballots in full {
        insert_prepared(writer, ballots).await?;
    }
    let rest = (!rest.is_empty()).then(|| insert_statement(rest));
    // The server stops at the first statement that fails.
    let statements: Vec<_> = rest.into_iter().chain(add).collect();
    if !statements.is_empty() {
        simple_query(writer, &statements.join("; ")).await?;
    }
    Ok(())
}

/// With placeholders: the server parses such a statement once, which reduces its cost per ballot to less than three quarters.
async fn insert_prepared(writer: &mut MySqlConnection, ballots: &[&Ballot; INSERT_ROWS]) -> sqlx::Result<()> {
    let row = "(?,?,?,?,?)";
    let sql = format!("{INSERT}{row}{}", format!(",{row}").repeat(INSERT_ROWS - 1));
    let mut insert = sqlx::query(&sql);
    for ballot in ballots {
        let (key, own_id) = (&ballot.key.0[..], own_id(ballot).map(<[u8; 16]>::as_slice));
        let choices = ballot.choices.to_string();
        insert = insert.bind(ballot.poll.0).bind(key).bind(own_id).bind(choices).bind(ballot.accepted_at.0);
    }
    insert.execute(writer).await?;
    Ok(())
}

/// As text, in one request: a statement with placeholders would have to be prepared for every number of ballots. It
/// contains nothing but numbers and hex digits, and the digits, commas and brackets of choices.
fn insert_statement(ballots: &[&Ballot]) -> String {
    let mut sql = String::with_capacity(INSERT.len() + 100 * ballots.len());
    sql.push_str(INSERT);
    for (position, ballot) in ballots.iter().enumerate() {
        let comma = if position == 0 { "" } else { "," };
        write!(sql, "{comma}({},", ballot.poll.0).expect("writing to a String can't fail");
        push_bytes(&mut sql, &ballot.key.0);
        sql.push(',');
        match own_id(ballot) {
            Some(id) => push_bytes(&mut sql, id),
            None => sql.push_str("NULL"),
        }
        write!(sql, ",'{}',{})", ballot.choices, ballot.accepted_at.0).expect("writing to a String can't fail");
    }
    sql
}

/// The ballot's id, where it differs from the key.
fn own_id(ballot: &Ballot) -> Option<&[u8; 16]> {
    let id = ballot.id.0.as_bytes();
    (ballot.key.0 != *id).then_some(id)
}

/// Looks up the holders of the unsettled keys, adds them to the batch, and returns the keys that are in use. Waits for
/// transactions that are inserting one of them, and sees what they committed.
async fn look_up(
    writer: &mut MySqlConnection,
    batch: &mut RecordPlan<'_>,
) -> sqlx::Result<BTreeSet<(PollId, BallotKey)>> {
    let mut stored = BTreeSet::new();
    let unsettled: Vec<_> = batch.unsettled().collect();
    for of_poll in unsettled.chunk_by(|left, right| left.0 == right.0) {
        for keys in of_poll.chunks(LOOK_UP_KEYS) {
            let poll = keys[0].0;
            let sql = look_up_statement(poll, keys.iter().map(|(_, key)| key));
            for row in simple_query(&mut *writer, &sql).await? {
                let key = BallotKey(bytes(&row, 0)?);
                batch.held_by(poll, key, id(&row, 1)?, word(&row, 2)?);
                stored.insert((poll, key));
            }
        }
    }
    Ok(stored)
}

fn look_up_statement<'a>(poll: PollId, keys: impl Iterator<Item = &'a BallotKey>) -> String {
    let mut sql = format!(
        "SELECT `key`, coalesce(ballot_id, `key`), choices FROM ballot FORCE INDEX (PRIMARY) \
         WHERE poll_id = {} AND `key` IN (",
        poll.0
    );
    for (position, key) in keys.enumerate() {
        if position > 0 {
            sql.push(',');
        }
        push_bytes(&mut sql, &key.0);
    }
    sql.push_str(") LOCK IN SHARE MODE");
    sql
}

/// Appends bytes as a literal.
fn push_bytes(sql: &mut String, bytes: &[u8; 16]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    sql.push_str("X'");
    for byte in bytes {
        sql.push(char::from(DIGITS[usize::from(byte >> 4)]));
        sql.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    sql.push('\'');
}
