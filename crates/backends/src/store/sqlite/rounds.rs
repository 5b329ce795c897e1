//! Rounds, and what consumers report.

use rusqlite::{Connection, TransactionBehavior, params};
use throng_domain::clock::Timestamp;
use throng_domain::rounds::{ConsumerReport, REPORTS_KEPT, Round};

use super::columns;
use super::error::{StoreResult, read_error, write_error};

/// No other process writes between the reading of the time and of the number.
pub(super) fn begin(writer: &mut Connection, apart_ms: i64) -> StoreResult<Round> {
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(read_error)?;
    let now = columns::now(&transaction).map_err(read_error)?;
    let last = transaction
        .query_row("SELECT number, began_at FROM recording_round", [], |row| {
            Ok(Round { number: row.get(0)?, began_at: Timestamp(row.get(1)?) })
        })
        .map_err(read_error)?;
    if last.lasts(now, apart_ms) {
        return Ok(last);
    }
    let next = Round { number: last.number + 1, began_at: now };
    let update = "UPDATE recording_round SET number = ?1, began_at = ?2";
    transaction.execute(update, params![next.number, next.began_at.0]).map_err(write_error)?;
    transaction.commit().map_err(write_error)?;
    Ok(next)
}

pub(super) fn last(reader: &Connection) -> rusqlite::Result<u64> {
    reader.prepare_cached("SELECT number FROM recording_round")?.query_row([], |row| row.get(0))
}

pub(super) fn add_queue(writer: &mut Connection, name: &str) -> StoreResult<()> {
    // A node that restarts has no need to write.
    let is_there = "SELECT EXISTS (SELECT 1 FROM recording_queue WHERE name = ?1)";
    if !writer.query_row(is_there, [name], |row| row.get(0)).map_err(read_error)? {
        writer.execute("INSERT OR IGNORE INTO recording_queue (name) VALUES (?1)", [name]).map_err(write_error)?;
    }
    Ok(())
}

pub(super) fn queues(reader: &Connection) -> rusqlite::Result<Vec<String>> {
    reader.prepare_cached("SELECT name FROM recording_queue ORDER BY name")?.query_map([], |row| row.get(0))?.collect()
}

pub(super) fn report(writer: &mut Connection, report: &ConsumerReport) -> StoreResult<()> {
    let ConsumerReport { consumer, queue, joined, round, consumers } = report;
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(read_error)?;
    let oldest = round.saturating_sub(REPORTS_KEPT);
    transaction.execute("DELETE FROM recording_consumer WHERE reported < ?1", [oldest]).map_err(write_error)?;
    let upsert = "INSERT OR REPLACE INTO recording_consumer (id, queue, joined, reported, consumers) \
                  SELECT ?1, ?2, ?3, ?4, ?5 FROM recording_round WHERE number >= ?4";
    transaction.execute(upsert, params![consumer, queue, joined, round, consumers]).map_err(write_error)?;
    transaction.commit().map_err(write_error)
}

pub(super) fn reports(reader: &Connection, since: u64) -> rusqlite::Result<Vec<ConsumerReport>> {
    reader
        .prepare_cached("SELECT id, queue, joined, reported, consumers FROM recording_consumer WHERE reported >= ?1")?
        .query_map([since], |row| {
            Ok(ConsumerReport {
                consumer: row.get(0)?,
                queue: row.get(1)?,
                joined: row.get(2)?,
                round: row.get(3)?,
                consumers: row.get(4)?,
            })
        })?
        .collect()
}
