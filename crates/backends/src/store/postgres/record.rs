//! Recording ballots. Ballots are counted nowhere else.

use sqlx::Row as _;
use sqlx::postgres::PgConnection;
use throng_domain::ballot::{Ballot, BallotKey};
use throng_domain::poll::PollId;
use throng_domain::store::{Outcome, Recorded};

use super::super::pool::within;
use super::super::record_plan::{self, Mode, NewRow, RecordPlan};
use super::ballots::{bytes, cast_from};
use super::connection::{COMMIT_MAX, Connections, PooledConnection, Query, WORK_MAX, simple_query};
use super::error::{StoreResult, commit_error, is_collision, is_key_taken, read_error};
use super::{polls, tallies};

/// How often a batch is attempted that conflicts with another transaction.
const TRIES_MAX: usize = 6;

/// Inserts the ballots that are to be counted and adds them to the tallies, in one transaction: see
/// [`record_plan`](super::super::record_plan).
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
    let mut mode = Mode::first(ballots);
    let mut tries = 1;
    loop {
        let mut pooled = connections.take().await?;
        match insert_and_count(&mut pooled, mode, shard, ballots, polls).await {
            Ok(outcomes) => return Ok((pooled, outcomes)),
            Err(error) if (is_key_taken(&error) || is_collision(&error)) && tries < TRIES_MAX => {
                simple_query(&mut pooled, "ROLLBACK").await?;
                pooled.release();
            }
            Err(error) => return Err(error),
        }
        mode = mode.next();
        tries += 1;
    }
}

async fn insert_and_count(
    writer: &mut PgConnection,
    mode: Mode,
    shard: i32,
    ballots: &[Ballot],
    polls: &[PollId],
) -> sqlx::Result<Vec<Outcome>> {
    let mut plan = RecordPlan::new(ballots, &polls::begin(writer, polls, mode == Mode::Alone).await?);
    look_up(writer, &mut plan, mode).await?;
    plan.settle();
    insert(writer, shard, &plan).await?;
    Ok(plan.outcomes())
}

/// Inserts all new rows and adds them to the tallies, or fails.
///
/// One statement, since each request to the server costs a small batch more than its rows do, especially over TLS. The
/// tallies are changed once the ballots are inserted, as by two statements: until then, no row of a tally is locked.
async fn insert(writer: &mut PgConnection, shard: i32, plan: &RecordPlan<'_>) -> sqlx::Result<()> {
    let (rows, changes) = (plan.rows(), plan.changes());
    if rows.is_empty() {
        return Ok(());
    }
    let has_details = tallies::have_details(&changes);
    let insert = insert_statement(tallies::add_parameters(has_details) + 1);
    let with = format!("inserted AS ({insert} RETURNING 1),");
    let sql = tallies::add_statement(&with, "WHERE (SELECT count(*) FROM inserted) > 0", has_details);
    let query = tallies::bind_changes(sqlx::query(&sql), shard, &changes);
    bind_rows(query, &rows).execute(writer).await?;
    Ok(())
}

/// Inserts ballots, one list per column; the lists are the parameters from `first` on.
fn insert_statement(first: usize) -> String {
    let types = ["bigint", "bytea", "bytea", "text", "bigint", "text"];
    let lists = types.iter().enumerate().map(|(position, name)| format!("${}::{name}[]", first + position));
    let lists = lists.collect::<Vec<_>>().join(", ");
    format!("INSERT INTO ballot (poll_id, key, ballot_id, choices, accepted_at, policy) SELECT * FROM unnest({lists})")
}

fn bind_rows<'q>(query: Query<'q>, rows: &'q [NewRow<'q>]) -> Query<'q> {
    query
        .bind(rows.iter().map(|row| row.ballot.poll.0).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| &row.key.0[..]).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.own_id().map(<[u8; 16]>::as_slice)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.ballot.choices.to_string()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.ballot.accepted_at.0).collect::<Vec<_>>())
        .bind(rows.iter().map(NewRow::policy).collect::<Vec<_>>())
}

/// Looks up what is stored.
async fn look_up(writer: &mut PgConnection, plan: &mut RecordPlan<'_>, mode: Mode) -> sqlx::Result<()> {
    let look_ups = plan.look_ups(mode);
    if look_ups.is_empty() {
        return Ok(());
    }
    // Equality where it is enough: the server estimates it better.
    let is_single = look_ups.iter().all(|look_up| look_up.first == look_up.last);
    let condition = if is_single { "key = first" } else { "key BETWEEN first AND last" };
    let sql = format!(
        "SELECT key, coalesce(ballot_id, key), choices, accepted_at, ballot.poll_id FROM ballot \
         JOIN unnest($1::bigint[], $2::bytea[], $3::bytea[]) AS asked (poll_id, first, last) \
         ON ballot.poll_id = asked.poll_id AND {condition}"
    );
    let rows = sqlx::query(&sql)
        .bind(look_ups.iter().map(|look_up| look_up.poll.0).collect::<Vec<_>>())
        .bind(look_ups.iter().map(|look_up| &look_up.first.0[..]).collect::<Vec<_>>())
        .bind(look_ups.iter().map(|look_up| &look_up.last.0[..]).collect::<Vec<_>>())
        .fetch_all(writer)
        .await?;
    for row in &rows {
        let key = BallotKey(bytes(row, 0)?);
        plan.stored(PollId(row.try_get(4)?), key, cast_from(row, key.slot())?);
    }
    Ok(())
}
