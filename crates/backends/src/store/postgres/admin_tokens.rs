//! Tokens of those who administer polls.

use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};
use throng_domain::admin_token::{AdminToken, NewAdminToken, SecretHash};
use throng_domain::audit::{Action, Author};
use throng_domain::clock::Timestamp;
use throng_domain::store::StoreError;

use super::audit;
use super::columns::{now, timestamp, unsigned, word};
use super::error::{StoreResult, read_error};

const TOKENS: &str = "SELECT number, name, role, hash, made_at, expires_at, revoked_at FROM admin_token";

/// Creates the token in a transaction that the caller commits.
pub(super) async fn create(writer: &mut PgConnection, new: NewAdminToken, by: &Author) -> StoreResult<AdminToken> {
    let token = insert(writer, new).await.map_err(read_error)?;
    audit::append(writer, Action::CreateToken, None, &token.audited(), by).await.map_err(read_error)?;
    Ok(token)
}

async fn insert(writer: &mut PgConnection, new: NewAdminToken) -> sqlx::Result<AdminToken> {
    let made_at = now(writer).await?;
    let NewAdminToken { name, role, expires_at, hash } = new;
    let insert = "INSERT INTO admin_token (name, role, hash, made_at, expires_at) VALUES ($1, $2, $3, $4, $5) \
                  RETURNING number";
    let insert = sqlx::query_scalar::<_, i32>(insert).bind(name.as_str()).bind(role.as_str()).bind(&hash.0[..]);
    let number = insert.bind(made_at.0).bind(expires_at.map(|at| at.0)).fetch_one(writer).await?;
    Ok(AdminToken { number: unsigned(number)?, name, role, made_at, expires_at, revoked_at: None, hash })
}

/// Revokes the token in a transaction that the caller commits. Its row is locked, so that it is revoked once.
pub(super) async fn revoke(writer: &mut PgConnection, number: u32, by: &Author) -> StoreResult<AdminToken> {
    let locked = lock(writer, number).await.map_err(read_error)?;
    let stored = locked.ok_or_else(|| StoreError::no_such_token(number))?;
    if stored.revoked_at.is_some() {
        return Ok(stored);
    }
    let at = now(writer).await.map_err(read_error)?;
    let revoked = AdminToken { revoked_at: Some(at), ..stored };
    let update = sqlx::query("UPDATE admin_token SET revoked_at = $2 WHERE number = $1");
    update.bind(number.cast_signed()).bind(at.0).execute(&mut *writer).await.map_err(read_error)?;
    audit::append(writer, Action::RevokeToken, None, &revoked.audited(), by).await.map_err(read_error)?;
    Ok(revoked)
}

pub(super) async fn all(reader: &mut PgConnection) -> sqlx::Result<Vec<AdminToken>> {
    let rows = sqlx::query(&format!("{TOKENS} ORDER BY number")).fetch_all(reader).await?;
    rows.iter().map(token_from).collect()
}

async fn lock(writer: &mut PgConnection, number: u32) -> sqlx::Result<Option<AdminToken>> {
    let Ok(number) = i32::try_from(number) else { return Ok(None) };
    let sql = format!("{TOKENS} WHERE number = $1 FOR UPDATE");
    sqlx::query(&sql).bind(number).fetch_optional(writer).await?.as_ref().map(token_from).transpose()
}

fn token_from(row: &PgRow) -> sqlx::Result<AdminToken> {
    Ok(AdminToken {
        number: unsigned(row.try_get::<i32, _>(0)?)?,
        name: word(row, 1)?,
        role: word(row, 2)?,
        hash: SecretHash(row.try_get(3)?),
        made_at: Timestamp(row.try_get(4)?),
        expires_at: timestamp(row.try_get(5)?),
        revoked_at: timestamp(row.try_get(6)?),
    })
}
