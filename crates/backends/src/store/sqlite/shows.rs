//! Shows.

use rusqlite::types::Type;
use rusqlite::{Connection, ErrorCode, Row, TransactionBehavior, params};
use throng_domain::audit::{Action, Author};
use throng_domain::show::{SHOWS_MAX, Show};
use throng_domain::store::StoreError;

use super::audit;
use super::columns::word;
use super::error::{StoreResult, read_error, write_error};
use crate::store::show_polls;

pub(super) fn all(reader: &Connection) -> rusqlite::Result<Vec<Show>> {
    let mut shows = reader.prepare_cached("SELECT slug, title, polls, version FROM show ORDER BY slug")?;
    shows.query_map([], show_from)?.collect()
}

pub(super) fn put(writer: &mut Connection, show: &Show, by: &Author) -> StoreResult<()> {
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(read_error)?;
    let (Show { slug, title, polls, version }, is_new) = (show, show.version == 1);
    let count: usize = transaction.query_row("SELECT count(*) FROM show", [], |row| row.get(0)).map_err(read_error)?;
    if is_new && count >= SHOWS_MAX {
        return Err(StoreError::too_many_shows(SHOWS_MAX));
    }
    let (sql, action) = if is_new {
        ("INSERT INTO show (slug, title, polls, version) VALUES (?1, ?2, ?3, ?4)", Action::CreateShow)
    } else {
        ("UPDATE show SET title = ?2, polls = ?3, version = ?4 WHERE slug = ?1 AND version = ?4 - 1", Action::EditShow)
    };
    let values = params![slug.as_str(), title, show_polls::to_stored(polls), version];
    match transaction.execute(sql, values) {
        Ok(1) => {}
        Ok(_) => return Err(StoreError::show_changed(slug)),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            return Err(StoreError::show_exists(slug));
        }
        Err(error) => return Err(write_error(error)),
    }
    audit::append(&transaction, action, None, &show.audited(), by).map_err(write_error)?;
    transaction.commit().map_err(write_error)
}

pub(super) fn delete(writer: &mut Connection, show: &Show, by: &Author) -> StoreResult<()> {
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(read_error)?;
    let delete = "DELETE FROM show WHERE slug = ?1 AND version = ?2";
    if transaction.execute(delete, params![show.slug.as_str(), show.version]).map_err(write_error)? == 0 {
        return Err(StoreError::show_changed(&show.slug));
    }
    audit::append(&transaction, Action::DeleteShow, None, &show.audited(), by).map_err(write_error)?;
    transaction.commit().map_err(write_error)
}

fn show_from(row: &Row<'_>) -> rusqlite::Result<Show> {
    let polls = show_polls::from_stored(row.get_ref(2)?.as_str()?);
    let polls = polls.map_err(|error| rusqlite::Error::FromSqlConversionFailure(2, Type::Text, Box::new(error)))?;
    Ok(Show { slug: word(row, 0)?, title: row.get(1)?, polls, version: row.get(3)? })
}
