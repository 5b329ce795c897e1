//! Who changed what.

use rusqlite::types::Type;
use rusqlite::{Connection, Row, params};
use serde_json::Value;
use throng_domain::audit::{Action, AuditEntry, Author};
use throng_domain::clock::Timestamp;
use throng_domain::poll::Slug;

use super::columns::{now, word};

/// Notes a change, in the transaction that makes it. Without a poll, the column for its slug is empty.
pub(super) fn append(
    writer: &Connection,
    action: Action,
    poll: Option<&Slug>,
    changes: &Value,
    by: &Author,
) -> rusqlite::Result<()> {
    let at = now(writer)?;
    writer.execute(
        "INSERT INTO audit (at, author, reason, action, slug, changes) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![at.0, by.name, by.reason, action.as_str(), poll.map_or("", Slug::as_str), changes.to_string()],
    )?;
    Ok(())
}

/// The latest entries, the last one first.
pub(super) fn latest(
    reader: &Connection,
    poll: Option<&Slug>,
    before: Option<u64>,
    limit: usize,
) -> rusqlite::Result<Vec<AuditEntry>> {
    let of_poll = if poll.is_some() { "slug = ?1" } else { "?1 IS NULL" };
    let sql = format!(
        "SELECT number, at, author, reason, action, slug, changes FROM audit \
         WHERE {of_poll} AND number < ?2 ORDER BY number DESC LIMIT ?3"
    );
    let before = before.map_or(i64::MAX, |before| i64::try_from(before).unwrap_or(i64::MAX));
    let mut entries = reader.prepare_cached(&sql)?;
    let entries = entries.query_map(params![poll.map(Slug::as_str), before, limit], |row| {
        let changes: String = row.get(6)?;
        let invalid = |error| rusqlite::Error::FromSqlConversionFailure(6, Type::Text, Box::new(error));
        Ok(AuditEntry {
            number: row.get(0)?,
            at: Timestamp(row.get(1)?),
            author: row.get(2)?,
            reason: row.get(3)?,
            action: word(row, 4)?,
            poll: slug(row)?,
            changes: serde_json::from_str(&changes).map_err(invalid)?,
        })
    })?;
    entries.collect()
}

/// The slug of the poll that an entry is about; `None` if it is about none.
fn slug(row: &Row<'_>) -> rusqlite::Result<Option<Slug>> {
    if row.get_ref(5)?.as_str()?.is_empty() { Ok(None) } else { word(row, 5).map(Some) }
}
