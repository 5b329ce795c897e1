//! Recording ballots: the one place where counting happens.

use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};
use throng_domain::ballot::{Ballot, BallotId, BallotKey};
use throng_domain::clock::Timestamp;
use throng_domain::poll::PollId;
use throng_domain::store::{Outcome, Recorded};

use super::super::batch::{self, Batch};
use super::connection::{COMMIT_MAX, Connections, Lease, Query, WORK_MAX, simple_query, within};
use super::error::{StoreResult, commit_error, is_collision, is_key_taken, read_error};
use super::{polls, tallies};

/// How often a batch is tried that another transaction was in the way of.
const TRIES_MAX: usize = 4;

/// Inserts the ballots that aren't there and adds just those to the tallies, in one transaction.
///
/// First as if none of them were there, which is faster and almost always so. If one is, all of it is undone, and
/// the server is asked which of them went in.
pub(super) async fn record(connections: &Connections, shard: i32, ballots: &[Ballot]) -> StoreResult<Recorded> {
    if ballots.is_empty() {
        return Ok(Recorded::default());
    }
    let polls = batch::polls(ballots);
    let entered = within(WORK_MAX, enter(connections, shard, ballots, &polls)).await;
    let (mut lease, outcomes) = entered.map_err(read_error)?;
    let committed = within(COMMIT_MAX, tallies::commit(&mut lease.connection, &polls)).await;
    let tallies = committed.map_err(commit_error)?;
    lease.keep();
    Ok(Recorded { outcomes, tallies })
}

/// All but the commit. Whatever fails here, nothing was recorded.
async fn enter<'a>(
    connections: &'a Connections,
    shard: i32,
    ballots: &[Ballot],
    polls: &[PollId],
) -> sqlx::Result<(Lease<'a>, Vec<Outcome>)> {
    let mut tries = 1;
    loop {
        let mut lease = connections.lease().await?;
        match insert_and_count(&mut lease.connection, shard, ballots, polls).await {
            Ok(outcomes) => return Ok((lease, outcomes)),
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
    let mut batch = Batch::judge(ballots, &polls::begin(writer, polls).await?);
    batch.count_all();
    match insert_all(writer, shard, &batch).await {
        Ok(()) => {}
        Err(error) if is_key_taken(&error) => {
            simple_query(&mut *writer, "ROLLBACK").await?;
            batch = Batch::judge(ballots, &polls::begin(writer, polls).await?);
            insert_missing(writer, &mut batch).await?;
            tallies::add(writer, shard, &batch.changes()).await?;
        }
        Err(error) => return Err(error),
    }
    ask_who_has(writer, &mut batch).await?;
    // A contradiction: the other's rows may be on their way out, so the same may go well later.
    batch.outcomes().map_err(|error| sqlx::Error::Protocol(error.to_string()))
}

/// Inserts all candidates and adds them to the tallies, or fails.
///
/// One statement, since each question to the server costs a small batch more than its rows do, over TLS above all. The
/// tallies are added to once the ballots are in, as by two statements: until then, no tally's row is locked.
async fn insert_all(writer: &mut PgConnection, shard: i32, batch: &Batch<'_>) -> sqlx::Result<()> {
    let changes = batch.changes();
    if changes.is_empty() {
        return Ok(());
    }
    let insert = insert_statement(tallies::ADD_PARAMETERS + 1);
    let add = tallies::add_statement("WHERE (SELECT count(*) FROM inserted) > 0");
    let sql = format!("WITH inserted AS ({insert} RETURNING 1) {add}");
    let query = tallies::bind_changes(sqlx::query(&sql), shard, &changes);
    bind_candidates(query, batch).execute(writer).await?;
    Ok(())
}

/// Inserts the candidates whose keys aren't there, and counts those that the server says it inserted.
async fn insert_missing(writer: &mut PgConnection, batch: &mut Batch<'_>) -> sqlx::Result<()> {
    let sql = format!("{} ON CONFLICT (poll_id, key) DO NOTHING RETURNING poll_id, key", insert_statement(1));
    let inserted = bind_candidates(sqlx::query(&sql), batch).fetch_all(writer).await?;
    for row in &inserted {
        batch.count(PollId(row.try_get(0)?), BallotKey(bytes(row, 1)?));
    }
    Ok(())
}

/// Inserts ballots, a list a column; the lists are the parameters from `first` on.
fn insert_statement(first: usize) -> String {
    let types = ["bigint", "bytea", "bytea", "text", "bigint"];
    let lists = types.iter().enumerate().map(|(position, name)| format!("${}::{name}[]", first + position));
    let lists = lists.collect::<Vec<_>>().join(", ");
    format!("INSERT INTO ballot (poll_id, key, ballot_id, choices, accepted_at) SELECT * FROM unnest({lists})")
}

fn bind_candidates<'q>(query: Query<'q>, batch: &Batch<'q>) -> Query<'q> {
    let candidates = || batch.candidates();
    query
        .bind(candidates().map(|ballot| ballot.poll.0).collect::<Vec<_>>())
        .bind(candidates().map(|ballot| &ballot.key.0[..]).collect::<Vec<_>>())
        .bind(candidates().map(own_id).collect::<Vec<_>>())
        .bind(candidates().map(|ballot| ballot.choices.to_string()).collect::<Vec<_>>())
        .bind(candidates().map(|ballot| ballot.accepted_at.0).collect::<Vec<_>>())
}

/// The ballot's id, where it isn't its key.
fn own_id(ballot: &Ballot) -> Option<&[u8]> {
    let id = ballot.id.0.as_bytes();
    (ballot.key.0 != *id).then_some(id)
}

/// Asks which stored ballots have the keys of those that aren't counted now.
async fn ask_who_has(writer: &mut PgConnection, batch: &mut Batch<'_>) -> sqlx::Result<()> {
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

pub(super) async fn stored(
    reader: &mut PgConnection,
    poll: PollId,
    after: Option<BallotKey>,
    limit: usize,
) -> sqlx::Result<Vec<Ballot>> {
    let rows = sqlx::query(
        "SELECT key, coalesce(ballot_id, key), choices, accepted_at FROM ballot \
         WHERE poll_id = $1 AND ($2::bytea IS NULL OR key > $2) ORDER BY key LIMIT $3",
    )
    .bind(poll.0)
    .bind(after.as_ref().map(|key| &key.0[..]))
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(reader)
    .await?;
    let ballot = |row: &PgRow| {
        Ok(Ballot {
            poll,
            key: BallotKey(bytes(row, 0)?),
            id: id(row, 1)?,
            choices: polls::word(row, 2)?,
            accepted_at: Timestamp(row.try_get(3)?),
        })
    };
    rows.iter().map(ballot).collect()
}

fn id(row: &PgRow, column: usize) -> sqlx::Result<BallotId> {
    Ok(BallotId(uuid::Uuid::from_bytes(bytes(row, column)?)))
}

fn bytes(row: &PgRow, column: usize) -> sqlx::Result<[u8; 16]> {
    row.try_get(column)
}
