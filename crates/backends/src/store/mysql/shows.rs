//! Shows.

use sqlx::mysql::{MySqlConnection, MySqlRow};
use throng_domain::audit::{Action, Author};
use throng_domain::show::{SHOWS_MAX, Show};
use throng_domain::store::StoreError;

use super::audit;
use super::columns::{natural, text, word};
use super::connection::simple_query;
use super::error::{StoreResult, before_commit, corrupt, is_duplicate};
use crate::store::show_polls;

pub(super) async fn all(reader: &mut MySqlConnection) -> sqlx::Result<Vec<Show>> {
    let rows = sqlx::query("SELECT slug, title, polls, version FROM `show` ORDER BY slug").fetch_all(reader).await?;
    rows.iter().map(show_from).collect()
}

/// Stores the show in a transaction that the caller commits.
pub(super) async fn put(writer: &mut MySqlConnection, show: &Show, by: &Author) -> StoreResult<()> {
    simple_query(&mut *writer, "START TRANSACTION").await.map_err(before_commit)?;
    let is_new = show.version == 1;
    if is_new && is_full(writer).await.map_err(before_commit)? {
        return Err(StoreError::too_many_shows(SHOWS_MAX));
    }
    let (sql, action, refused): (_, _, fn(_) -> _) = if is_new {
        let insert = "INSERT INTO `show` (title, polls, version, slug) VALUES (?, ?, ?, ?)";
        (insert, Action::CreateShow, StoreError::show_exists)
    } else {
        let update = "UPDATE `show` SET title = ?, polls = ?, version = ? WHERE slug = ? AND version = ?";
        (update, Action::EditShow, StoreError::show_changed)
    };
    let query = sqlx::query(sql).bind(&show.title).bind(show_polls::to_stored(&show.polls)).bind(show.version);
    let query = query.bind(show.slug.as_str());
    let query = if is_new { query } else { query.bind(show.version - 1) };
    match query.execute(&mut *writer).await {
        Ok(done) if done.rows_affected() == 0 => return Err(refused(&show.slug)),
        Ok(_) => {}
        Err(error) if is_duplicate(&error) => return Err(refused(&show.slug)),
        Err(error) => return Err(before_commit(error)),
    }
    audit::append(writer, action, None, &show.audited(), by).await.map_err(before_commit)
}

/// All of them are locked meanwhile.
async fn is_full(writer: &mut MySqlConnection) -> sqlx::Result<bool> {
    let shows = sqlx::query("SELECT slug FROM `show` FOR UPDATE").fetch_all(writer).await?;
    Ok(shows.len() >= SHOWS_MAX)
}

/// Deletes the show in a transaction that the caller commits.
pub(super) async fn delete(writer: &mut MySqlConnection, show: &Show, by: &Author) -> StoreResult<()> {
    simple_query(&mut *writer, "START TRANSACTION").await.map_err(before_commit)?;
    let delete = sqlx::query("DELETE FROM `show` WHERE slug = ? AND version = ?");
    let delete = delete.bind(show.slug.as_str()).bind(show.version);
    if delete.execute(&mut *writer).await.map_err(before_commit)?.rows_affected() == 0 {
        return Err(StoreError::show_changed(&show.slug));
    }
    audit::append(writer, Action::DeleteShow, None, &show.audited(), by).await.map_err(before_commit)
}

fn show_from(row: &MySqlRow) -> sqlx::Result<Show> {
    let polls = show_polls::from_stored(text(row, 2)?).map_err(corrupt)?;
    Ok(Show { slug: word(row, 0)?, title: text(row, 1)?.to_owned(), polls, version: natural(row, 3)? })
}
