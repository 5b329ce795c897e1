//! Invitation codes.

use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Row, TransactionBehavior, params};
use throng_domain::audit::{Action, Author};
use throng_domain::ballot::VoterKey;
use throng_domain::clock::Timestamp;
use throng_domain::code::BatchName;
use throng_domain::poll::{PollId, Slug};
use throng_domain::store::{CodeBatch, StoreError};

use super::audit;
use super::columns::word;
use super::error::{StoreResult, read_error, write_error};
use crate::store::code_errors::{batch_taken, code_taken, no_open_batch};

pub(super) fn begin(
    writer: &mut Connection,
    poll: PollId,
    name: &BatchName,
    made_at: Timestamp,
    by: &Author,
) -> StoreResult<CodeBatch> {
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(read_error)?;
    let slug = slug(&transaction, poll)?;
    let next = "SELECT coalesce(max(number), 0) + 1 FROM code_batch WHERE poll_id = ?1";
    let number = transaction.query_row(next, [poll.0], |row| row.get(0)).map_err(read_error)?;
    let insert = "INSERT INTO code_batch (poll_id, number, name, codes, made_at) VALUES (?1, ?2, ?3, 0, ?4)";
    transaction
        .execute(insert, params![poll.0, number, name.as_str(), made_at.0])
        .map_err(|error| if is_key_taken(&error) { batch_taken(name) } else { write_error(error) })?;
    let batch = CodeBatch::audited(number, name.as_str());
    audit::append(&transaction, Action::CreateCodes, Some(&slug), &batch, by).map_err(write_error)?;
    transaction.commit().map_err(write_error)?;
    Ok(CodeBatch { number, name: name.clone(), codes: 0, made_at, exported_at: None, revoked_at: None })
}

pub(super) fn add(writer: &mut Connection, poll: PollId, batch: u32, codes: &[VoterKey]) -> StoreResult<()> {
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(read_error)?;
    let update = "UPDATE code_batch SET codes = codes + ?3 \
                  WHERE poll_id = ?1 AND number = ?2 AND exported_at IS NULL AND revoked_at IS NULL";
    if transaction.execute(update, params![poll.0, batch, codes.len()]).map_err(write_error)? == 0 {
        return Err(no_open_batch(poll, batch));
    }
    {
        let insert = "INSERT INTO code (poll_id, voter, batch) VALUES (?1, ?2, ?3)";
        let mut insert = transaction.prepare_cached(insert).map_err(read_error)?;
        for code in codes {
            insert
                .execute(params![poll.0, code.0, batch])
                .map_err(|error| if is_key_taken(&error) { code_taken() } else { write_error(error) })?;
        }
    }
    transaction.commit().map_err(write_error)
}

pub(super) fn mark_exported(writer: &mut Connection, poll: PollId, batch: u32, at: Timestamp) -> StoreResult<()> {
    let update = "UPDATE code_batch SET exported_at = coalesce(exported_at, ?3) WHERE poll_id = ?1 AND number = ?2";
    writer.execute(update, params![poll.0, batch, at.0]).map(drop).map_err(write_error)
}

pub(super) fn revoke(writer: &mut Connection, poll: PollId, batch: u32, at: Timestamp, by: &Author) -> StoreResult<()> {
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(read_error)?;
    let slug = slug(&transaction, poll)?;
    let update = "UPDATE code_batch SET revoked_at = ?3 WHERE poll_id = ?1 AND number = ?2 AND revoked_at IS NULL \
                  RETURNING name";
    let name: Option<String> = transaction
        .query_row(update, params![poll.0, batch, at.0], |row| row.get(0))
        .optional()
        .map_err(write_error)?;
    let Some(name) = name else { return Ok(()) };
    audit::append(&transaction, Action::RevokeCodes, Some(&slug), &CodeBatch::audited(batch, &name), by)
        .map_err(write_error)?;
    transaction.commit().map_err(write_error)
}

fn slug(reader: &Connection, poll: PollId) -> StoreResult<Slug> {
    let slug = "SELECT slug FROM poll WHERE id = ?1";
    let slug = reader.query_row(slug, [poll.0], |row| word(row, 0)).optional().map_err(read_error)?;
    slug.ok_or_else(|| StoreError::no_such_poll(poll))
}

pub(super) fn batches(reader: &Connection, poll: PollId) -> rusqlite::Result<Vec<CodeBatch>> {
    reader
        .prepare_cached(
            "SELECT number, name, codes, made_at, exported_at, revoked_at FROM code_batch \
             WHERE poll_id = ?1 ORDER BY number",
        )?
        .query_map([poll.0], batch_from)?
        .collect()
}

fn batch_from(row: &Row<'_>) -> rusqlite::Result<CodeBatch> {
    let timestamp = |stored: Option<i64>| stored.map(Timestamp);
    Ok(CodeBatch {
        number: row.get(0)?,
        name: word(row, 1)?,
        codes: row.get(2)?,
        made_at: Timestamp(row.get(3)?),
        exported_at: row.get(4).map(timestamp)?,
        revoked_at: row.get(5).map(timestamp)?,
    })
}

pub(super) fn valid(reader: &Connection, poll: PollId, codes: &[VoterKey]) -> rusqlite::Result<Vec<VoterKey>> {
    let snapshot = reader.unchecked_transaction()?;
    let mut is_valid = snapshot.prepare_cached(
        "SELECT 1 FROM code WHERE poll_id = ?1 AND voter = ?2 AND NOT EXISTS (SELECT 1 FROM code_batch \
         WHERE code_batch.poll_id = ?1 AND number = code.batch AND revoked_at IS NOT NULL)",
    )?;
    let mut valid = Vec::new();
    for code in codes {
        if is_valid.exists(params![poll.0, code.0])? {
            valid.push(*code);
        }
    }
    Ok(valid)
}

fn is_key_taken(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
}
