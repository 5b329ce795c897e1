//! Who changed what.

use serde_json::Value;
use sqlx::Row as _;
use sqlx::mysql::{MySqlConnection, MySqlRow};
use throng_domain::audit::{Action, AuditEntry, Author};
use throng_domain::clock::Timestamp;
use throng_domain::poll::Slug;

use super::columns::{natural, now, text, word};
use super::error::corrupt;

/// Notes a change, in the transaction that makes it. Without a poll, the column for its slug is empty.
pub(super) async fn append(
    writer: &mut MySqlConnection,
    action: Action,
    poll: Option<&Slug>,
    changes: &Value,
    by: &Author,
) -> sqlx::Result<()> {
    let at = now(&mut *writer).await?;
    sqlx::query("INSERT INTO audit (at, author, reason, action, slug, changes) VALUES (?, ?, ?, ?, ?, ?)")
        .bind(at.0)
        .bind(&*by.name)
        .bind(&*by.reason)
        .bind(action.as_str())
        .bind(poll.map_or("", Slug::as_str))
        .bind(changes.to_string())
        .execute(writer)
        .await?;
    Ok(())
}

/// The latest entries, the last one first.
pub(super) async fn latest(
    reader: &mut MySqlConnection,
    poll: Option<&Slug>,
    before: Option<u64>,
    limit: usize,
) -> sqlx::Result<Vec<AuditEntry>> {
    let of_poll = if poll.is_some() { "slug = ?" } else { "? IS NULL" };
    let sql = format!(
        "SELECT number, at, author, reason, action, slug, changes FROM audit \
         WHERE {of_poll} AND number < ? ORDER BY number DESC LIMIT ?"
    );
    let rows = sqlx::query(&sql)
        .bind(poll.map(Slug::as_str))
        .bind(before.map_or(i64::MAX, |before| i64::try_from(before).unwrap_or(i64::MAX)))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(reader)
        .await?;
    rows.iter().map(entry).collect()
}

fn entry(row: &MySqlRow) -> sqlx::Result<AuditEntry> {
    Ok(AuditEntry {
        number: natural(row, 0)?,
        at: Timestamp(row.try_get(1)?),
        author: text(row, 2)?.to_owned(),
        reason: text(row, 3)?.to_owned(),
        action: word(row, 4)?,
        poll: slug(row)?,
        changes: serde_json::from_str(text(row, 6)?).map_err(corrupt)?,
    })
}

/// The slug of the poll that an entry is about; `None` if it is about none.
fn slug(row: &MySqlRow) -> sqlx::Result<Option<Slug>> {
    if text(row, 5)?.is_empty() { Ok(None) } else { word(row, 5).map(Some) }
}
