//! Recording ballots. Ballots are counted nowhere else.

use sqlx::Row as _;
use sqlx::postgres::PgConnection;
use throng_domain::ballot::{Ballot, BallotKey};
use throng_domain::poll::PollId;
use throng_domain::store::{Outcome, Recorded};

use super::super::pool::within;
use super::super::record_plan::{self, RecordPlan};
use super::ballots::{bytes, id};
use super::connection::{COMMIT_MAX, Connections, PooledConnection, Query, WORK_MAX, simple_query};
use super::error::{StoreResult, commit_error, is_collision, is_key_taken, read_error};
use super::{polls, tallies};

/// How often a batch is attempted that conflicts with another transaction.
const TRIES_MAX: usize = 4;

/// Inserts the ballots that aren't stored yet and adds only those to the tallies, in one transaction.
///
/// The first attempt assumes that none of them is stored, which is faster and almost always true. If one is, that
/// attempt is rolled back, and the next one uses the server's report of which ballots were inserted.
pub(super) async fn record(connections: &Connections, shard: i32, ballots: &[Ballot]) -> StoreResult<Recorded> {
    if ballots.is_empty() {
        return Ok(Recorded::default());
    }
    let polls = record_plan::polls(ballots);
    let inserted = within(WORK_MAX, record_uncommitted(connections, shard, ballots, &polls)).await.flatten();
    let (mut pooled, outcomes) = inserted.map_err(read_error)?;
    let committed = within(COMMIT_MAX, tallies::commit(&mut pooled, &polls)).await.flatten();
    let tallies = committed.map_err(commit_error)?;
    pooled.release();
    Ok(Recorded { outcomes, tallies })
}

/// Everything but the commit. If this fails, nothing was recorded.
async fn record_uncommitted<'a>(
    connections: &'a Connections,
    shard: i32,
    ballots: &[Ballot],
    polls: &[PollId],
) -> sqlx::Result<(PooledConnection<'a>, Vec<Outcome>)> {
    let mut tries = 1;
    loop {
        let mut pooled = connections.take().await?;
        match insert_and_count(&mut pooled, shard, ballots, polls).await {
            Ok(outcomes) => return Ok((pooled, outcomes)),
            Err(error) if is_collision(&error) && tries < TRIES_MAX => tries += 1,
            Err(error) => return Err(error),
        }
    }
}

async fn insert_and_count(
    writer: &mut PgConnection,
    shard: i32,
    ballots: &[Ballot],
    polls: &[PollId],
) -> sqlx::Result<Vec<Outcome>> {
    let mut batch = RecordPlan::judge(ballots, &polls::begin(writer, polls).await?);
    batch.count_all();
    match insert_all(writer, shard, &batch).await {
        Ok(()) => {}
        Err(error) if is_key_taken(&error) => {
            simple_query(&mut *writer, "ROLLBACK").await?;
            batch = RecordPlan::judge(ballots, &polls::begin(writer, polls).await?);
            insert_missing(writer, &mut batch).await?;
            tallies::add(writer, shard, &batch.changes()).await?;
        }
        Err(error) => return Err(error),
    }
    look_up_holders(writer, &mut batch).await?;
    // The responses are inconsistent: the other ballot may be about to be deleted, so a repeated call may succeed.
    batch.outcomes().map_err(|error| sqlx::Error::Protocol(error.to_string()))
}

/// Inserts all candidates and adds them to the tallies, or fails.
///
/// One statement, since each request to the server costs a small batch more than its rows do, especially over TLS. The
/// tallies are changed once the ballots are inserted, as by two statements: until then, no row of a tally is locked.
async fn insert_all(writer: &mut PgConnection, shard: i32, batch: &RecordPlan<'_>) -> sqlx::Result<()> {
    let changes = batch.changes();
    if changes.is_empty() {
        return Ok(());
    }
    let insert = insert_statement(tallies::ADD_PARAMETERS + 1);
    let with = format!("inserted AS ({insert} RETURNING 1),");
    let sql = tallies::add_statement(&with, "WHERE (SELECT count(*) FROM inserted) > 0");
    let query = tallies::bind_changes(sqlx::query(&sql), shard, &changes);
    bind_candidates(query, batch).execute(writer).await?;
    Ok(())
}

/// Inserts the candidates whose keys aren't in use, and counts those that the server reports as inserted.
async fn insert_missing(writer: &mut PgConnection, batch: &mut RecordPlan<'_>) -> sqlx::Result<()> {
    let sql = format!("{} ON CONFLICT (poll_id, key) DO NOTHING RETURNING poll_id, key", insert_statement(1));
    let inserted = bind_candidates(sqlx::query(&sql), batch).fetch_all(writer).await?;
    for row in &inserted {
        batch.count(PollId(row.try_get(0)?), BallotKey(bytes(row, 1)?));
    }
    Ok(())
}

/// Inserts ballots, one list per column; the lists are the parameters from `first` on.
fn insert_statement(first: usize) -> String {
    let types = ["bigint", "bytea", "bytea", "text", "bigint"];
    let lists = types.iter().enumerate().map(|(position, name)| format!("${}::{name}[]", first + position));
    let lists = lists.collect::<Vec<_>>().join(", ");
    format!("INSERT INTO ballot (poll_id, key, ballot_id, choices, accepted_at) SELECT * FROM unnest({lists})")
}

fn bind_candidates<'q>(query: Query<'q>, batch: &RecordPlan<'q>) -> Query<'q> {
    let candidates = || batch.candidates();
    query
        .bind(candidates().map(|ballot| ballot.poll.0).collect::<Vec<_>>())
        .bind(candidates().map(|ballot| &ballot.key.0[..]).collect::<Vec<_>>())
        .bind(candidates().map(own_id).collect::<Vec<_>>())
        .bind(candidates().map(|ballot| ballot.choices.to_string()).collect::<Vec<_>>())
        .bind(candidates().map(|ballot| ballot.accepted_at.0).collect::<Vec<_>>())
}

/// The ballot's id, where it differs from its key.
fn own_id(ballot: &Ballot) -> Option<&[u8]> {
    let id = ballot.id.0.as_bytes();
    (ballot.key.0 != *id).then_some(id)
}

/// Looks up the stored ballots that hold the keys of those that aren't counted now.
async fn look_up_holders(writer: &mut PgConnection, batch: &mut RecordPlan<'_>) -> sqlx::Result<()> {
    let keys: Vec<_> = batch.unsettled().collect();
    if keys.is_empty() {
        return Ok(());
    }
    let holders = sqlx::query(
        "SELECT poll_id, key, coalesce(ballot_id, key), choices FROM ballot \
         JOIN unnest($1::bigint[], $2::bytea[]) AS asked (poll_id, key) USING (poll_id, key)",
    )
    .bind(keys.iter().map(|(poll, _)| poll.0).collect::<Vec<_>>())
    .bind(keys.iter().map(|(_, key)| &key.0[..]).collect::<Vec<_>>())
    .fetch_all(writer)
    .await?;
    for row in &holders {
        batch.held_by(PollId(row.try_get(0)?), BallotKey(bytes(row, 1)?), id(row, 2)?, polls::word(row, 3)?);
    }
    Ok(())
}
