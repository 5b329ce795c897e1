//! Shows.

use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};
use throng_domain::audit::{Action, Author};
use throng_domain::show::{SHOWS_MAX, Show};
use throng_domain::store::StoreError;

use super::audit;
use super::columns::{unsigned, word};
use super::error::{StoreResult, read_error};
use crate::store::show_polls;

pub(super) async fn all(reader: &mut PgConnection) -> sqlx::Result<Vec<Show>> {
    let rows = sqlx::query("SELECT slug, title, polls, version FROM show ORDER BY slug").fetch_all(reader).await?;
    rows.iter().map(show_from).collect()
}

pub(super) async fn put(writer: &mut PgConnection, show: &Show, by: &Author) -> StoreResult<()> {
    let is_new = show.version == 1;
    if is_new && is_full(writer).await.map_err(read_error)? {
        return Err(StoreError::too_many_shows(SHOWS_MAX));
    }
    let (sql, action, refused): (_, _, fn(_) -> _) = if is_new {
        let insert = "INSERT INTO show (slug, title, polls, version) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
        (insert, Action::CreateShow, StoreError::show_exists)
    } else {
        let update = "UPDATE show SET title = $2, polls = $3, version = $4 WHERE slug = $1 AND version = $4 - 1";
        (update, Action::EditShow, StoreError::show_changed)
    };
    let query = sqlx::query(sql).bind(show.slug.as_str()).bind(&show.title).bind(show_polls::to_stored(&show.polls));
    let done = query.bind(show.version.cast_signed()).execute(&mut *writer).await.map_err(read_error)?;
    if done.rows_affected() == 0 {
        return Err(refused(&show.slug));
    }
    audit::append(writer, action, None, &show.audited(), by).await.map_err(read_error)
}

/// The lock lets no other one be stored meanwhile.
async fn is_full(writer: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query("LOCK TABLE show IN SHARE ROW EXCLUSIVE MODE").execute(&mut *writer).await?;
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM show").fetch_one(writer).await?;
    Ok(usize::try_from(count).is_ok_and(|count| count >= SHOWS_MAX))
}

pub(super) async fn delete(writer: &mut PgConnection, show: &Show, by: &Author) -> StoreResult<()> {
    let delete = sqlx::query("DELETE FROM show WHERE slug = $1 AND version = $2");
    let delete = delete.bind(show.slug.as_str()).bind(show.version.cast_signed());
    if delete.execute(&mut *writer).await.map_err(read_error)?.rows_affected() == 0 {
        return Err(StoreError::show_changed(&show.slug));
    }
    audit::append(writer, Action::DeleteShow, None, &show.audited(), by).await.map_err(read_error)
}

fn show_from(row: &PgRow) -> sqlx::Result<Show> {
    let polls = show_polls::from_stored(row.try_get(2)?).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
    Ok(Show { slug: word(row, 0)?, title: row.try_get(1)?, polls, version: unsigned(row.try_get::<i64, _>(3)?)? })
}
