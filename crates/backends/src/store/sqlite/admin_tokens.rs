//! Tokens of those who administer polls.

use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior, params};
use throng_domain::admin_token::{AdminToken, NewAdminToken, SecretHash};
use throng_domain::audit::{Action, Author};
use throng_domain::clock::Timestamp;
use throng_domain::store::StoreError;

use super::audit;
use super::columns::{now, timestamp, word};
use super::error::{StoreResult, read_error, write_error};

const TOKENS: &str = "SELECT number, name, role, hash, made_at, expires_at, revoked_at FROM admin_token";

pub(super) fn create(writer: &mut Connection, new: NewAdminToken, by: &Author) -> StoreResult<AdminToken> {
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(read_error)?;
    let made_at = now(&transaction).map_err(read_error)?;
    let NewAdminToken { name, role, expires_at, hash } = new;
    let insert = "INSERT INTO admin_token (name, role, hash, made_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)";
    let expires = expires_at.map(|at| at.0);
    transaction
        .execute(insert, params![name.as_str(), role.as_str(), hash.0, made_at.0, expires])
        .map_err(write_error)?;
    let number = u32::try_from(transaction.last_insert_rowid()).map_err(|error| StoreError::Corrupt(error.into()))?;
    let token = AdminToken { number, name, role, made_at, expires_at, revoked_at: None, hash };
    audit::append(&transaction, Action::CreateToken, None, &token.audited(), by).map_err(write_error)?;
    transaction.commit().map_err(write_error)?;
    Ok(token)
}

pub(super) fn revoke(writer: &mut Connection, number: u32, by: &Author) -> StoreResult<AdminToken> {
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(read_error)?;
    let stored =
        by_number(&transaction, number).map_err(read_error)?.ok_or_else(|| StoreError::no_such_token(number))?;
    if stored.revoked_at.is_some() {
        return Ok(stored);
    }
    let revoked = AdminToken { revoked_at: Some(now(&transaction).map_err(read_error)?), ..stored };
    let update = "UPDATE admin_token SET revoked_at = ?2 WHERE number = ?1";
    transaction.execute(update, params![number, revoked.revoked_at.map(|at| at.0)]).map_err(write_error)?;
    audit::append(&transaction, Action::RevokeToken, None, &revoked.audited(), by).map_err(write_error)?;
    transaction.commit().map_err(write_error)?;
    Ok(revoked)
}

pub(super) fn all(reader: &Connection) -> rusqlite::Result<Vec<AdminToken>> {
    reader.prepare_cached(&format!("{TOKENS} ORDER BY number"))?.query_map([], token_from)?.collect()
}

fn by_number(reader: &Connection, number: u32) -> rusqlite::Result<Option<AdminToken>> {
    reader.prepare_cached(&format!("{TOKENS} WHERE number = ?1"))?.query_row([number], token_from).optional()
}

fn token_from(row: &Row<'_>) -> rusqlite::Result<AdminToken> {
    Ok(AdminToken {
        number: row.get(0)?,
        name: word(row, 1)?,
        role: word(row, 2)?,
        hash: SecretHash(row.get(3)?),
        made_at: Timestamp(row.get(4)?),
        expires_at: timestamp(row.get(5)?),
        revoked_at: timestamp(row.get(6)?),
    })
}
