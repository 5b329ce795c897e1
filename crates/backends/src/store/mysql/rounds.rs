//! Rounds, and what consumers report.

use sqlx::Row as _;
use sqlx::mysql::{MySqlConnection, MySqlRow};
use throng_domain::clock::Timestamp;
use throng_domain::rounds::{ConsumerReport, REPORTS_KEPT, Round};

use super::ballots::bytes;
use super::columns::{self, natural, text};
use super::connection::simple_query;

/// Begins a round in a transaction that the caller commits, unless the last one still lasts. The time is read once no
/// other process can begin one.
pub(super) async fn begin(writer: &mut MySqlConnection, apart_ms: i64) -> sqlx::Result<Round> {
    simple_query(&mut *writer, "START TRANSACTION").await?;
    let select = sqlx::query("SELECT number, began_at FROM recording_round FOR UPDATE");
    let row = select.fetch_one(&mut *writer).await?;
    let last = Round { number: natural(&row, 0)?, began_at: Timestamp(row.try_get(1)?) };
    let now = columns::now(&mut *writer).await?;
    if last.lasts(now, apart_ms) {
        return Ok(last);
    }
    let next = Round { number: last.number + 1, began_at: now };
    let update = sqlx::query("UPDATE recording_round SET number = ?, began_at = ?");
    update.bind(next.number).bind(next.began_at.0).execute(writer).await?;
    Ok(next)
}

pub(super) async fn last(reader: &mut MySqlConnection) -> sqlx::Result<u64> {
    natural(&sqlx::query("SELECT number FROM recording_round").fetch_one(reader).await?, 0)
}

/// Registers a queue in a transaction that the caller commits.
pub(super) async fn add_queue(writer: &mut MySqlConnection, name: &str) -> sqlx::Result<()> {
    simple_query(&mut *writer, "START TRANSACTION").await?;
    let add = "INSERT INTO recording_queue (name) VALUES (?) ON DUPLICATE KEY UPDATE name = name";
    sqlx::query(add).bind(name).execute(writer).await?;
    Ok(())
}

pub(super) async fn queues(reader: &mut MySqlConnection) -> sqlx::Result<Vec<String>> {
    let rows = sqlx::query("SELECT name FROM recording_queue ORDER BY name").fetch_all(reader).await?;
    rows.iter().map(|row| Ok(text(row, 0)?.to_owned())).collect()
}

/// Stores a report in a transaction that the caller commits. Old ones are deleted first: a transaction that waits there
/// for that of another consumer holds no lock yet that the other could wait for.
pub(super) async fn report(writer: &mut MySqlConnection, report: &ConsumerReport) -> sqlx::Result<()> {
    let ConsumerReport { consumer, queue, joined, round, consumers } = report;
    simple_query(&mut *writer, "START TRANSACTION").await?;
    let delete = sqlx::query("DELETE FROM recording_consumer WHERE reported < ?");
    delete.bind(round.saturating_sub(REPORTS_KEPT)).execute(&mut *writer).await?;
    let replace = "REPLACE INTO recording_consumer (id, queue, joined, reported, consumers) \
                   SELECT ?, ?, ?, ?, ? FROM recording_round WHERE number >= ?";
    sqlx::query(replace)
        .bind(&consumer[..])
        .bind(queue)
        .bind(joined)
        .bind(round)
        .bind(consumers)
        .bind(round)
        .execute(writer)
        .await?;
    Ok(())
}

pub(super) async fn reports(reader: &mut MySqlConnection, since: u64) -> sqlx::Result<Vec<ConsumerReport>> {
    let select = "SELECT id, queue, joined, reported, consumers FROM recording_consumer WHERE reported >= ?";
    let rows = sqlx::query(select).bind(since).fetch_all(reader).await?;
    rows.iter().map(report_from).collect()
}

fn report_from(row: &MySqlRow) -> sqlx::Result<ConsumerReport> {
    let (joined, round, consumers) = (natural(row, 2)?, natural(row, 3)?, natural(row, 4)?);
    Ok(ConsumerReport { consumer: bytes(row, 0)?, queue: text(row, 1)?.to_owned(), joined, round, consumers })
}
