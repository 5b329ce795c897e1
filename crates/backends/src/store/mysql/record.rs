//! Recording ballots. Ballots are counted nowhere else.

use std::fmt::Write as _;

use sqlx::mysql::MySqlConnection;
use throng_domain::ballot::{Ballot, BallotKey};
use throng_domain::poll::PollId;
use throng_domain::store::Outcome;

use super::ballots::{bytes, cast_from};
use super::connection::simple_query;
use super::error::is_conflict;
use super::polls;
use super::tallies;
use crate::store::record_plan::{LookUp, Mode, NewRow, RecordPlan};

/// How often a batch is attempted that conflicts with another transaction over its ballots or tallies.
const TRIES_MAX: usize = 6;

/// The ballots inserted by one statement: below 1 MB even if each chooses all options. A server accepts statements of 4
/// MB and more.
const INSERT_ROWS: usize = 1_000;

const INSERT: &str = "INSERT INTO ballot (poll_id, `key`, ballot_id, choices, accepted_at, policy) VALUES ";

/// The keys looked up by one statement. MariaDB creates a temporary table for a list of 1,000.
const LOOK_UP_KEYS: usize = 500;

/// Inserts the ballots that are to be counted and adds them to the tallies, in a transaction that the caller commits: see
/// [`record_plan`](super::super::record_plan).
pub(super) async fn insert_and_count(
    writer: &mut MySqlConnection,
    shard: u64,
    polls: &[PollId],
    ballots: &[Ballot],
) -> sqlx::Result<Vec<Outcome>> {
    let mut mode = Mode::first(ballots);
    for _ in 1..TRIES_MAX {
        match attempt(writer, mode, shard, polls, ballots).await {
            // After some of these errors a part of the transaction is still open.
            Err(error) if is_conflict(&error) => simple_query(&mut *writer, "ROLLBACK").await.map(drop)?,
            result => return result,
        };
        mode = mode.next();
    }
    attempt(writer, mode, shard, polls, ballots).await
}

async fn attempt(
    writer: &mut MySqlConnection,
    mode: Mode,
    shard: u64,
    polls: &[PollId],
    ballots: &[Ballot],
) -> sqlx::Result<Vec<Outcome>> {
    let mut plan = RecordPlan::new(ballots, &polls::begin_with_rules(writer, polls, mode == Mode::Alone).await?);
    look_up(writer, &mut plan, mode).await?;
    plan.settle();
    insert(writer, &plan.rows(), tallies::add(&plan.changes(), shard)).await?;
    Ok(plan.outcomes())
}

/// Inserts all of these ballots and adds them to the tallies, or fails. Everything sent as text goes in one request:
/// over TLS on one machine, each request saved is a few per cent of a small batch.
async fn insert(writer: &mut MySqlConnection, rows: &[NewRow<'_>], add: Vec<String>) -> sqlx::Result<()> {
    let (full, rest) = rows.as_chunks::<INSERT_ROWS>();
    for rows in full {
        insert_prepared(writer, rows).await?;
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
async fn insert_prepared(writer: &mut MySqlConnection, rows: &[NewRow<'_>; INSERT_ROWS]) -> sqlx::Result<()> {
    let row = "(?,?,?,?,?,?)";
    let sql = format!("{INSERT}{row}{}", format!(",{row}").repeat(INSERT_ROWS - 1));
    let mut insert = sqlx::query(&sql);
    for row in rows {
        let (key, own_id) = (&row.key.0[..], row.own_id().map(<[u8; 16]>::as_slice));
        let Ballot { poll, choices, accepted_at, .. } = row.ballot;
        insert = insert.bind(poll.0).bind(key).bind(own_id).bind(choices.to_string()).bind(accepted_at.0);
        insert = insert.bind(row.policy());
    }
    insert.execute(writer).await?;
    Ok(())
}

/// As text, in one request: a statement with placeholders would have to be prepared for every number of ballots. It
/// contains nothing but numbers and hex digits, and the digits, commas and brackets of choices.
fn insert_statement(rows: &[NewRow<'_>]) -> String {
    let mut sql = String::with_capacity(INSERT.len() + 100 * rows.len());
    sql.push_str(INSERT);
    for (position, row) in rows.iter().enumerate() {
        let comma = if position == 0 { "" } else { "," };
        let Ballot { poll, choices, accepted_at, .. } = row.ballot;
        write!(sql, "{comma}({},", poll.0).expect("writing to a String can't fail");
        push_bytes(&mut sql, &row.key.0);
        sql.push(',');
        match row.own_id() {
            Some(id) => push_bytes(&mut sql, id),
            None => sql.push_str("NULL"),
        }
        write!(sql, ",'{choices}',{},", accepted_at.0).expect("writing to a String can't fail");
        match row.policy() {
            Some(policy) => write!(sql, "'{policy}')").expect("writing to a String can't fail"),
            None => sql.push_str("NULL)"),
        }
    }
    sql
}

/// Looks up what is stored. Waits for transactions that are inserting one of the keys, and sees what they committed.
async fn look_up(writer: &mut MySqlConnection, plan: &mut RecordPlan<'_>, mode: Mode) -> sqlx::Result<()> {
    for of_poll in plan.look_ups(mode).chunk_by(|left, right| left.poll == right.poll) {
        for look_ups in of_poll.chunks(LOOK_UP_KEYS) {
            let poll = look_ups[0].poll;
            for row in simple_query(&mut *writer, &look_up_statement(poll, look_ups)).await? {
                let key = BallotKey(bytes(&row, 0)?);
                plan.stored(poll, key, cast_from(&row, key.slot())?);
            }
        }
    }
    Ok(())
}

fn look_up_statement(poll: PollId, look_ups: &[LookUp]) -> String {
    let mut sql = format!(
        "SELECT `key`, coalesce(ballot_id, `key`), choices, accepted_at FROM ballot FORCE INDEX (PRIMARY) WHERE poll_id = {} AND (",
        poll.0
    );
    let (single, ranges): (Vec<&LookUp>, Vec<&LookUp>) =
        look_ups.iter().partition(|look_up| look_up.first == look_up.last);
    for (position, look_up) in single.iter().enumerate() {
        sql.push_str(if position == 0 { "`key` IN (" } else { "," });
        push_bytes(&mut sql, &look_up.first.0);
    }
    if !single.is_empty() {
        sql.push(')');
    }
    for (position, look_up) in ranges.iter().enumerate() {
        sql.push_str(if position == 0 && single.is_empty() { "" } else { " OR " });
        sql.push_str("`key` BETWEEN ");
        push_bytes(&mut sql, &look_up.first.0);
        sql.push_str(" AND ");
        push_bytes(&mut sql, &look_up.last.0);
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
