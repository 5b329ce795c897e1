//! Invitation codes.

use std::fmt::Write as _;

use sqlx::Row as _;
use sqlx::mysql::{MySqlConnection, MySqlRow};
use throng_domain::audit::{Action, Author};
use throng_domain::ballot::VoterKey;
use throng_domain::clock::Timestamp;
use throng_domain::code::BatchName;
use throng_domain::poll::{PollId, Slug};
use throng_domain::store::{CodeBatch, StoreError};

use super::audit;
use super::columns::{natural, text, word};
use super::connection::simple_query;
use super::error::{StoreResult, before_commit, corrupt, is_duplicate};
use crate::store::code_errors::{batch_taken, code_taken, no_open_batch};

/// Begins a batch in a transaction that the caller commits. The poll's row is locked, so that no other one gets the number.
pub(super) async fn begin(
    writer: &mut MySqlConnection,
    poll: PollId,
    name: &BatchName,
    made_at: Timestamp,
    by: &Author,
) -> StoreResult<CodeBatch> {
    let slug = lock(writer, poll).await?;
    let next = "SELECT COALESCE(MAX(number), 0) + 1 FROM code_batch WHERE poll_id = ?";
    let next = sqlx::query(next).bind(poll.0).fetch_one(&mut *writer).await;
    let number = next.and_then(|row| natural(&row, 0)).map_err(before_commit)?;
    let insert = "INSERT INTO code_batch (poll_id, number, name, codes, made_at) VALUES (?, ?, ?, 0, ?)";
    let insert =
        sqlx::query(insert).bind(poll.0).bind(number).bind(name.as_str()).bind(made_at.0).execute(&mut *writer);
    insert.await.map_err(|error| if is_duplicate(&error) { batch_taken(name) } else { before_commit(error) })?;
    let batch = CodeBatch::audited(number, name.as_str());
    audit::append(writer, Action::CreateCodes, Some(&slug), &batch, by).await.map_err(before_commit)?;
    Ok(CodeBatch { number, name: name.clone(), codes: 0, made_at, exported_at: None, revoked_at: None })
}

/// Begins a transaction, locks the poll's row, and returns its slug.
async fn lock(writer: &mut MySqlConnection, poll: PollId) -> StoreResult<Slug> {
    let lock = format!("START TRANSACTION; SELECT slug FROM poll WHERE id = {} FOR UPDATE", poll.0);
    let rows = simple_query(&mut *writer, &lock).await.map_err(before_commit)?;
    let row = rows.first().ok_or_else(|| StoreError::no_such_poll(poll))?;
    word(row, 0).map_err(before_commit)
}

/// Adds codes in a transaction that the caller commits.
pub(super) async fn add(writer: &mut MySqlConnection, poll: PollId, batch: u32, codes: &[VoterKey]) -> StoreResult<()> {
    simple_query(&mut *writer, "START TRANSACTION").await.map_err(before_commit)?;
    let open = "SELECT number FROM code_batch WHERE poll_id = ? AND number = ? AND exported_at IS NULL \
                AND revoked_at IS NULL FOR UPDATE";
    let open = sqlx::query(open).bind(poll.0).bind(batch).fetch_optional(&mut *writer).await.map_err(before_commit)?;
    if open.is_none() {
        return Err(no_open_batch(poll, batch));
    }
    if codes.is_empty() {
        return Ok(());
    }
    let statements = format!(
        "UPDATE code_batch SET codes = codes + {} WHERE poll_id = {} AND number = {batch}; {}",
        codes.len(),
        poll.0,
        insert_statement(poll, batch, codes)
    );
    let added = simple_query(writer, &statements).await;
    added.map(drop).map_err(|error| if is_duplicate(&error) { code_taken() } else { before_commit(error) })
}

/// As text: it contains nothing but numbers and hex digits, 250 KB for the most codes of a call.
fn insert_statement(poll: PollId, batch: u32, codes: &[VoterKey]) -> String {
    let mut sql = "INSERT INTO code (poll_id, voter, batch) VALUES ".to_owned();
    for (position, code) in codes.iter().enumerate() {
        let comma = if position == 0 { "" } else { "," };
        write!(sql, "{comma}({},X'{code}',{batch})", poll.0).expect("writing to a String can't fail");
    }
    sql
}

/// Marks a batch in a transaction that the caller commits.
pub(super) async fn mark_exported(
    writer: &mut MySqlConnection,
    poll: PollId,
    batch: u32,
    at: Timestamp,
) -> sqlx::Result<()> {
    simple_query(&mut *writer, "START TRANSACTION").await?;
    let update = "UPDATE code_batch SET exported_at = COALESCE(exported_at, ?) WHERE poll_id = ? AND number = ?";
    sqlx::query(update).bind(at.0).bind(poll.0).bind(batch).execute(writer).await.map(drop)
}

/// Revokes a batch in a transaction that the caller commits.
pub(super) async fn revoke(
    writer: &mut MySqlConnection,
    poll: PollId,
    batch: u32,
    at: Timestamp,
    by: &Author,
) -> StoreResult<()> {
    let slug = lock(writer, poll).await?;
    let valid = "SELECT name FROM code_batch WHERE poll_id = ? AND number = ? AND revoked_at IS NULL FOR UPDATE";
    let valid =
        sqlx::query(valid).bind(poll.0).bind(batch).fetch_optional(&mut *writer).await.map_err(before_commit)?;
    let Some(valid) = valid else { return Ok(()) };
    let name = text(&valid, 0).map_err(before_commit)?;
    let update = sqlx::query("UPDATE code_batch SET revoked_at = ? WHERE poll_id = ? AND number = ?");
    update.bind(at.0).bind(poll.0).bind(batch).execute(&mut *writer).await.map_err(before_commit)?;
    let batch = CodeBatch::audited(batch, name);
    audit::append(writer, Action::RevokeCodes, Some(&slug), &batch, by).await.map_err(before_commit)
}

pub(super) async fn batches(reader: &mut MySqlConnection, poll: PollId) -> sqlx::Result<Vec<CodeBatch>> {
    let select = "SELECT number, name, codes, made_at, exported_at, revoked_at FROM code_batch \
                  WHERE poll_id = ? ORDER BY number";
    sqlx::query(select).bind(poll.0).fetch_all(reader).await?.iter().map(batch_from).collect()
}

fn batch_from(row: &MySqlRow) -> sqlx::Result<CodeBatch> {
    let timestamp = |stored: Option<i64>| stored.map(Timestamp);
    Ok(CodeBatch {
        number: natural(row, 0)?,
        name: word(row, 1)?,
        codes: natural(row, 2)?,
        made_at: Timestamp(row.try_get(3)?),
        exported_at: row.try_get(4).map(timestamp)?,
        revoked_at: row.try_get(5).map(timestamp)?,
    })
}

/// As text, as [`super::record`] looks up ballots.
pub(super) async fn valid(
    reader: &mut MySqlConnection,
    poll: PollId,
    codes: &[VoterKey],
) -> sqlx::Result<Vec<VoterKey>> {
    if codes.is_empty() {
        return Ok(Vec::new());
    }
    let list: Vec<_> = codes.iter().map(|code| format!("X'{code}'")).collect();
    let select = format!(
        "SELECT voter FROM code FORCE INDEX (PRIMARY) WHERE poll_id = {} AND voter IN ({}) AND NOT EXISTS \
         (SELECT 1 FROM code_batch WHERE code_batch.poll_id = {0} AND number = code.batch AND revoked_at IS NOT NULL)",
        poll.0,
        list.join(",")
    );
    let rows = simple_query(reader, &select).await?;
    rows.iter().map(|row| row.try_get::<&[u8], _>(0)?.try_into().map(VoterKey).map_err(corrupt)).collect()
}
