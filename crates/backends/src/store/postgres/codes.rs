//! Invitation codes.

use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};
use throng_domain::audit::{Action, Author};
use throng_domain::ballot::VoterKey;
use throng_domain::clock::Timestamp;
use throng_domain::code::BatchName;
use throng_domain::poll::{PollId, Slug};
use throng_domain::store::{CodeBatch, StoreError};

use super::audit;
use super::columns::{unsigned, word};
use super::error::{StoreResult, is_key_taken, read_error};
use super::locks::lock_exclusively;
use crate::store::code_errors::{batch_taken, code_taken, no_open_batch};

/// Begins a batch in a transaction that the caller commits. Under the poll's lock, so that no other one gets the number.
pub(super) async fn begin(
    writer: &mut PgConnection,
    poll: PollId,
    name: &BatchName,
    made_at: Timestamp,
    by: &Author,
) -> StoreResult<CodeBatch> {
    lock_exclusively(writer, poll).await.map_err(read_error)?;
    let slug = slug(writer, poll).await?;
    let insert = sqlx::query_scalar(
        "INSERT INTO code_batch (poll_id, number, name, codes, made_at) \
         SELECT id, (SELECT coalesce(max(number), 0) + 1 FROM code_batch WHERE poll_id = $1), $2, 0, $3 \
         FROM poll WHERE id = $1 RETURNING number",
    );
    let inserted = insert.bind(poll.0).bind(name.as_str()).bind(made_at.0).fetch_optional(&mut *writer).await;
    let number: Option<i32> =
        inserted.map_err(|error| if is_key_taken(&error) { batch_taken(name) } else { read_error(error) })?;
    let number = unsigned(number.ok_or_else(|| StoreError::no_such_poll(poll))?).map_err(read_error)?;
    let batch = CodeBatch::audited(number, name.as_str());
    audit::append(writer, Action::CreateCodes, Some(&slug), &batch, by).await.map_err(read_error)?;
    Ok(CodeBatch { number, name: name.clone(), codes: 0, made_at, exported_at: None, revoked_at: None })
}

/// Adds codes in a transaction that the caller commits.
pub(super) async fn add(writer: &mut PgConnection, poll: PollId, batch: u32, codes: &[VoterKey]) -> StoreResult<()> {
    let update = sqlx::query(
        "UPDATE code_batch SET codes = codes + $3 \
         WHERE poll_id = $1 AND number = $2 AND exported_at IS NULL AND revoked_at IS NULL",
    );
    let count = i64::try_from(codes.len()).unwrap_or(i64::MAX);
    let update = update.bind(poll.0).bind(batch.cast_signed()).bind(count);
    if update.execute(&mut *writer).await.map_err(read_error)?.rows_affected() == 0 {
        return Err(no_open_batch(poll, batch));
    }
    let insert =
        "INSERT INTO code (poll_id, voter, batch) SELECT $1, voter, $2 FROM unnest($3::bytea[]) AS added (voter)";
    let insert = sqlx::query(insert).bind(poll.0).bind(batch.cast_signed()).bind(bytes(codes)).execute(writer);
    insert.await.map(drop).map_err(|error| if is_key_taken(&error) { code_taken() } else { read_error(error) })
}

pub(super) async fn mark_exported(
    writer: &mut PgConnection,
    poll: PollId,
    batch: u32,
    at: Timestamp,
) -> sqlx::Result<()> {
    let update = "UPDATE code_batch SET exported_at = coalesce(exported_at, $3) WHERE poll_id = $1 AND number = $2";
    sqlx::query(update).bind(poll.0).bind(batch.cast_signed()).bind(at.0).execute(writer).await.map(drop)
}

pub(super) async fn revoke(
    writer: &mut PgConnection,
    poll: PollId,
    batch: u32,
    at: Timestamp,
    by: &Author,
) -> StoreResult<()> {
    let slug = slug(writer, poll).await?;
    let update = "UPDATE code_batch SET revoked_at = $3 WHERE poll_id = $1 AND number = $2 AND revoked_at IS NULL \
                  RETURNING name";
    let update = sqlx::query_scalar(update).bind(poll.0).bind(batch.cast_signed()).bind(at.0);
    let name: Option<String> = update.fetch_optional(&mut *writer).await.map_err(read_error)?;
    let Some(name) = name else { return Ok(()) };
    let batch = CodeBatch::audited(batch, &name);
    audit::append(writer, Action::RevokeCodes, Some(&slug), &batch, by).await.map_err(read_error)
}

async fn slug(reader: &mut PgConnection, poll: PollId) -> StoreResult<Slug> {
    let row = sqlx::query("SELECT slug FROM poll WHERE id = $1").bind(poll.0).fetch_optional(reader).await;
    let row = row.map_err(read_error)?.ok_or_else(|| StoreError::no_such_poll(poll))?;
    word(&row, 0).map_err(read_error)
}

pub(super) async fn batches(reader: &mut PgConnection, poll: PollId) -> sqlx::Result<Vec<CodeBatch>> {
    let select = "SELECT number, name, codes, made_at, exported_at, revoked_at FROM code_batch \
                  WHERE poll_id = $1 ORDER BY number";
    sqlx::query(select).bind(poll.0).fetch_all(reader).await?.iter().map(batch_from).collect()
}

fn batch_from(row: &PgRow) -> sqlx::Result<CodeBatch> {
    let timestamp = |stored: Option<i64>| stored.map(Timestamp);
    Ok(CodeBatch {
        number: unsigned(row.try_get::<i32, _>(0)?)?,
        name: word(row, 1)?,
        codes: unsigned(row.try_get::<i64, _>(2)?)?,
        made_at: Timestamp(row.try_get(3)?),
        exported_at: row.try_get(4).map(timestamp)?,
        revoked_at: row.try_get(5).map(timestamp)?,
    })
}

pub(super) async fn valid(reader: &mut PgConnection, poll: PollId, codes: &[VoterKey]) -> sqlx::Result<Vec<VoterKey>> {
    let select = "SELECT voter FROM code WHERE poll_id = $1 AND voter = ANY($2) AND NOT EXISTS (SELECT 1 FROM code_batch \
                  WHERE code_batch.poll_id = $1 AND number = code.batch AND revoked_at IS NOT NULL)";
    let rows = sqlx::query(select).bind(poll.0).bind(bytes(codes)).fetch_all(reader).await?;
    rows.iter().map(|row| row.try_get(0).map(VoterKey)).collect()
}

fn bytes(codes: &[VoterKey]) -> Vec<&[u8]> {
    codes.iter().map(|code| &code.0[..]).collect()
}
