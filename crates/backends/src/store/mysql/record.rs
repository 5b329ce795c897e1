//! Recording ballots: the one place where counting happens.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use sqlx::Row as _;
use sqlx::mysql::{MySqlConnection, MySqlRow};
use throng_domain::ballot::{Ballot, BallotId, BallotKey, Choices};
use throng_domain::clock::Timestamp;
use throng_domain::poll::PollId;
use throng_domain::store::Outcome;

use super::connection::simple_query;
use super::error::{corrupt, is_conflict};
use super::polls::{self, word};
use super::tallies;
use crate::store::batch::Batch;

/// How often a batch is tried whose ballots, or tallies, another transaction is busy with.
const TRIES_MAX: usize = 6;

/// The ballots that are inserted by one statement: below 1 MB even if each chooses all there is to choose. A server takes
/// statements of 4 MB and more.
const INSERT_ROWS: usize = 1_000;

const INSERT: &str = "INSERT INTO ballot (poll_id, `key`, ballot_id, choices, accepted_at) VALUES ";

/// The keys that are asked for by one statement. MariaDB makes a temporary table of a list of 1,000.
const LOOK_UP_KEYS: usize = 500;

/// Inserts the ballots that aren't there and adds just those to the tallies, in a transaction that the caller commits.
///
/// Optimistic, then exact: at first all go in, which succeeds only if nobody has any of their keys. If somebody does,
/// that transaction is rolled back, and the next one first asks which are there. Where another transaction inserts one
/// of them at the same time, that one is rolled back as well, and begun anew when the other has ended.
pub(super) async fn insert_and_count(
    writer: &mut MySqlConnection,
    shard: u64,
    polls: &[PollId],
    ballots: &[Ballot],
) -> sqlx::Result<Vec<Outcome>> {
    let mut way = Way::Optimistic;
    for _ in 1..TRIES_MAX {
        match attempt(writer, way, shard, polls, ballots).await {
            // After some of these a part of the transaction is still there.
            Err(error) if is_conflict(&error) => simple_query(&mut *writer, "ROLLBACK").await.map(drop)?,
            done => return done,
        };
        way = Way::Exact;
    }
    attempt(writer, way, shard, polls, ballots).await
}

/// How a batch is inserted.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// All of it, in the hope that it is new.
    Optimistic,
    /// What isn't there.
    Exact,
}

async fn attempt(
    writer: &mut MySqlConnection,
    way: Way,
    shard: u64,
    polls: &[PollId],
    ballots: &[Ballot],
) -> sqlx::Result<Vec<Outcome>> {
    let windows = polls::begin_with_windows(writer, polls).await?;
    let mut batch = Batch::judge(ballots, &windows);
    match way {
        Way::Optimistic => {
            batch.count_all();
            look_up(writer, &mut batch).await?;
            let candidates: Vec<_> = batch.candidates().collect();
            insert(writer, &candidates, tallies::add(&batch.changes(), shard)).await?;
        }
        Way::Exact => {
            let held = look_up(writer, &mut batch).await?;
            let free: Vec<_> = batch.candidates().filter(|ballot| !held.contains(&(ballot.poll, ballot.key))).collect();
            free.iter().for_each(|ballot| batch.count(ballot.poll, ballot.key));
            insert(writer, &free, tallies::add(&batch.changes(), shard)).await?;
        }
    }
    batch.outcomes().map_err(corrupt)
}

/// Inserts all of these ballots and adds them to the tallies, or fails. What is sent as text goes with one question: over
/// TLS on one machine, each question less is a few per cent of a small batch.
async fn insert(writer: &mut MySqlConnection, ballots: &[&Ballot], add: Option<String>) -> sqlx::Result<()> {
    let (thousands, rest) = ballots.as_chunks::<INSERT_ROWS>();
    for ballots in thousands {
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

/// With placeholders: the server reads such a statement once, and each ballot then costs it less than three quarters.
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

/// As text, in one question: a statement with placeholders would have to be prepared for every number of ballots.
/// Nothing goes in but numbers and hex digits, and the digits, commas and brackets of [`Choices`].
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

/// The ballot's id, where it isn't the key.
fn own_id(ballot: &Ballot) -> Option<&[u8; 16]> {
    let id = ballot.id.0.as_bytes();
    (ballot.key.0 != *id).then_some(id)
}

/// Asks who has the keys that aren't settled, tells the batch, and returns those that somebody has. It waits for whoever
/// is just inserting one of them, and sees what has been committed meanwhile.
async fn look_up(writer: &mut MySqlConnection, batch: &mut Batch<'_>) -> sqlx::Result<BTreeSet<(PollId, BallotKey)>> {
    let mut held = BTreeSet::new();
    let unsettled: Vec<_> = batch.unsettled().collect();
    for of_poll in unsettled.chunk_by(|left, right| left.0 == right.0) {
        for keys in of_poll.chunks(LOOK_UP_KEYS) {
            let poll = keys[0].0;
            let sql = look_up_statement(poll, keys.iter().map(|(_, key)| key));
            for row in simple_query(&mut *writer, &sql).await? {
                let key = BallotKey(bytes(&row, 0)?);
                batch.held_by(poll, key, id(&row, 1)?, word(&row, 2)?);
                held.insert((poll, key));
            }
        }
    }
    Ok(held)
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

pub(super) async fn stored(
    reader: &mut MySqlConnection,
    poll: PollId,
    after: Option<BallotKey>,
    limit: usize,
) -> sqlx::Result<Vec<Ballot>> {
    let (relation, key) = after.map_or((">=", [0; 16]), |after| (">", after.0));
    let sql = format!(
        "SELECT `key`, coalesce(ballot_id, `key`), choices, accepted_at FROM ballot \
         WHERE poll_id = ? AND `key` {relation} ? ORDER BY `key` LIMIT ?"
    );
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let page = sqlx::query(&sql).bind(poll.0).bind(&key[..]).bind(limit);
    let rows = page.fetch_all(reader).await?;
    let ballots = rows.iter().map(|row| {
        Ok(Ballot {
            poll,
            key: BallotKey(bytes(row, 0)?),
            id: id(row, 1)?,
            choices: word::<Choices>(row, 2)?,
            accepted_at: Timestamp(row.try_get(3)?),
        })
    });
    ballots.collect()
}

/// The polls' numbers, as `IN` takes them.
pub(super) fn list(polls: &[PollId]) -> String {
    let numbers: Vec<_> = polls.iter().map(|poll| poll.0.to_string()).collect();
    numbers.join(",")
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

pub(super) fn bytes(row: &MySqlRow, column: usize) -> sqlx::Result<[u8; 16]> {
    row.try_get::<&[u8], _>(column)?.try_into().map_err(corrupt)
}

fn id(row: &MySqlRow, column: usize) -> sqlx::Result<BallotId> {
    bytes(row, column).map(|bytes| BallotId(uuid::Uuid::from_bytes(bytes)))
}
