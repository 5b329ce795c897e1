//! Tokens of those who administer polls.

use sqlx::Row as _;
use sqlx::mysql::{MySqlConnection, MySqlRow};
use throng_domain::admin_token::{AdminToken, NewAdminToken, SecretHash};
use throng_domain::audit::{Action, Author};
use throng_domain::clock::Timestamp;
use throng_domain::store::StoreError;

use super::audit;
use super::columns::{natural, now, timestamp, word};
use super::connection::simple_query;
use super::error::{StoreResult, before_commit, corrupt};

const TOKENS: &str = "SELECT number, name, role, hash, made_at, expires_at, revoked_at FROM admin_token";

/// Creates the token in a transaction that the caller commits.
pub(super) async fn create(writer: &mut MySqlConnection, new: NewAdminToken, by: &Author) -> StoreResult<AdminToken> {
    simple_query(&mut *writer, "START TRANSACTION").await.map_err(before_commit)?;
    let token = insert(writer, new).await.map_err(before_commit)?;
    audit::append(writer, Action::CreateToken, None, &token.audited(), by).await.map_err(before_commit)?;
    Ok(token)
}

async fn insert(writer: &mut MySqlConnection, new: NewAdminToken) -> sqlx::Result<AdminToken> {
    let made_at = now(writer).await?;
    let NewAdminToken { name, role, expires_at, hash } = new;
    let insert = "INSERT INTO admin_token (name, role, hash, made_at, expires_at) VALUES (?, ?, ?, ?, ?)";
    let insert = sqlx::query(insert).bind(name.as_str()).bind(role.as_str()).bind(&hash.0[..]);
    let inserted = insert.bind(made_at.0).bind(expires_at.map(|at| at.0)).execute(writer).await?;
    let number = u32::try_from(inserted.last_insert_id()).map_err(corrupt)?;
    Ok(AdminToken { number, name, role, made_at, expires_at, revoked_at: None, hash })
}

/// Revokes the token in a transaction that the caller commits. Its row is locked, so that it is revoked once.
pub(super) async fn revoke(writer: &mut MySqlConnection, number: u32, by: &Author) -> StoreResult<AdminToken> {
    simple_query(&mut *writer, "START TRANSACTION").await.map_err(before_commit)?;
    let locked = lock(writer, number).await.map_err(before_commit)?;
    let stored = locked.ok_or_else(|| StoreError::no_such_token(number))?;
    if stored.revoked_at.is_some() {
        return Ok(stored);
    }
    let at = now(writer).await.map_err(before_commit)?;
    let revoked = AdminToken { revoked_at: Some(at), ..stored };
    let update = sqlx::query("UPDATE admin_token SET revoked_at = ? WHERE number = ?");
    update.bind(at.0).bind(number).execute(&mut *writer).await.map_err(before_commit)?;
    audit::append(writer, Action::RevokeToken, None, &revoked.audited(), by).await.map_err(before_commit)?;
    Ok(revoked)
}

pub(super) async fn all(reader: &mut MySqlConnection) -> sqlx::Result<Vec<AdminToken>> {
    let rows = sqlx::query(&format!("{TOKENS} ORDER BY number")).fetch_all(reader).await?;
    rows.iter().map(token_from).collect()
}

async fn lock(writer: &mut MySqlConnection, number: u32) -> sqlx::Result<Option<AdminToken>> {
    let sql = format!("{TOKENS} WHERE number = ? FOR UPDATE");
    sqlx::query(&sql).bind(number).fetch_optional(writer).await?.as_ref().map(token_from).transpose()
}

fn token_from(row: &MySqlRow) -> sqlx::Result<AdminToken> {
    Ok(AdminToken {
        number: natural(row, 0)?,
        name: word(row, 1)?,
        role: word(row, 2)?,
        hash: SecretHash(row.try_get::<&[u8], _>(3)?.try_into().map_err(corrupt)?),
        made_at: Timestamp(row.try_get(4)?),
        expires_at: timestamp(row, 5)?,
        revoked_at: timestamp(row, 6)?,
    })
}
