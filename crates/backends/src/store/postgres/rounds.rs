//! Rounds, and what consumers report.

use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};
use throng_domain::clock::Timestamp;
use throng_domain::rounds::{ConsumerReport, REPORTS_KEPT, Round};

use super::columns::{self, unsigned};

/// Begins a round in a transaction that the caller commits, unless the last one still lasts. The time is read once no
/// other process can begin one.
pub(super) async fn begin(writer: &mut PgConnection, apart_ms: i64) -> sqlx::Result<Round> {
    let row = sqlx::query("SELECT number, began_at FROM recording_round FOR UPDATE").fetch_one(&mut *writer).await?;
    let last = Round { number: unsigned::<i64, u64>(row.try_get(0)?)?, began_at: Timestamp(row.try_get(1)?) };
    let now = columns::now(&mut *writer).await?;
    if last.lasts(now, apart_ms) {
        return Ok(last);
    }
    let next = Round { number: last.number + 1, began_at: now };
    let update = sqlx::query("UPDATE recording_round SET number = $1, began_at = $2");
    update.bind(next.number.cast_signed()).bind(next.began_at.0).execute(writer).await?;
    Ok(next)
}

pub(super) async fn last(reader: &mut PgConnection) -> sqlx::Result<u64> {
    let number: i64 = sqlx::query_scalar("SELECT number FROM recording_round").fetch_one(reader).await?;
    unsigned(number)
}

/// Registers a queue in a transaction that the caller commits.
pub(super) async fn add_queue(writer: &mut PgConnection, name: &str) -> sqlx::Result<()> {
    let add = "INSERT INTO recording_queue (name) VALUES ($1) ON CONFLICT (name) DO NOTHING";
    sqlx::query(add).bind(name).execute(writer).await?;
    Ok(())
}

pub(super) async fn queues(reader: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar("SELECT name FROM recording_queue ORDER BY name").fetch_all(reader).await
}

/// Stores a report in a transaction that the caller commits.
pub(super) async fn report(writer: &mut PgConnection, report: &ConsumerReport) -> sqlx::Result<()> {
    let ConsumerReport { consumer, queue, joined, round, consumers } = report;
    let delete = sqlx::query("DELETE FROM recording_consumer WHERE reported < $1");
    delete.bind(round.saturating_sub(REPORTS_KEPT).cast_signed()).execute(&mut *writer).await?;
    sqlx::query(
        "INSERT INTO recording_consumer (id, queue, joined, reported, consumers) \
         SELECT $1, $2, $3, $4, $5 FROM recording_round WHERE number >= $4 \
         ON CONFLICT (id) DO UPDATE SET queue = excluded.queue, joined = excluded.joined, reported = excluded.reported, \
         consumers = excluded.consumers",
    )
    .bind(&consumer[..])
    .bind(queue)
    .bind(joined.cast_signed())
    .bind(round.cast_signed())
    .bind(consumers.cast_signed())
    .execute(writer)
    .await?;
    Ok(())
}

pub(super) async fn reports(reader: &mut PgConnection, since: u64) -> sqlx::Result<Vec<ConsumerReport>> {
    let select = "SELECT id, queue, joined, reported, consumers FROM recording_consumer WHERE reported >= $1";
    let rows = sqlx::query(select).bind(since.cast_signed()).fetch_all(reader).await?;
    rows.iter().map(report_from).collect()
}

fn report_from(row: &PgRow) -> sqlx::Result<ConsumerReport> {
    let number = |column| unsigned::<i64, u64>(row.try_get(column)?);
    let (joined, round, consumers) = (number(2)?, number(3)?, number(4)?);
    Ok(ConsumerReport { consumer: row.try_get(0)?, queue: row.try_get(1)?, joined, round, consumers })
}
